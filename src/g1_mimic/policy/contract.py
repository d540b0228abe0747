"""What a policy file says about itself: joints, gains, scales, observation terms, motion.

Keys are those of BeyondMimic's exporter, so that its tools read our files and ours read the files
of BeyondMimic and mjlab; the keys from ``robot_profile`` on are ours. Every value is one string,
lists are joined by commas. BeyondMimic prints numbers with three decimals, which changes a wrist's
action scale by 0.7 %; here they are written in full.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from g1_mimic.control.pd_target import ACTION_BASES
from g1_mimic.errors import G1MimicError
from g1_mimic.motion.clip import ClipSpan
from g1_mimic.robot.names import JOINT_NAMES

FORMAT_VERSION = 2
"""The newest that can be read. Files of one clip are of version 1, of several of version 2: who
knows only the former would run from one clip into the next."""


@dataclass(frozen=True)
class PolicyContract:
    """Metadata of a policy; joint fields have one number per joint in ``joint_names`` order."""

    joint_names: tuple[str, ...]
    joint_stiffness: tuple[float, ...]
    """N·m/rad."""
    joint_damping: tuple[float, ...]
    """N·m·s/rad."""
    default_joint_pos: tuple[float, ...]
    """rad; actions are added to it, and the term ``joint_pos`` is relative to it."""
    action_scale: tuple[float, ...]
    """rad per unit action."""
    observation_names: tuple[str, ...]
    anchor_body_name: str
    body_names: tuple[str, ...]
    """Bodies of the outputs ``body_*_w``."""
    observation_history_lengths: tuple[int, ...] = ()
    """One for each term; empty means 1 each."""
    command_names: tuple[str, ...] = ("motion",)
    run_path: str = ""
    """The training run that the policy comes from."""
    robot_profile: str = ""
    robot_profile_hash: str = ""
    control_rate_hz: float = 50.0
    torque_limit: tuple[float, ...] = ()
    """N·m; empty if the file does not tell."""
    velocity_limit: tuple[float, ...] = ()
    """rad/s; empty if the file does not tell."""
    motion_name: str = ""
    motion_looped: bool = False
    """True: the last frame is the first one moved in the plane."""
    num_frames: int = 0
    """Frames of the motion inside; 0 if the file does not tell."""
    clip_names: tuple[str, ...] = ()
    """Of several clips, which lie one after the other along ``time_step``; else empty."""
    clip_first_frames: tuple[int, ...] = ()
    clip_lengths: tuple[int, ...] = ()
    """Frames of each clip."""
    clip_looped: tuple[bool, ...] = ()
    """As ``motion_looped``, for each clip."""
    action_base: str = ""
    """What the network's own actions are added to: default, reference, or reference_lead; the
    graph folds the difference to the default pose into ``actions``. Empty: not told."""
    format_version: int = 1

    def to_onnx_props(self) -> dict[str, str]:
        """Return the ``metadata_props`` of the ONNX file."""
        return {field.name: _write(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_onnx_props(cls, props: Mapping[str, str]) -> PolicyContract:
        """Read ``metadata_props``; unknown keys are ignored.

        Raises:
            G1MimicError: if a key is missing or a value makes no sense; the message begins with
                the key and does not name the file.
        """
        values: dict[str, Any] = {}
        for key, read in _READERS.items():
            text = props.get(key)
            if text is None or (text == "" and key in _REQUIRED):
                if key in _REQUIRED:
                    raise G1MimicError(f"metadata '{key}' is missing; export the policy anew")
                continue
            try:
                values[key] = read(text)
            except ValueError:
                raise G1MimicError(f"metadata '{key}' has the bad value '{text[:60]}'") from None
        if "format_version" not in values:  # of another exporter: none of them folds
            values.setdefault("action_base", "default")
        # mjlab writes one number if all joints have the same scale.
        if len(values["action_scale"]) == 1:
            values["action_scale"] *= len(values["joint_names"])
        metadata = cls(**values)
        metadata._check()
        return metadata

    def _check(self) -> None:
        """Refuse numbers that no controller could use."""
        missing = sorted(set(JOINT_NAMES) - set(self.joint_names))
        extra = sorted(set(self.joint_names) - set(JOINT_NAMES))
        if missing or extra:
            problem = f"lack '{missing[0]}'" if missing else f"have the unknown '{extra[0]}'"
            raise G1MimicError(f"metadata 'joint_names' {problem}; the policy is of another robot")
        if len(self.joint_names) != len(JOINT_NAMES):
            raise G1MimicError("metadata 'joint_names' names a joint twice")
        for key in JOINT_FIELDS:
            row = getattr(self, key)
            if row == () and key not in _REQUIRED:
                continue
            if len(row) != len(JOINT_NAMES):
                raise G1MimicError(
                    f"metadata '{key}' has {len(row)} numbers for {len(JOINT_NAMES)} joints"
                )
            for name, number in zip(self.joint_names, row, strict=True):
                positive = key not in ("default_joint_pos", "joint_damping")
                if not math.isfinite(number) or (positive and number <= 0.0):
                    kind = "positive" if positive else "finite"
                    raise G1MimicError(f"metadata '{key}' of {name} is {number}, not {kind}")
        if min(self.joint_damping) < 0.0:
            raise G1MimicError(f"metadata 'joint_damping' is negative: {min(self.joint_damping)}")
        if not (math.isfinite(self.control_rate_hz) and self.control_rate_hz > 0.0):
            raise G1MimicError(f"metadata 'control_rate_hz' is {self.control_rate_hz}")
        if self.num_frames < 0:
            raise G1MimicError(f"metadata 'num_frames' is {self.num_frames}")
        if self.format_version > FORMAT_VERSION:
            raise G1MimicError(
                f"metadata 'format_version' is {self.format_version}, this version of g1_mimic "
                f"reads up to {FORMAT_VERSION}; update it"
            )
        if any(length > 1 for length in self.observation_history_lengths):
            raise G1MimicError(
                "metadata 'observation_history_lengths' asks for histories, which are not "
                "supported; train with length 1"
            )
        self._check_clips()
        if self.anchor_body_name not in self.body_names:
            raise G1MimicError(
                f"metadata 'anchor_body_name' {self.anchor_body_name} is not among 'body_names'"
            )

    def _check_clips(self) -> None:
        names, firsts = self.clip_names, self.clip_first_frames
        lengths, looped = self.clip_lengths, self.clip_looped
        if {len(names), len(firsts), len(lengths), len(looped)} != {len(names)}:
            raise G1MimicError(f"metadata 'clip_names' names {len(names)} clips, others differ")
        if len(set(names)) != len(names):
            raise G1MimicError("metadata 'clip_names' has a name twice")
        for name, first, length in zip(names, firsts, lengths, strict=True):
            if first < 0 or length < 1 or first + length > self.num_frames:
                raise G1MimicError(
                    f"metadata 'clip_lengths': clip '{name}' has frames {first} to "
                    f"{first + length - 1} of {self.num_frames}"
                )
        if self.action_base not in ("", *ACTION_BASES):
            raise G1MimicError(f"metadata 'action_base' is '{self.action_base}'")

    def spans(self, num_frames: int) -> tuple[ClipSpan, ...]:
        """Return where each clip lies along ``time_step``, which has ``num_frames`` values."""
        if not self.clip_names:
            return (ClipSpan(self.motion_name, 0, num_frames, self.motion_looped),)
        columns = (self.clip_names, self.clip_first_frames, self.clip_lengths, self.clip_looped)
        return tuple(ClipSpan(*row) for row in zip(*columns, strict=True))

    def in_robot_order(self) -> PolicyContract:
        """Return the same with the joints in the order of ``JOINT_NAMES``."""
        order = [self.joint_names.index(name) for name in JOINT_NAMES]
        sorted_fields: dict[str, Any] = {
            key: tuple(row[i] for i in order) for key in JOINT_FIELDS if (row := getattr(self, key))
        }
        return replace(self, joint_names=JOINT_NAMES, **sorted_fields)


JOINT_FIELDS = (
    "joint_stiffness",
    "joint_damping",
    "default_joint_pos",
    "action_scale",
    "torque_limit",
    "velocity_limit",
)
"""Fields with one number per joint."""


def _write(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(_write(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else repr(value)


def _names(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",")) if text.strip() else ()


def _floats(text: str) -> tuple[float, ...]:
    return tuple(float(item) for item in _names(text))


def _int(text: str) -> int:
    number = float(text)  # other exporters write integers as 1.000
    if not number.is_integer():
        raise ValueError(text)
    return int(number)


def _ints(text: str) -> tuple[int, ...]:
    return tuple(_int(item) for item in _names(text))


def _bools(text: str) -> tuple[bool, ...]:
    return tuple(_bool(item) for item in _names(text))


def _bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


_READERS: dict[str, Callable[[str], Any]] = {
    "joint_names": _names,
    "joint_stiffness": _floats,
    "joint_damping": _floats,
    "default_joint_pos": _floats,
    "action_scale": _floats,
    "observation_names": _names,
    "anchor_body_name": str,
    "body_names": _names,
    "observation_history_lengths": _ints,
    "command_names": _names,
    "run_path": str,
    "robot_profile": str,
    "robot_profile_hash": str,
    "control_rate_hz": float,
    "torque_limit": _floats,
    "velocity_limit": _floats,
    "motion_name": str,
    "motion_looped": _bool,
    "num_frames": _int,
    "clip_names": _names,
    "clip_first_frames": _ints,
    "clip_lengths": _ints,
    "clip_looped": _bools,
    "action_base": str,
    "format_version": _int,
}

_REQUIRED = (
    "joint_names",
    "joint_stiffness",
    "joint_damping",
    "default_joint_pos",
    "action_scale",
    "observation_names",
    "anchor_body_name",
    "body_names",
)
