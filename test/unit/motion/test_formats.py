"""Laws of reading and writing motion files."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from one_more import help_of

from g1_mimic.errors import G1MimicError
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.files import (
    FORMATS,
    Format,
    inspect_motion,
    load_motion,
    motion_formats_table,
    motions_in,
    read_trajectory,
    save_csv,
    save_json,
    save_motion,
    save_npz,
)
from g1_mimic.motion.formats.joints import ISAAC_BODY_NAMES, ISAAC_JOINT_NAMES, JOINT_ORDERS
from g1_mimic.motion.formats.orders import ReadOptions
from g1_mimic.motion.kinematics import complete_clip
from g1_mimic.motion.trajectory import Trajectory, resample
from g1_mimic.robot.names import BODY_NAMES, JOINT_NAMES, TRACKED_BODY_NAMES
from g1_mimic.robot.profile import load_profile
from g1_mimic.rotations import quat_apply, quat_from_rpy, quat_from_yaw, quat_multiply

FPS = 50.0


@pytest.fixture
def clip() -> MotionClip:
    """Half a second of turning, leaning and moving every joint differently."""
    time = np.arange(26)[:, None] / FPS
    base = load_profile("g1_29dof").default_position
    joints = base + 0.1 * np.sin(3.0 * time + np.arange(29))
    pos = np.concatenate([0.3 * time, 0.1 * time, 0.78 + 0.0 * time], axis=1)
    lean = 0.2 * np.sin(time[:, 0])
    return complete_clip(
        "demo", FPS, pos, quat_from_rpy(lean, 0.5 * lean, time[:, 0]), joints, False
    )


def same(a: MotionClip, b: MotionClip, atol: float = 2e-6) -> None:
    """Assert that two clips show the same motion."""
    assert (a.fps, a.looped, a.joint_names, a.body_names) == (
        b.fps,
        b.looped,
        b.joint_names,
        b.body_names,
    )
    np.testing.assert_allclose(a.joint_pos, b.joint_pos, atol=atol)
    np.testing.assert_allclose(a.body_pos_w, b.body_pos_w, atol=atol)
    sign = np.sign((a.body_quat_w * b.body_quat_w).sum(-1, keepdims=True))
    np.testing.assert_allclose(a.body_quat_w, sign * b.body_quat_w, atol=atol)
    np.testing.assert_allclose(a.joint_vel, b.joint_vel, atol=100 * atol)
    np.testing.assert_allclose(a.body_ang_vel_w, b.body_ang_vel_w, atol=100 * atol)


def edit(path: Path, **changes: object) -> Path:
    """Change keys of a JSON file; None removes one."""
    data = json.loads(path.read_text())
    for key, value in changes.items():
        data.pop(key, None)
        if value is not None:
            data[key] = value
    path.write_text(json.dumps(data))
    return path


def write_csv(clip: MotionClip, path: Path, order: str = "wxyz", yaw: float = 0.0) -> Path:
    """Write a clip as 36 columns, turned by ``yaw``, in either order of the quaternion."""
    turn = quat_from_yaw(np.array(yaw))
    quat = quat_multiply(turn, clip.root_quat)
    quat = quat if order == "wxyz" else quat[:, [1, 2, 3, 0]]
    table = np.concatenate([quat_apply(turn, clip.root_pos), quat, clip.joint_pos], axis=1)
    np.savetxt(path, table, delimiter=",", fmt="%.9f")
    return path


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_round_trip_keeps_the_motion(clip: MotionClip, tmp_path: Path, suffix: str) -> None:
    """What is written is read again to 1e-6, name and loop flag included."""
    path = tmp_path / f"file{suffix}"
    save_motion(clip, path)
    again = load_motion(path)
    same(again, clip)
    assert again.name == "demo"
    assert list(tmp_path.iterdir()) == [path]


def test_isaac_order_is_breadth_first() -> None:
    """Isaac Lab's order puts the 14 tracked bodies at the indices that BeyondMimic uses."""
    expected = [0, 4, 10, 18, 5, 11, 19, 9, 16, 22, 28, 17, 23, 29]
    assert [ISAAC_BODY_NAMES.index(name) for name in TRACKED_BODY_NAMES] == expected
    assert sorted(ISAAC_JOINT_NAMES) == sorted(JOINT_NAMES)
    assert ISAAC_JOINT_NAMES[:4] == (
        "left_hip_pitch_joint",
        "right_hip_pitch_joint",
        "waist_yaw_joint",
        "left_hip_roll_joint",
    )


