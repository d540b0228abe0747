"""Domain randomisation: which robot a policy meets, drawn by seed from named ranges.

`Randomisation` are the ranges, `PRESETS` mild ones of our own and those of other projects;
`draw_robots` turns them into N robots, and `randomise_model` writes one of these into its MuJoCo
model. What changes within an episode (pushes, sensor noise, delay) is in `envs.disturbances`. The
training environment and the simulation node use the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

import mujoco
import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from g1_mimic.robot.model import gains, set_gains
from g1_mimic.robot.names import ANCHOR_BODY_NAME, NUM_JOINTS
from g1_mimic.settings import Settings

Finite = Annotated[float, Field(allow_inf_nan=False)]
Range = tuple[Finite, Finite]
Width = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]

Preset = Literal["none", "mild", "beyondmimic", "mjlab", "asap"]

# BeyondMimic's (tracking_env_cfg.py), which mjlab took over: noise, mass centre, pushes.
_BEYONDMIMIC: dict[str, Any] = {
    "torso_com": (0.025, 0.05, 0.05),
    "push_interval_s": (1.0, 3.0),
    "push_velocity": (0.5, 0.5, 0.2, 0.52, 0.52, 0.78),
    "joint_pos_noise": 0.01,
    "joint_vel_noise": 0.5,
    "gyro_noise": 0.2,
    "orientation_noise": 0.05,
    "position_noise": 0.25,
    "lin_vel_noise": 0.5,
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    # About half of what follows: what a laptop learns to withstand in minutes.
    "mild": {
        "friction": (0.5, 1.3),
        "torso_com": (0.015, 0.025, 0.025),
        "default_pose": (-0.005, 0.005),
        "action_delay_s": (0.0, 0.01),
        "push_interval_s": (2.0, 5.0),
        "push_velocity": (0.25, 0.25, 0.1, 0.26, 0.26, 0.39),
        "joint_pos_noise": 0.005,
        "joint_vel_noise": 0.25,
        "gyro_noise": 0.1,
        "orientation_noise": 0.025,
    },
    "beyondmimic": _BEYONDMIMIC
    | {"friction": (0.3, 1.6), "restitution": (0.0, 0.5), "default_pose": (-0.01, 0.01)},
    "mjlab": _BEYONDMIMIC | {"friction": (0.3, 1.2), "encoder_bias": (-0.01, 0.01)},
    # humanoidverse/config: domain_rand_base.yaml and the observations of the policies for the robot
    "asap": {
        "friction": (0.5, 1.25),
        "link_mass": (0.8, 1.2),
        "torso_com": (0.1, 0.1, 0.1),
        "stiffness": (0.75, 1.25),
        "damping": (0.75, 1.25),
        "torque_noise": (0.05, 0.15),
        "action_delay_s": (0.0, 0.04),
        "push_interval_s": (5.0, 10.0),
        "push_velocity": (1.0, 1.0, 0.0, 0.0, 0.0, 0.0),
        "joint_pos_noise": 0.01,
        "joint_vel_noise": 1.0,
        "gyro_noise": 0.3,
        "orientation_noise": 0.2,
    },
}
"""Ranges by name; what a preset leaves out stays as it is."""


class Randomisation(Settings):
    """What differs from robot to robot: a preset, and keys that replace its values.

    Ranges are [lowest, highest] and drawn from uniformly; widths are half the width of a uniform
    distribution about zero. The default of each key changes nothing. Only the keys that were given
    are written out again, so that a preset chosen later still counts for the others.
    """

    preset: Preset = "none"
    """Ranges by name: none, mild (our own), or those of beyondmimic, mjlab or asap."""
    every_episode: bool = True
    """Draw a robot anew for each episode; else once for each of the parallel robots."""
    friction: Range = (1.0, 1.0)
    """Coefficient of sliding friction between the robot and anything else."""
    restitution: Range = (0.0, 0.0)
    """Fraction of its speed that a body bounces back with; up to 0.135 nothing is changed."""
    link_mass: Range = (1.0, 1.0)
    """Factor on mass and inertia of each body by itself."""
    link_inertia: Range = (1.0, 1.0)
    """Further factor on the inertia alone, of each body by itself."""
    torso_com: tuple[Width, Width, Width] = (0.0, 0.0, 0.0)
    """Shift of the torso's centre of mass, half widths along x, y and z, m."""
    stiffness: Range = (1.0, 1.0)
    """Factor on the stiffness of each joint."""
    damping: Range = (1.0, 1.0)
    """Factor on the damping of each joint."""
    armature: Range = (1.0, 1.0)
    """Factor on the armature of each joint."""
    joint_friction: Range = (0.0, 0.0)
    """Coulomb friction added to each joint, N m."""
    encoder_bias: Range = (0.0, 0.0)
    """Added to what each joint's encoder says, which policy and motor both go by, rad."""
    gyro_bias: Range = (0.0, 0.0)
    """Added to each axis of the measured angular velocity of the pelvis, rad/s."""
    default_pose: Range = (0.0, 0.0)
    """Added to the pose that actions and joint angles are relative to (calibration), rad."""
    torque_noise: Range = (0.0, 0.0)
    """Half width of the noise on each joint's torque, as a fraction of its limit."""
    action_delay_s: Range = (0.0, 0.0)
    """Time from a state to the motors' answer, s, in whole physics steps."""
    push_interval_s: Range = (1.0, 3.0)
    """Time between two pushes, s."""
    push_velocity: tuple[Width, Width, Width, Width, Width, Width] = (0.0,) * 6
    """Velocity that a push adds to the pelvis: half widths for x, y, z (m/s) and about them
    (rad/s), in the world."""
    joint_pos_noise: Width = 0.0
    """Half width of the noise on measured joint angles, rad."""
    joint_vel_noise: Width = 0.0
    """Half width of the noise on measured joint velocities, rad/s."""
    gyro_noise: Width = 0.0
    """Half width of the noise on the measured angular velocity of the pelvis, rad/s."""
    orientation_noise: Width = 0.0
    """Half width of the noise on the measured orientation of the pelvis, about each axis, rad."""
    position_noise: Width = 0.0
    """Half width of the noise on the measured position of the pelvis, m."""
    lin_vel_noise: Width = 0.0
    """Half width of the noise on the measured linear velocity of the pelvis, m/s."""

    @model_validator(mode="after")
    def _ordered(self) -> Randomisation:
        for name, lowest in _LOWEST.items():
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name}: the lower end {low:g} is above the upper end {high:g}")
            if low < lowest:
                raise ValueError(f"{name}: {low:g} is below {lowest:g}")
        return self

    @model_serializer(mode="wrap")
    def _given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {k: v for k, v in handler(self).items() if k in self.model_fields_set | {"preset"}}

    def resolved(self) -> Randomisation:
        """Return the ranges with those of the preset filled in; their preset is none."""
        given = {name: getattr(self, name) for name in self.model_fields_set - {"preset"}}
        return Randomisation(**{**PRESETS[self.preset], **given})

    def alters_models(self) -> bool:
        """Whether robots differ in what their MuJoCo models hold (of resolved ranges)."""
        return any(getattr(self, name) != getattr(_NEUTRAL, name) for name in _MODEL_KEYS)


