"""Robot profiles: what is known about each joint, read from YAML.

A profile is written by actuator class; ``joints`` maps name patterns to a class, a range and a
default angle, and may override any number of the class. It is expanded to one value per joint in
the order of ``JOINT_NAMES`` and checked on load.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from g1_mimic.errors import BadValue
from g1_mimic.files import find_file
from g1_mimic.robot.names import DEFAULT_ROBOT, JOINT_NAMES, NUM_JOINTS
from g1_mimic.settings import Settings, did_you_mean, read_mapping, validate

Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]

_ORDERED = (
    ("deploy_torque_limit", "torque_limit"),
    ("torque_limit", "saturation_torque"),
    ("velocity_limit", "no_load_speed"),
)
"""Pairs of which the first may not exceed the second."""

_NOT_HASHED = (
    "name",
    "deploy_torque_limit",
    "saturation_torque",
    "no_load_speed",
    "friction",
    "viscous_friction",
)
"""Fields that leave alone what a policy's actions mean: a policy outlives a change of them."""


class ActuatorSettings(Settings):
    """One actuator class in the YAML."""

    armature: NotNegative
    """Reflected rotor inertia, kg·m²."""
    stiffness: Positive
    """Proportional gain, N·m/rad."""
    damping: Positive
    """Derivative gain, N·m·s/rad."""
    torque_limit: Positive
    """Largest torque, N·m."""
    deploy_torque_limit: Positive | None = None
    """Limit of a deployed robot, N·m; left out: torque_limit."""
    saturation_torque: Positive
    """Where the torque-speed line meets zero speed, N·m; at least torque_limit."""
    no_load_speed: Positive
    """Where the torque-speed line meets zero torque, rad/s; at least velocity_limit."""
    friction: NotNegative = 0.0
    """Coulomb friction of motor and gear, N·m."""
    viscous_friction: NotNegative = 0.0
    """Friction that grows with speed, N·m·s/rad."""
    velocity_limit: Positive
    """Largest speed, rad/s."""
    action_scale: Positive
    """Torque per unit action, N·m."""


class JointSettings(Settings):
    """The joints that one name pattern matches; numbers left out come from the class."""

    actuator: str
    """Name of the class."""
    range: tuple[Finite, Finite]
    """Lower and upper position limit, rad."""
    default: Finite = 0.0
    """Angle of the default pose, rad."""
    armature: NotNegative | None = None
    stiffness: Positive | None = None
    damping: Positive | None = None
    torque_limit: Positive | None = None
    deploy_torque_limit: Positive | None = None
    saturation_torque: Positive | None = None
    no_load_speed: Positive | None = None
    friction: NotNegative | None = None
    viscous_friction: NotNegative | None = None
    velocity_limit: Positive | None = None
    action_scale: Positive | None = None

    @field_validator("actuator", mode="before")
    @classmethod
    def _quoted_class(cls, value: Any) -> Any:
        return _require_text(value)


class ProfileSettings(Settings):
    """The whole YAML file."""

    name: str
    """Name of the profile, which policies carry."""
    action_gain: Positive
    """Factor on every action_scale."""
    soft_limit_factor: Annotated[float, Field(gt=0.0, le=1.0)]
    """Part of each joint's range, about its middle, that targets stay in."""
    pelvis_height: Positive
    """Height of the pelvis frame in the default pose, soles on the floor, m."""
    actuators: dict[str, ActuatorSettings]
    """Actuator classes by name."""
    joints: dict[str, JointSettings]
    """What the joints are, by patterns of their names that match each joint once."""

    @field_validator("actuators", mode="before")
    @classmethod
    def _quoted_keys(cls, value: Any) -> Any:
        if isinstance(value, dict):
            for key in value:
                _require_text(key)
        return value


def _require_text(value: Any) -> Any:
    """Refuse numbers as class names: YAML reads an unquoted 7520_14 as the number 752014."""
    if isinstance(value, int | float):
        raise ValueError(f"YAML reads {value} as a number; write the class name in quotes")
    return value


@dataclass(frozen=True)
class RobotProfile:
    """Constants of the 29 joints; arrays are float64 [29] in the order of ``JOINT_NAMES``."""

    name: str
    joint_names: tuple[str, ...]
    actuator_class: tuple[str, ...]
    armature: np.ndarray
    """kg·m²."""
    stiffness: np.ndarray
    """N·m/rad."""
    damping: np.ndarray
    """N·m·s/rad."""
    torque_limit: np.ndarray
    """N·m, symmetric."""
    deploy_torque_limit: np.ndarray
    """N·m, symmetric: what a deployed controller asks for; at most ``torque_limit``."""
    saturation_torque: np.ndarray
    """N·m, where the torque-speed line meets zero speed (`control.pd_target.torque_range`)."""
    no_load_speed: np.ndarray
    """rad/s, where that line meets zero torque."""
    friction: np.ndarray
    """N·m, Coulomb friction of motor and gear; training leaves it out."""
    viscous_friction: np.ndarray
    """N·m·s/rad, likewise."""
    velocity_limit: np.ndarray
    """rad/s, symmetric."""
    position_lower: np.ndarray
    """rad."""
    position_upper: np.ndarray
    """rad."""
    default_position: np.ndarray
    """rad."""
    action_scale_nm: np.ndarray
    """N·m per unit action: the torque that the spring answers an action with at rest."""
    action_gain: float
    soft_limit_factor: float
    pelvis_height: float
    """Height of the pelvis frame, m, with the soles of the default pose on the floor."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    @property
    def action_scale(self) -> np.ndarray:
        """Angle per unit action [29], rad: ``action_gain · action_scale_nm / stiffness``."""
        return self.action_gain * self.action_scale_nm / self.stiffness

    def soft_limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Return lower and upper limits [29] (rad): the fraction of the range about its middle."""
        middle = 0.5 * (self.position_lower + self.position_upper)
        half = 0.5 * self.soft_limit_factor * (self.position_upper - self.position_lower)
        return middle - half, middle + half

    @property
    def hash(self) -> str:
        """16 hex digits that change with any number, joint name or class that training used."""
        content = {
            field.name: value.tolist() if isinstance(value, np.ndarray) else value
            for field in dataclasses.fields(self)
            if field.name not in _NOT_HASHED
            for value in [getattr(self, field.name)]
        }
        text = json.dumps(content, sort_keys=True)  # json writes floats with repr: exact
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def with_control(
        self,
        stiffness: float | Sequence[float] | np.ndarray | None = None,
        damping: float | Sequence[float] | np.ndarray | None = None,
    ) -> RobotProfile:
        """Return a copy with other gains: one number for all joints, or one per joint [29].

        ``action_scale`` follows, because the action is a torque.

        Raises:
            G1MimicError: if a gain is not a positive number or the width is wrong.
        """
        changes = {
            key: _gains(key, value)
            for key, value in (("stiffness", stiffness), ("damping", damping))
            if value is not None
        }
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