@pytest.mark.parametrize("order", ["mjcf", "isaac"])
@pytest.mark.parametrize("reading", ["wxyz", "xyzw"])
def test_npz_without_names_is_detected(
    clip: MotionClip, tmp_path: Path, order: str, reading: str
) -> None:
    """BeyondMimic's and mjlab's files hold no names: kinematics tell the order."""
    path = tmp_path / "file.npz"
    save_npz(clip, path, order=order)
    data = dict(np.load(path))
    for key in ("joint_names", "body_names", "name", "looped"):
        del data[key]
    if reading == "xyzw":
        data["body_quat_w"] = data["body_quat_w"][..., [1, 2, 3, 0]]
    np.savez(path, **data)
    again = load_motion(path)
    same(again, clip)
    assert f"joints in {order}, bodies in {order} order, {reading}" in again.notes[0]


def test_npz_velocities_are_recomputed(clip: MotionClip, tmp_path: Path) -> None:
    """Wrong stored velocities change nothing but a note that says so."""
    path = tmp_path / "file.npz"
    save_npz(replace(clip, body_ang_vel_w=clip.body_ang_vel_w + 1.0), path)
    again = load_motion(path)
    same(again, clip)
    assert "body_ang_vel_w is 1.73 rad/s off" in again.notes[0]


def test_npz_that_fits_no_order_is_refused(clip: MotionClip, tmp_path: Path) -> None:
    """Body poses that the joint angles do not give are another robot's."""
    path = tmp_path / "file.npz"
    data: dict[str, Any] = {
        "fps": [50],
        "joint_pos": clip.joint_pos[:, ::-1],
        "body_pos_w": clip.body_pos_w,
        "body_quat_w": clip.body_quat_w,
    }
    np.savez(path, **data)
    with pytest.raises(G1MimicError, match="neither in MJCF nor in Isaac Lab order"):
        load_motion(path)


def test_npz_with_wrong_names_is_refused(clip: MotionClip, tmp_path: Path) -> None:
    """Names are believed only if the body poses agree with them."""
    path = tmp_path / "file.npz"
    save_npz(clip, path)
    data = dict(np.load(path))
    data["joint_names"] = data["joint_names"][::-1]
    np.savez(path, **data)
    with pytest.raises(G1MimicError, match="the names do not fit the arrays"):
        load_motion(path)


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_damaged_npz_is_one_line(clip: MotionClip, tmp_path: Path, content: bytes | None) -> None:
    """An empty, foreign or truncated file is refused in one line."""
    path = tmp_path / "file.npz"
    save_npz(clip, path)
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(G1MimicError, match="no readable npz") as caught:
        load_motion(path)
    assert "\n" not in str(caught.value)


def test_npz_with_a_pickle_is_refused(tmp_path: Path) -> None:
    """Objects in an npz would run code when read: they are not."""
    path = tmp_path / "file.npz"
    np.savez(path, fps=np.array([{"a": 1}], dtype=object))
    with pytest.raises(G1MimicError, match="no readable npz"):
        load_motion(path)


@pytest.mark.parametrize("key", ["fps", "joint_pos", "body_pos_w", "body_quat_w"])
def test_npz_without_an_array_names_it(clip: MotionClip, tmp_path: Path, key: str) -> None:
    """The missing array is named."""
    path = tmp_path / "file.npz"
    save_npz(clip, path)
    np.savez(path, **{k: v for k, v in np.load(path).items() if k != key})
    with pytest.raises(G1MimicError, match=f"'{key}' is missing"):
        load_motion(path)


