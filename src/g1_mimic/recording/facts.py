"""What a recording says about the robot and the policy, so that it can be judged anywhere."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

import g1_mimic
from g1_mimic.errors import BadValue
from g1_mimic.robot.names import JOINT_NAMES

if TYPE_CHECKING:
    from g1_mimic.robot.profile import RobotProfile


@dataclass(frozen=True)
class RecordingFacts:
    """Limits are [29] in the order of ``JOINT_NAMES`` and named as in `RobotProfile`."""

    policy: str
    motion: str
    robot: str
    deploy_torque_limit: np.ndarray
    saturation_torque: np.ndarray
    no_load_speed: np.ndarray
    velocity_limit: np.ndarray
    position_lower: np.ndarray
    position_upper: np.ndarray


_LIMITS = tuple(
    f.name for f in fields(RecordingFacts) if f.name not in ("policy", "motion", "robot")
)


def recording_facts(policy: str, motion: str, profile: RobotProfile) -> dict[str, str]:
    """Return the facts as MCAP metadata; the torque limits are those of deployment."""
    limits: dict[str, Any] = {key: getattr(profile, key).tolist() for key in _LIMITS}
    return {
        "version": g1_mimic.__version__,
        "policy": policy,
        "motion": motion,
        "robot": profile.name,
        "robot_profile_hash": profile.hash,
        "joint_names": json.dumps(list(JOINT_NAMES)),
        **{key: json.dumps(value) for key, value in limits.items()},
    }


def read_facts(metadata: dict[str, str]) -> RecordingFacts:
    """Return the facts in MCAP metadata.

    Raises:
        G1MimicError: if something is missing or wrong.
    """
    try:
        order = [json.loads(metadata["joint_names"]).index(name) for name in JOINT_NAMES]
        limits = {key: np.array(json.loads(metadata[key]), float)[order] for key in _LIMITS}
        return RecordingFacts(
            policy=metadata["policy"],
            motion=metadata["motion"],
            robot=metadata["robot"],
            **limits,
        )
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise BadValue(f"the recording's facts are broken: {error}") from None
