"""Rewards and terminations against slow computations with matrices, body by body."""

from __future__ import annotations

import math

import numpy as np
import pytest

from g1_mimic.envs.config import DeepMimicReward, TerminationConfig, TrackingReward
from g1_mimic.envs.rewards import (
    BodyPoses,
    deepmimic_reward,
    relative_reference,
    tracking_errors,
    tracking_reward,
)
from g1_mimic.envs.terminations import tracking_failed
from g1_mimic.rotations import quat_from_rpy, quat_multiply, quat_normalize, quat_to_matrix

N, B, ANCHOR = 6, 14, 7


def random_poses(seed: int) -> BodyPoses:
    rng = np.random.default_rng(seed)
    return BodyPoses(
        rng.standard_normal((N, B, 3)),
        quat_normalize(rng.standard_normal((N, B, 4))),
        rng.standard_normal((N, B, 3)),
        rng.standard_normal((N, B, 3)),
    )


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """Angle between two rotation matrices."""
    return math.acos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1))


def test_errors_equal_the_slow_computation() -> None:
    """Each squared error is BeyondMimic's, computed with matrices for one robot at a time."""
    robot, reference = random_poses(0), random_poses(1)
    errors = tracking_errors(robot, reference, ANCHOR)
    for n in range(N):
        mine = quat_to_matrix(robot.quat[n])
        theirs = quat_to_matrix(reference.quat[n])
        delta = mine[ANCHOR] @ theirs[ANCHOR].T
        yaw = math.atan2(delta[1, 0], delta[0, 0])
        c, s = math.cos(yaw), math.sin(yaw)
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        pos, ori, lin, ang, height = [], [], [], [], []
        for b in range(B):
            origin = robot.pos[n, ANCHOR].copy()
            origin[2] = reference.pos[n, ANCHOR, 2]
            wanted = origin + turn @ (reference.pos[n, b] - reference.pos[n, ANCHOR])
            pos.append(((wanted - robot.pos[n, b]) ** 2).sum())
            height.append(wanted[2] - robot.pos[n, b, 2])
            ori.append(angle(turn @ theirs[b], mine[b]) ** 2)
            lin.append(((reference.lin_vel[n, b] - robot.lin_vel[n, b]) ** 2).sum())
            ang.append(((reference.ang_vel[n, b] - robot.ang_vel[n, b]) ** 2).sum())
        assert errors.anchor_pos[n] == pytest.approx(
            ((robot.pos[n, ANCHOR] - reference.pos[n, ANCHOR]) ** 2).sum()
        )
        assert errors.anchor_ori[n] == pytest.approx(angle(mine[ANCHOR], theirs[ANCHOR]) ** 2)
        assert errors.body_pos[n] == pytest.approx(np.mean(pos))
        assert errors.body_ori[n] == pytest.approx(np.mean(ori))
        assert errors.body_lin_vel[n] == pytest.approx(np.mean(lin))
        assert errors.body_ang_vel[n] == pytest.approx(np.mean(ang))
        np.testing.assert_allclose(errors.body_height[n], height)


def test_place_and_heading_do_not_count_for_posture() -> None:
    """A robot in the reference's posture elsewhere, turned about z, has no posture error."""
    reference = random_poses(1)
    turn = quat_from_rpy(*np.array([[0.0], [0.0], [1.2]]))[:, None]
    matrix = quat_to_matrix(turn[0, 0])
    robot = BodyPoses(
        reference.pos @ matrix.T + [3.0, -2.0, 0.0],
        quat_multiply(turn, reference.quat),
        reference.lin_vel,
        reference.ang_vel,
    )
    errors = tracking_errors(robot, reference, ANCHOR)
    np.testing.assert_allclose(errors.body_pos, 0, atol=1e-12)
    np.testing.assert_allclose(errors.body_ori, 0, atol=1e-12)
    np.testing.assert_allclose(np.sqrt(errors.anchor_ori), 1.2, atol=1e-9)
    moved = relative_reference(robot, reference, ANCHOR)
    np.testing.assert_allclose(moved.pos, robot.pos, atol=1e-12)


def test_perfect_tracking_earns_the_sum_of_the_weights() -> None:
    """Without errors the reward is 0.5 + 0.5 + 1 + 1 + 1 + 1; each penalty takes its share."""
    poses = random_poses(0)
    errors = tracking_errors(poses, poses, ANCHOR)
    zero, weights = np.zeros(N), TrackingReward()
    total, terms = tracking_reward(weights, errors, zero, zero, zero)
    np.testing.assert_allclose(total, 5.0, atol=1e-6)
    total, _ = tracking_reward(weights, errors, zero + 2.0, zero + 0.1, zero + 3.0)
    np.testing.assert_allclose(total, 5.0 - 0.2 - 1.0 - 0.3, atol=1e-6)
    assert set(terms) >= {"anchor_pos", "body_ang_vel", "action_rate"}


def test_kernels_have_their_standard_deviations() -> None:
    """An error of one standard deviation earns 1/e of the weight."""
    poses = random_poses(0)
    errors = tracking_errors(poses, poses, ANCHOR)
    weights = TrackingReward()
    zero = np.zeros(N)
    for name in ("anchor_pos", "anchor_ori", "body_pos", "body_ori", "body_lin_vel",
                 "body_ang_vel"):  # fmt: skip
        std = getattr(weights, f"{name}_std")
        shifted = type(errors)(**{**vars(errors), name: zero + std**2})
        _, terms = tracking_reward(weights, shifted, zero, zero, zero)
        np.testing.assert_allclose(terms[name], getattr(weights, name) / math.e)


def test_deepmimic_terms() -> None:
    """Pose and velocity follow DeepMimic's exponentials, torque and contact their fractions."""
    joint = np.zeros((2, 29))
    joint[1, :2] = 0.3, -0.4
    total, terms = deepmimic_reward(
        DeepMimicReward(), joint, np.array([0.0, 0.5]), joint * 10, np.zeros((2, 3)),
        np.full((2, 29), 0.5), np.array([[True, True], [True, False]]),
    )  # fmt: skip
    np.testing.assert_allclose(terms["pose"], [1.0, math.exp(-2 * (0.25 + 0.25))])
    np.testing.assert_allclose(terms["velocity"], [0.1, 0.1 * math.exp(-0.1 * 25.0)])
    np.testing.assert_allclose(terms["torque"], -0.01 * 0.25)
    np.testing.assert_allclose(terms["contact"], [0.1, 0.05])
    np.testing.assert_allclose(total, sum(terms.values()))


def test_each_threshold_ends_an_episode() -> None:
    """Torso height, torso tilt and each end effector end it alone; a turn about z does not."""
    config = TerminationConfig()
    height = np.array([0.0, 0.26, 0.0, 0.0, 0.0, 0.0])
    rpy = np.zeros((3, 6))
    rpy[1, 2] = 1.5  # a pitch that changes gravity's z by 0.93
    rpy[2, 3] = 3.0
    quat = quat_from_rpy(*rpy)
    upright = quat_from_rpy(*np.zeros((3, 6)))
    ends = np.zeros((6, 4))
    ends[4, 3] = -0.26
    ends[5, 0] = 0.24
    failed = tracking_failed(config, height, quat, upright, ends)
    assert failed.tolist() == [False, True, True, False, True, False]
