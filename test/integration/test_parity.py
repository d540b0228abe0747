"""Training and deployment see the same: one recorded trajectory through both paths."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from g1_mimic.control.state import RobotState
from g1_mimic.deployment.controller import PolicyController
from g1_mimic.deployment.safety import ControllerSettings
from g1_mimic.envs.config import EnvConfig, ResetConfig
from g1_mimic.envs.observations import OBSERVATION_TERMS
from g1_mimic.envs.tracking_env import TrackingEnv
from g1_mimic.learning.networks import Actor
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.files import load_motion
from g1_mimic.motion.synthesis import make_walk
from g1_mimic.policy.export import export_tracking_policy
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.profile import RobotProfile, load_profile
from g1_mimic.rotations import quat_apply_inverse, quat_from_rpy, quat_multiply

PERIOD, STATE_PERIOD = 20_000_000, 2_000_000  # ns: policy and states
TERMS = tuple(OBSERVATION_TERMS)
# The made-up states stand still to the last digit: no fault here.
SETTINGS = ControllerSettings(start_mode="track", stand_time=0.1, frozen_time=10.0)


def exported(path: Path, clip: MotionClip, profile: RobotProfile, terms: tuple[str, ...]) -> Path:
    """Write a policy with random weights that sees ``terms``."""
    torch.manual_seed(0)
    config = EnvConfig(policy_observation=terms, action_base="default")
    env = TrackingEnv(clip, profile, config, 1)
    actor = Actor(env.policy_size, 29, (32,), bound=1.0)
    export_tracking_policy(path, actor, motions=clip, profile=profile, env_config=config)
    return path


def state_of(env: TrackingEnv, stamp: int) -> RobotState:
    """What perfect sensors would measure of robot 0."""
    qpos, qvel = env.physics.qpos[0].copy(), env.physics.qvel[0].copy()
    return RobotState(
        stamp=stamp,
        joint_pos=qpos[7:],
        joint_vel=qvel[6:],
        base_quat=qpos[3:7],
        base_ang_vel=qvel[3:6],
        base_pos=qpos[:3],
        base_lin_vel=quat_apply_inverse(qpos[3:7], qvel[:3]),
    )


@pytest.mark.parametrize("case", ["simulated stand", "two laps of a walk"])
def test_observations_agree(tmp_path: Path, case: str) -> None:
    """The observations of training and of the deployed controller differ by less than 1e-6."""
    profile = load_profile("g1_29dof")
    simulated = case == "simulated stand"
    clip = load_motion("stand") if simulated else make_walk(stand_time=0.0, duration=1.0)
    policy = OnnxPolicy.load(exported(tmp_path / "policy.onnx", clip, profile, TERMS))
    config = EnvConfig(
        policy_observation=TERMS, action_base="default", threads=1, reset=ResetConfig(noise=0.0)
    )
    env = TrackingEnv(clip, profile, config, 1)
    env.reset_to(np.array([0]), np.array([0]))

    seen: list[np.ndarray] = []
    act = policy.act

    def spy(obs: np.ndarray, time_step: int) -> np.ndarray:
        seen.append(obs)
        return act(obs, time_step)

    policy.act = spy  # type: ignore[method-assign]
    controller = PolicyController(policy, profile, SETTINGS)
    controller.activate()
    stamp = 0
    while not seen:  # standing, until the first step of the policy
        stamp += STATE_PERIOD
        controller.step(state_of(env, stamp))
        assert stamp < 10 * PERIOD, controller.mode_state

    rng = np.random.default_rng(0)
    steps = 40 if simulated else 2 * clip.num_frames
    for step in range(steps):
        np.testing.assert_allclose(
            seen[step], env.observe().policy[0], atol=1e-6, rtol=1e-6, err_msg=f"step {step}"
        )
        assert controller.tick is not None
        if simulated:
            result = env.step(controller.tick.action[None])
            assert not result.terminated[0]
        else:  # anywhere near the reference, whatever physics would do
            env.frame[0] += 1
            env.last_action[0] = controller.tick.action
            reference = env.reference
            env.physics.qpos[0] = reference.qpos[env.frame[0]]
            env.physics.qpos[0, :3] += rng.uniform(-0.05, 0.05, 3)
            turn = quat_from_rpy(*rng.uniform(-0.2, 0.2, (3, 1)))[0]
            env.physics.qpos[0, 3:7] = quat_multiply(turn, env.physics.qpos[0, 3:7])
            env.physics.qpos[0, 7:] += rng.uniform(-0.1, 0.1, 29)
            env.physics.qvel[0] = reference.qvel[env.frame[0]] + rng.uniform(-0.5, 0.5, 35)
        stamp += PERIOD
        controller.step(state_of(env, stamp))
    assert len(seen) == steps + 1


def test_targets_agree(tmp_path: Path) -> None:
    """The controller asks for the angles that the environment's actuators are given in training."""
    profile = load_profile("g1_29dof")
    clip = load_motion("stand")
    terms = EnvConfig().policy_observation
    policy = OnnxPolicy.load(exported(tmp_path / "policy.onnx", clip, profile, terms))
    config = EnvConfig(action_base="default", threads=1)
    env = TrackingEnv(clip, profile, config, 1)
    env.reset_to(np.array([0]), np.array([0]), noise=0.0)
    action = np.random.default_rng(0).uniform(-0.3, 0.3, 29)
    policy.act = lambda obs, time_step: action  # type: ignore[method-assign]
    controller = PolicyController(policy, profile, SETTINGS)
    controller.activate()
    stamp = 0
    still = SimpleNamespace(qpos=env.physics.qpos.copy())
    for _ in range(200):  # a robot held still: the target slews to the policy's and stays
        stamp += STATE_PERIOD
        command = controller.step(state_of(env, stamp))
    assert (env.physics.qpos == still.qpos).all()
    trained = env._targets(action[None])[0]
    for _ in range(20):
        env._target = trained[-1:]
        trained = env._targets(action[None])[0]
    torque = profile.stiffness * (trained[-1] - env.physics.qpos[0, 7:])
    bounded = np.clip(torque, -profile.torque_limit, profile.torque_limit)
    np.testing.assert_allclose(
        command.stiffness * (command.position - env.physics.qpos[0, 7:]), bounded, atol=1e-6
    )
