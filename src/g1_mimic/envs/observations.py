"""Observation terms: one definition for training, evaluation and deployment.

A policy's observation is the concatenation of named terms in the order of a list. Names, shapes
and frames are those of BeyondMimic (whole_body_tracking), so that its policies run unchanged.
Every term maps a batch of robots to an array [N, size]; numpy and torch both work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from g1_mimic.control.state import RobotState
from g1_mimic.errors import BadValue
from g1_mimic.robot.kinematics import torso_pose, torso_quat
from g1_mimic.robot.names import ANCHOR_BODY_NAME, BODY_NAMES, WAIST_INDICES
from g1_mimic.robot.symmetry import (
    JOINTS,
    PSEUDOVECTOR,
    ROTATION_6D,
    SCALAR,
    VECTOR,
    Mirror,
    joined,
)
from g1_mimic.rotations import (
    Array,
    array_module,
    cross,
    quat_apply_inverse,
    quat_conjugate,
    quat_multiply,
    quat_to_6d,
)

DEFAULT_POLICY_TERMS: tuple[str, ...] = (
    "command",
    "motion_anchor_ori_b",
    "base_ang_vel",
    "joint_pos",
    "joint_vel",
    "actions",
)
"""BeyondMimic's 154-wide observation: nothing in it needs the robot's position."""

_WAIST = np.array(WAIST_INDICES)


class ReferenceFrame(NamedTuple):
    """What N robots should do at one control step, in their world; of one without an axis N, too.

    The anchor is the body whose pose the reference tells: the torso, of some foreign policies the
    pelvis.
    """

    joint_pos: Array
    """[N, 29] rad."""
    joint_vel: Array
    """[N, 29] rad/s."""
    anchor_pos: Array
    """[N, 3] m."""
    anchor_quat: Array
    """[N, 4]."""
    joint_torque: Array = None
    """[N, 29] N·m, where somebody asks for it."""


@dataclass
class ObservationInputs:
    """What the terms are made of, for N robots; arrays are [N, …] unless noted.

    Fields that no requested term needs may be None.
    """

    joint_pos: Array
    """Measured joint angles [N, 29], rad."""
    joint_vel: Array
    """Measured joint velocities [N, 29], rad/s."""
    base_quat: Array
    """Orientation of the pelvis in the world [N, 4]."""
    base_ang_vel: Array
    """Angular velocity of the pelvis in its own frame [N, 3], rad/s."""
    anchor_quat_w: Array
    """Orientation of the torso in the world [N, 4]."""
    ref_joint_pos: Array
    """Reference joint angles of this control step [N, 29], rad."""
    ref_joint_vel: Array
    """Reference joint velocities of this control step [N, 29], rad/s."""
    ref_anchor_quat_w: Array
    """Reference orientation of the torso in the world [N, 4]."""
    last_action: Array
    """The previous raw action [N, 29]."""
    default_joint_pos: Array
    """Angles that ``joint_pos`` is relative to [29], rad."""
    anchor_pos_w: Array = None
    """Position of the torso in the world [N, 3], m."""
    ref_anchor_pos_w: Array = None
    """Reference position of the torso in the world [N, 3], m."""
    base_lin_vel: Array = None
    """Linear velocity of the pelvis in its own frame [N, 3], m/s."""


@dataclass(frozen=True)
class Observer:
    """What a policy observes of states: the one way from a state to an observation.

    Training and deployment both go it, so that they see the same: a batch of robots with arrays
    [N, …], or one robot without an axis N.

    Attributes:
        terms: names of the terms, in order.
        default_joint_pos: angles [29] that ``joint_pos`` is relative to, rad.
        anchor_body: the torso or the pelvis.
        lin_vel_point: point of the pelvis whose velocity ``base_lin_vel`` is [3], m, in its frame.

    Raises:
        G1MimicError: if the anchor is another body.
    """

    terms: tuple[str, ...]
    default_joint_pos: np.ndarray
    anchor_body: str = ANCHOR_BODY_NAME
    lin_vel_point: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if self.anchor_body not in (ANCHOR_BODY_NAME, BODY_NAMES[0]):
            raise BadValue(
                f"the policy's anchor body '{self.anchor_body}' is neither "
                f"'{ANCHOR_BODY_NAME}' nor '{BODY_NAMES[0]}'"
            )

    @cached_property
    def needs_odometry(self) -> bool:
        """A term needs the pelvis' position or linear velocity."""
        observed = {field for name in self.terms for field in OBSERVATION_TERMS[name].requires}
        return bool(observed & {"anchor_pos_w", "base_lin_vel"})

    def anchor_quat(self, state: RobotState) -> Array:
        """Return the anchor's orientation in the world [N, 4]."""
        if self.anchor_body == BODY_NAMES[0]:
            return state.base_quat
        return torso_quat(state.base_quat, state.joint_pos[..., _WAIST])

    def anchor(self, state: RobotState) -> tuple[Array | None, Array]:
        """Return the anchor's position [N, 3] (None without odometry) and orientation [N, 4]."""
        if state.base_pos is None or self.anchor_body == BODY_NAMES[0]:
            return state.base_pos, self.anchor_quat(state)
        return torso_pose(state.base_pos, state.base_quat, state.joint_pos[..., _WAIST])

    def inputs(
        self, state: RobotState, reference: ReferenceFrame, last_action: Array
    ) -> ObservationInputs:
        """Return what the terms are made of.

        Args:
            state: measured, or true.
            reference: of the same control step.
            last_action: the previous raw action [N, 29].
        """
        anchor_pos, anchor_quat = self.anchor(state)
        lin_vel = state.base_lin_vel
        if lin_vel is not None and any(self.lin_vel_point):
            lin_vel = lin_vel + cross(state.base_ang_vel, np.array(self.lin_vel_point))
        return ObservationInputs(
            joint_pos=state.joint_pos,
            joint_vel=state.joint_vel,
            base_quat=state.base_quat,
            base_ang_vel=state.base_ang_vel,
            base_lin_vel=lin_vel,
            anchor_pos_w=anchor_pos,
            anchor_quat_w=anchor_quat,
            ref_joint_pos=reference.joint_pos,
            ref_joint_vel=reference.joint_vel,
            ref_anchor_pos_w=reference.anchor_pos,
            ref_anchor_quat_w=reference.anchor_quat,
            default_joint_pos=self.default_joint_pos,
            last_action=last_action,
        )


