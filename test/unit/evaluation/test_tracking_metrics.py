"""The evaluation's metrics against plain loops, hand-made cases and MuJoCo itself."""

from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest

from g1_mimic.envs.config import EnvConfig, ResetConfig
from g1_mimic.envs.rewards import BodyPoses
from g1_mimic.envs.tracking_env import TrackingEnv
from g1_mimic.evaluation import tracking_metrics as module
from g1_mimic.evaluation.episodes import evaluate, run_episodes
from g1_mimic.evaluation.tracking_metrics import METRICS, States, tracking_metrics
from g1_mimic.motion.files import load_motion
from g1_mimic.robot.model import build_model
from g1_mimic.robot.names import JOINT_NAMES, TRACKED_BODY_NAMES
from g1_mimic.robot.profile import RobotProfile, load_profile

BODIES = len(TRACKED_BODY_NAMES)
TORSO = TRACKED_BODY_NAMES.index("torso_link")
HANDS_FEET = [i for i, name in enumerate(TRACKED_BODY_NAMES) if "ankle" in name or "wrist" in name]


@pytest.fixture(scope="module")
def profile() -> RobotProfile:
    return load_profile("g1_29dof")


def poses(rng: np.random.Generator, count: int) -> BodyPoses:
    quat = rng.standard_normal((count, BODIES, 4))
    quat /= np.linalg.norm(quat, axis=-1, keepdims=True)
    vectors = rng.standard_normal((3, count, BODIES, 3))
    return BodyPoses(vectors[0], quat, vectors[1], vectors[2])


def matrix(q: np.ndarray) -> np.ndarray:
    """The rotation matrix of a quaternion by MuJoCo's own code."""
    result = np.zeros(9)
    mujoco.mju_quat2Mat(result, np.asarray(q))
    return result.reshape(3, 3)


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """Angle between two rotation matrices, from the trace."""
    return math.acos(max(-1.0, min(1.0, (np.trace(a.T @ b) - 1.0) / 2.0)))


def test_metrics_equal_plain_loops_over_bodies_and_joints(profile: RobotProfile) -> None:
    """Two random states: every figure is that of a loop that follows its definition."""
    rng = np.random.default_rng(3)
    robot, reference = poses(rng, 2), poses(rng, 2)
    angles, ref_angles = rng.uniform(-3, 3, (2, 2, 29))
    rates, ref_rates = rng.uniform(-9, 9, (2, 2, 29))
    torque = rng.uniform(-1.3, 1.3, (2, 4, 29)) * profile.torque_limit
    torque = np.clip(torque, -profile.torque_limit, profile.torque_limit)
    speed = rng.uniform(-1.5, 1.5, (2, 4, 29)) * profile.velocity_limit
    states = States(robot, reference, angles, rates, ref_angles, ref_rates, torque, speed)
    got = tracking_metrics(states, profile)
    assert set(got) == set(METRICS)
    low, high = profile.soft_limits()
    for m in range(2):
        # Heading of the rotation from the reference torso to the robot's, as BeyondMimic has it.
        delta = matrix(robot.quat[m, TORSO]) @ matrix(reference.quat[m, TORSO]).T
        yaw = math.atan2(delta[1, 0], delta[0, 0])
        turn = np.array(
            [[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]]
        )
        world, local, turned = [], [], []
        for b in range(BODIES):
            offset = turn @ (reference.pos[m, b] - reference.pos[m, TORSO])
            origin = np.array([*robot.pos[m, TORSO, :2], reference.pos[m, TORSO, 2]])
            world.append(math.dist(reference.pos[m, b], robot.pos[m, b]))
            local.append(math.dist(origin + offset, robot.pos[m, b]))
            turned.append(angle(turn @ matrix(reference.quat[m, b]), matrix(robot.quat[m, b])))
        rate_errors = [rates[m, j] - ref_rates[m, j] for j in range(29)]
        hits = [abs(torque[m, s, j]) >= 0.999 * profile.torque_limit[j]
                for s in range(4) for j in range(29)]  # fmt: skip
        fast = [abs(speed[m, s, j]) > profile.velocity_limit[j]
                for s in range(4) for j in range(29)]  # fmt: skip
        power = [sum(abs(torque[m, s, j] * speed[m, s, j]) for j in range(29)) for s in range(4)]
        expected = {
            "mpkpe_m": sum(world) / BODIES,
            "root_relative_mpkpe_m": sum(local) / BODIES,
            "joint_error_rad": sum(abs(angles[m, j] - ref_angles[m, j]) for j in range(29)) / 29,
            "joint_velocity_error_rad_s": sum(map(abs, rate_errors)) / 29,
            "joint_velocity_error_norm_rad_s": math.sqrt(sum(e * e for e in rate_errors)),
            "end_effector_position_error_m": sum(local[b] for b in HANDS_FEET) / 4,
            "end_effector_orientation_error_rad": sum(turned[b] for b in HANDS_FEET) / 4,
            "torque_nm": sum(abs(t) for t in torque[m].ravel()) / (4 * 29),
            "power_w": sum(power) / 4,
            "torque_limit_share": sum(hits) / len(hits),
            "speed_limit_share": sum(fast) / len(fast),
            "position_limit_share": sum(not low[j] <= angles[m, j] <= high[j] for j in range(29))
            / 29,
        }
        assert expected["torque_limit_share"] > 0 and expected["speed_limit_share"] > 0
        for name, value in expected.items():
            assert got[name][m] == pytest.approx(value, abs=1e-9), name


