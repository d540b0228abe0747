"""The environment against plain MuJoCo, and the laws of episodes."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

from g1_mimic.envs.config import EnvConfig, ResetConfig
from g1_mimic.envs.tracking_env import ANCHOR, TrackingEnv
from g1_mimic.envs.vector_env import G1VectorEnv
from g1_mimic.errors import G1MimicError
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.kinematics import complete_clip
from g1_mimic.robot.model import build_model, tracking_sensor_slice
from g1_mimic.robot.profile import RobotProfile, load_profile


@pytest.fixture(scope="module")
def profile() -> RobotProfile:
    return load_profile("g1_29dof")


def standing_clip(profile: RobotProfile, frames: int = 100, looped: bool = False) -> MotionClip:
    """The default pose held still; the right arm swings a little, so that frames differ."""
    joints = np.tile(profile.default_position, (frames, 1))
    phase = 2 * np.pi * np.arange(frames) / (frames - 1)
    joints[:, 22] += 0.2 * np.sin(phase)
    root = np.tile([0.0, 0.0, profile.pelvis_height], (frames, 1))
    quat = np.tile([1.0, 0.0, 0.0, 0.0], (frames, 1))
    return complete_clip("standing", 50.0, root, quat, joints, looped)


def make_env(profile: RobotProfile, num_envs: int = 4, **kwargs: object) -> TrackingEnv:
    looped = bool(kwargs.pop("looped", False))
    config = EnvConfig(threads=1, **kwargs)  # type: ignore[arg-type]
    return TrackingEnv(standing_clip(profile, looped=looped), profile, config, num_envs, seed=1)


def test_a_step_is_four_mujoco_steps(profile: RobotProfile) -> None:
    """One control step equals four mj_steps of the same model with the same slewed targets."""
    env = make_env(profile, num_envs=2)
    env.reset()
    qpos, qvel = env.physics.qpos[0].copy(), env.physics.qvel[0].copy()
    start = env._target[0].copy()
    actions = np.random.default_rng(0).uniform(-1, 1, (2, 29))
    desired = env.reference.base[env.frame[0]] + profile.action_scale * actions[0]
    desired = np.clip(desired, *profile.soft_limits())
    env.step(actions)
    model = build_model(profile, tracking_sensors=True, motors="torque_speed")
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = qpos, qvel
    target = start
    for _ in range(4):
        step = profile.velocity_limit * 0.005
        target = target + np.clip(desired - target, -step, step)
        data.ctrl[:] = target
        before = data.qpos.copy(), data.qvel.copy()
        mujoco.mj_step(model, data)
    np.testing.assert_allclose(env.physics.qpos[0], data.qpos, atol=1e-9)
    np.testing.assert_allclose(env.physics.qvel[0], data.qvel, atol=1e-7)
    # the sensors show the state before the last physics step
    data.qpos[:], data.qvel[:] = before
    mujoco.mj_forward(model, data)
    torso = env.sensors.bodies().pos[0, ANCHOR]
    np.testing.assert_allclose(torso, data.body("torso_link").xpos, atol=1e-9)


def test_sensors_are_body_frames_and_world_velocities(profile: RobotProfile) -> None:
    """Tracking sensors equal mj_objectVelocity and poses of the body frames, not of the CoM."""
    model = build_model(profile, tracking_sensors=True)
    data = mujoco.MjData(model)
    rng = np.random.default_rng(0)
    data.qpos[:3] = 0, 0, 1.5
    data.qpos[7:] = rng.uniform(-0.3, 0.3, 29)
    data.qvel[:] = rng.standard_normal(35)
    mujoco.mj_forward(model, data)
    values = data.sensordata[tracking_sensor_slice(model)]
    velocity = np.zeros(6)
    body = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "torso_link")
    mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, body, velocity, 0)
    np.testing.assert_allclose(values[14 * 7 :].reshape(2, 14, 3)[0, ANCHOR], velocity[3:])
    np.testing.assert_allclose(values[14 * 7 :].reshape(2, 14, 3)[1, ANCHOR], velocity[:3])
    np.testing.assert_allclose(values[: 14 * 3].reshape(14, 3)[ANCHOR], data.xpos[body])


def test_reference_is_compared_at_the_sensors_time(profile: RobotProfile) -> None:
    """A robot exactly on a moving reference has no tracking error: the lag is accounted for."""
    frames = 50
    root = np.tile([0.0, 0.0, 2.0], (frames, 1))  # in the air, moving at 1 m/s
    root[:, 0] = np.arange(frames) / 50.0
    clip = complete_clip(
        "moving", 50.0, root, np.tile([1.0, 0, 0, 0], (frames, 1)),
        np.tile(profile.default_position, (frames, 1)), False,
    )  # fmt: skip
    config = EnvConfig(threads=1, action_base="reference", reset=ResetConfig(noise=0.0))
    env = TrackingEnv(clip, profile, config, 1)
    env.model.opt.gravity[:] = 0.0
    env.reset_to(np.array([0]), np.array([5]))
    env.step(np.zeros((1, 29)))
    lagged = env.reference.lagged_bodies(env.frame).pos[0, ANCHOR, 0]
    robot = env.sensors.bodies().pos[0, ANCHOR, 0]
    assert robot == pytest.approx(lagged, abs=1e-6)
    assert robot != pytest.approx(env.reference.anchor_pos[env.frame[0], 0], abs=1e-3)


def test_following_the_reference_is_rewarded_until_the_clips_end(profile: RobotProfile) -> None:
    """Without noise the reward is nearly full at first; the end of the clip truncates."""
    env = make_env(profile, reset=ResetConfig(noise=0.0))
    env.reset_to(np.arange(4), np.full(4, 80))
    for step in range(19):
        result = env.step(np.zeros((4, 29)))
        if step == 0:
            assert result.reward.mean() == pytest.approx(5 * 0.02, rel=0.05)
        assert not result.terminated.any()
        assert result.truncated.all() == (step == 18)  # on frame 99, the last


def test_time_outs_are_truncations_and_falls_are_terminations(profile: RobotProfile) -> None:
    """The time limit truncates; a robot that is pushed over terminates. Never both."""
    env = make_env(profile, looped=True, episode_length_s=0.1, reset=ResetConfig(noise=0.0))
    env.reset()
    for step in range(5):
        result = env.step(np.zeros((4, 29)))
        assert result.truncated.all() == (step == 4)
        assert not result.terminated.any()
    env = make_env(profile, looped=True)
    env.reset()
    env.physics.qpos[2, 2] -= 0.5
    result = env.step(np.zeros((4, 29)))
    assert result.terminated.tolist() == [False, False, True, False]
    assert not result.truncated.any()


def test_final_observation_is_kept_from_the_reset(profile: RobotProfile) -> None:
    """Where an episode ended the final observation is the old state's, the other the new one's."""
    env = make_env(profile, looped=True)
    env.reset()
    env.physics.qpos[2, 2] -= 0.5
    result = env.step(np.zeros((4, 29)))
    same = (result.observations.critic == result.final_observations.critic).all(1)
    assert same.tolist() == [True, True, False, True]
    assert env.episode_length.tolist() == [1, 1, 0, 1]
    assert (env.last_action[2] == 0).all()


def test_diverged_physics_is_contained(profile: RobotProfile) -> None:
    """A NaN in one robot ends that robot's episode with zero reward and touches no other."""
    env = make_env(profile, looped=True)
    env.reset()
    env.physics.qvel[1, 0] = np.nan
    result = env.step(np.zeros((4, 29)))
    assert result.info["broken"].tolist() == [False, True, False, False]
    assert result.terminated[1] and result.reward[1] == 0.0
    for observations in (result.observations, result.final_observations):
        assert np.isfinite(observations.critic).all()
    assert np.isfinite(env.step(np.zeros((4, 29))).reward).all()