_LOWEST = {
    "friction": 0.01,
    "restitution": 0.0,
    "link_mass": 0.1,
    "link_inertia": 0.1,
    "stiffness": 0.01,
    "damping": 0.01,
    "armature": 0.0,
    "joint_friction": 0.0,
    "encoder_bias": -0.5,
    "gyro_bias": -1.0,
    "default_pose": -0.5,
    "torque_noise": 0.0,
    "action_delay_s": 0.0,
    "push_interval_s": 0.02,
}
"""Ranges and the least that may stand in them."""

_MODEL_KEYS = (
    "friction",
    "restitution",
    "link_mass",
    "link_inertia",
    "torso_com",
    "stiffness",
    "damping",
    "armature",
    "joint_friction",
)
_NEUTRAL = Randomisation()


@dataclass
class RobotDraw:
    """N drawn robots; arrays start with N."""

    friction: np.ndarray
    """[N]."""
    restitution: np.ndarray
    """[N]."""
    mass: np.ndarray
    """[N, bodies] factors."""
    inertia: np.ndarray
    """[N, bodies] factors, those of the mass included."""
    torso_com: np.ndarray
    """[N, 3] shift, m."""
    stiffness: np.ndarray
    """[N, 29] factors."""
    damping: np.ndarray
    """[N, 29] factors."""
    armature: np.ndarray
    """[N, 29] factors."""
    joint_friction: np.ndarray
    """[N, 29] N·m, added."""
    encoder_offset: np.ndarray
    """[N, 29] rad: measured minus true angle. A default pose that is off by d is one of −d."""
    gyro_bias: np.ndarray
    """[N, 3] rad/s."""
    torque_noise: np.ndarray
    """[N, 29] half widths as fractions of the torque limits."""
    action_delay: np.ndarray
    """[N] s."""

    def put(self, rows: np.ndarray, other: RobotDraw) -> None:
        """Replace the robots ``rows`` by those of ``other``."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(other, field.name)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of the arrays by name."""
        return {field.name: getattr(self, field.name).copy() for field in fields(self)}


