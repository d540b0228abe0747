"""Laws of repairing motions: each repair does what it says and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from g1_mimic.cli.main import main
from g1_mimic.errors import G1MimicError
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.files import inspect_motion, load_motion, save_csv, save_npz
from g1_mimic.motion.kinematics import complete_trajectory
from g1_mimic.motion.quality import foot_contacts, glitches
from g1_mimic.motion.repair import repair
from g1_mimic.motion.repair.blend import blend_in, blend_out, close_loop
from g1_mimic.motion.repair.mirror import mirror
from g1_mimic.motion.trajectory import Trajectory
from g1_mimic.motion.validate import loop_gap, validate_clip
from g1_mimic.robot.names import BODY_NAMES, JOINT_NAMES
from g1_mimic.robot.profile import RobotProfile, load_profile
from g1_mimic.rotations import (
    quat_apply,
    quat_error,
    quat_from_rotation_vector,
    quat_from_rpy,
    quat_from_yaw,
    quat_multiply,
    quat_yaw,
    rotation_vector,
)


@pytest.fixture(scope="module")
def profile() -> RobotProfile:
    """The hardware's limits."""
    return load_profile("g1_29dof")


@pytest.fixture
def walk() -> Trajectory:
    """Three seconds of the package's walk, turned."""
    return cut(load_motion("walk"), 100, 251, 0.7)


def cut(clip: MotionClip, first: int, last: int, yaw: float = 0.0) -> Trajectory:
    """A part of a clip, not looped."""
    turn, part = quat_from_yaw(np.array(yaw)), slice(first, last)
    pos, quat = quat_apply(turn, clip.root_pos[part]), quat_multiply(turn, clip.root_quat[part])
    return Trajectory("walk", clip.fps, pos, quat, clip.joint_pos[part])


def up(height: float) -> np.ndarray:
    """A vector that lifts positions by ``height`` m."""
    return np.array([0.0, 0.0, height])


def edited(trajectory: Trajectory, frame: int, joint: int, change: float) -> Trajectory:
    """The trajectory with one number changed."""
    joints = trajectory.joint_pos.copy()
    joints[frame, joint] += change
    return replace(trajectory, joint_pos=joints)


def test_mirror_image_of_every_body_is_where_its_counterpart_is() -> None:
    """Forward kinematics of random poses, mirrored in the plane y = 0, agree to the model."""
    rng = np.random.default_rng(0)
    profile = load_profile("g1_29dof")
    lower, upper = profile.position_lower, profile.position_upper
    joints = rng.uniform(np.maximum(lower, -1.0), np.minimum(upper, 1.0), (40, 29))
    pos = rng.normal(size=(40, 3))
    quat = quat_from_rpy(*rng.uniform(-1.0, 1.0, (3, 40)))
    given = Trajectory("random", 50.0, pos, quat, joints)
    clip, image = complete_trajectory(given), complete_trajectory(mirror(given))
    for index, name in enumerate(BODY_NAMES):
        other = name.replace("left_", "?").replace("right_", "left_").replace("?", "right_")
        expected = clip.body_pos_w[:, BODY_NAMES.index(other)] * [1.0, -1.0, 1.0]
        # The two sides of the model differ in the fourth digit.
        np.testing.assert_allclose(image.body_pos_w[:, index], expected, atol=2e-3, err_msg=name)
        turned = clip.body_quat_w[:, BODY_NAMES.index(other)] * [1.0, -1.0, 1.0, -1.0]
        assert quat_error(image.body_quat_w[:, index], turned).max() < 2e-3, name


def test_mirroring_twice_changes_nothing(walk: Trajectory) -> None:
    """A mirror image of a mirror image is the thing itself."""
    twice = mirror(mirror(walk))
    np.testing.assert_array_equal(twice.joint_pos, walk.joint_pos)
    np.testing.assert_array_equal(twice.root_pos, walk.root_pos)
    np.testing.assert_allclose(twice.root_quat, walk.root_quat, atol=1e-15)
    assert abs(mirror(walk).joint_pos - walk.joint_pos).max() > 0.3