@pytest.mark.parametrize(
    "damage",
    [
        {"joint_pos": np.zeros((26, 23))},
        {"joint_pos": np.zeros(26)},
        {"body_pos_w": np.zeros((25, 30, 3))},
        {"body_quat_w": np.zeros((26, 29, 4))},
        {"fps": np.array([50, 30])},
        {"fps": np.array([0])},
        {"body_names": np.array(["a"])},
    ],
)
def test_npz_with_wrong_shapes_is_refused(
    clip: MotionClip, tmp_path: Path, damage: dict[str, np.ndarray]
) -> None:
    """No shape leads to anything but one line."""
    path = tmp_path / "file.npz"
    save_npz(clip, path)
    np.savez(path, **{**np.load(path), **damage})
    with pytest.raises(G1MimicError):
        load_motion(path)


@pytest.mark.parametrize("order", ["wxyz", "xyzw"])
@pytest.mark.parametrize("yaw", [0.0, 1.57, 3.14159])
def test_csv_order_is_told_from_the_motion(
    shared_data: Path, tmp_path: Path, order: str, yaw: float
) -> None:
    """Real clips are read alike in both orders and in every direction."""
    for name, told in (("kimodo_walk", "wxyz"), ("kimodo_wave", "wxyz"), ("dance_20s", "xyzw")):
        original = load_motion(shared_data / f"{name}.csv", fps=None)
        assert f"read as {told}" in original.notes[0]
        path = write_csv(original, tmp_path / f"{name}.csv", order, yaw)
        again = load_motion(path, fps=None)
        assert f"read as {order}" in again.notes[0]
        np.testing.assert_allclose(again.root_pos[:, 2], original.root_pos[:, 2], atol=1e-6)
        np.testing.assert_allclose(
            again.body_pos_w[:, 6, 2], original.body_pos_w[:, 6, 2], atol=1e-6
        )


def test_csv_that_could_be_both_is_refused_unless_told(tmp_path: Path) -> None:
    """A robot that all but stands still along x looks the same under both readings."""
    path = tmp_path / "still.csv"
    row = [0.0, 0.0, 0.76, 0.0, 0.0, 0.0, 1.0, *load_profile("g1_29dof").default_position]
    table = np.tile(row, (10, 1))
    table[:, 7:] += 1e-4 * np.sin(np.arange(10))[:, None]
    np.savetxt(path, table, delimiter=",")
    with pytest.raises(G1MimicError, match=r"cannot tell whether .*--quat-order"):
        load_motion(path)
    np.testing.assert_allclose(load_motion(path, quat_order="xyzw").root_quat[0], [1, 0, 0, 0])
    np.testing.assert_allclose(load_motion(path, quat_order="wxyz").root_quat[0], [0, 0, 0, 1])


def test_csv_frame_rate_is_a_parameter(clip: MotionClip, tmp_path: Path) -> None:
    """30 Hz unless told otherwise."""
    path = write_csv(clip, tmp_path / "a.csv")
    assert read_trajectory(path).fps == 30.0
    same(load_motion(path, source_fps=50.0), clip)
    with pytest.raises(G1MimicError, match="fps must be above 0, not -1"):
        load_motion(path, source_fps=-1.0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3", "line 3: 3 columns, expected 36"),
        (",".join(["0"] * 35 + ["x"]), "line 3, column 36: 'x' is no number"),
        (",".join(["0"] * 7 + ["nan"] + ["0"] * 28), "frame 2, left_hip_pitch_joint is nan"),
    ],
)
def test_csv_errors_name_the_place(
    clip: MotionClip, tmp_path: Path, line: str, message: str
) -> None:
    """The line, column, frame or joint that is wrong is named."""
    path = write_csv(clip, tmp_path / "a.csv")
    lines = path.read_text().splitlines()
    lines[2] = line.replace("0,0,0,0,0,0,0", "0,0,0.7,1,0,0,0", 1)
    path.write_text("\n".join(lines))
    with pytest.raises(G1MimicError, match=message):
        load_motion(path, quat_order="wxyz")


def test_empty_csv_is_refused(tmp_path: Path) -> None:
    """A file without frames holds no motion."""
    (tmp_path / "a.csv").write_text("# nothing\n\n")
    with pytest.raises(G1MimicError, match="holds no frames"):
        load_motion(tmp_path / "a.csv")