@dataclass(frozen=True)
class ObservationTerm:
    """One named part of an observation."""

    mirror: Mirror
    """What the term is where left and right are exchanged."""
    function: Callable[[ObservationInputs], Array]
    requires: tuple[str, ...] = ()
    """Optional fields of `ObservationInputs` that must be there."""

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return len(self.mirror.source)


def _concatenate(parts: Sequence[Array]) -> Array:
    module = array_module(parts[0])
    return np.concatenate(parts, -1) if module is np else module.cat(list(parts), -1)


def command(inputs: ObservationInputs) -> Array:
    """Reference joint angles and velocities (absolute)."""
    return _concatenate([inputs.ref_joint_pos, inputs.ref_joint_vel])


def motion_anchor_pos_b(inputs: ObservationInputs) -> Array:
    """Position of the reference torso in the frame of the robot's torso."""
    return quat_apply_inverse(inputs.anchor_quat_w, inputs.ref_anchor_pos_w - inputs.anchor_pos_w)


def motion_anchor_ori_b(inputs: ObservationInputs) -> Array:
    """Orientation of the reference torso in the frame of the robot's torso, two columns."""
    relative = quat_multiply(quat_conjugate(inputs.anchor_quat_w), inputs.ref_anchor_quat_w)
    return quat_to_6d(relative)


