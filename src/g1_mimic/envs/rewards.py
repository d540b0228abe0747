"""Rewards as pure functions of what a control step led to, batched over robots.

Two sets: `TrackingReward` is BeyondMimic's (whole_body_tracking, mdp/rewards.py), `DeepMimicReward`
the guide's four terms in the sense of DeepMimic (Peng et al. 2018). A set is a class of settings
whose fields are its terms: a field is the weight by which YAML, command line and parameters know
the term, and its mark is the function that the weight counts. One more term is one more field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic.fields import FieldInfo

from g1_mimic.robot.names import TRACKED_BODY_NAMES
from g1_mimic.robot.profile import RobotProfile
from g1_mimic.rotations import (
    quat_apply,
    quat_conjugate,
    quat_error,
    quat_from_yaw,
    quat_multiply,
    quat_yaw,
)
from g1_mimic.settings import Settings, settings_rows

PELVIS = TRACKED_BODY_NAMES.index("pelvis")


@dataclass
class BodyPoses:
    """Poses and velocities of the B tracked bodies of N robots in the world frame."""

    pos: np.ndarray
    """[N, B, 3] m."""
    quat: np.ndarray
    """[N, B, 4]."""
    lin_vel: np.ndarray
    """[N, B, 3] m/s, of the body frame's origin."""
    ang_vel: np.ndarray
    """[N, B, 3] rad/s."""


@dataclass
class TrackingErrors:
    """Squared errors [N] between robot and reference, plus the heights that terminations read."""

    anchor_pos: np.ndarray
    anchor_ori: np.ndarray
    body_pos: np.ndarray
    body_ori: np.ndarray
    body_lin_vel: np.ndarray
    body_ang_vel: np.ndarray
    body_height: np.ndarray
    """Signed height error of each body after alignment [N, B], m."""


def relative_reference(robot: BodyPoses, reference: BodyPoses, anchor: int) -> BodyPoses:
    """Move the reference poses to the robot's anchor: same x, y and heading, own height.

    This is BeyondMimic's `body_pos_relative_w`: what is left are errors of posture, not of place.
    Velocities are not changed.
    """
    ref_pos, ref_quat = reference.pos[:, anchor], reference.quat[:, anchor]
    turn = quat_from_yaw(quat_yaw(quat_multiply(robot.quat[:, anchor], quat_conjugate(ref_quat))))[
        :, None
    ]
    origin = robot.pos[:, anchor].copy()
    origin[:, 2] = ref_pos[:, 2]
    pos = origin[:, None] + quat_apply(turn, reference.pos - ref_pos[:, None])
    return BodyPoses(pos, quat_multiply(turn, reference.quat), reference.lin_vel, reference.ang_vel)


def tracking_errors(robot: BodyPoses, reference: BodyPoses, anchor: int) -> TrackingErrors:
    """Compare robot and reference; ``anchor`` is the index of the anchor body."""
    relative = relative_reference(robot, reference, anchor)
    difference = relative.pos - robot.pos

    def squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.square(a - b).sum(-1)

    return TrackingErrors(
        anchor_pos=squared(robot.pos[:, anchor], reference.pos[:, anchor]),
        anchor_ori=quat_error(robot.quat[:, anchor], reference.quat[:, anchor]) ** 2,
        body_pos=np.square(difference).sum(-1).mean(-1),
        body_ori=(quat_error(relative.quat, robot.quat) ** 2).mean(-1),
        body_lin_vel=squared(robot.lin_vel, reference.lin_vel).mean(-1),
        body_ang_vel=squared(robot.ang_vel, reference.ang_vel).mean(-1),
        body_height=difference[..., 2],
    )


@dataclass
class Outcome:
    """What a control step of N robots led to, beside what the reference has at that frame."""

    robot: BodyPoses
    reference: BodyPoses
    errors: TrackingErrors
    joint_pos: np.ndarray
    """[N, 29] rad."""
    joint_vel: np.ndarray
    """[N, 29] rad/s."""
    ref_joint_pos: np.ndarray
    """[N, 29] rad."""
    ref_joint_vel: np.ndarray
    """[N, 29] rad/s."""
    contacts: np.ndarray
    """Contacts with the floor [N, 3]: of the left foot, of the right one, of all bodies."""
    ref_foot_contact: np.ndarray
    """Whether each foot should be on the floor [N, 2]."""
    action: np.ndarray
    """Raw action [N, 29]."""
    last_action: np.ndarray
    """The one before [N, 29]."""
    target: np.ndarray
    """PD target at the end of the step [N, 29], rad."""
    profile: RobotProfile


def _action_rate(o: Outcome) -> np.ndarray:
    return np.square(o.action - o.last_action).sum(-1)


def _beyond_limits(o: Outcome) -> np.ndarray:
    low, high = o.profile.soft_limits()
    return (np.maximum(low - o.joint_pos, 0.0) + np.maximum(o.joint_pos - high, 0.0)).sum(-1)


def _undesired_contacts(o: Outcome) -> np.ndarray:
    return np.maximum(o.contacts[:, 2] - o.contacts[:, 0] - o.contacts[:, 1], 0.0)