def test_drift_counts_in_the_world_only(profile: RobotProfile) -> None:
    """A robot that is in the right pose at another place and heading has no relative error."""
    rng = np.random.default_rng(0)
    reference = poses(rng, 1)
    pivot = reference.pos[:, TORSO : TORSO + 1]
    offset = reference.pos - pivot
    quarter = np.stack([-offset[..., 1], offset[..., 0], offset[..., 2]], -1)
    half = math.sqrt(0.5)
    quat = np.zeros_like(reference.quat)
    for b in range(BODIES):
        mujoco.mju_mulQuat(quat[0, b], np.array([half, 0, 0, half]), reference.quat[0, b])
    pos = pivot + np.array([0.3, 0.4, 0.0]) + quarter
    robot = BodyPoses(pos, quat, reference.lin_vel, reference.ang_vel)
    zero, still, angles = np.zeros((1, 29)), np.zeros((1, 1, 29)), profile.default_position[None]
    states = States(robot, reference, angles, zero, angles, zero, still, still)
    got = tracking_metrics(states, profile)
    for name in METRICS:
        if name != "mpkpe_m":
            assert got[name][0] == pytest.approx(0.0, abs=2e-8), name
    assert math.dist(robot.pos[0, TORSO], reference.pos[0, TORSO]) == pytest.approx(0.5)
    assert got["mpkpe_m"][0] > 0.1


def make_env(profile: RobotProfile, num_envs: int, seconds: float) -> TrackingEnv:
    """Motors are bounded by the profile's torque alone."""
    config = EnvConfig(
        threads=1,
        episode_length_s=seconds,
        reset=ResetConfig(noise=0.5),
        torque_speed_line=False,
    )
    return TrackingEnv(load_motion("squat"), profile, config, num_envs, seed=1)


