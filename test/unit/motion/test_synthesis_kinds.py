"""Laws of every kind of made clip: planted feet, balance, limits, rest at both ends, chaining."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
import pytest

from g1_mimic.errors import G1MimicError
from g1_mimic.files import share_dir
from g1_mimic.motion.balance import (
    GRAVITY,
    centre_of_mass,
    looped_zero_moment_point,
    pendulum_path,
    sole_points,
    support_margin,
)
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.dynamics import effort, first_self_contact, joint_torques
from g1_mimic.motion.files import load_motion
from g1_mimic.motion.kinematics import complete_clip
from g1_mimic.motion.synthesis import (
    make_dance,
    make_march,
    make_mix,
    make_punch,
    make_squat,
    make_sway,
    make_turn,
    make_walk,
    make_wave,
    make_weight_shift,
    planar,
)
from g1_mimic.motion.validate import loop_gap, validate_clip
from g1_mimic.robot.model import build_model, home_qpos
from g1_mimic.robot.profile import load_profile
from g1_mimic.robot.skeleton import FOOT_BODY_NAMES
from g1_mimic.rotations import quat_error, quat_yaw

CONTACT = 1e-3
"""m: a sole point lower than this touches the floor."""

STATIC: dict[str, Callable[[], MotionClip]] = {
    "squat": lambda: load_motion("squat"),
    "wave": lambda: load_motion("wave"),
    "sway": lambda: make_sway(forwards=0.02, count=2),
    "weight_shift": lambda: make_weight_shift(count=1),
    "both arms": lambda: make_wave(arm="both", swings=2),
    "punch": lambda: make_punch(count=2),
}
RESTED = STATIC | {
    "march": lambda: load_motion("march"),
    "turn": lambda: load_motion("turn"),
    "dance": lambda: load_motion("dance"),
    "turn right": lambda: make_turn(-1.0, fps=30.0),
    "mix": lambda: make_mix(16.0, seed=6),
}
WALKS: dict[str, Callable[[], MotionClip]] = {
    "walk": lambda: load_motion("walk"),
    "walk_slow": lambda: load_motion("walk_slow"),
    "curve": lambda: make_walk(0.4, turn=0.5, duration=5.0),
    "circle": lambda: make_walk(0.3, turn=-0.6, stand_time=0.0, duration=2.0),
    "sideways": lambda: make_walk(0.0, sideways=0.15, duration=5.0),
    "backwards": lambda: make_walk(-0.2, duration=5.0),
}
ALL = RESTED | WALKS
_made: dict[str, MotionClip] = {}


def made(name: str) -> MotionClip:
    """Return a clip, made once."""
    if name not in _made:
        _made[name] = ALL[name]()
    return _made[name]


@pytest.fixture(params=ALL)
def clip(request: pytest.FixtureRequest) -> MotionClip:
    """Every clip in turn."""
    return made(request.param)


def test_clip_is_clean_and_smooth(clip: MotionClip) -> None:
    """No error or warning, soft limits kept, half the speed limits, bounded accelerations."""
    profile = load_profile("g1_29dof")
    report = validate_clip(clip, profile)
    assert (report.errors, report.warnings) == ([], [])
    lower, upper = profile.soft_limits()
    assert (clip.joint_pos >= lower - 1e-6).all()
    assert (clip.joint_pos <= upper + 1e-6).all()
    assert (abs(clip.joint_vel) < 0.5 * profile.velocity_limit).all()
    velocity = clip.unrolled(2 * clip.num_frames).joint_vel
    assert abs(np.diff(velocity, axis=0)).max() * clip.fps < 150.0


def test_loop_is_closed(clip: MotionClip) -> None:
    """The last frame is the first one moved in the plane, with the same velocities."""
    assert clip.looped
    assert loop_gap(clip) < 5e-6
    np.testing.assert_allclose(clip.joint_vel[0], clip.joint_vel[-1], atol=2e-3)


def test_feet_stand_still_and_never_sink(clip: MotionClip) -> None:
    """A standing foot neither slips 1 mm nor turns 2 mrad; no sole is in the floor; one stands."""
    height = sole_points(clip)[..., 2].min(axis=-1)
    assert height.min() > -1e-5
    assert height.min(axis=1).max() < CONTACT
    for side, name in enumerate(FOOT_BODY_NAMES):
        body = clip.body_index(name)
        down = height[:, side] < 1e-5
        edges = np.flatnonzero(np.diff(down.astype(int))) + 1
        for stance in np.split(np.arange(clip.num_frames), edges):
            if down[stance[0]]:
                assert np.ptp(clip.body_pos_w[stance, body, :2], axis=0).max() < 1e-3
                quat = clip.body_quat_w[stance, body]
                assert quat_error(quat, quat[:1]).max() < 2e-3


def test_floor_can_carry_the_motion(clip: MotionClip) -> None:
    """The zero-moment point of the whole robot stays 5 mm inside the support polygon."""
    margin = support_margin(looped_zero_moment_point(clip), sole_points(clip), CONTACT)
    assert margin.min() > 0.005


@pytest.mark.parametrize("name", STATIC)
def test_planted_clips_are_statically_stable(name: str) -> None:
    """Where no foot is lifted the centre of mass stays 2 cm inside the support polygon."""
    soles = sole_points(made(name))
    assert soles[..., 2].max() < 0.01
    assert support_margin(centre_of_mass(made(name))[:, :2], soles, CONTACT).min() > 0.02


def test_nothing_touches_itself(clip: MotionClip) -> None:
    """MuJoCo finds no contact between two bodies of the robot."""
    model = build_model(load_profile("g1_29dof"), self_collision=True)
    data = mujoco.MjData(model)
    for pose in clip.qpos():
        data.qpos[:] = pose
        mujoco.mj_forward(model, data)
        bodies = model.geom_bodyid[data.contact.geom]
        assert (bodies == 0).any(axis=1).all()


def test_self_contact_is_found() -> None:
    """Hands that meet are named, with the frame."""
    profile = load_profile("g1_29dof")
    pose = np.tile(home_qpos(profile), (3, 1))
    fine = complete_clip("fine", 50.0, pose[:, :3], pose[:, 3:7], pose[:, 7:], looped=False)
    assert first_self_contact(fine, profile) is None
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for joint, angle in (("shoulder_pitch", -0.4), ("shoulder_yaw", -0.25), ("elbow", -0.5)):
            column = 7 + fine.joint_names.index(f"{side}_{joint}_joint")
            pose[2, column] = sign * angle if joint == "shoulder_yaw" else angle
    meets = complete_clip("meets", 50.0, pose[:, :3], pose[:, 3:7], pose[:, 7:], looped=False)
    assert first_self_contact(meets, profile) == (2, "left_wrist_yaw_link", "right_wrist_yaw_link")


def test_torques_are_within_the_motors(clip: MotionClip) -> None:
    """Inverse dynamics needs less than 80% of every torque limit."""
    profile = load_profile("g1_29dof")
    assert (abs(joint_torques(clip, profile)) < 0.8 * profile.torque_limit).all()


@pytest.mark.parametrize("name", [*RESTED, "walk", "walk_slow", "sideways", "backwards"])
def test_floor_needs_no_glue(name: str) -> None:
    """A friction coefficient of 0.3 is enough to push, and one of 1 for a foot not to turn."""
    asked = effort(made(name), load_profile("g1_29dof"))
    assert asked.friction < 0.3
    assert asked.yaw_moment < 16.0


def test_readme_tells_what_clips_ask_for() -> None:
    """The figures in the clips' README are those of the files."""
    profile = load_profile("g1_29dof")
    text = (share_dir() / "models/motions/README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) == len(list((share_dir() / "models/motions").glob("*.json")))
    for name, row in rows:
        clip = load_motion(name)
        asked = effort(clip, profile)
        cells = row.split(" | ")
        assert cells[0] == f"{clip.duration:.1f}"
        assert cells[1].startswith(f"{asked.torque:.0%} ")
        assert cells[2:] == [
            f"{asked.speed:.0%}",
            f"{1e3 * asked.margin:.0f}",
            f"{asked.friction:.2f}",
            f"{asked.yaw_moment:.0f}",
        ]


@pytest.mark.parametrize("name", ["squat", "march", "curve"])
def test_joint_torques_do_the_work(name: str) -> None:
    """Their power is the change of kinetic and potential energy: planted feet do no work."""
    profile = load_profile("g1_29dof")
    clip = made(name)
    model = build_model(profile, scene=False)
    model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_ENERGY
    data = mujoco.MjData(model)
    energy = np.empty(clip.num_frames)
    for frame, (qpos, qvel) in enumerate(zip(clip.qpos(), clip.qvel(), strict=True)):
        data.qpos[:], data.qvel[:] = qpos, qvel
        mujoco.mj_forward(model, data)
        energy[frame] = data.energy.sum()
    power = (joint_torques(clip, profile) * clip.joint_vel).sum(axis=1)
    work = np.cumsum(0.5 * (power[1:] + power[:-1])) / clip.fps
    gained = energy[1:] - energy[0]
    assert np.ptp(gained) > 2.0
    # Differences of frames 20 ms apart are not exact where feet land.
    np.testing.assert_allclose(work, gained, atol=0.05 * np.ptp(gained))


@pytest.mark.parametrize("name", RESTED)
def test_clips_start_and_end_at_rest_in_the_standing_pose(name: str) -> None:
    """So they follow one another in any order: both ends are the default pose, still."""
    clip = made(name)
    home = load_profile("g1_29dof").default_position
    # The default pose's feet are 6 mrad from flat.
    np.testing.assert_allclose(clip.joint_pos[[0, -1]], np.tile(home, (2, 1)), atol=7e-3)
    same = np.tile(made("wave").joint_pos[0], (2, 1))
    np.testing.assert_allclose(clip.joint_pos[[0, -1]], same, atol=5e-6)
    still = np.r_[0:3, -3:0]
    assert abs(clip.qvel()[still]).max() < 1e-3
    feet = clip.body_pos_w[:, [clip.body_index(name) for name in FOOT_BODY_NAMES], :2]
    apart = np.linalg.norm(feet[:, 0] - feet[:, 1], axis=1)
    assert apart[-1] == pytest.approx(apart[0], abs=2e-6)


def test_squat_goes_as_deep_as_asked() -> None:
    """Three squats of 15 cm."""
    height = made("squat").root_pos[:, 2]
    assert height[0] - height.min() == pytest.approx(0.15, abs=1e-4)
    below = height < height[0] - 0.075
    assert np.count_nonzero(np.diff(below.astype(int)) == 1) == 3
    assert make_squat(depth=0.05, count=1).root_pos[:, 2].min() == pytest.approx(
        height[0] - 0.05, abs=1e-4
    )


def test_weight_goes_as_far_as_asked() -> None:
    """The centre of mass comes to rest over 80% of the way to either foot."""
    side = centre_of_mass(made("weight_shift"))[:, 1]
    foot = made("weight_shift").body_pos_w[0, made("weight_shift").body_index(FOOT_BODY_NAMES[0])]
    assert side.max() == pytest.approx(0.8 * foot[1], abs=4e-3)
    assert side.min() == pytest.approx(-0.8 * foot[1], abs=4e-3)


def test_punches_reach_out_in_turn() -> None:
    """Each fist once is 15 cm further in front of the chest than in guard, left first."""
    clip = made("punch")
    hands = [clip.body_index(f"{side}_wrist_yaw_link") for side in ("left", "right")]
    ahead = clip.body_pos_w[:, hands, 0] - clip.root_pos[:, :1]
    guard = ahead[round(1.3 * clip.fps)]
    assert (ahead.max(axis=0) > guard + 0.15).all()
    assert ahead[:, 0].argmax() < ahead[:, 1].argmax()


def test_march_lifts_each_foot_in_turn_and_stays() -> None:
    """Twelve steps of 10 cm, no way made."""
    clip = made("march")
    height = sole_points(clip)[..., 2].min(axis=-1)
    lifted = np.diff((height > 0.05).astype(int), axis=0) == 1
    assert lifted.sum(axis=0).tolist() == [6, 6]
    assert height.max(axis=0) == pytest.approx([0.1, 0.1], abs=2e-3)
    assert abs(clip.root_pos[-1, :2] - clip.root_pos[0, :2]).max() < 1e-5


@pytest.mark.parametrize(("name", "angle"), [("turn", np.pi / 2.0), ("turn right", -1.0)])
def test_turn_turns_by_the_angle(name: str, angle: float) -> None:
    """Every lap turns by what was asked for, about a point between the feet."""
    clip = made(name)
    long = clip.unrolled(3 * (clip.num_frames - 1) + 1)
    yaw = np.unwrap(quat_yaw(long.root_quat))
    assert yaw[clip.num_frames - 1] - yaw[0] == pytest.approx(angle, abs=1e-4)
    assert yaw[-1] - yaw[0] == pytest.approx(3.0 * angle, abs=3e-4)
    assert np.linalg.norm(long.root_pos[:, :2], axis=1).max() < 0.2


def test_circle_has_the_radius_of_speed_over_turn() -> None:
    """Steady speed and turn: the laps of a cycle lie on a circle."""
    clip = made("circle")
    feet = [clip.body_index(name) for name in FOOT_BODY_NAMES]
    between = clip.body_pos_w[:, feet, :2].mean(axis=1)
    step = np.linalg.norm(between[-1] - between[0])
    yaw = quat_yaw(clip.root_quat[-1]) - quat_yaw(clip.root_quat[0])
    assert yaw == pytest.approx(-0.6 * clip.duration, abs=1e-5)
    # Both feet are on the circle, so that the middle between them is a little inside.
    assert step == pytest.approx(2.0 * 0.5 * np.sin(0.3 * clip.duration), rel=0.02)


@pytest.mark.parametrize(("name", "axis", "speed"), [("sideways", 1, 0.15), ("backwards", 0, -0.2)])
def test_walk_goes_where_asked(name: str, axis: int, speed: float) -> None:
    """In the middle of the walk the speed over two steps is that asked for, straight ahead."""
    clip = made(name)
    middle, lap = clip.num_frames // 2, round(1.0 * clip.fps)
    way = clip.root_pos[middle + lap // 2, :2] - clip.root_pos[middle - lap // 2, :2]
    assert way[axis] == pytest.approx(speed, rel=0.05)
    assert abs(clip.root_pos[-1, 1 - axis] - clip.root_pos[0, 1 - axis]) < 1e-5


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: make_dance(seed=seed, bars=2, fps=25.0),
        lambda seed: make_mix(10.0, seed=seed, fps=25.0),
    ],
)
def test_same_seed_same_clip(make: Callable[[int], MotionClip]) -> None:
    """A seed fixes the clip to the bit; another seed makes another one."""
    first, second, other = (make(seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.qpos(), second.qpos())
    same_length = min(first.num_frames, other.num_frames)
    assert abs(first.joint_pos[:same_length] - other.joint_pos[:same_length]).max() > 0.01


def test_dance_keeps_the_beat() -> None:
    """Eight bars of four beats at 90 per minute, and the rest at both ends."""
    assert made("dance").duration == pytest.approx(8 * 4 * 60.0 / 90.0 + 1.4, abs=0.4)


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (make_sway, {"period": 1.5, "sideways": 0.08}, "cannot be balanced in frame"),
        (make_squat, {"depth": 0.5}, "depth is 0.5; it must be from 0.02 to 0.2"),
        (make_squat, {"count": 1.5}, "count is 1.5; it must be a whole number"),
        (make_wave, {"arm": "third"}, "arm is 'third'; it must be one of: left, right, both"),
        (make_march, {"step_time": float("nan")}, "step_time is nan"),
        (make_march, {"clearance": 0.12, "step_time": 0.4}, "cannot be reached within the soft"),
        (make_turn, {"angle": 9.0}, "angle is 9; it must be from -6.3 to 6.3"),
        (make_dance, {"tempo": 200.0}, "tempo is 200"),
        (make_mix, {"duration": 1.0}, "duration is 1; it must be from 10 to 120"),
        (make_walk, {"turn": -2.0}, "turn is -2; it must be from -0.8 to 0.8"),
    ],
)
def test_impossible_wishes_are_one_line(
    make: Callable[..., MotionClip], arguments: dict[str, Any], message: str
) -> None:
    """What cannot be made is refused with the number that is wrong."""
    with pytest.raises(G1MimicError, match=message) as caught:
        make(**arguments)
    assert "\n" not in str(caught.value)


