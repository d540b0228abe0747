"""What public tools really write, beyond the plain cases: keys, headers, folders, stand-ins."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from g1_mimic.errors import G1MimicError
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.files import inspect_motion, load_motion
from g1_mimic.motion.formats.joints import JOINT_ORDERS
from g1_mimic.robot.names import JOINT_NAMES
from g1_mimic.rotations import quat_error, rotation_vector

SDK_TO_ISAAC = [JOINT_NAMES.index(name) for name in JOINT_ORDERS["isaac"]]


@pytest.fixture(scope="module")
def walk() -> MotionClip:
    return load_motion("walk").unrolled(150)


def same(got: MotionClip, clip: MotionClip, atol: float = 1e-5) -> None:
    np.testing.assert_allclose(got.joint_pos, clip.joint_pos, atol=atol)
    np.testing.assert_allclose(got.root_pos, clip.root_pos, atol=atol)
    assert quat_error(got.root_quat, clip.root_quat).max() < 10 * atol


def motion_library(clip: MotionClip) -> dict[str, Any]:
    """SONIC's training library: ASAP's keys with all 29 joints."""
    pose = np.zeros((clip.num_frames, 30, 3), np.float32)
    pose[:, 0] = rotation_vector(clip.root_quat)
    pose[:, 1:, 1] = clip.joint_pos
    return {
        "root_trans_offset": clip.root_pos.astype(np.float32),
        "pose_aa": pose,
        "dof": clip.joint_pos.astype(np.float32),
        "root_rot": clip.root_quat[:, [1, 2, 3, 0]].astype(np.float32),
        "smpl_joints": np.zeros((clip.num_frames, 24, 3), np.float32),
        "fps": 50,
    }


def deployment(clip: MotionClip) -> dict[str, Any]:
    """SONIC's deployment pickle: Isaac Lab's joint order, 14 bodies, no frame rate."""
    bodies = [0, *range(2, 15)]
    return {
        "joint_pos": clip.joint_pos[:, SDK_TO_ISAAC].astype(np.float32),
        "joint_vel": clip.joint_vel[:, SDK_TO_ISAAC].astype(np.float32),
        "body_pos_w": clip.body_pos_w[:, bodies].astype(np.float32),
        "body_quat_w": clip.body_quat_w[:, bodies].astype(np.float32),
        "_body_indexes": np.arange(14),
        "time_step_total": np.int64(clip.num_frames),
    }


def save(path: Path, data: object) -> Path:
    path.write_bytes(pickle.dumps(data, 4))
    return path


def test_asaps_keys_with_29_joints(walk: MotionClip, tmp_path: Path) -> None:
    """A library of SONIC has the wrists; pose_aa is still checked against the joints."""
    clip, _ = inspect_motion(save(tmp_path / "lib.pkl", {"walk_001": motion_library(walk)}))
    same(clip, walk)
    assert "quaternion read as xyzw: pose_aa has the same rotations" in clip.notes
    assert not any("wrists" in note for note in clip.notes)
    wrong = motion_library(walk)
    wrong["pose_aa"] = wrong["pose_aa"][:, :29]
    with pytest.raises(G1MimicError, match="29 bodies, at least 30"):
        inspect_motion(save(tmp_path / "bad.pkl", {"a": wrong}))


def test_sonics_deployment_pickle(walk: MotionClip, tmp_path: Path) -> None:
    """One of its sequences by name; 50 frames per second unless told."""
    path = save(tmp_path / "demo.pkl", {"a": deployment(walk), "b": deployment(walk)})
    same(load_motion(f"{path}#b"), walk)
    slow, _ = inspect_motion(f"{path}#a", source_fps=25.0, fps=None)
    assert slow.fps == 25.0
    with pytest.raises(G1MimicError, match=r"holds 2 motions; say which, as demo\.pkl#KEY: a, b"):
        load_motion(path)


@pytest.mark.parametrize("key", [Path("videos/walk_001.pkl"), 0])
def test_motions_under_paths_and_numbers(walk: MotionClip, tmp_path: Path, key: object) -> None:
    """PBHC's retargeter names a motion by a path object, others by a number; both are data."""
    path = save(tmp_path / "one.pkl", {key: motion_library(walk)})
    same(load_motion(path), walk)
    same(load_motion(f"{path}#{key}"), walk)