def test_an_evaluation_equals_a_loop_over_plain_mujoco(profile: RobotProfile) -> None:
    """Three steps of one robot: bodies by MuJoCo's kinematics, torques by its actuators."""
    rng = np.random.default_rng(5)
    actions = rng.uniform(-1, 1, (3, 1, 29))
    env = make_env(profile, 1, 0.06)
    controls, starts = [], []
    step = env.physics.step

    def record(control: np.ndarray) -> np.ndarray:
        starts.append((env.physics.qpos[0].copy(), env.physics.qvel[0].copy()))
        controls.append(control[0].copy())
        return step(control)

    env.physics.step = record  # type: ignore[method-assign]
    number = iter(range(3))
    result = evaluate(env, lambda obs, frames: actions[next(number)], seed=4)
    assert result.survival == 1.0
    model = build_model(profile)
    data = mujoco.MjData(model)
    first = env.reference.num_starts[0] // 2
    clip = load_motion("squat")
    errors: dict[str, list[float]] = {"mpkpe_m": [], "torque_nm": [], "power_w": []}
    errors |= {"joint_error_rad": [], "joint_velocity_error_rad_s": []}
    for k in range(3):
        data.qpos[:], data.qvel[:] = starts[k]
        torque, power = [], []
        for control in controls[k]:
            mujoco.mj_forward(model, data)
            mujoco.mj_kinematics(model, data)
            bodies = np.array([data.body(name).xpos for name in TRACKED_BODY_NAMES])
            spring = profile.stiffness * (control - data.qpos[7:]) - profile.damping * data.qvel[6:]
            spring = np.clip(spring, -profile.torque_limit, profile.torque_limit)
            torque.append(np.abs(spring).mean())
            power.append(np.abs(spring * data.qvel[6:]).sum())
            data.ctrl[:] = control
            mujoco.mj_step(model, data)
        frame = first + k + 1
        # The bodies are those of the last physics step's start: a quarter of a frame earlier.
        names = [clip.body_index(name) for name in TRACKED_BODY_NAMES]
        wanted = 0.75 * clip.body_pos_w[frame, names] + 0.25 * clip.body_pos_w[frame - 1, names]
        errors["mpkpe_m"].append(np.linalg.norm(wanted - bodies, axis=1).mean())
        errors["torque_nm"].append(np.mean(torque))
        errors["power_w"].append(np.mean(power))
        errors["joint_error_rad"].append(np.abs(data.qpos[7:] - clip.joint_pos[frame]).mean())
        errors["joint_velocity_error_rad_s"].append(
            np.abs(data.qvel[6:] - clip.joint_vel[frame]).mean()
        )
    for name, values in errors.items():
        assert getattr(result, name) == pytest.approx(np.mean(values), rel=1e-6), name


def test_only_steps_before_the_end_count_in_whatever_blocks(
    profile: RobotProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Robots that fall early count until then; measuring step by step gives the same sums."""
    rng = np.random.default_rng(2)
    wild = rng.uniform(-8, 8, (60, 6, 29))
    sums = []
    for block in (1, 7, 1000):
        monkeypatch.setattr(module, "BLOCK", block)
        env = make_env(profile, 6, 1.0)
        number = iter(range(60))
        seen: list[np.ndarray] = []

        def act(obs: np.ndarray, frames: np.ndarray) -> np.ndarray:
            seen.append(np.abs(env.physics.qpos[:, 7:] - env.reference.qpos[frames, 7:]).mean(-1))  # noqa: B023
            return wild[next(number)]  # noqa: B023

        episodes = run_episodes(env, act, seed=1)
        sums.append(episodes.sums)
        assert episodes.failed.all() and (episodes.steps < episodes.possible).all()
        assert len(set(episodes.steps)) > 1
        # What the policy saw after the first step is what the first step led to.
        for i in range(6):
            steps = int(episodes.steps[i])
            before_last = sum(errors[i] for errors in seen[1:steps])
            last = episodes.sums["joint_error_rad"][i] - before_last
            assert 0.0 < last < 2.0
    for name in METRICS:
        np.testing.assert_allclose(sums[0][name], sums[1][name], rtol=1e-12)
        np.testing.assert_allclose(sums[0][name], sums[2][name], rtol=1e-12)


def test_every_joint_has_a_torque_sensor(profile: RobotProfile) -> None:
    """A target beyond one joint shows up as that joint's torque, at its limit."""
    env = make_env(profile, len(JOINT_NAMES), 1.0)
    env.reset(0)
    control = np.repeat(env.physics.qpos[:, None, 7:], 4, axis=1).copy()
    control[np.arange(29), :, np.arange(29)] += 10.0
    env.physics.step(control)
    torque, _ = env.sensors.motors()
    share = torque[:, 0] / profile.torque_limit
    np.testing.assert_allclose(np.diag(share), 1.0)