def test_turned_pendulum_obeys_its_equation() -> None:
    """Over a seam that turns and moves, the mass still accelerates by (c - p) g / h."""
    random = np.random.default_rng(2)
    advance, turn = np.array([0.4, -0.1]), 1.3
    zmp = np.cumsum(random.normal(0.0, 0.02, (31, 2)), axis=0)
    lap = np.append(advance, turn)
    zmp[-1] = planar.move(lap, zmp[0])
    path = pendulum_path(zmp, advance, 0.7, 50.0, turn=turn)
    around = np.concatenate(
        [planar.move(planar.inverse(lap), path[-2:-1]), path, planar.move(lap, path[1:2])]
    )
    np.testing.assert_allclose(path[-1], planar.move(lap, path[0]), atol=1e-12)
    acceleration = (around[2:] - 2.0 * around[1:-1] + around[:-2]) * 50.0**2
    np.testing.assert_allclose(acceleration, (path - zmp) * GRAVITY / 0.7, atol=1e-8)


def test_planar_motions_are_a_group() -> None:
    """Composition is associative with an inverse, and an arc is many short ways in a row."""
    random = np.random.default_rng(3)
    a, b, c = random.normal(size=(3, 5, 3))
    np.testing.assert_allclose(
        planar.compose(planar.compose(a, b), c), planar.compose(a, planar.compose(b, c))
    )
    np.testing.assert_allclose(planar.compose(a, planar.inverse(a)), 0.0, atol=1e-12)
    twist = np.array([0.3, -0.1, 0.7])
    step, pose = twist / 20000.0, np.zeros(3)
    for _ in range(20000):
        pose = planar.compose(pose, step)
    np.testing.assert_allclose(planar.arc(twist, 1.0), pose, atol=1e-4)
    np.testing.assert_allclose(planar.arc(np.array([0.3, 0.1, 0.0]), 2.0), [0.6, 0.2, 0.0])