def draw_robots(
    ranges: Randomisation, count: int, bodies: int, rng: np.random.Generator
) -> RobotDraw:
    """Draw ``count`` robots of ``bodies`` bodies (the world included) from resolved ranges."""

    def uniform(limits: Range, *shape: int) -> np.ndarray:
        return rng.uniform(*limits, (count, *shape))

    mass = uniform(ranges.link_mass, bodies)
    shift = np.array(ranges.torso_com)
    return RobotDraw(
        friction=uniform(ranges.friction),
        restitution=uniform(ranges.restitution),
        mass=mass,
        inertia=mass * uniform(ranges.link_inertia, bodies),
        torso_com=rng.uniform(-shift, shift, (count, 3)),
        stiffness=uniform(ranges.stiffness, NUM_JOINTS),
        damping=uniform(ranges.damping, NUM_JOINTS),
        armature=uniform(ranges.armature, NUM_JOINTS),
        joint_friction=uniform(ranges.joint_friction, NUM_JOINTS),
        encoder_offset=uniform(ranges.encoder_bias, NUM_JOINTS)
        - uniform(ranges.default_pose, NUM_JOINTS),
        gyro_bias=uniform(ranges.gyro_bias, 3),
        torque_noise=uniform(ranges.torque_noise, NUM_JOINTS),
        action_delay=uniform(ranges.action_delay_s),
    )


def randomise_model(
    model: mujoco.MjModel,
    nominal: mujoco.MjModel,
    draw: RobotDraw,
    row: int,
    scratch: mujoco.MjData,
) -> None:
    """Make ``model``, a copy of ``nominal``, the robot ``row`` of ``draw``.

    Args:
        model: changed in place, whatever robot it was.
        nominal: of `build_model`.
        draw: drawn for as many bodies as the model has.
        row: which of its robots.
        scratch: data of the model, overwritten.
    """
    geoms = nominal.geom_priority > 0  # the robot's geoms that collide
    model.geom_friction[geoms, 0] = draw.friction[row]
    model.geom_solref[geoms] = _bouncing(nominal.geom_solref[geoms], draw.restitution[row])
    model.body_mass[:] = nominal.body_mass * draw.mass[row]
    model.body_inertia[:] = nominal.body_inertia * draw.inertia[row][:, None]
    torso = nominal.body(ANCHOR_BODY_NAME).id
    model.body_ipos[torso] = nominal.body_ipos[torso] + draw.torso_com[row]
    model.dof_armature[6:] = nominal.dof_armature[6:] * draw.armature[row]
    model.dof_frictionloss[6:] = nominal.dof_frictionloss[6:] + draw.joint_friction[row]
    stiffness, damping = gains(nominal)
    set_gains(model, stiffness * draw.stiffness[row], damping * draw.damping[row])
    mujoco.mj_setConst(model, scratch)  # total masses, inverse inertias


def damping_ratio(restitution: np.ndarray | float) -> np.ndarray:
    """Return the damping ratio of a contact, at most 1, that bounces with ``restitution``.

    A body that meets a spring and a damper which push but do not pull leaves them with
    exp(−ζ/√(1−ζ²)·(π − arctan2(2ζ√(1−ζ²), 1−2ζ²))) of its speed (Schwager and Pöschel 2007).
    """
    return np.asarray(np.interp(restitution, _BOUNCE[::-1], _RATIOS[::-1]))


_RATIOS = np.linspace(0.01, 0.9999, 500)
_ROOT = np.sqrt(1.0 - _RATIOS**2)
_BOUNCE = np.exp(
    -_RATIOS / _ROOT * (np.pi - np.arctan2(2.0 * _RATIOS * _ROOT, 1.0 - 2.0 * _RATIOS**2))
)


def _bouncing(solref: np.ndarray, restitution: float) -> np.ndarray:
    """Return contact parameters (time constant, damping ratio) of the same stiffness that bounce.

    MuJoCo's stiffness goes with 1/(time constant·ratio)², which is kept: a softer contact would
    sink in, a stiffer one be unstable at the step of training.
    """
    ratio = float(damping_ratio(restitution))
    if ratio >= _RATIOS[-1]:
        return solref
    return np.stack([solref[:, 0] * solref[:, 1] / ratio, np.full(len(solref), ratio)], axis=1)