def test_arrays_of_names_do_no_harm(walk: MotionClip, tmp_path: Path) -> None:
    """A numpy array of texts beside the motion is read as what it is."""
    data = motion_library(walk) | {"link_body_list": np.array(["pelvis", "torso"])}
    same(load_motion(save(tmp_path / "names.pkl", data)), walk)


def bones(path: Path, clip: MotionClip, order: list[int] | None = None) -> Path:
    """A CSV as Bones-SEED has it: names, centimetres, degrees."""
    from scipy.spatial.transform import Rotation

    order = list(range(29)) if order is None else order
    euler = Rotation.from_quat(clip.root_quat[:, [1, 2, 3, 0]]).as_euler("xyz", degrees=True)
    names = [f"root_{what}{axis}" for what in ("translate", "rotate") for axis in "XYZ"]
    names += [f"{JOINT_NAMES[i]}_dof" for i in order]
    table = np.hstack([100.0 * clip.root_pos, euler, np.rad2deg(clip.joint_pos[:, order])])
    rows = [f"{i}," + ",".join(f"{v:.6f}" for v in row) for i, row in enumerate(table)]
    path.write_text("\n".join(["Frame," + ",".join(names), *rows]) + "\n")
    return path


def test_bones_seed(walk: MotionClip, tmp_path: Path) -> None:
    """Units, Euler angles and joint names are taken from the header; 120 frames per second."""
    pytest.importorskip("scipy")
    path = bones(tmp_path / "walk.csv", walk)
    clip, _ = inspect_motion(path, fps=None)
    assert clip.fps == 120.0
    same(clip, walk)
    told, report = inspect_motion(path, source_fps=50.0)
    same(told, walk)
    assert not report.errors
    same(inspect_motion(bones(tmp_path / "x.csv", walk, SDK_TO_ISAAC), fps=None)[0], walk)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0].replace("left_knee_joint", "left_nee_joint"), *lines[1:]]))
    with pytest.raises(G1MimicError, match="left_knee_joint"):
        inspect_motion(path)
    path.write_text("\n".join([lines[0], lines[1] + ",7"]))
    with pytest.raises(G1MimicError, match="line 2: 37 columns, expected 36"):
        inspect_motion(path)


def test_a_row_of_names_over_36_columns(walk: MotionClip, tmp_path: Path) -> None:
    """Names in the first row of a plain CSV are skipped; numbers after them are not."""
    table = walk.qpos()
    table[:, 3:7] = table[:, [4, 5, 6, 3]]
    rows = [",".join(map(repr, row)) for row in table.tolist()]
    path = tmp_path / "named.csv"
    path.write_text("\n".join([",".join(f"c{i}" for i in range(36)), *rows]))
    same(inspect_motion(path, source_fps=50.0, quat_order="xyzw")[0], walk)
    path.write_text("\n".join(["x," + rows[0].split(",", 1)[1], *rows]))
    with pytest.raises(G1MimicError, match="line 1, column 1: 'x' is no number"):
        inspect_motion(path)


@pytest.mark.parametrize("name", ["walk.csv", "walk.pkl", "walk.npz", "walk.json"])
def test_pointers_of_git_lfs_are_named(tmp_path: Path, name: str) -> None:
    """A clone without LFS has text files in place of motions: the error says what to run."""
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:9c3b\nsize 539165\n"
    (tmp_path / name).write_text(text)
    folder = tmp_path / "sonic"
    folder.mkdir()
    for file in ("joint_pos.csv", "body_pos.csv", "body_quat.csv"):
        (folder / file).write_text(text)
    for path in (tmp_path / name, folder):
        with pytest.raises(G1MimicError, match="git lfs pull") as error:
            inspect_motion(path)
        assert "\n" not in str(error.value)


def test_a_folder_of_sonic_folders_names_them(tmp_path: Path) -> None:
    """The dataset's own folder is no motion; the error shows what is in it."""
    for name in ("squat_001", "walk_002"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "joint_pos.csv").write_text("joint_0\n")
    with pytest.raises(G1MimicError, match=r"holds 2 motions: .*squat_001, walk_002"):
        inspect_motion(tmp_path)