def test_non_finite_actions_are_refused(profile: RobotProfile) -> None:
    """A NaN action never reaches the physics."""
    env = make_env(profile)
    env.reset()
    with pytest.raises(ValueError, match="not finite"):
        env.step(np.full((4, 29), np.nan))


def test_same_seed_same_episode(profile: RobotProfile) -> None:
    """Two environments with one seed do the same, also with several physics threads."""
    results = []
    for threads in (1, 2):
        config = EnvConfig(threads=threads)
        env = TrackingEnv(standing_clip(profile), profile, config, 8, seed=3)
        env.reset()
        rng = np.random.default_rng(0)
        for _ in range(60):
            result = env.step(rng.uniform(-1, 1, (8, 29)))
        results.append(result.observations.critic)
    np.testing.assert_array_equal(*results)


def test_state_round_trips(profile: RobotProfile) -> None:
    """A restored environment goes on exactly as the saved one."""
    env, other = make_env(profile, looped=True), make_env(profile, looped=True)
    env.reset()
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (40, 4, 29))
    for action in actions[:20]:
        env.step(action)
    other.load_state_dict(env.state_dict())
    np.testing.assert_array_equal(other.observe().critic, env.observe().critic)
    for action in actions[20:]:
        a, b = env.step(action), other.step(action)
        np.testing.assert_array_equal(a.observations.critic, b.observations.critic)


