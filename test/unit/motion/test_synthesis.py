"""Laws of clips made from scratch: planted feet, balance, limits, closed loops."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from g1_mimic.errors import G1MimicError
from g1_mimic.motion.balance import (
    GRAVITY,
    centre_of_mass,
    looped_zero_moment_point,
    pendulum_path,
    sole_points,
    support_margin,
    zero_moment_point,
)
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.files import load_motion
from g1_mimic.motion.kinematics import complete_clip
from g1_mimic.motion.synthesis import make_stand, make_walk
from g1_mimic.motion.validate import loop_gap, validate_clip
from g1_mimic.robot.model import build_model
from g1_mimic.robot.profile import load_profile
from g1_mimic.robot.skeleton import FOOT_BODY_NAMES
from g1_mimic.rotations import quat_from_rpy

CONTACT = 1e-3
"""m: a sole point lower than this touches the floor."""


@pytest.fixture(scope="module")
def stand() -> MotionClip:
    """A short standing exercise."""
    return make_stand(6.0)


@pytest.fixture(scope="module")
def cycle() -> MotionClip:
    """Two steps of steady walking."""
    return make_walk(0.6, stand_time=0.0, duration=1.0)


@pytest.fixture(scope="module")
def walk() -> MotionClip:
    """Standing, a few steps, standing."""
    return make_walk(0.4, duration=4.5, fps=50.0)


@pytest.fixture(scope="module", params=["stand", "cycle", "walk", "shipped stand", "shipped walk"])
def clip(request: pytest.FixtureRequest) -> MotionClip:
    """Every clip in turn, made and shipped."""
    if request.param.startswith("shipped"):
        return load_motion(request.param.split()[1])
    made: MotionClip = request.getfixturevalue(request.param)
    return made


def test_clip_is_clean_and_inside_soft_limits(clip: MotionClip) -> None:
    """No error, no warning, no joint outside its soft limits, none at half its speed limit."""
    profile = load_profile("g1_29dof")
    report = validate_clip(clip, profile)
    assert (report.errors, report.warnings) == ([], [])
    lower, upper = profile.soft_limits()
    assert (clip.joint_pos >= lower - 1e-6).all()
    assert (clip.joint_pos <= upper + 1e-6).all()
    assert (abs(clip.joint_vel) < 0.5 * profile.velocity_limit).all()


def test_loop_is_closed(clip: MotionClip) -> None:
    """The last frame is the first one moved in the plane, and the velocities agree there."""
    assert clip.looped
    assert loop_gap(clip) < 2e-6
    np.testing.assert_allclose(clip.joint_vel[0], clip.joint_vel[-1], atol=1e-3)
    acceleration = abs(np.diff(clip.unrolled(2 * clip.num_frames).joint_vel, axis=0)) * clip.fps
    seam = acceleration[clip.num_frames - 4 : clip.num_frames + 2].max()
    assert seam <= acceleration[: clip.num_frames - 4].max() + 1e-2


def test_feet_stand_still_and_never_sink(clip: MotionClip) -> None:
    """A foot on the floor slips by less than 2 mm per stance; no sole is 2 mm in the floor."""
    height = sole_points(clip)[..., 2].min(axis=-1)
    assert height.min() > -1e-5
    for side, name in enumerate(FOOT_BODY_NAMES):
        planar = clip.body_pos_w[:, clip.body_index(name), :2]
        down = height[:, side] < 1e-5
        assert down.any()
        edges = np.flatnonzero(np.diff(down.astype(int))) + 1
        for stance in np.split(np.arange(clip.num_frames), edges):
            if down[stance[0]]:
                assert np.ptp(planar[stance], axis=0).max() < 2e-3


def test_one_foot_at_least_stands(clip: MotionClip) -> None:
    """The robot never flies."""
    height = sole_points(clip)[..., 2].min(axis=-1)
    assert height.min(axis=1).max() < CONTACT


def test_floor_can_carry_the_motion(clip: MotionClip) -> None:
    """The zero-moment point of the whole robot stays 5 mm inside the support polygon."""
    margin = support_margin(looped_zero_moment_point(clip), sole_points(clip), CONTACT)
    assert margin.min() > 0.005


def test_stand_is_statically_stable(stand: MotionClip) -> None:
    """The centre of mass stays 5 cm inside the support polygon of both feet."""
    margin = support_margin(centre_of_mass(stand)[:, :2], sole_points(stand), CONTACT)
    assert margin.min() > 0.05


def test_stand_does_what_it_says(stand: MotionClip) -> None:
    """It squats by what was asked for, sways to both sides, and raises one hand."""
    drop = stand.root_pos[0, 2] - stand.root_pos[:, 2].min()
    assert drop == pytest.approx(0.12, abs=1e-4)
    sway = centre_of_mass(stand)[:, 1]
    assert sway.max() > 0.02 and sway.min() < -0.02
    hands = stand.body_pos_w[
        :, [stand.body_index(f"{s}_wrist_yaw_link") for s in ("left", "right")]
    ]
    shoulder = stand.body_pos_w[:, stand.body_index("right_shoulder_pitch_link"), 2]
    assert (hands[:, 1, 2] > shoulder + 0.1).any()
    assert (hands[:, 0, 2] < shoulder).all()


@pytest.mark.parametrize(("speed", "step_time"), [(0.2, 0.8), (0.6, 0.5), (0.7, 0.4)])
def test_cycle_has_the_speed_asked_for(speed: float, step_time: float) -> None:
    """Way per time is the speed, over any whole number of laps."""
    clip = make_walk(speed, step_time=step_time, stand_time=0.0, duration=2.0 * step_time)
    way = clip.root_pos[-1, 0] - clip.root_pos[0, 0]
    assert way / clip.duration == pytest.approx(speed, rel=1e-6)
    lap = clip.unrolled(3 * (clip.num_frames - 1) + 1)
    assert lap.root_pos[-1, 0] - lap.root_pos[0, 0] == pytest.approx(3 * way)


def test_walk_starts_and_ends_standing(walk: MotionClip) -> None:
    """Feet side by side, nearly at rest, with steps of the toes above the floor in between."""
    for frame in (0, -1):
        feet = walk.body_pos_w[frame, [walk.body_index(name) for name in FOOT_BODY_NAMES], 0]
        assert abs(feet[0] - feet[1]) < 1e-6
        assert abs(walk.qvel()[frame]).max() < 0.1
    assert sole_points(walk)[..., 2].min(axis=-1).max() > 0.05


def test_walking_torques_are_within_the_motors(cycle: MotionClip) -> None:
    """Inverse dynamics with all weight on the stance foot need less than the torque limits."""
    profile = load_profile("g1_29dof")
    model = build_model(profile, scene=False)
    data = mujoco.MjData(model)
    period = cycle.num_frames - 1
    long = cycle.unrolled(2 * period + 1)
    qpos, qvel = long.qpos(), long.qvel()
    height = sole_points(long)[..., 2].min(axis=-1)
    checked = 0
    for frame in range(1, period + 1):
        if height[frame].max() < 0.005:
            continue  # both feet stand: how they share the load is not determined
        data.qpos[:], data.qvel[:] = qpos[frame], qvel[frame]
        data.qacc[:] = (qvel[frame + 1] - qvel[frame - 1]) * (0.5 * cycle.fps)
        mujoco.mj_inverse(model, data)
        linear, angular = np.zeros((3, model.nv)), np.zeros((3, model.nv))
        stance = FOOT_BODY_NAMES[int(height[frame].argmin())]
        mujoco.mj_jacBody(model, data, linear, angular, model.body(stance).id)
        jacobian = np.concatenate([linear, angular])
        wrench = np.linalg.solve(jacobian[:, :6].T, data.qfrc_inverse[:6])
        torque = data.qfrc_inverse[6:] - (jacobian.T @ wrench)[6:]
        assert (abs(torque) < profile.torque_limit).all()
        assert wrench[2] > 0.3 * 33.3 * GRAVITY
        checked += 1
    assert checked > 0.5 * period


def test_zero_moment_point_equals_mujocos_inverse_dynamics() -> None:
    """Momentum and inverse dynamics agree where the floor must push.

    The rotors' inertia, which the floor never feels, is taken out of the model.
    """
    fps = 400.0
    time = np.arange(41)[:, None] / fps
    joints = 0.3 * np.sin(6.0 * time + np.arange(29))
    pos = np.concatenate([np.sin(3.0 * time), 0.0 * time, 0.75 + 0.02 * np.cos(5.0 * time)], axis=1)
    quat = quat_from_rpy(*(0.2 * np.sin(6.0 * time[:, 0] + phase) for phase in (0.0, 1.0, 2.0)))
    clip = complete_clip("shaken", fps, pos, quat, joints, looped=False)
    model = build_model(load_profile("g1_29dof"), scene=False)
    model.dof_armature[:] = 0.0
    data = mujoco.MjData(model)
    qpos, qvel = clip.qpos(), clip.qvel()
    ours = zero_moment_point(clip)
    for frame in range(5, 36):
        data.qpos[:], data.qvel[:] = qpos[frame], qvel[frame]
        data.qacc[:] = (qvel[frame + 1] - qvel[frame - 1]) * (0.5 * fps)
        mujoco.mj_inverse(model, data)
        force = data.qfrc_inverse[:3]
        rotation = data.xmat[model.body("pelvis").id].reshape(3, 3)
        moment = rotation @ data.qfrc_inverse[3:6] + np.cross(qpos[frame, :3], force)
        theirs = np.array([-moment[1], moment[0]]) / force[2]
        np.testing.assert_allclose(ours[frame - 1], theirs, atol=1e-3)


def test_pendulum_obeys_its_equation() -> None:
    """The mass accelerates away from the zero-moment point by (c - p) g / h, seam included."""
    random = np.random.default_rng(1)
    advance = np.array([0.5, 0.0])
    zmp = np.cumsum(random.normal(0.0, 0.02, (41, 2)), axis=0)
    zmp[-1] = zmp[0] + advance
    path = pendulum_path(zmp, advance, 0.7, 50.0)
    np.testing.assert_allclose(path[-1], path[0] + advance)
    around = np.concatenate([path[-2:-1] - advance, path, path[1:2] + advance])
    acceleration = (around[2:] - 2.0 * around[1:-1] + around[:-2]) * 50.0**2
    np.testing.assert_allclose(acceleration, (path - zmp) * GRAVITY / 0.7, atol=1e-8)


def test_support_margin_of_a_square() -> None:
    """In the middle of a 2 m square the edge is 1 m away; outside, the margin is negative."""
    square = np.array([[-1, -1, 0], [-1, 1, 0], [1, -1, 0], [1, 1, 0.0]])
    soles = np.tile(square.reshape(1, 2, 2, 3), (3, 1, 1, 1))
    soles[2, ..., 2] = 0.5
    points = np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 0.0]])
    margin = support_margin(points, soles, 0.01)
    np.testing.assert_allclose(margin[:2], [1.0, -0.5], atol=1e-12)
    assert margin[2] == -np.inf


def test_same_seed_same_clip() -> None:
    """A seed fixes the clip to the bit; another seed makes another one."""
    first, second, other = (make_stand(6.0, fps=25.0, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.qpos(), second.qpos())
    assert abs(first.joint_pos - other.joint_pos).max() > 0.01


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (make_stand, {"squat": 0.3}, "squat is 0.3; it must be from 0 to 0.15"),
        (make_stand, {"duration": float("nan")}, "duration is nan"),
        (make_stand, {"duration": 6.0, "sway": 0.06}, "cannot be balanced in frame"),
        (make_walk, {"speed": 2.0}, "speed is 2; it must be from -0.3 to 0.9"),
        (make_walk, {"duration": 2.0}, "no room for steps of 0.5 s between 0.6 s of standing"),
        (make_walk, {"duration": 0.1, "stand_time": 0.0}, "no room for steps"),
        (make_walk, {"duration": float("inf")}, "duration is inf"),
        (make_walk, {"speed": 0.9, "step_time": 1.2}, "cannot be reached|cannot be made"),
    ],
)
def test_impossible_wishes_are_one_line(make, arguments: dict, message: str) -> None:  # type: ignore[no-untyped-def, type-arg]
    """What cannot be made is refused with the number that is wrong."""
    with pytest.raises(G1MimicError, match=message) as caught:
        make(**arguments)
    assert "\n" not in str(caught.value)