@pytest.mark.parametrize("height", [0.11, -0.04])
def test_grounding_puts_standing_feet_on_the_floor(walk: Trajectory, height: float) -> None:
    """A clip that was lifted or sunk comes back to where it was, and nothing else moves."""
    moved = replace(walk, root_pos=walk.root_pos + up(height))
    fixed, text = repair.ground(moved)
    np.testing.assert_allclose(fixed.root_pos, walk.root_pos, atol=1e-3)
    np.testing.assert_array_equal(fixed.joint_pos, moved.joint_pos)
    assert f"{'lowered' if height > 0 else 'lifted'} by {abs(height):.2f}" in text


def test_following_the_ground_takes_a_drift_out(walk: Trajectory) -> None:
    """A floor that rises by 6 cm along the clip is level afterwards, without new vibrations."""
    drift = np.linspace(-0.03, 0.03, len(walk.root_pos))[:, None] * [0.0, 0.0, 1.0]
    fixed, _ = repair.follow_ground(replace(walk, root_pos=walk.root_pos + drift))
    np.testing.assert_allclose(fixed.root_pos, walk.root_pos, atol=3e-3)
    wild = np.abs(np.diff(fixed.root_pos[:, 2], 2)).max()
    assert wild < 1.5 * np.abs(np.diff(walk.root_pos[:, 2], 2)).max() + 1e-5
    with pytest.raises(G1MimicError, match="no drift"):
        repair.follow_ground(replace(walk, root_pos=walk.root_pos + up(0.3)))


def test_clamping_moves_small_violations_only(walk: Trajectory, profile: RobotProfile) -> None:
    """Angles inside the limits stay to the bit; a gross one is refused by name."""
    knee = JOINT_NAMES.index("left_knee_joint")
    joints = walk.joint_pos.copy()
    joints[7, knee] = profile.position_upper[knee] + 0.05
    fixed, text = repair.clamp(replace(walk, joint_pos=joints), profile)
    assert fixed.joint_pos[7, knee] == profile.position_upper[knee]
    joints[7, knee] = fixed.joint_pos[7, knee]
    np.testing.assert_array_equal(fixed.joint_pos, joints)
    assert "1 frames clamped" in text and "0.0500 rad (left_knee_joint, frame 7)" in text
    joints[7, knee] += 0.3
    with pytest.raises(G1MimicError, match=r"frame 7, left_knee_joint is 0.30 rad outside"):
        repair.clamp(replace(walk, joint_pos=joints), profile)


def test_single_frames_that_stick_out_are_replaced(walk: Trajectory) -> None:
    """Spikes are found exactly, and only spikes."""
    assert not glitches(walk.root_pos, walk.root_quat, walk.joint_pos).any()
    broken = edited(edited(walk, 40, 3, 0.5), 90, 20, -0.4)
    pos, quat = broken.root_pos.copy(), broken.root_quat.copy()
    pos[60] += [0.0, 0.2, 0.0]
    quat[120] = quat_multiply(quat_from_rpy(*np.array([0.5, 0.0, 0.0])), quat[120])
    broken = replace(broken, root_pos=pos, root_quat=quat)
    found = glitches(broken.root_pos, broken.root_quat, broken.joint_pos)
    assert np.flatnonzero(found).tolist() == [40, 60, 90, 120]
    fixed, text = repair.remove_glitches(broken)
    np.testing.assert_allclose(fixed.joint_pos, walk.joint_pos, atol=0.05)
    np.testing.assert_allclose(fixed.root_pos, walk.root_pos, atol=5e-3)
    assert quat_error(fixed.root_quat, walk.root_quat).max() < 0.02
    assert "4 single frame(s) replaced (40, 60, 90, 120)" in text


def test_a_step_is_no_glitch(walk: Trajectory) -> None:
    """A pose that changes at once and stays is a cut, which averaging would not mend."""
    joints = walk.joint_pos.copy()
    joints[70:, 20] += 0.5
    assert not glitches(walk.root_pos, walk.root_quat, joints).any()


def test_glitches_appear_in_the_report(walk: Trajectory) -> None:
    """The report names the frame and the option that helps."""
    report = validate_clip(complete_trajectory(edited(walk, 40, 16, 0.5)))
    assert any("stick out of their neighbours: 40" in text for text in report.warnings)
    assert any(hint.startswith("--glitches") for hint in report.hints)
    assert report.verdict == "usable with warnings"


