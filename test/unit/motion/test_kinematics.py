"""Laws of forward kinematics and of the velocities of a completed clip."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from g1_mimic.errors import G1MimicError
from g1_mimic.motion.clip import ClipSpan, MotionClip, lap_and_frame
from g1_mimic.motion.kinematics import angular_velocity, complete_clip, forward_kinematics
from g1_mimic.robot.model import build_model
from g1_mimic.robot.names import BODY_NAMES
from g1_mimic.robot.profile import load_profile
from g1_mimic.robot.skeleton import load_skeleton
from g1_mimic.rotations import quat_from_axis_angle, quat_from_yaw, quat_multiply

FPS = 50.0
NO_NEIGHBOUR = np.zeros((0, 4))


def smooth_clip(frames: int = 61, looped: bool = False) -> MotionClip:
    """A clip in which everything moves, smoothly, by different amounts."""
    time = np.arange(frames)[:, None] / FPS
    joints = 0.3 * np.sin(2.0 * time + np.arange(29))
    pos = np.concatenate([0.5 * time, np.sin(time), 0.75 + 0.02 * np.cos(3.0 * time)], axis=1)
    axis = np.array([0.6, 0.0, 0.8])
    quat = quat_from_axis_angle(np.tile(axis, (frames, 1)), 0.4 * np.sin(time[:, 0]))
    return complete_clip("smooth", FPS, pos, quat, joints, looped)


def test_forward_kinematics_equals_mujoco() -> None:
    """Every body's pose agrees with MuJoCo's to 1e-9 for random poses."""
    random = np.random.default_rng(3)
    profile = load_profile("g1_29dof")
    model = build_model(profile)
    data = mujoco.MjData(model)
    bodies = [model.body(name).id for name in BODY_NAMES]
    joints = random.uniform(profile.position_lower, profile.position_upper, (20, 29))
    root_pos = random.normal(size=(20, 3))
    root_quat = random.normal(size=(20, 4))
    root_quat /= np.linalg.norm(root_quat, axis=1, keepdims=True)
    pos, quat = forward_kinematics(root_pos, root_quat, joints)
    for frame in range(20):
        data.qpos[:] = np.concatenate([root_pos[frame], root_quat[frame], joints[frame]])
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(pos[frame], data.xpos[bodies], atol=1e-9)
        sign = np.sign((quat[frame] * data.xquat[bodies]).sum(-1, keepdims=True))
        np.testing.assert_allclose(quat[frame] * sign, data.xquat[bodies], atol=1e-9)


def test_velocities_equal_mujocos_jacobians() -> None:
    """Body velocities by differences agree with J(q) q̇ up to the error of the differences."""
    clip = smooth_clip()
    model = build_model(load_profile("g1_29dof"))
    data = mujoco.MjData(model)
    frame = 30
    data.qpos[:], data.qvel[:] = clip.qpos()[frame], clip.qvel()[frame]
    mujoco.mj_forward(model, data)
    velocity = np.zeros(6)
    for index, name in enumerate(BODY_NAMES):
        body = model.body(name).id
        mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, body, velocity, 0)
        np.testing.assert_allclose(clip.body_ang_vel_w[frame, index], velocity[:3], atol=2e-3)
        np.testing.assert_allclose(clip.body_lin_vel_w[frame, index], velocity[3:], atol=2e-3)


@pytest.mark.parametrize("axis", [[1.0, 0, 0], [0, 1.0, 0], [0.48, 0.6, 0.64]])
def test_constant_rotation_has_constant_angular_velocity(axis: list[float]) -> None:
    """A body that turns at 2 rad/s about a fixed axis has exactly that velocity, ends included."""
    angle = 2.0 * np.arange(20) / FPS
    turn = quat_from_axis_angle(np.tile(np.array(axis), (20, 1)), angle)
    # A constant orientation in the body must change nothing in the world frame.
    quat = quat_multiply(turn, np.array([0.5, 0.5, -0.5, 0.5]))
    velocity = angular_velocity(quat, FPS, NO_NEIGHBOUR, NO_NEIGHBOUR)
    np.testing.assert_allclose(velocity, np.tile(2.0 * np.array(axis), (20, 1)), atol=1e-9)


def test_angular_velocity_ignores_the_sign_of_quaternions() -> None:
    """q and -q are one orientation: the velocity is the same."""
    quat = quat_from_yaw(0.1 * np.arange(10))
    flipped = quat * np.where(np.arange(10) % 3 == 0, -1.0, 1.0)[:, None]
    given = angular_velocity(flipped, FPS, NO_NEIGHBOUR, NO_NEIGHBOUR)
    np.testing.assert_allclose(given[:, 2], 0.1 * FPS, atol=1e-9)


def test_linear_motion_has_its_velocity_everywhere() -> None:
    """The ends of an open clip have one-sided differences, exact for a uniform motion."""
    pos = np.arange(6)[:, None] * np.array([0.02, -0.01, 0.0]) + [0, 0, 0.76]
    clip = complete_clip(
        "line", FPS, pos, np.tile([1.0, 0, 0, 0], (6, 1)), np.zeros((6, 29)), False
    )
    np.testing.assert_allclose(clip.body_lin_vel_w - [1.0, -0.5, 0.0], 0.0, atol=1e-9)


def circle(frames: int = 41) -> MotionClip:
    """A looped clip that turns by 90° per lap on a circle of radius 1 m."""
    angle = np.linspace(0.0, 0.5 * np.pi, frames)
    pos = np.stack([np.sin(angle), 1.0 - np.cos(angle), 0.76 + 0.0 * angle], axis=1)
    joints = 0.2 * np.sin(4.0 * angle[:, None] + np.arange(29))
    return complete_clip("circle", FPS, pos, quat_from_yaw(angle), joints, looped=True)


def test_looped_velocities_wrap_around_the_seam() -> None:
    """At the seam the velocities are those of the endless motion, not one-sided differences."""
    clip = circle()
    speed = 0.5 * np.pi / 40 * FPS
    np.testing.assert_allclose(clip.body_ang_vel_w[:, 0, 2], speed, rtol=1e-9)
    planar = np.linalg.norm(clip.body_lin_vel_w[:, 0, :2], axis=1)
    np.testing.assert_allclose(planar, planar[5], rtol=1e-9)
    np.testing.assert_allclose(clip.joint_vel[0], clip.joint_vel[-1], atol=1e-9)


def test_unrolled_continues_where_the_lap_ended() -> None:
    """Four quarter turns come back to the start, and nothing jumps at a seam."""
    clip = circle()
    long = clip.unrolled(4 * 40 + 1)
    np.testing.assert_allclose(long.root_pos[-1], clip.root_pos[0], atol=1e-9)
    step = np.linalg.norm(np.diff(long.body_pos_w, axis=0), axis=-1).max(axis=1)
    assert step.max() < 1.05 * step[:39].max()
    again = complete_clip("again", FPS, long.root_pos, long.root_quat, long.joint_pos, looped=False)
    inner = slice(1, -1)
    np.testing.assert_allclose(long.body_pos_w, again.body_pos_w, atol=1e-9)
    np.testing.assert_allclose(long.body_lin_vel_w[inner], again.body_lin_vel_w[inner], atol=1e-7)
    np.testing.assert_allclose(long.body_ang_vel_w[inner], again.body_ang_vel_w[inner], atol=1e-7)
    np.testing.assert_allclose(long.joint_vel[inner], again.joint_vel[inner], atol=1e-9)
    assert not long.looped


def test_unrolled_first_lap_is_the_clip() -> None:
    """As many frames as the clip has are the clip's own frames."""
    clip = circle()
    np.testing.assert_array_equal(clip.unrolled(41).joint_pos, clip.joint_pos)
    np.testing.assert_allclose(clip.unrolled(17).body_pos_w, clip.body_pos_w[:17], atol=1e-15)


