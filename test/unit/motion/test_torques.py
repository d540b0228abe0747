"""The torques of a clip, against statics, free flight and a simulation that uses them."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from g1_mimic.envs.config import EnvConfig
from g1_mimic.envs.tracking_env import TrackingEnv
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.dynamics import joint_torques, with_torque
from g1_mimic.motion.files import load_motion
from g1_mimic.motion.kinematics import complete_clip
from g1_mimic.robot.model import build_model, home_qpos
from g1_mimic.robot.profile import load_profile

PROFILE = load_profile("g1_29dof")


def clip_of(qpos: np.ndarray) -> MotionClip:
    return complete_clip("test", 50.0, qpos[:, :3], qpos[:, 3:7], qpos[:, 7:], False)


def test_standing_on_both_feet_shares_the_weight() -> None:
    """Left and right are alike, and the knees carry what a robot at rest in the simulator does."""
    torque = joint_torques(clip_of(np.tile(home_qpos(PROFILE), (5, 1))), PROFILE)
    assert np.ptp(torque, axis=0).max() < 1e-9
    for joint in ("hip_pitch", "knee", "ankle_pitch", "shoulder_pitch", "elbow"):
        left, right = (PROFILE.joint_names.index(f"{s}_{joint}_joint") for s in ("left", "right"))
        assert torque[0, left] == pytest.approx(torque[0, right], abs=0.1)
    model = build_model(PROFILE)
    data = mujoco.MjData(model)
    data.qpos[:] = home_qpos(PROFILE)
    data.ctrl[:] = PROFILE.default_position + torque[0] / PROFILE.stiffness
    for _ in range(60):  # nobody balances it: later it falls
        mujoco.mj_step(model, data)
    # With these torques the motors' springs are at rest where the pose is; without, they sag.
    assert np.abs(data.qpos[7:] - PROFILE.default_position).max() < 0.01
    np.testing.assert_allclose(data.qfrc_actuator[6:], torque[0], atol=1.0)


def test_the_floor_pushes_only_feet_that_are_down() -> None:
    """High up, the robot's torques are those of inverse dynamics alone."""
    rng = np.random.default_rng(0)
    rows = np.tile(home_qpos(PROFILE), (9, 1))
    rows[:, 2] += 0.5 + 0.02 * np.arange(9)
    rows[:, 7:] += 0.1 * np.cumsum(rng.standard_normal((9, 29)), axis=0) / 9
    clip = clip_of(rows)
    model = build_model(PROFILE, scene=False)
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONSTRAINT  # friction in the joints
    data = mujoco.MjData(model)
    velocity = clip.qvel()
    acceleration = np.gradient(velocity, axis=0) * 50.0
    torque = joint_torques(clip, PROFILE)
    for frame in range(9):
        data.qpos[:], data.qvel[:] = rows[frame], velocity[frame]
        data.qacc[:] = acceleration[frame]
        mujoco.mj_inverse(model, data)
        np.testing.assert_allclose(torque[frame], data.qfrc_inverse[6:], atol=1e-9)


def test_the_seam_of_a_loop_is_a_frame_as_any_other() -> None:
    """The torques of a looped clip's last frame are those of its first, and none jumps there."""
    clip = load_motion("walk")
    torque = with_torque(clip, PROFILE).joint_torque
    assert torque is not None
    np.testing.assert_allclose(torque[-1], torque[0], atol=1e-6)
    jumps = np.abs(np.diff(torque, axis=0)).max(axis=1)
    assert jumps[[0, -1]].max() <= jumps[1:-1].max()
    long = clip.unrolled(2 * clip.num_frames)
    again = with_torque(long, PROFILE).joint_torque
    assert again is not None
    period, edge = clip.num_frames - 1, 20
    later = again[period + edge : period + edge + 50]
    np.testing.assert_allclose(later, torque[edge : edge + 50], atol=0.1)


def test_torques_are_bounded_and_computed_once() -> None:
    """A motion that no motor could do asks for no more than the motors have."""
    rows = np.tile(home_qpos(PROFILE), (30, 1))
    rows[::2, 7:] += 0.3
    clip = with_torque(clip_of(rows), PROFILE)
    assert clip.joint_torque is not None
    assert (np.abs(clip.joint_torque) <= PROFILE.torque_limit).all()
    assert with_torque(clip, PROFILE) is clip


@pytest.mark.parametrize("name", ["stand", "walk", "dance"])
def test_a_robot_follows_the_torques_of_a_clip(name: str) -> None:
    """Without any policy, the joints are more than twice as close to the clip as with its lead."""
    errors = {}
    clip = load_motion(name)
    for kind in ("reference_lead", "feedforward"):
        config = EnvConfig.model_validate({"action_base": kind, "reset": {"noise": 0.0}})
        env = TrackingEnv(clip, PROFILE, config, 16)
        env.reset(0)
        steps = [env.step(np.zeros((16, 29))).info["errors"]["joint_pos"] for _ in range(25)]
        errors[kind] = float(np.mean(steps))
        env.close()
    assert errors["feedforward"] < 0.5 * errors["reference_lead"], errors