def test_json_joints_come_in_any_order(clip: MotionClip, tmp_path: Path) -> None:
    """Columns go by the names above them."""
    path = tmp_path / "a.json"
    save_json(clip, path)
    data = json.loads(path.read_text())
    frames = [row[:7] + row[7:][::-1] for row in data["frames"]]
    edit(path, joint_names=data["joint_names"][::-1], frames=frames)
    same(load_motion(path), clip)


def test_json_errors_name_the_key(clip: MotionClip, tmp_path: Path) -> None:
    """Every key of the wrong kind is named in one line."""
    path = tmp_path / "a.json"
    row = [0.0, 0.0, 0.76, 1.0, 0.0, 0.0, 0.0, *[0.0] * 29]
    cases: list[tuple[dict[str, object], str]] = [
        ({"format": "other"}, "format 'other' version 1"),
        ({"version": 2}, "version 2"),
        ({"frames": None}, "the key 'frames' is missing"),
        ({"extra": 1}, "unknown key 'extra'"),
        ({"fps": "fast"}, "fps is 'fast'"),
        ({"fps": 0}, "fps must be above 0"),
        ({"looped": "yes"}, "looped is 'yes'"),
        ({"frames": []}, "one row per frame"),
        ({"frames": [row]}, "has 1 frame"),
        ({"frames": [row, row[:-1]]}, "frame 1 is 35 numbers, expected 36"),
        ({"frames": [row, 3]}, "frame 1 is int"),
        ({"frames": [row, ["a", *row[1:]]]}, "frame 1, column 1: 'a' is no number"),
        ({"frames": [row, [*row[:3], 0.0, *row[4:]]]}, "quaternion of frame 1 has norm 0"),
        ({"frames": [row, [*row[:-1], float("inf")]]}, "frame 1, right_wrist_yaw_joint is inf"),
        ({"joint_names": [*JOINT_NAMES[:-1], "tail"]}, "right_wrist_yaw_joint missing"),
        ({"joint_names": "all"}, "must be a list of names"),
    ]
    for changes, message in cases:
        save_json(clip, path)
        edit(path, **changes)
        with pytest.raises(G1MimicError, match=message) as caught:
            load_motion(path)
        assert "\n" not in str(caught.value)


def test_missing_and_double_joints_are_named(clip: MotionClip, tmp_path: Path) -> None:
    """A robot with fewer joints, or a joint named twice, is refused by name."""
    path = tmp_path / "a.json"
    save_json(clip, path)
    data = json.loads(path.read_text())
    frames = [row[:-2] for row in data["frames"]]
    edit(path, joint_names=list(JOINT_NAMES[:-2]), frames=frames)
    with pytest.raises(
        G1MimicError, match=r"joints right_wrist_pitch_joint, right_wrist_yaw_joint"
    ):
        load_motion(path)
    frames = [[*row, 0.0] for row in data["frames"]]
    edit(path, joint_names=[*JOINT_NAMES, JOINT_NAMES[0]], frames=frames)
    with pytest.raises(G1MimicError, match="left_hip_pitch_joint named twice"):
        load_motion(path)


def test_unknown_endings_are_refused(clip: MotionClip, tmp_path: Path) -> None:
    """Readers and writers say which endings they know."""
    (tmp_path / "a.bvh").write_text("HIERARCHY")
    with pytest.raises(G1MimicError, match=r"\.json, \.npz, \.csv"):
        load_motion(tmp_path / "a.bvh")
    with pytest.raises(G1MimicError, match=r"written as \.json, \.npz, \.csv"):
        save_motion(clip, tmp_path / "a.bvh")


def ramp(fps: float, frames: int, looped: bool = False) -> Trajectory:
    """A trajectory whose columns are the time in s."""
    time = np.arange(frames)[:, None] / fps
    pos = np.repeat(time, 3, axis=1)
    return Trajectory("ramp", fps, pos, quat_from_yaw(time[:, 0]), np.repeat(time, 29, 1), looped)


def test_resampling_keeps_exact_instants() -> None:
    """30 to 50 Hz: frame k is the instant k / 50, positions and angles interpolated."""
    result = resample(ramp(30.0, 31), 50.0)
    assert len(result.joint_pos) == 51
    np.testing.assert_allclose(result.root_pos[:, 0], np.arange(51) / 50.0, atol=1e-12)
    np.testing.assert_allclose(result.root_quat, quat_from_yaw(np.arange(51) / 50.0), atol=1e-12)