def test_smoothing_has_the_gain_it_claims_and_no_delay() -> None:
    """A slow wave passes, one at the cut-off is halved, a fast one goes, none is shifted."""
    time = np.arange(500) / 50.0
    flat = np.tile([0.0, 0.0, 0.76, 1.0, 0.0, 0.0, 0.0], (500, 1))
    for frequency, gain in ((0.5, 1.0), (4.0, 0.5), (16.0, 1 / 257)):
        wave = 0.3 * np.sin(2 * np.pi * frequency * time)
        given = Trajectory("wave", 50.0, flat[:, :3], flat[:, 3:], np.tile(wave[:, None], (1, 29)))
        fixed, _ = repair.smooth(given, 4.0)
        inner = slice(100, 400)
        np.testing.assert_allclose(fixed.joint_pos[inner, 5], gain * wave[inner], atol=3e-3)
    for wrong in (0.1, 25.0, np.nan):
        with pytest.raises(G1MimicError, match="cut-off frequency"):
            repair.smooth(given, wrong)


def test_smoothing_keeps_the_ends_and_slow_turns(walk: Trajectory) -> None:
    """Ends do not bend off, and a robot that turns round all the time goes on turning."""
    frames = len(walk.joint_pos)
    quat = quat_multiply(quat_from_yaw(np.linspace(0, 6.0, frames)), walk.root_quat)
    given = replace(walk, root_quat=quat)
    fixed, _ = repair.smooth(given, 6.0)
    assert quat_error(fixed.root_quat, given.root_quat).max() < 0.02
    assert abs(fixed.root_pos - given.root_pos).max() < 0.01
    assert abs(fixed.joint_pos[[0, -1]] - given.joint_pos[[0, -1]]).max() < 0.05


def test_smoothing_keeps_a_loop_closed() -> None:
    """The seam of a looped clip is smoothed like any other place."""
    clip = load_motion("walk")
    given = Trajectory("walk", clip.fps, clip.root_pos, clip.root_quat, clip.joint_pos, looped=True)
    fixed, _ = repair.smooth(given, 3.0)
    result = complete_trajectory(fixed)
    assert result.looped and loop_gap(result) < 1e-9
    assert not validate_clip(result).errors


def test_trimming_counts_seconds(walk: Trajectory) -> None:
    """Frames from a to b are kept, both included; a looped clip no longer loops."""
    fixed, text = repair.trim(walk, 0.5, 1.0)
    np.testing.assert_array_equal(fixed.joint_pos, walk.joint_pos[25:51])
    assert "26 of 151 frames" in text
    assert len(repair.trim(walk, None, 1.0)[0].joint_pos) == 51
    assert len(repair.trim(walk, None, None)[0].joint_pos) == 151
    clip = load_motion("stand")
    looped = Trajectory("s", clip.fps, clip.root_pos, clip.root_quat, clip.joint_pos, looped=True)
    assert repair.trim(looped, None, None)[0].looped
    assert not repair.trim(looped, 1.0, None)[0].looped
    with pytest.raises(G1MimicError, match="nothing is left"):
        repair.trim(walk, 8.0, 9.0)


@pytest.mark.parametrize("act", [blend_in, blend_out])
def test_blends_begin_and_end_in_standing(
    walk: Trajectory, profile: RobotProfile, act: type[None]
) -> None:
    """The added part leads from rest in the default pose into the motion, without a jump."""
    fixed, text = act(walk, 1.0, profile)  # type: ignore[call-arg, misc]
    frames = len(walk.joint_pos)
    assert len(fixed.joint_pos) == frames + 50
    flip = slice(None) if act is blend_in else slice(None, None, -1)
    pos, quat, joints = (v[flip] for v in (fixed.root_pos, fixed.root_quat, fixed.joint_pos))
    np.testing.assert_array_equal(joints[50:], walk.joint_pos[flip])
    np.testing.assert_array_equal(pos[50:], walk.root_pos[flip])
    np.testing.assert_allclose(joints[0], profile.default_position, atol=1e-12)
    assert pos[0, 2] == pytest.approx(profile.pelvis_height, abs=2e-3)
    assert quat_error(quat[0], quat_from_yaw(quat_yaw(quat[0]))) < 1e-7
    clip = complete_trajectory(fixed)
    inside = complete_trajectory(walk)
    # Nothing in the blend is faster than the walk itself, nor jumps where it begins.
    assert abs(np.diff(fixed.joint_pos, axis=0)).max() * 50.0 < 1.5 * abs(inside.joint_vel).max()
    step = np.diff(fixed.root_pos[:, :2], axis=0)[flip] * 50.0
    assert np.linalg.norm(np.diff(step[:51], axis=0), axis=1).max() < 0.05
    assert np.linalg.norm(step[0]) < 0.05
    assert abs(np.diff(fixed.joint_pos, 2, axis=0)[flip][45:50]).max() < 0.03
    report = validate_clip(clip, profile)
    assert not report.errors and not report.warnings
    np.testing.assert_allclose(foot_contacts(clip).height.min(axis=1), 0.0, atol=5e-3)
    assert "from standing put in front" in text or "into standing put behind" in text
    with pytest.raises(G1MimicError, match="2 needed"):
        act(walk, 0.02, profile)  # type: ignore[call-arg, misc]


