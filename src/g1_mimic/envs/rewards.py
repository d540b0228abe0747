"""Rewards as pure functions of tracking errors, batched over robots.

Two sets: `tracking_reward` is BeyondMimic's (whole_body_tracking, mdp/rewards.py), and
`deepmimic_reward` the guide's four terms in the sense of DeepMimic (Peng et al. 2018). Both return
the unscaled weighted sum and the value of each term.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from g1_mimic.envs.config import DeepMimicReward, TrackingReward
from g1_mimic.rotations import (
    quat_apply,
    quat_conjugate,
    quat_error,
    quat_from_yaw,
    quat_multiply,
    quat_yaw,
)


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


def tracking_reward(
    weights: TrackingReward,
    errors: TrackingErrors,
    action_rate: np.ndarray,
    limit_violation: np.ndarray,
    undesired_contacts: np.ndarray,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """BeyondMimic's reward.

    Args:
        weights: weights and standard deviations.
        errors: squared tracking errors.
        action_rate: squared change of the raw action, summed over joints [N].
        limit_violation: angle beyond the soft limits, summed over joints [N], rad.
        undesired_contacts: number of contacts with the floor other than of the feet [N].
    """

    def kernel(squared_error: np.ndarray, std: float) -> np.ndarray:
        return np.exp(-squared_error / std**2)

    w = weights
    terms = {
        "anchor_pos": w.anchor_pos * kernel(errors.anchor_pos, w.anchor_pos_std),
        "anchor_ori": w.anchor_ori * kernel(errors.anchor_ori, w.anchor_ori_std),
        "body_pos": w.body_pos * kernel(errors.body_pos, w.body_pos_std),
        "body_ori": w.body_ori * kernel(errors.body_ori, w.body_ori_std),
        "body_lin_vel": w.body_lin_vel * kernel(errors.body_lin_vel, w.body_lin_vel_std),
        "body_ang_vel": w.body_ang_vel * kernel(errors.body_ang_vel, w.body_ang_vel_std),
        "action_rate": w.action_rate * action_rate,
        "joint_limit": w.joint_limit * limit_violation,
        "undesired_contacts": w.undesired_contacts * undesired_contacts,
    }
    return np.sum(list(terms.values()), axis=0), terms


def deepmimic_reward(
    weights: DeepMimicReward,
    joint_error: np.ndarray,
    root_rotation_error: np.ndarray,
    joint_velocity_error: np.ndarray,
    root_velocity_error: np.ndarray,
    torque_fraction: np.ndarray,
    contact_match: np.ndarray,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The guide's reward in DeepMimic's terms (Peng et al. 2018, section 5.1, equations 5 to 8).

    - pose: exp(−2 Σ squared rotation differences), the root's orientation among them;
    - velocity: exp(−0.1 Σ squared velocity differences), the root's angular velocity among them;
    - torque: minus the mean squared fraction of the torque limits in use;
    - contact: the fraction of feet whose contact with the floor is that of the reference.

    Args:
        weights: weight of each term.
        joint_error: joint angle differences [N, 29], rad.
        root_rotation_error: angle between the orientations of the pelvis [N], rad.
        joint_velocity_error: joint velocity differences [N, 29], rad/s.
        root_velocity_error: difference of the pelvis's angular velocities [N, 3], rad/s.
        torque_fraction: torque over its limit [N, 29].
        contact_match: whether each foot's contact agrees with the reference [N, 2].
    """
    pose = np.square(joint_error).sum(-1) + np.square(root_rotation_error)
    velocity = np.square(joint_velocity_error).sum(-1) + np.square(root_velocity_error).sum(-1)
    terms = {
        "pose": weights.pose * np.exp(-2.0 * pose),
        "velocity": weights.velocity * np.exp(-0.1 * velocity),
        "torque": -weights.torque * np.square(torque_fraction).mean(-1),
        "contact": weights.contact * contact_match.mean(-1),
    }
    return np.sum(list(terms.values()), axis=0), terms