def test_resampling_counts_a_rounded_end_as_exact() -> None:
    """69 / 30 s is 115 / 50 s, although the quotient of the floats is a little less."""
    assert len(resample(ramp(30.0, 70), 50.0).joint_pos) == 116


def test_resampling_drops_what_reaches_past_the_end() -> None:
    """A last frame between two instants is left out; nothing is extrapolated."""
    result = resample(ramp(30.0, 150), 50.0)
    assert len(result.joint_pos) == 249  # 149 / 30 s = 248.33 / 50 s
    assert result.joint_pos.max() <= 149 / 30.0


def test_resampling_to_the_same_rate_changes_nothing() -> None:
    """The very same object comes back."""
    given = ramp(50.0, 20)
    assert resample(given, 50.0) is given


def test_resampling_a_loop_keeps_its_last_frame() -> None:
    """The seam stays closed: the period is rounded to whole frames."""
    given = ramp(30.0, 32, looped=True)
    result = resample(given, 50.0)
    assert len(result.joint_pos) == 53  # 51.67 frames per period become 52
    np.testing.assert_allclose(result.joint_pos[-1], given.joint_pos[-1])


def test_shared_recordings_load(shared_data: Path) -> None:
    """Real files of other projects load without errors, at 50 Hz."""
    files = [file for file in sorted(shared_data.iterdir()) if file.suffix != ".md"]
    assert len(files) >= 7
    for file in files:
        clip = load_motion(file)
        assert clip.fps == 50.0
        assert clip.body_names == BODY_NAMES
        assert np.isfinite(clip.qvel()).all()


def test_holosoma_velocities_are_noted_as_wrong(shared_data: Path) -> None:
    """holosoma's stored angular velocities are not those of its poses; root and joints are."""
    path = shared_data / "holosoma_sub3_largebox.npz"
    clip = load_motion(path)
    assert any("body_ang_vel_w" in note for note in clip.notes)
    stored = np.load(path)
    inner = slice(1, -1)  # ends: they extrapolate, we take one-sided differences
    np.testing.assert_allclose(
        clip.body_ang_vel_w[inner, 0], stored["joint_vel"][inner, 3:6], atol=1e-4
    )
    np.testing.assert_allclose(clip.joint_vel[inner], stored["joint_vel"][inner, 6:], atol=1e-5)


@pytest.mark.parametrize("order", ["mjcf", "isaac"])
def test_csv_joint_order_is_told_from_the_feet(
    shared_data: Path, tmp_path: Path, order: str
) -> None:
    """A CSV in Isaac Lab's order is read as one; so is one that is told."""
    columns = [JOINT_NAMES.index(name) for name in JOINT_ORDERS[order]]
    for name in ("kimodo_walk", "kimodo_wave", "dance_20s"):
        original = load_motion(shared_data / f"{name}.csv", fps=None)
        shuffled = replace(original, joint_pos=original.joint_pos[:, columns])
        path = write_csv(shuffled, tmp_path / f"{name}.csv", "xyzw", 0.4)
        for told in (None, order):
            again = load_motion(path, fps=None, joints=told)
            np.testing.assert_allclose(again.joint_pos, original.joint_pos, atol=1e-8)
            assert any(f"joints read in {order} order" in note for note in again.notes)


def test_csv_joints_that_could_be_both_are_refused_unless_told(tmp_path: Path) -> None:
    """Angles that stand flat in both orders leave the choice to the user."""
    joints = np.zeros((20, 29))
    joints[:, JOINT_NAMES.index("left_elbow_joint")] = 0.1
    quat = quat_from_yaw(np.full(20, 1.0))
    clip = complete_clip("zero", 30.0, np.tile([0, 0, 0.79], (20, 1)), quat, joints, False)
    path = write_csv(clip, tmp_path / "zero.csv")
    with pytest.raises(G1MimicError, match=r"mjcf or isaac order .* --joints"):
        load_motion(path)
    np.testing.assert_allclose(load_motion(path, joints="mjcf", fps=None).joint_pos, joints)
    isaac = load_motion(path, joints="isaac", fps=None).joint_pos
    assert abs(isaac - joints).max() == pytest.approx(0.1)