def test_closing_a_loop_leads_the_end_to_the_start() -> None:
    """Most of a walking cycle closes without a jump in pose or speed; the rest is refused."""
    clip = load_motion("walk")
    steps = cut(clip, 100, 250)
    open_gap = repair.loop_mismatch(steps)
    assert open_gap["joints"] > 0.0
    changed = edited(steps, -1, 3, 0.2)  # so that there is something to close
    closed, text = close_loop(changed)
    result = complete_trajectory(closed)
    assert result.looped and loop_gap(result) < 1e-6
    np.testing.assert_array_equal(closed.joint_pos[:-25], changed.joint_pos[:-25])
    np.testing.assert_array_equal(closed.root_pos[:, :2], changed.root_pos[:, :2])
    laps = result.unrolled(2 * result.num_frames)
    seam = slice(result.num_frames - 4, result.num_frames + 3)
    bend = abs(np.diff(laps.joint_pos[:, 16:], 2, axis=0))
    assert bend[seam].max() < 2.0 * bend.max() and "joints by up to" in text
    far = edited(steps, -1, 3, 1.5)
    with pytest.raises(G1MimicError, match=r"off its first one \(joints\)"):
        close_loop(far)


def test_rotation_vectors_and_quaternions_are_inverse() -> None:
    """Every rotation below a half turn survives the way there and back."""
    vectors = np.random.default_rng(1).uniform(-1.7, 1.7, size=(100, 3))
    vectors[0] = 0.0
    again = rotation_vector(quat_from_rotation_vector(vectors))
    np.testing.assert_allclose(again, vectors, atol=1e-9)


def broken_file(tmp_path: Path, walk: Trajectory) -> Path:
    """A CSV with a glitch, too high, and with a joint beyond its limit."""
    profile = load_profile("g1_29dof")
    joints = walk.joint_pos.copy()
    joints[40, 16] += 0.5
    roll = JOINT_NAMES.index("waist_roll_joint")
    joints[70:90, roll] = profile.position_upper[roll] + 0.03 * np.sin(np.linspace(0, np.pi, 20))
    path = tmp_path / "broken.csv"
    high = walk.root_pos + up(0.08)
    save_csv(complete_trajectory(replace(walk, joint_pos=joints, root_pos=high)), path)
    return path