def projected_gravity(inputs: ObservationInputs) -> Array:
    """Unit vector of gravity in the frame of the pelvis."""
    down = inputs.base_quat[..., 1:] * 0.0
    down[..., 2] = -1.0
    return quat_apply_inverse(inputs.base_quat, down)


OBSERVATION_TERMS: dict[str, ObservationTerm] = {
    "command": ObservationTerm(joined(JOINTS, JOINTS), command),
    "motion_anchor_pos_b": ObservationTerm(
        VECTOR, motion_anchor_pos_b, ("anchor_pos_w", "ref_anchor_pos_w")
    ),
    "motion_anchor_ori_b": ObservationTerm(ROTATION_6D, motion_anchor_ori_b),
    "base_lin_vel": ObservationTerm(VECTOR, lambda inputs: inputs.base_lin_vel, ("base_lin_vel",)),
    "base_ang_vel": ObservationTerm(PSEUDOVECTOR, lambda inputs: inputs.base_ang_vel),
    "projected_gravity": ObservationTerm(VECTOR, projected_gravity),
    "joint_pos": ObservationTerm(
        JOINTS, lambda inputs: inputs.joint_pos - inputs.default_joint_pos
    ),
    "joint_vel": ObservationTerm(JOINTS, lambda inputs: inputs.joint_vel),
    "joint_pos_error": ObservationTerm(
        JOINTS, lambda inputs: inputs.ref_joint_pos - inputs.joint_pos
    ),
    "anchor_height": ObservationTerm(
        SCALAR, lambda inputs: inputs.anchor_pos_w[..., 2:3], ("anchor_pos_w",)
    ),
    "actions": ObservationTerm(JOINTS, lambda inputs: inputs.last_action),
}
"""All terms by name. `joint_pos_error` and `anchor_height` are ours, the rest BeyondMimic's."""

JOINT_TERMS = ("command", "joint_pos", "joint_vel", "joint_pos_error", "actions")
"""Terms that are one or two values per joint."""


def term_slices(names: Sequence[str]) -> dict[str, slice]:
    """Return where each term lies in the observation.

    Raises:
        G1MimicError: for a name that is not a term, or one given twice.
    """
    slices: dict[str, slice] = {}
    start = 0
    for name in names:
        if name not in OBSERVATION_TERMS:
            raise BadValue(
                f"unknown observation term '{name}'; known: {', '.join(OBSERVATION_TERMS)}"
            )
        if name in slices:
            raise BadValue(f"observation term '{name}' is listed twice")
        slices[name] = slice(start, start + OBSERVATION_TERMS[name].size)
        start = slices[name].stop
    return slices


def observation_size(names: Sequence[str]) -> int:
    """Return the width of the observation made of ``names``."""
    return max((part.stop for part in term_slices(names).values()), default=0)


def observation_mirror(names: Sequence[str]) -> Mirror:
    """Return how the observation made of ``names`` is mirrored.

    It holds for robots whose default pose is its own mirror image.

    Raises:
        G1MimicError: for a name that is not a term, or one given twice.
    """
    return joined(*(OBSERVATION_TERMS[name].mirror for name in term_slices(names)))


@lru_cache(maxsize=64)
def _terms(names: tuple[str, ...]) -> tuple[tuple[str, ObservationTerm], ...]:
    """Return the terms of a list that `term_slices` has checked."""
    return tuple((name, OBSERVATION_TERMS[name]) for name in term_slices(names))


def build_observation(names: Sequence[str], inputs: ObservationInputs) -> Array:
    """Return the observation [N, observation_size(names)]; of one robot without an axis N, too.

    Raises:
        G1MimicError: if a term is unknown or needs an input that is None.
    """
    parts = []
    for name, term in _terms(tuple(names)):
        if missing := [field for field in term.requires if getattr(inputs, field) is None]:
            raise BadValue(f"observation term '{name}' needs {', '.join(missing)}")
        parts.append(term.function(inputs))
    return _concatenate(parts)