@pytest.mark.parametrize("order", ["xyzw", "wxyz"])
def test_own_csv_says_what_others_leave_open(clip: MotionClip, tmp_path: Path, order: str) -> None:
    """Rate, orders, name and loop flag come back; readers that skip comments read the numbers."""
    path = tmp_path / "a.csv"
    save_csv(replace(clip, name="a; b"), path, quat_order=order)
    again = load_motion(path, fps=None)
    same(again, clip)
    assert (again.name, again.fps, again.notes) == ("a  b", 50.0, ())
    table = np.loadtxt(path, delimiter=",")
    quat = clip.root_quat if order == "wxyz" else clip.root_quat[:, [1, 2, 3, 0]]
    np.testing.assert_allclose(table[:, 3:7], quat, atol=1e-8)
    with pytest.raises(G1MimicError, match="--source-fps is for files that do not say it"):
        load_motion(path, source_fps=30.0)
    looped = load_motion("walk")
    save_csv(looped, path, quat_order=order)
    same(load_motion(path, fps=None), looped)
    text = path.read_text()
    path.write_text(text.replace("quat_order=" + order, "quat_order=zyxw", 1))
    with pytest.raises(G1MimicError, match="comment lines at the top are damaged"):
        load_motion(path)


def test_every_written_format_round_trips(shared_data: Path, tmp_path: Path) -> None:
    """A real clip survives a tour through every format, names stored or not, to 1e-6."""
    original = load_motion(shared_data / "dance_20s.csv", fps=None)
    clip, stripped = original, tmp_path / "bare.npz"
    for index, (suffix, options) in enumerate(
        [
            (".json", {}),
            (".npz", {"order": "isaac"}),
            (".csv", {"quat_order": "wxyz"}),
            (".npz", {"order": "mjcf"}),
            (".csv", {"quat_order": "xyzw"}),
        ]
    ):
        path = tmp_path / f"{index}{suffix}"
        if suffix == ".npz":
            save_npz(clip, path, **options)
            data = {k: v for k, v in np.load(path).items() if not k.endswith("_names")}
            np.savez(stripped, **data)
            same(load_motion(stripped, fps=None), original, 1e-6)
        elif suffix == ".csv":
            save_csv(clip, path, **options)
        else:
            save_motion(clip, path)
        clip = load_motion(path, fps=None)
        same(clip, original, 1e-6)


def test_content_counts_not_the_suffix(clip: MotionClip, tmp_path: Path) -> None:
    """A file under a wrong name is read as what it is; ``format`` overrules."""
    for save, kind in ((save_json, "json"), (save_npz, "npz"), (save_csv, "csv")):
        for name in ("a.pkl", "a.json", "a.npz", "a.csv", "a.txt", "a"):
            save(clip, tmp_path / name)
            same(load_motion(tmp_path / name), clip)
            same(load_motion(tmp_path / name, format=kind), clip)
    with pytest.raises(G1MimicError, match="no folder: not a sonic"):
        load_motion(tmp_path / "a", format="sonic")
    with pytest.raises(G1MimicError, match="no readable pickle"):
        load_motion(tmp_path / "a", format="pkl")


def test_foreign_files_are_told_by_name(tmp_path: Path) -> None:
    """Human motions and torch's files look like npz; they are refused for what they are."""
    np.savez(tmp_path / "amass.npz", poses=np.zeros((5, 72)), trans=np.zeros((5, 3)))
    with pytest.raises(G1MimicError, match="retarget it to the G1 first"):
        load_motion(tmp_path / "amass.npz")
    with zipfile.ZipFile(tmp_path / "clip.pt", "w") as archive:
        archive.writestr("clip/data.pkl", b"\x80\x02.")
    with pytest.raises(G1MimicError, match="a file of torch"):
        load_motion(tmp_path / "clip.pt")


