"""Rewards and terminations against slow computations with matrices, body by body."""

from __future__ import annotations

import math

import numpy as np
import pytest
from one_more import in_a_fresh_interpreter

from g1_mimic.envs.config import TerminationConfig
from g1_mimic.envs.rewards import (
    BodyPoses,
    DeepMimicReward,
    Outcome,
    TrackingReward,
    relative_reference,
    tracking_errors,
    weighted_reward,
)
from g1_mimic.envs.terminations import tracking_failed
from g1_mimic.robot.profile import load_profile
from g1_mimic.rotations import quat_from_rpy, quat_multiply, quat_normalize, quat_to_matrix

N, B, ANCHOR = 6, 14, 7
PROFILE = load_profile("g1_29dof")


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


def outcome(robot: BodyPoses, reference: BodyPoses, **changed: np.ndarray) -> Outcome:
    """A step in the default pose, with both feet down, that differs as ``changed`` says."""
    home, zero = np.tile(PROFILE.default_position, (N, 1)), np.zeros((N, 29))
    values = {
        "joint_pos": home, "ref_joint_pos": home, "target": home, "joint_vel": zero,
        "ref_joint_vel": zero, "action": zero, "last_action": zero,
        "contacts": np.tile([4.0, 4.0, 8.0], (N, 1)), "ref_foot_contact": np.ones((N, 2), bool),
    }  # fmt: skip
    errors = tracking_errors(robot, reference, ANCHOR)
    return Outcome(robot, reference, errors, profile=PROFILE, **{**values, **changed})


def test_perfect_tracking_earns_the_sum_of_the_weights() -> None:
    """Without errors the reward is 0.5 + 0.5 + 1 + 1 + 1 + 1; each penalty takes its share."""
    poses, weights = random_poses(0), TrackingReward()
    total, terms = weighted_reward(weights, outcome(poses, poses))
    np.testing.assert_allclose(total, 5.0, atol=1e-6)
    assert set(terms) >= {"anchor_pos", "body_ang_vel", "action_rate"}
    action, beyond = np.zeros((N, 29)), np.tile(PROFILE.default_position, (N, 1))
    action[:, :2] = 1.0
    beyond[:, 3] = PROFILE.soft_limits()[1][3] + 0.1
    contacts = np.tile([4.0, 4.0, 11.0], (N, 1))
    step = outcome(poses, poses, action=action, joint_pos=beyond, contacts=contacts)
    total, _ = weighted_reward(weights, step)
    np.testing.assert_allclose(total, 5.0 - 0.2 - 1.0 - 0.3, atol=1e-6)


def test_kernels_have_their_standard_deviations() -> None:
    """An error of one standard deviation earns 1/e of the weight."""
    poses, weights = random_poses(0), TrackingReward()
    for name in ("anchor_pos", "anchor_ori", "body_pos", "body_ori", "body_lin_vel",
                 "body_ang_vel"):  # fmt: skip
        step = outcome(poses, poses)
        setattr(step.errors, name, np.full(N, getattr(weights, f"{name}_std") ** 2))
        _, terms = weighted_reward(weights, step)
        np.testing.assert_allclose(terms[name], getattr(weights, name) / math.e)


def test_deepmimic_terms() -> None:
    """Pose and velocity follow DeepMimic's exponentials, torque and contact their fractions."""
    pelvis = BodyPoses(*(np.zeros((N, B, size)) for size in (3, 4, 3, 3)))
    pelvis.quat[..., 0] = 1.0
    turned = BodyPoses(**{**vars(pelvis), "quat": pelvis.quat.copy()})
    turned.quat[1, 0] = quat_from_rpy(*np.array([0.0, 0.0, 0.5]))
    home = np.tile(PROFILE.default_position, (N, 1))
    joints, velocity = home.copy(), np.zeros((N, 29))
    joints[1, :2] += 0.3, -0.4
    velocity[1, :2] = 3.0, -4.0
    # Targets that ask for half of each limit at these angles and speeds.
    torque = 0.5 * PROFILE.torque_limit + PROFILE.damping * velocity
    step = outcome(
        turned, pelvis, joint_pos=joints, joint_vel=velocity,
        target=joints + torque / PROFILE.stiffness,
        contacts=np.array([[4.0, 4.0, 8.0], [4.0, 0.0, 4.0]] * (N // 2)),
    )  # fmt: skip
    total, terms = weighted_reward(DeepMimicReward(), step)
    np.testing.assert_allclose(terms["pose"][:2], [1.0, math.exp(-2 * (0.25 + 0.25))])
    np.testing.assert_allclose(terms["velocity"][:2], [0.1, 0.1 * math.exp(-0.1 * 25.0)])
    np.testing.assert_allclose(terms["torque"], -0.01 * 0.25)
    np.testing.assert_allclose(terms["contact"][:2], [0.1, 0.05])
    np.testing.assert_allclose(total, sum(terms.values()))


def _one_more_reward_term() -> None:
    from typing import Annotated

    import numpy as np
    from pydantic import Field

    from g1_mimic.envs import rewards

    class TrackingReward(rewards.TrackingReward):
        upright: Annotated[float, rewards.Term(lambda o: o.robot.quat[:, 0, 0])] = Field(
            0.25, description="Heads that are held high."
        )

    rewards.TrackingReward = TrackingReward  # type: ignore[misc]

    from one_more import shown_everywhere

    from g1_mimic.envs.config import EnvConfig
    from g1_mimic.envs.tracking_env import TrackingEnv
    from g1_mimic.motion.files import load_motion
    from g1_mimic.robot.profile import load_profile

    shown_everywhere("env.reward.tracking.upright", "0.25", "Heads that are held high.")
    row = rewards.reward_terms_table(TrackingReward)[-1]
    assert row == ("upright", "0.25", "", "Heads that are held high.")
    config = EnvConfig(threads=1, reward={"tracking": {"upright": 2.0}})
    env = TrackingEnv(load_motion("stand"), load_profile("g1_29dof"), config, 3)
    env.reset(0)
    step = env.step(np.zeros((3, 29)))
    terms = step.info["terms"]
    assert (terms["upright"] > 1.5).all()  # a pelvis that is nearly upright, twice
    np.testing.assert_allclose(step.reward, sum(terms.values()) * 0.02, rtol=1e-6)
    env.close()


def test_one_more_term_is_one_more_field() -> None:
    """It is found wherever settings are told, and its reward is earned."""
    in_a_fresh_interpreter(_one_more_reward_term)


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