def test_robots_never_start_inside_the_floor(profile: RobotProfile) -> None:
    """A clip that dips into the floor is lifted at the start, so that nothing is thrown up."""
    clip = standing_clip(profile)
    low = complete_clip(
        "low", 50.0, clip.root_pos - [0, 0, 0.04], clip.root_quat, clip.joint_pos, False
    )
    env = TrackingEnv(low, profile, EnvConfig(threads=1, reset=ResetConfig(noise=0.0)), 2)
    env.reset_to(np.arange(2), np.zeros(2, dtype=int))
    assert env.physics.qpos[0, 2] == pytest.approx(clip.root_pos[0, 2], abs=4e-3)


def test_wrong_frame_rate_is_refused(profile: RobotProfile) -> None:
    """A clip at another rate than the controller's is an error that gives both."""
    clip = standing_clip(profile)
    slow = complete_clip("slow", 30.0, clip.root_pos, clip.root_quat, clip.joint_pos, False)
    with pytest.raises(G1MimicError, match=r"30 frames/s.*50"):
        TrackingEnv(slow, profile, EnvConfig(), 1)


def test_gymnasium_vector_api(profile: RobotProfile) -> None:
    """Spaces fit what reset and step return, and actions are clipped to the space."""
    env = G1VectorEnv(make_env(profile, looped=True))
    obs, _ = env.reset(seed=5)
    assert env.observation_space.contains(obs)
    again, _ = env.reset(seed=5)
    np.testing.assert_array_equal(obs, again)
    obs, reward, terminated, truncated, infos = env.step(env.action_space.sample() * 100)
    assert env.observation_space.contains(obs)
    assert np.abs(env.env.last_action).max() <= 1.0
    assert reward.shape == terminated.shape == truncated.shape == (4,)
    assert infos["critic_obs"].shape == (4, env.env.critic_size)
    env.close()


@pytest.mark.parametrize("name", ["kimodo_walk.csv"])
def test_a_real_clip_runs(name: str, shared_data: Path, profile: RobotProfile) -> None:
    """A recorded walk gives finite observations, rewards near the maximum at first, and ends."""
    from g1_mimic.motion.files import load_motion

    env = TrackingEnv(load_motion(shared_data / name), profile, EnvConfig(), 16)
    env.reset()
    first = env.step(np.zeros((16, 29)))
    assert first.reward.mean() > 0.8 * 5 * 0.02
    for _ in range(100):
        result = env.step(np.zeros((16, 29)))
        assert np.isfinite(result.observations.critic).all()