def _pose(o: Outcome) -> np.ndarray:
    root = quat_error(o.robot.quat[:, PELVIS], o.reference.quat[:, PELVIS])
    return np.exp(-2.0 * (np.square(o.joint_pos - o.ref_joint_pos).sum(-1) + np.square(root)))


def _velocity(o: Outcome) -> np.ndarray:
    root = o.robot.ang_vel[:, PELVIS] - o.reference.ang_vel[:, PELVIS]
    joints = np.square(o.joint_vel - o.ref_joint_vel).sum(-1)
    return np.exp(-0.1 * (joints + np.square(root).sum(-1)))


def _torque(o: Outcome) -> np.ndarray:
    p = o.profile
    torque = p.stiffness * (o.target - o.joint_pos) - p.damping * o.joint_vel
    return -np.square(np.clip(torque / p.torque_limit, -1.0, 1.0)).mean(-1)


def _contact(o: Outcome) -> np.ndarray:
    return ((o.contacts[:, :2] > 0) == o.ref_foot_contact).mean(-1)


@dataclass(frozen=True)
class Term:
    """Marks a weight.

    Attributes:
        value: of what it is the weight [N]. Where the class has a setting NAME_std, too, that is a
            squared error, and the term is exp(−error²/std²).
    """

    value: Callable[[Outcome], np.ndarray]


Std = Annotated[float, Field(gt=0)]


class TrackingReward(Settings):
    """BeyondMimic's reward: exp(−error²/std²) per term, minus penalties (tracking_env_cfg.py)."""

    anchor_pos: Annotated[float, Term(lambda o: o.errors.anchor_pos)] = 0.5
    """Place of the torso."""
    anchor_pos_std: Std = 0.3
    """Its error that earns 1/e, m."""
    anchor_ori: Annotated[float, Term(lambda o: o.errors.anchor_ori)] = 0.5
    """Orientation of the torso."""
    anchor_ori_std: Std = 0.4
    """Its error that earns 1/e, rad."""
    body_pos: Annotated[float, Term(lambda o: o.errors.body_pos)] = 1.0
    """Positions of 14 bodies, the reference moved to the robot's place and heading."""
    body_pos_std: Std = 0.3
    """Their error that earns 1/e, m."""
    body_ori: Annotated[float, Term(lambda o: o.errors.body_ori)] = 1.0
    """Orientations of these bodies, likewise."""
    body_ori_std: Std = 0.4
    """Their error that earns 1/e, rad."""
    body_lin_vel: Annotated[float, Term(lambda o: o.errors.body_lin_vel)] = 1.0
    """Velocities of these bodies in the world."""
    body_lin_vel_std: Std = 1.0
    """Their error that earns 1/e, m/s."""
    body_ang_vel: Annotated[float, Term(lambda o: o.errors.body_ang_vel)] = 1.0
    """Angular velocities of these bodies in the world."""
    body_ang_vel_std: Std = 3.14
    """Their error that earns 1/e, rad/s."""
    action_rate: Annotated[float, Term(_action_rate)] = -0.1
    """Squared change of the raw action, summed over joints."""
    joint_limit: Annotated[float, Term(_beyond_limits)] = -10.0
    """Angle beyond the soft limits, summed over joints, rad."""
    undesired_contacts: Annotated[float, Term(_undesired_contacts)] = -0.1
    """Contacts with the floor other than of the feet."""


class DeepMimicReward(Settings):
    """The guide's weights of DeepMimic's terms (section 5.1, equations 5 to 8)."""

    pose: Annotated[float, Term(_pose)] = 1.0
    """exp(−2 Σ squared rotation differences), the pelvis's orientation among them."""
    velocity: Annotated[float, Term(_velocity)] = 0.1
    """exp(−0.1 Σ squared velocity differences), the pelvis's angular velocity among them."""
    torque: Annotated[float, Term(_torque)] = 0.01
    """Minus the mean squared fraction of the torque limits in use."""
    contact: Annotated[float, Term(_contact)] = 0.1
    """Fraction of feet whose contact with the floor is that of the reference."""


def weighted_reward(
    weights: Settings, outcome: Outcome
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the unscaled weighted sum [N] of a set's terms, and each weighted term [N]."""
    terms = {}
    for name, field in type(weights).model_fields.items():
        for term in _terms(field):
            value, std = term.value(outcome), getattr(weights, f"{name}_std", None)
            value = value if std is None else np.exp(-value / std**2)
            terms[name] = getattr(weights, name) * value
    return np.sum(list(terms.values()), axis=0), terms


def _terms(field: FieldInfo) -> Iterator[Term]:
    return (mark for mark in field.metadata if isinstance(mark, Term))


def reward_terms_table(weights: type[Settings]) -> list[tuple[str, str, str, str]]:
    """Return name, weight, standard deviation (empty if it has none) and meaning of each term."""
    rows = {row.key: row for row in settings_rows(weights)}
    stds = {key: row.default for key, row in rows.items() if key.endswith("_std")}
    return [
        (name, rows[name].default, stds.get(f"{name}_std", ""), rows[name].description)
        for name, field in weights.model_fields.items()
        if any(_terms(field))
    ]