def _gains(key: str, value: float | Sequence[float] | np.ndarray) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise BadValue(f"control: {key} must be a number or {NUM_JOINTS} numbers") from None
    if array.shape not in ((), (NUM_JOINTS,)):
        raise BadValue(
            f"control: {key} must be one number or {NUM_JOINTS} numbers, got shape {array.shape}"
        )
    if not (np.isfinite(array).all() and (array > 0.0).all()):
        raise BadValue(f"control: {key} must be positive, got {array.min()}")
    return np.broadcast_to(array, (NUM_JOINTS,)).copy()


def load_profile(name_or_path: str | Path = DEFAULT_ROBOT) -> RobotProfile:
    """Load a profile: ``g1_29dof`` (the hardware, default), ``g1_guide``, or a path.

    Raises:
        G1MimicError: one line that names the file and the key, class or joint that is wrong.
    """
    path = find_file(
        name_or_path, subdirs=["config/robots"], suffixes=[".yaml"], what="robot profile"
    )
    settings = validate(ProfileSettings, read_mapping(path), path)
    # First, so that a misspelled joint is named rather than the one that it leaves unmatched.
    _refuse_idle_patterns(settings, path)
    matched = {name: _match(name, settings, path) for name in JOINT_NAMES}
    rows = [_expand(name, joint, settings, path) for name, joint in matched.items()]
    columns = {key: np.array([row[key] for row in rows], dtype=np.float64) for key in rows[0]}
    columns["action_scale_nm"] = columns.pop("action_scale")
    return RobotProfile(
        name=settings.name,
        joint_names=JOINT_NAMES,
        actuator_class=tuple(joint.actuator for joint in matched.values()),
        action_gain=settings.action_gain,
        soft_limit_factor=settings.soft_limit_factor,
        pelvis_height=settings.pelvis_height,
        **columns,
    )


def _match(name: str, settings: ProfileSettings, path: Path) -> JointSettings:
    """Return the one entry of ``joints`` whose pattern matches ``name``."""
    patterns = [pattern for pattern in settings.joints if fnmatchcase(name, pattern)]
    if not patterns:
        raise BadValue(f"{path}: joints: no pattern matches joint '{name}'; add one")
    if len(patterns) > 1:
        listed = " and ".join(f"'{pattern}'" for pattern in patterns)
        raise BadValue(f"{path}: joints: joint '{name}' is matched by {listed}; keep exactly one")
    return settings.joints[patterns[0]]


def _refuse_idle_patterns(settings: ProfileSettings, path: Path) -> None:
    """A pattern that matches nothing is a misspelled joint."""
    for pattern in settings.joints:
        if not any(fnmatchcase(name, pattern) for name in JOINT_NAMES):
            raise BadValue(
                f"{path}: joints: '{pattern}' matches no joint{_suggest(pattern, JOINT_NAMES)}"
            )


def _expand(
    name: str, joint: JointSettings, settings: ProfileSettings, path: Path
) -> dict[str, float]:
    """Return the numbers of one joint: its class, overrides, range and default angle."""
    actuator = settings.actuators.get(joint.actuator)
    if actuator is None:
        raise BadValue(
            f"{path}: joints: joint '{name}' names the unknown actuator class "
            f"'{joint.actuator}'{_suggest(joint.actuator, settings.actuators)}"
        )
    lower, upper = joint.range
    if not lower < upper:
        raise BadValue(
            f"{path}: joints: joint '{name}' has range [{lower}, {upper}]; "
            "the lower limit must be below the upper one"
        )
    if not lower <= joint.default <= upper:
        raise BadValue(
            f"{path}: joints: joint '{name}' has its default {joint.default} "
            f"outside its range [{lower}, {upper}]"
        )
    row = {
        key: getattr(actuator, key) if getattr(joint, key) is None else getattr(joint, key)
        for key in ActuatorSettings.model_fields
    }
    if row["deploy_torque_limit"] is None:
        row["deploy_torque_limit"] = row["torque_limit"]
    for low, high in _ORDERED:
        if row[low] > row[high]:
            raise BadValue(
                f"{path}: joints: joint '{name}' has {low} {row[low]:g} above {high} {row[high]:g}"
            )
    row |= {"position_lower": lower, "position_upper": upper, "default_position": joint.default}
    return row


def _suggest(word: str, known: Collection[str]) -> str:
    return did_you_mean(word, known) or f"; known: {', '.join(known)}"
