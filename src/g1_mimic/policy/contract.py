"""What a policy file promises, whoever wrote it: joints, gains, scales, observation, motion.

One form for all families of files (`policy.readers` has a reader for each), keyed by the names of
joints and bodies. In our own files every field is a metadata key, and those that BeyondMimic's
exporter writes too have its names and its encoding (lists joined by commas, decimal fractions
without exponents), so that BeyondMimic's C++ controller reads them. BeyondMimic prints three
decimals, which changes a wrist's action scale by 0.7 %; ours have all that the number needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from g1_mimic.control.pd_target import ACTION_BASES, needs_torque
from g1_mimic.envs.observations import JOINT_TERMS, OBSERVATION_TERMS, term_slices
from g1_mimic.errors import BadValue
from g1_mimic.motion.clip import ClipSpan
from g1_mimic.robot.names import JOINT_NAMES

FORMAT_VERSION = 2
"""The newest that can be read. Files of one clip are of version 1, of several of version 2: who
knows only the former would run from one clip into the next."""

OWN = "g1_mimic"
"""The family of our own files."""


@dataclass(frozen=True)
class PolicyContract:
    """All that a controller must know to run a policy.

    Joint fields have one number per joint in ``joint_names`` order. An observation is the terms
    one after the other; each is clipped, then scaled, then follows its own past: a term with
    history length 3 is its values of three control steps, the oldest first.
    """

    joint_names: tuple[str, ...]
    joint_stiffness: tuple[float, ...]
    """N·m/rad."""
    joint_damping: tuple[float, ...]
    """N·m·s/rad."""
    default_joint_pos: tuple[float, ...]
    """rad; actions are added to it, and the term ``joint_pos`` is relative to it."""
    action_scale: tuple[float, ...]
    """rad per unit action; empty if the file does not tell (`with_action_scale`)."""
    observation_names: tuple[str, ...]
    anchor_body_name: str
    body_names: tuple[str, ...]
    """Bodies of the outputs ``body_*_w``."""
    observation_history_lengths: tuple[int, ...] = ()
    """One for each term; empty means 1 each, and 0 means 1."""
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
    """What the network's own actions are added to: one of `ACTION_BASES`; the graph
    folds the difference to the default pose into ``actions``. Empty: not told."""
    format_version: int = 1

    # What only files of others ask for; not written.
    family: str = OWN
    """Whose exporter wrote the file."""
    observation_scales: tuple[tuple[float, ...], ...] = ()
    """For each term one factor, or one per entry; empty means 1."""
    observation_clips: tuple[tuple[float, float], ...] = ()
    """For each term the lowest and highest value, before scaling; empty means no bounds."""
    history_start: Literal["first", "zeros"] = "first"
    """What stands for the time before the first observation: that observation, or zeros."""
    action_scale_hint: str = ""
    """What the file's training configuration says about a scale that its metadata lack."""
    base_lin_vel_point: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Point of the pelvis whose velocity ``base_lin_vel`` is, m, in the frame of the pelvis."""

    @property
    def history_lengths(self) -> tuple[int, ...]:
        """How many values of each term an observation holds, at least 1."""
        given = self.observation_history_lengths or (1,) * len(self.observation_names)
        return tuple(max(length, 1) for length in given)

    @property
    def observation_size(self) -> int:
        """Width of the observation, histories included."""
        sizes = (OBSERVATION_TERMS[name].size for name in self.observation_names)
        return sum(n * size for n, size in zip(self.history_lengths, sizes, strict=True))

    @property
    def needs_torque(self) -> bool:
        """Whether the file tells, and a clip from outside must tell, the torques of the motion."""
        return needs_torque(self.action_base)

    def check(self) -> None:
        """Refuse what no controller could use.

        Raises:
            G1MimicError: names the metadata key; the message does not name the file.
        """
        missing = sorted(set(JOINT_NAMES) - set(self.joint_names))
        extra = sorted(set(self.joint_names) - set(JOINT_NAMES))
        if missing or extra:
            problem = f"lack '{missing[0]}'" if missing else f"have the unknown '{extra[0]}'"
            raise BadValue(f"metadata 'joint_names' {problem}; the policy is of another robot")
        if len(self.joint_names) != len(JOINT_NAMES):
            raise BadValue("metadata 'joint_names' names a joint twice")
        for key in JOINT_FIELDS:
            row = getattr(self, key)
            if row == () and key not in REQUIRED_KEYS:
                continue
            if len(row) != len(JOINT_NAMES):
                raise BadValue(
                    f"metadata '{key}' has {len(row)} numbers for {len(JOINT_NAMES)} joints"
                )
            for name, number in zip(self.joint_names, row, strict=True):
                positive = key not in ("default_joint_pos", "joint_damping")
                if not math.isfinite(number) or (positive and number <= 0.0):
                    kind = "positive" if positive else "finite"
                    raise BadValue(f"metadata '{key}' of {name} is {number}, not {kind}")
        if min(self.joint_damping) < 0.0:
            raise BadValue(f"metadata 'joint_damping' is negative: {min(self.joint_damping)}")
        if not (math.isfinite(self.control_rate_hz) and self.control_rate_hz > 0.0):
            raise BadValue(f"metadata 'control_rate_hz' is {self.control_rate_hz}")
        if self.num_frames < 0:
            raise BadValue(f"metadata 'num_frames' is {self.num_frames}")
        if self.format_version > FORMAT_VERSION:
            raise BadValue(
                f"metadata 'format_version' is {self.format_version}, this version of g1_mimic "
                f"reads up to {FORMAT_VERSION}; update it"
            )
        self._check_clips()
        self._check_terms()
        if self.anchor_body_name not in self.body_names:
            raise BadValue(
                f"metadata 'anchor_body_name' {self.anchor_body_name} is not among 'body_names'"
            )

    def _check_clips(self) -> None:
        names, firsts = self.clip_names, self.clip_first_frames
        lengths, looped = self.clip_lengths, self.clip_looped
        if {len(names), len(firsts), len(lengths), len(looped)} != {len(names)}:
            raise BadValue(f"metadata 'clip_names' names {len(names)} clips, others differ")
        if len(set(names)) != len(names):
            raise BadValue("metadata 'clip_names' has a name twice")
        for name, first, length in zip(names, firsts, lengths, strict=True):
            if first < 0 or length < 1 or first + length > self.num_frames:
                raise BadValue(
                    f"metadata 'clip_lengths': clip '{name}' has frames {first} to "
                    f"{first + length - 1} of {self.num_frames}"
                )
        if self.action_base not in ("", *ACTION_BASES):
            raise BadValue(f"metadata 'action_base' is '{self.action_base}'")

    def spans(self, num_frames: int) -> tuple[ClipSpan, ...]:
        """Return where each clip lies along ``time_step``, which has ``num_frames`` values."""
        if not self.clip_names:
            return (ClipSpan(self.motion_name, 0, num_frames, self.motion_looped),)
        columns = (self.clip_names, self.clip_first_frames, self.clip_lengths, self.clip_looped)
        return tuple(ClipSpan(*row) for row in zip(*columns, strict=True))

    def _check_terms(self) -> None:
        """Refuse observations that cannot be put together."""
        parts = term_slices(self.observation_names)  # every name is known, none is there twice
        if self.command_names != ("motion",):
            raise BadValue(
                f"metadata 'command_names' is {', '.join(self.command_names) or 'empty'}; only "
                "'motion' is known"
            )
        for key in ("observation_history_lengths", "observation_scales", "observation_clips"):
            given = getattr(self, key)
            if given and len(given) != len(parts):
                raise BadValue(
                    f"metadata '{key}' has {len(given)} values for {len(parts)} observation terms"
                )
        if any(not 0 <= length <= MAX_HISTORY for length in self.observation_history_lengths):
            raise BadValue(
                f"metadata 'observation_history_lengths' is not within 0 and {MAX_HISTORY}"
            )
        for name, scale in zip(parts, self.observation_scales, strict=False):
            size = OBSERVATION_TERMS[name].size
            if len(scale) not in (1, size):
                raise BadValue(f"term '{name}' has {len(scale)} scales for {size} entries")
            if not all(math.isfinite(factor) and factor != 0.0 for factor in scale):
                raise BadValue(
                    f"term '{name}' is scaled by {min(scale, key=abs)}: what is below three "
                    "decimals is lost in such a file"
                )
        for name, (low, high) in zip(parts, self.observation_clips, strict=False):
            if not low < high:
                raise BadValue(f"term '{name}' is clipped to nothing: {low} to {high}")

    def with_action_scale(self, choice: str, effort: Sequence[float]) -> PolicyContract:
        """Return the same with an action scale, which files of holosoma lack.

        Args:
            choice: empty, a number (rad per unit action, for all joints), or ``effort`` for
                0.25 · effort / stiffness.
            effort: the motors' torque [29], N·m, in ``JOINT_NAMES`` order; for ``effort`` only.

        Raises:
            G1MimicError: if there is neither a scale in the file nor a choice, or both.
        """
        if choice and self.action_scale:
            raise BadValue(f"has an action scale of its own: leave out action_scale:={choice}")
        if not choice:
            if not self.action_scale:
                raise BadValue(
                    "metadata 'action_scale' is missing: give action_scale:=NUMBER (rad) or "
                    "action_scale:=effort (0.25·effort/stiffness; g1-mimic: --action-scale), as "
                    "the policy was trained; with a wrong one the robot falls"
                    f"{self.action_scale_hint and '; '}{self.action_scale_hint}"
                )
            return self
        if choice == "effort":
            by_name = dict(zip(JOINT_NAMES, effort, strict=True))
            pairs = zip(self.joint_names, self.joint_stiffness, strict=True)
            scale = tuple(0.25 * float(by_name[name]) / stiffness for name, stiffness in pairs)
        else:
            try:
                scale = (float(choice),) * len(self.joint_names)
            except ValueError:
                scale = (math.nan,)
            if not 0.0 < scale[0] < math.inf:
                raise BadValue(f"action_scale:={choice} is neither a positive number nor 'effort'")
        return replace(self, action_scale=scale)

    def in_robot_order(self) -> PolicyContract:
        """Return the same with the joints in the order of ``JOINT_NAMES``."""
        order = [self.joint_names.index(name) for name in JOINT_NAMES]
        sorted_fields: dict[str, Any] = {
            key: _at(row, order) for key in JOINT_FIELDS if (row := getattr(self, key))
        }
        scales = (
            tuple(s for i in range(0, len(scale), len(order)) for s in _at(scale[i:], order))
            if name in JOINT_TERMS and len(scale) > 1
            else scale
            for name, scale in zip(self.observation_names, self.observation_scales, strict=False)
        )
        return replace(
            self, joint_names=JOINT_NAMES, observation_scales=tuple(scales), **sorted_fields
        )


MAX_HISTORY = 1000
"""More than this many steps of a term are a mistake."""

JOINT_FIELDS = (
    "joint_stiffness",
    "joint_damping",
    "default_joint_pos",
    "action_scale",
    "torque_limit",
    "velocity_limit",
)
"""Fields with one number per joint."""


def _at(row: tuple[float, ...], order: list[int]) -> tuple[float, ...]:
    return tuple(row[i] for i in order)


REQUIRED_KEYS = (
    "joint_names",
    "joint_stiffness",
    "joint_damping",
    "default_joint_pos",
    "observation_names",
    "anchor_body_name",
    "body_names",
)
"""Metadata without which no policy can be read."""
