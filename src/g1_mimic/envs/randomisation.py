"""Domain randomisation: which robot a policy meets, drawn by seed from named ranges.

`Randomisation` are the ranges, `PRESETS` mild ones of our own and those of other projects; what is
drawn from them and what it does, the marks of the keys say (`envs.drawn_robots`). What changes
within an episode (pushes, delay) is in `envs.disturbances`. The training environment and the
simulation node use the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from g1_mimic.envs.drawn_robots import (
    BODIES,
    Drawn,
    add_joint_friction,
    drawn,
    scaled,
    scaled_gain,
    set_friction,
    set_restitution,
    shift_torso_com,
)
from g1_mimic.robot.names import NUM_JOINTS
from g1_mimic.settings import Check, OneOf, Settings, settings_rows, yaml_text

Finite = Annotated[float, Field(allow_inf_nan=False)]
Range = tuple[Finite, Finite]
Width = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]

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


@dataclass(frozen=True)
class Lowest(Check):
    """Marks a range: its ends are in order, and none is below ``ge``."""

    ge: float

    def check(self, value: Range) -> None:
        """Raise ValueError for another one."""
        low, high = value
        if low > high:
            raise ValueError(f"the lower end {low:g} is above the upper end {high:g}")
        if low < self.ge:
            raise ValueError(f"{low:g} is below {self.ge:g}")


_ONE, _ZERO = (1.0, 1.0), (0.0, 0.0)
_JOINTS = (NUM_JOINTS,)


class Randomisation(Settings):
    """What differs from robot to robot: a preset, and keys that replace its values.

    Ranges are [lowest, highest] and drawn from uniformly; widths are half the width of a uniform
    distribution about zero. The default of each key changes nothing. Only the keys that were given
    are written out again, so that a preset chosen later still counts for the others. One more key
    is one more field, whose mark says what is drawn and what it does.
    """

    preset: Annotated[str, OneOf(PRESETS)] = "none"
    """Ranges by name: none, mild (our own), or those of beyondmimic, mjlab or asap."""
    every_episode: bool = True
    """Draw a robot anew for each episode; else once for each of the parallel robots."""
    friction: Annotated[Range, Lowest(0.01), Drawn(write=set_friction)] = _ONE
    """Coefficient of sliding friction between the robot and anything else."""
    restitution: Annotated[Range, Lowest(0.0), Drawn(write=set_restitution)] = _ZERO
    """Fraction of its speed that a body bounces back with; up to 0.135 nothing is changed."""
    link_mass: Annotated[
        Range,
        Lowest(0.1),
        Drawn((BODIES,), scaled("body_mass"), name="mass", before="friction"),
    ] = _ONE
    """Factor on mass and inertia of each body by itself."""
    link_inertia: Annotated[
        Range,
        Lowest(0.1),
        Drawn(
            (BODIES,), scaled("body_inertia"), name="inertia", join=lambda draw, f: draw.mass * f
        ),
    ] = _ONE
    """Further factor on the inertia alone, of each body by itself."""
    torso_com: Annotated[tuple[Width, Width, Width], Drawn((3,), shift_torso_com)] = (0.0,) * 3
    """Shift of the torso's centre of mass, half widths along x, y and z, m."""
    stiffness: Annotated[Range, Lowest(0.01), Drawn(_JOINTS, scaled_gain(0))] = _ONE
    """Factor on the stiffness of each joint."""
    damping: Annotated[Range, Lowest(0.01), Drawn(_JOINTS, scaled_gain(1))] = _ONE
    """Factor on the damping of each joint."""
    armature: Annotated[Range, Lowest(0.0), Drawn(_JOINTS, scaled("dof_armature", 6))] = _ONE
    """Factor on the armature of each joint."""
    joint_friction: Annotated[Range, Lowest(0.0), Drawn(_JOINTS, add_joint_friction)] = _ZERO
    """Coulomb friction added to each joint, N m."""
    encoder_bias: Annotated[
        Range, Lowest(-0.5), Drawn(_JOINTS, sensed="joint_pos", name="encoder_offset")
    ] = _ZERO
    """Added to what each joint's encoder says, which policy and motor both go by, rad."""
    gyro_bias: Annotated[Range, Lowest(-1.0), Drawn((3,), sensed="base_ang_vel")] = _ZERO
    """Added to each axis of the measured angular velocity of the pelvis, rad/s."""
    default_pose: Annotated[
        Range,
        Lowest(-0.5),
        Drawn(  # a default pose that is off by d is an encoder that is off by −d
            _JOINTS,
            name="encoder_offset",
            join=lambda draw, d: draw.encoder_offset - d,
            before="gyro_bias",
        ),
    ] = _ZERO
    """Added to the pose that actions and joint angles are relative to (calibration), rad."""
    torque_noise: Annotated[Range, Lowest(0.0), Drawn(_JOINTS)] = _ZERO
    """Half width of the noise on each joint's torque, as a fraction of its limit."""
    action_delay_s: Annotated[Range, Lowest(0.0), Drawn(name="action_delay")] = _ZERO
    """Time from a state to the motors' answer, s, in whole physics steps."""
    push_interval_s: Annotated[Range, Lowest(0.02)] = (1.0, 3.0)
    """Time between two pushes, s."""
    push_velocity: tuple[Width, Width, Width, Width, Width, Width] = (0.0,) * 6
    """Velocity that a push adds to the pelvis: half widths for x, y, z (m/s) and about them
    (rad/s), in the world."""
    joint_pos_noise: Annotated[
        Width, Drawn(_JOINTS, sensed="joint_pos", name="joint_pos", noise=True)
    ] = 0.0
    """Half width of the noise on measured joint angles, rad."""
    joint_vel_noise: Annotated[
        Width, Drawn(_JOINTS, sensed="joint_vel", name="joint_vel", noise=True)
    ] = 0.0
    """Half width of the noise on measured joint velocities, rad/s."""
    gyro_noise: Annotated[Width, Drawn((3,), sensed="base_ang_vel", name="ang_vel", noise=True)] = (
        0.0
    )
    """Half width of the noise on the measured angular velocity of the pelvis, rad/s."""
    orientation_noise: Annotated[
        Width, Drawn((3,), sensed="base_quat", name="orientation", noise=True)
    ] = 0.0
    """Half width of the noise on the measured orientation of the pelvis, about each axis, rad."""
    position_noise: Annotated[
        Width, Drawn((3,), sensed="base_pos", name="position", noise=True)
    ] = 0.0
    """Half width of the noise on the measured position of the pelvis, m."""
    lin_vel_noise: Annotated[
        Width, Drawn((3,), sensed="base_lin_vel", name="lin_vel", noise=True)
    ] = 0.0
    """Half width of the noise on the measured linear velocity of the pelvis, m/s."""

    @model_serializer(mode="wrap")
    def _given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {k: v for k, v in handler(self).items() if k in self.model_fields_set | {"preset"}}

    def resolved(self) -> Randomisation:
        """Return the ranges with those of the preset filled in; their preset is none."""
        given = {name: getattr(self, name) for name in self.model_fields_set - {"preset"}}
        return type(self)(**{**PRESETS[self.preset], **given})

    def changes(self, key: str) -> bool:
        """Whether a key is set to anything but what changes nothing."""
        return bool(getattr(self, key) != type(self).model_fields[key].default)

    def alters_models(self) -> bool:
        """Whether robots differ in what their MuJoCo models hold (of resolved ranges)."""
        marks = drawn(type(self))
        return any(mark.write is not None and self.changes(key) for key, mark in marks.items())

    def falsifies_sensors(self) -> bool:
        """Whether sensors say anything but the truth (of resolved ranges)."""
        marks = drawn(type(self))
        sensed = {mark.name for mark in marks.values() if mark.sensed}
        keys = [key for key, mark in marks.items() if mark.name in sensed]
        return any(map(self.changes, [*keys, *drawn(type(self), noise=True)]))


def randomisation_table() -> list[tuple[str, ...]]:
    """Return each key, what it is, its default, and its value (or none) in each of `PRESETS`."""
    return [
        (
            row.key,
            row.description,
            row.default,
            *(yaml_text(p[row.key]) if row.key in p else "" for p in PRESETS.values()),
        )
        for row in settings_rows(Randomisation)
    ]