def test_npz_order_can_be_told(clip: MotionClip, tmp_path: Path) -> None:
    """What is told of a file without names is taken, and checked against its bodies."""
    path = tmp_path / "a.npz"
    save_npz(clip, path, order="isaac")
    with pytest.raises(G1MimicError, match="--joints is for files that do not say it"):
        load_motion(path, joints="isaac")
    data = {k: v for k, v in np.load(path).items() if not k.endswith("_names")}
    np.savez(path, **data)
    same(load_motion(path, joints="isaac", quat_order="wxyz"), clip)
    with pytest.raises(G1MimicError, match="fits joint_pos neither"):
        load_motion(path, joints="mjcf")


def test_npz_that_claims_more_than_it_has_is_refused(clip: MotionClip, tmp_path: Path) -> None:
    """The size in an array's header is checked before memory is asked for."""
    path = tmp_path / "a.npz"
    save_npz(clip, path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    shape = str(clip.joint_pos.shape).encode()
    assert shape in files["joint_pos.npy"]
    huge = b"(1000000000000, 29)"
    header = files["joint_pos.npy"].replace(
        shape + b", }" + b" " * (len(huge) - len(shape)), huge + b", }"
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, header if name == "joint_pos.npy" else content)
    with pytest.raises(G1MimicError, match="claims 232000000000000 bytes"):
        load_motion(path)


@pytest.mark.parametrize("yaw", [0.0, 0.6, -2.0])
def test_orders_are_never_told_wrongly(
    shared_data: Path, repository: Path, tmp_path: Path, yaw: float
) -> None:
    """All clips at hand, in all four orders and several directions, are read right or refused."""
    files = [file for file in sorted(shared_data.iterdir()) if file.suffix != ".md"]
    files += sorted((repository / "models/motions").glob("*.json"))
    refused = 0
    for index, file in enumerate(files):
        clip = load_motion(file, fps=None)
        for joints, names in JOINT_ORDERS.items():
            columns = [JOINT_NAMES.index(name) for name in names]
            order = ("xyzw", "wxyz")[(index + (joints == "isaac")) % 2]
            shuffled = replace(clip, joint_pos=clip.joint_pos[:, columns])
            path = write_csv(shuffled, tmp_path / "a.csv", order, yaw)
            try:
                again = load_motion(path, fps=None)
            except G1MimicError as error:
                assert "cannot tell" in str(error)
                refused += 1
                continue
            np.testing.assert_allclose(again.joint_pos, clip.joint_pos, atol=1e-7)
            assert f"quaternion read as {order}" in again.notes[0], file
    assert refused <= 2  # a robot that hardly moves, heading along x


def test_one_more_format_is_one_more_entry(
    clip: MotionClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read by its content, by its name and in folders, written, and told in all places."""

    def read(path: Path, options: ReadOptions) -> Trajectory:
        name, fps, *rows = path.read_text().split("\n")
        table = np.array([row.split() for row in rows], dtype=float)
        return Trajectory(name, float(fps), table[:, :3], table[:, 3:7], table[:, 7:])

    def write(clip: MotionClip, path: Path) -> None:
        rows = (" ".join(map(repr, row)) for row in clip.qpos().tolist())
        path.write_text("\n".join(["dancing", repr(clip.fps), *rows]))

    def recognise(path: Path, head: bytes) -> str:
        return "its title" if head.startswith(b"dancing") else ""

    known = Format("text of ours", read, ".txt", recognise, write)
    monkeypatch.setitem(FORMATS, "text", known)
    save_motion(clip, tmp_path / "a.txt")
    (tmp_path / "named_otherwise").write_text((tmp_path / "a.txt").read_text())
    same(load_motion(tmp_path / "named_otherwise"), clip)
    same(load_motion(tmp_path / "a"), clip)  # the suffix is one of those that are looked for
    same(load_motion(tmp_path / "a.txt", format="text"), clip)
    assert motions_in(tmp_path) == [str(tmp_path / "a.txt")]
    _, report = inspect_motion(tmp_path / "a.txt")
    assert report.figures["format"] == "text of ours, by its title"
    assert motion_formats_table()[-1] == ("text", "text of ours", ".txt", True)
    assert "sonic, text (told" in help_of("motion", "info")
    assert "write: .json, .npz, .csv, .txt" in help_of("motion", "convert")
    with pytest.raises(G1MimicError, match=r"one of json, .*, text, not 'txet'; did you .* 'text'"):
        load_motion(tmp_path / "a.txt", format="txet")