def test_auto_repairs_what_the_report_names(
    tmp_path: Path, walk: Trajectory, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each change is printed with figures, and the result is better than what came in."""
    path, out = broken_file(tmp_path, walk), tmp_path / "fixed.npz"
    before = inspect_motion(path)[1]
    assert {hint.split()[0] for hint in before.hints} >= {"--ground", "--clamp"}
    assert main(["motion", "fix", str(path), str(out), "--auto"]) == 0
    printed = capsys.readouterr().out
    assert "--glitches: 1 single frame(s) replaced (40)" in printed
    assert "--clamp: " in printed and "--ground: lowered by 0.08" in printed
    assert "usable with warnings before" in printed
    clip, after = inspect_motion(out, fps=None)
    assert len(after.warnings) < len(before.warnings)
    assert after.figures["frames outside joint limits"] == 0
    assert abs(foot_contacts(clip).stance_level()) < 2e-3
    assert clip.num_frames == 151


def test_nothing_is_changed_without_options(
    tmp_path: Path, walk: Trajectory, capsys: pytest.CaptureFixture[str]
) -> None:
    """A repair is never silent, and never uninvited."""
    path, out = broken_file(tmp_path, walk), tmp_path / "same.npz"
    assert main(["motion", "fix", str(path), str(out)]) == 0
    assert "nothing was changed" in capsys.readouterr().out
    np.testing.assert_allclose(load_motion(out).qpos(), load_motion(path).qpos(), atol=1e-9)


def test_options_act_in_their_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trim, mirror, blends and a new rate together give one clip."""
    out = tmp_path / "a.json"
    command = ["motion", "fix", "walk", str(out), "--trim", "2:4", "--mirror"]
    command += ["--blend-in", "1", "--blend-out", "0.5", "--fps", "25"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == [
        "--trim",
        "--mirror",
        "--blend-in",
        "--blend-out",
    ]
    clip = load_motion(out, fps=None)
    assert (clip.fps, clip.looped, clip.name) == (25.0, False, "a")
    assert clip.duration == pytest.approx(3.5, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trim", "x"], "--trim is A:B in seconds"),
        (["--trim", "50:60"], "nothing is left"),
        (["--smooth", "40"], "cut-off frequency is 40 Hz"),
        (["--smooth", "0"], "cut-off frequency is 0 Hz"),
        (["--blend-in", "0.01"], "2 needed"),
        (["--blend-in", "0"], "a blend of 0 s is impossible"),
        (["--blend-out", "nan"], "a blend of nan s is impossible"),
        (["--blend-out", "1e9"], "a blend of 1e+09 s is impossible"),
        (["--loop", "--blend-in", "1"], "neither begins nor ends"),
        (["--trim", "3:4.5", "--loop"], "can be blended away; trim it to a whole cycle"),
    ],
)
def test_repairs_that_cannot_be_are_refused(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and no file."""
    assert main(["motion", "fix", "walk", str(tmp_path / "a.json"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_report_has_a_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sound, doubtful and unusable clips are told apart, for people and for programs."""
    assert main(["motion", "info", "walk", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "ok" and report["hints"] == []
    assert report["figures"]["format"].startswith("JSON of this package")
    assert report["figures"]["mean slip of a standing foot [m/s]"] < 0.01
    clip = load_motion("walk")
    high = replace(clip, body_pos_w=clip.body_pos_w + up(0.2))
    save_npz(high, tmp_path / "high.npz")
    assert main(["motion", "info", str(tmp_path / "high.npz")]) == 0
    out = capsys.readouterr().out
    assert "never touch the floor" in out and "hint: --ground" in out
    assert "verdict: usable with warnings" in out


def test_floating_is_not_flying(walk: Trajectory, profile: RobotProfile) -> None:
    """A robot that hangs in the air is reported; one that falls freely is not."""
    stand = np.tile(profile.default_position, (100, 1))
    quat = np.tile([1.0, 0.0, 0.0, 0.0], (100, 1))
    time = (np.arange(100) - 50) / 50.0
    flight = np.clip(0.2 - 0.5 * 9.81 * time**2, 0.0, None)
    for height, floats in ((flight, False), (0.2 * (abs(time) < 0.2), True)):
        pos = np.zeros((100, 3))
        pos[:, 2] = profile.pelvis_height + height
        report = validate_clip(complete_trajectory(Trajectory("a", 50.0, pos, quat, stand)))
        assert (report.figures["frames that float"] != 0) == floats
        assert any("floats" in text for text in report.warnings) == floats


def test_sliding_feet_are_told(profile: RobotProfile) -> None:
    """A standing robot that is dragged slides; one that stands does not."""
    joints = np.tile(profile.default_position, (60, 1))
    quat = np.tile([1.0, 0.0, 0.0, 0.0], (60, 1))
    pos = np.zeros((60, 3))
    pos[:, 2] = profile.pelvis_height
    for speed in (0.0, 0.4):
        pos[:, 0] = speed * np.arange(60) / 50.0
        report = validate_clip(complete_trajectory(Trajectory("a", 50.0, pos, quat, joints)))
        slip = float(report.figures["mean slip of a standing foot [m/s]"])
        assert slip == pytest.approx(speed, abs=1e-6)
        assert any("slide" in text for text in report.warnings) == (speed > 0.0)