def test_the_last_frame_of_a_lap_is_the_first_of_the_next() -> None:
    """Of five frames a lap has four steps, forwards and backwards; without laps the ends hold."""
    steps = np.arange(-2, 10)
    laps, frames = lap_and_frame(steps, 5, True)
    assert frames.tolist() == [2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert laps.tolist() == [-1, -1, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    laps, frames = lap_and_frame(steps, 5, False)
    assert frames.tolist() == [0, 0, 0, 1, 2, 3, 4, 4, 4, 4, 4, 4] and not laps.any()
    assert lap_and_frame(3, 1, True) == (0, 0)
    assert ClipSpan("second", 7, 5, True).frame(steps[-3:]).tolist() == [10, 7, 8]


def test_laps_do_not_climb() -> None:
    """A seam that is not quite closed in height does not add up over the laps."""
    pos = np.stack([np.arange(11) * 0.01, np.zeros(11), 0.76 + np.arange(11) * 1e-4], axis=1)
    clip = complete_clip("a", FPS, pos, np.tile([1.0, 0, 0, 0], (11, 1)), np.zeros((11, 29)), True)
    long = clip.unrolled(101)
    assert long.root_pos[:, 2].max() <= clip.root_pos[:, 2].max()
    assert long.root_pos[-1, 0] == pytest.approx(1.0)


def test_orientations_never_change_sign_along_a_clip() -> None:
    """Neighbouring quaternions lie on one side even over several turns: networks read them."""
    quat = quat_from_yaw(0.3 * np.arange(60))
    quat *= np.where(np.arange(60) % 7 == 0, -1.0, 1.0)[:, None]
    clip = complete_clip("turns", FPS, np.zeros((60, 3)), quat, np.zeros((60, 29)), False)
    assert ((clip.body_quat_w[1:] * clip.body_quat_w[:-1]).sum(-1) > 0.9).all()


def test_open_clip_does_not_unroll_past_its_end() -> None:
    """A clip that does not loop says how many frames it has."""
    clip = smooth_clip(frames=61)
    assert clip.unrolled(61).num_frames == 61
    with pytest.raises(G1MimicError, match="61 frames and does not loop; 62"):
        clip.unrolled(62)


def test_qvel_has_the_root_spin_in_the_body_frame() -> None:
    """Spinning about the world's z while lying on the side is spinning about the body's y."""
    lying = quat_from_axis_angle(np.array([1.0, 0, 0]), np.array(0.5 * np.pi))
    quat = quat_multiply(quat_from_yaw(0.02 * np.arange(5)), lying)
    clip = complete_clip("lying", FPS, np.zeros((5, 3)), quat, np.zeros((5, 29)), False)
    np.testing.assert_allclose(clip.qvel()[2, 3:6], [0.0, 1.0, 0.0], atol=1e-9)


def test_skeleton_carries_the_whole_robot() -> None:
    """Masses add up to the G1's 33.34 kg, and both soles have one size and lie at z = -0.035 m."""
    skeleton = load_skeleton()
    assert skeleton.mass.sum() == pytest.approx(33.341142, abs=1e-6)
    lowest = (skeleton.foot_points[..., 2] - skeleton.foot_radius).min(axis=1)
    np.testing.assert_allclose(lowest, -0.035, atol=1e-6)
    spread = np.abs(skeleton.foot_points).max(axis=1)
    np.testing.assert_allclose(spread[0], spread[1], atol=1.1e-3)  # mjlab has one capsule 1 mm off


def test_unknown_body_is_named() -> None:
    """Asking for a body that the robot lacks names it and lists those there are."""
    with pytest.raises(G1MimicError, match=r"no body 'tail'.*torso_link"):
        smooth_clip(5).body_index("tail")
