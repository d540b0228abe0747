"""What an operator may choose about a deployed controller, and the limits that follow from it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from g1_mimic.control.pd_target import TargetLimits
from g1_mimic.control.supervision import StateLimits
from g1_mimic.errors import BadValue, G1MimicError
from g1_mimic.robot.names import JOINT_NAMES
from g1_mimic.rotations import down_in_body
from g1_mimic.settings import LIVE

if TYPE_CHECKING:
    from g1_mimic.policy.contract import PolicyContract
    from g1_mimic.robot.profile import RobotProfile


class TiltError(G1MimicError):
    """The robot has fallen, or is about to."""


class ControllerSettings(StateLimits):
    """What an operator may choose about the controller."""

    start_mode: Literal["damping", "stand", "track"] = "track"
    """How far activation goes by itself; a robot's operator may prefer 'damping'."""
    stand_time: float = Field(2.0, ge=0.1, le=30.0)
    """Time in which stand moves from the measured pose to the clip's first pose, s."""
    stand_stiffness_scale: float = Field(3.0, ge=1.0, le=10.0)
    """Factor on the policy's stiffness in stand; damping grows by its square root. A policy's own
    gains are softer than gravity is at the waist: without help the torso topples to its stop."""
    blend_time: float = Field(1.0, ge=0.02, le=10.0, json_schema_extra=LIVE)
    """Time in which one clip goes over to another while tracking, s."""
    tilt_limit: float = Field(1.2, gt=0.0, le=3.15, json_schema_extra=LIVE)
    """Angle between robot and reference torso, heading aside, that is a fault, rad."""
    max_missed_inferences: int = Field(3, ge=1, le=50, json_schema_extra=LIVE)
    """Policy periods in a row without a new action that are a fault; the last target is held."""
    torque_limits: Literal["deployment", "training"] = "deployment"
    """Which of the profile's torque limits hold: training's are higher at ankles and waist."""
    position_limit_scale: float = Field(1.0, ge=0.05, le=1.0, json_schema_extra=LIVE)
    """Fraction of the profile's soft position range, about its middle, for targets."""
    velocity_limit_scale: float = Field(1.0, ge=0.01, le=1.0, json_schema_extra=LIVE)
    """Fraction of the profile's speed limit for targets."""
    torque_limit_scale: float = Field(1.0, ge=0.01, le=1.0, json_schema_extra=LIVE)
    """Fraction of the torque limit."""


def tilt_between(anchor_quat: np.ndarray, reference_quat: np.ndarray) -> float:
    """Return the angle between two orientations [4], their headings aside, rad."""
    cosine = float(down_in_body(anchor_quat) @ down_in_body(reference_quat))
    return math.acos(min(max(cosine, -1.0), 1.0))


def deployment_limits(
    meta: PolicyContract, profile: RobotProfile, settings: ControllerSettings
) -> TargetLimits:
    """Return the policy's gains under the tighter limits of policy and profile, scaled."""
    own = TargetLimits.from_profile(profile)
    if settings.torque_limits == "training":
        own = replace(own, torque_limit=profile.torque_limit)
    for name in ("torque_limit", "velocity_limit"):
        value = getattr(meta, name)
        if value is not None and len(value):
            tighter = np.minimum(getattr(own, name), np.asarray(value, dtype=np.float64))
            own = replace(own, **{name: tighter})
    middle = 0.5 * (own.position_lower + own.position_upper)
    half = 0.5 * settings.position_limit_scale * (own.position_upper - own.position_lower)
    return replace(
        own,
        position_lower=middle - half,
        position_upper=middle + half,
        velocity_limit=settings.velocity_limit_scale * own.velocity_limit,
        torque_limit=settings.torque_limit_scale * own.torque_limit,
        stiffness=np.asarray(meta.joint_stiffness, dtype=np.float64),
        damping=np.asarray(meta.joint_damping, dtype=np.float64),
    )


def stand_limits(limits: TargetLimits, settings: ControllerSettings) -> TargetLimits:
    """Return ``limits`` with the gains of stand; damping ratios stay as they are."""
    scale = settings.stand_stiffness_scale
    return replace(
        limits, stiffness=scale * limits.stiffness, damping=np.sqrt(scale) * limits.damping
    )


def check_default_pose(meta: PolicyContract, profile: RobotProfile) -> None:
    """Refuse a policy whose default pose the robot cannot take.

    Raises:
        G1MimicError: names the joint.
    """
    default = np.asarray(meta.default_joint_pos)
    beyond = (default < profile.position_lower) | (default > profile.position_upper)
    if beyond.any():
        joint = int(np.flatnonzero(beyond)[0])
        raise BadValue(
            f"the policy's default angle of {JOINT_NAMES[joint]}, {default[joint]:g} rad, is "
            f"outside the joint's range [{profile.position_lower[joint]:g}, "
            f"{profile.position_upper[joint]:g}]"
        )
