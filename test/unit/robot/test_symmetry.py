"""The robot in the mirror: terms, transitions and the physics behind them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from g1_mimic.envs.config import EnvConfig
from g1_mimic.envs.observations import OBSERVATION_TERMS, observation_mirror
from g1_mimic.envs.tracking_env import TrackingEnv
from g1_mimic.errors import G1MimicError
from g1_mimic.learning.mirror_augmentation import MirrorAugmentation
from g1_mimic.motion.files import load_motion
from g1_mimic.motion.kinematics import complete_trajectory
from g1_mimic.motion.repair.mirror import mirror
from g1_mimic.motion.trajectory import Trajectory
from g1_mimic.robot.profile import load_profile
from g1_mimic.robot.symmetry import JOINTS, QUATERNION, VECTOR


def make_env(mirrored: bool) -> TrackingEnv:
    clip = load_motion("walk")
    if mirrored:
        root = clip.body_pos_w[:, 0], clip.body_quat_w[:, 0]
        seen = Trajectory("mirrored", clip.fps, *root, clip.joint_pos, clip.looped)
        clip = complete_trajectory(mirror(seen))
    config = EnvConfig(
        policy_observation=tuple(OBSERVATION_TERMS),
        critic_observation=(),
        action_base="reference",  # whose mirror image is exact
        threads=1,
    )
    return TrackingEnv(clip, load_profile("g1_29dof"), config, 4)


def test_every_term_mirrors_what_the_mirrored_robot_sees() -> None:
    """A mirrored robot, moved by mirrored actions, sees mirrored observations and equal rewards.

    The model's two sides agree to a fraction of a millimetre and a percent of inertia, so do the
    two robots after some steps.
    """
    rng = np.random.default_rng(0)
    here, there = make_env(False), make_env(True)
    frames = np.array([0, 17, 60, 110])
    for env in (here, there):
        env.reset(0)
        env.reset_to(np.arange(4), frames, noise=0.0)
    qpos, qvel = here.physics.qpos, here.physics.qvel
    qpos[:, 7:] += rng.normal(0.0, 0.05, (4, 29))
    qvel[:, 6:] += rng.normal(0.0, 0.3, (4, 29))
    qvel[:, 3:6] += rng.normal(0.0, 0.3, (4, 3))
    there.physics.qpos[:] = np.concatenate(
        [
            qpos[:, :3] * VECTOR.sign,
            qpos[:, 3:7] * QUATERNION.sign,
            qpos[:, 7:][:, JOINTS.source] * JOINTS.sign,
        ],
        1,
    )
    there.physics.qvel[:] = np.concatenate(
        [
            qvel[:, :3] * VECTOR.sign,
            qvel[:, 3:6] * [-1.0, 1.0, -1.0],
            qvel[:, 6:][:, JOINTS.source] * JOINTS.sign,
        ],
        1,
    )
    image = observation_mirror(tuple(OBSERVATION_TERMS))
    for step in range(5):
        action = rng.uniform(-0.3, 0.3, (4, 29))
        results = here.step(action), there.step(action[:, JOINTS.source] * JOINTS.sign)
        seen, expected = (r.final_observations.policy for r in results)
        expected = expected[:, image.source] * image.sign
        scale = 1.0 + np.abs(expected)
        assert (np.abs(seen - expected) / scale).max() < 0.02 * (step + 1)
        np.testing.assert_allclose(results[0].reward, results[1].reward, atol=2e-3 * (step + 1))


def test_mirroring_twice_changes_nothing() -> None:
    """Of every term."""
    image = observation_mirror(tuple(OBSERVATION_TERMS))
    values = np.random.default_rng(0).normal(size=(3, len(image.source)))
    once = values[:, image.source] * image.sign
    np.testing.assert_array_equal(once[:, image.source] * image.sign, values)


def test_every_other_sample_is_mirrored() -> None:
    """Observations and actions of a sample together, the others untouched."""
    terms = ("command", "base_ang_vel", "actions")
    batch = {name: torch.randn(5, 90) for name in ("obs", "next_obs", "actor_obs")}
    batch |= {"action": torch.randn(5, 29), "reward": torch.randn(5)}
    before = {name: value.clone() for name, value in batch.items()}
    MirrorAugmentation(terms, load_profile("g1_29dof"), torch.device("cpu")).apply(batch)
    assert all(torch.equal(batch[name][::2], before[name][::2]) for name in batch)
    assert torch.equal(batch["reward"], before["reward"])
    knees = [3, 9]  # left, right
    assert torch.equal(batch["action"][1::2, knees], before["action"][1::2, knees[::-1]])
    assert torch.equal(batch["obs"][1::2, 58], -before["obs"][1::2, 58])  # roll rate
    assert torch.equal(batch["obs"][1::2, 59], before["obs"][1::2, 59])  # pitch rate


def test_a_lopsided_robot_is_not_mirrored() -> None:
    """One line says what differs."""
    from dataclasses import replace

    profile = load_profile("g1_29dof")
    bent = replace(profile, default_position=profile.default_position + np.eye(29)[3] * 0.1)
    with pytest.raises(G1MimicError, match=r"default_position .* differs between left and right"):
        MirrorAugmentation(("actions",), bent, torch.device("cpu"))
