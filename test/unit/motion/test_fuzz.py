"""Whatever the bytes of a motion file, reading it gives a clip or one line, never anything else."""

from __future__ import annotations

import json
import pickle
import random
import resource
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from g1_mimic.errors import G1MimicError
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.files import inspect_motion, load_motion, save_csv, save_json, save_npz
from g1_mimic.motion.formats.joints import ISAAC_JOINT_NAMES
from g1_mimic.robot.names import JOINT_NAMES

CASES = 200


@pytest.fixture(scope="module")
def clip() -> MotionClip:
    """A short clip, so that most bytes matter."""
    from g1_mimic.motion.kinematics import complete_clip

    walk = load_motion("walk")
    part = slice(100, 112)
    return complete_clip(
        "walk", 50.0, walk.root_pos[part], walk.root_quat[part], walk.joint_pos[part], False
    )


def unnamed_npz(clip: MotionClip, path: Path) -> None:
    """Write as BeyondMimic does."""
    save_npz(clip, path, order="isaac")
    data = {k: v for k, v in np.load(path).items() if k not in ("joint_names", "body_names")}
    np.savez_compressed(path, **data)


def plain_csv(clip: MotionClip, path: Path) -> None:
    """Write as LAFAN1's converters do."""
    np.savetxt(path, clip.qpos()[:, [0, 1, 2, 4, 5, 6, 3, *range(7, 36)]], delimiter=",")


def gmr(clip: MotionClip, path: Path, protocol: int = 4) -> None:
    """Write as GMR does."""
    data = {
        "fps": 50,
        "root_pos": clip.root_pos,
        "root_rot": clip.root_quat[:, [1, 2, 3, 0]],
        "dof_pos": clip.joint_pos,
    }
    path.write_bytes(pickle.dumps(data, protocol))


def gmr_text(clip: MotionClip, path: Path) -> None:
    """Write as GMR does, in the protocol of text."""
    gmr(clip, path, 0)


def mimickit(clip: MotionClip, path: Path) -> None:
    """Write as MimicKit does."""
    rows = np.concatenate([clip.root_pos, np.zeros((12, 3)), clip.joint_pos], axis=1).tolist()
    path.write_bytes(pickle.dumps({"fps": 50, "loop_mode": 1, "frames": rows}))


WRITERS: dict[str, Callable[[MotionClip, Path], None]] = {
    "own.json": save_json,
    "own.npz": save_npz,
    "own.csv": save_csv,
    "plain.npz": unnamed_npz,
    "plain.csv": plain_csv,
    "gmr.pkl": gmr,
    "text.pkl": gmr_text,
    "mimickit.pkl": mimickit,
}


def damage(content: bytes, rng: random.Random) -> bytes:
    """Cut, flip, repeat, drop or overwrite a part of some bytes."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        # Half of all damage near the ends, where headers and directories are.
        place = rng.choice([rng.randrange(200), len(data) - rng.randrange(1, 200)])
        at = min(max(rng.choice([place, rng.randrange(len(data) or 1)]), 0), max(len(data) - 1, 0))
        match rng.randrange(6):
            case 0:
                del data[at:]
            case 1 if data:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                del data[at : at + rng.randrange(1, 64)]
            case 3:
                data[at : at + 4] = rng.choice([b"\xff\xff\xff\x7f", b"nan,", b"1e99", b"\0\0\0\0"])
            case 4:
                data[at:at] = data[at : at + rng.randrange(1, 64)]
            case _:
                data[at : at + 8] = rng.randbytes(8)
    return bytes(data)


def load_or_one_line(path: Path) -> bool:
    """Read a file that may be damaged; return whether it was a clip."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            clip, report = inspect_motion(path)
    except G1MimicError as error:
        assert str(error).isprintable(), repr(str(error))
        return False
    assert np.isfinite(clip.qvel()).all() and clip.num_frames <= 200_000
    assert str(report).isprintable() or "\n" in str(report)
    return True


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_files_end_in_one_line(clip: MotionClip, tmp_path: Path, name: str) -> None:
    """Hundreds of seeded damages per format: a clip or one line, and no memory is eaten."""
    path = tmp_path / name
    WRITERS[name](clip, path)
    content = path.read_bytes()
    assert load_or_one_line(path)
    rng = random.Random(name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read = 0
    for _ in range(CASES):
        path.write_bytes(damage(content, rng))
        read += load_or_one_line(path)
    assert read < CASES
    # kB; the largest motion that is allowed would take 2 GB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000


def test_damaged_recordings_end_in_one_line(shared_data: Path, tmp_path: Path) -> None:
    """The same of joblib's stream, as ASAP writes it."""
    content = (shared_data / "asap_step_forward_forward_level1.pkl").read_bytes()
    rng = random.Random("asap")
    path = tmp_path / "a.pkl"
    read = 0
    for _ in range(CASES // 2):
        path.write_bytes(damage(content, rng))
        read += load_or_one_line(path)
    assert 0 < read < CASES // 2


def test_damaged_folders_end_in_one_line(clip: MotionClip, tmp_path: Path) -> None:
    """The same of SONIC's folders, of which a file may also be missing."""
    folder = write_sonic(clip, tmp_path / "clip")
    rng = random.Random("sonic")
    assert load_or_one_line(folder)
    whole = {file.name: file.read_bytes() for file in folder.iterdir()}
    for _ in range(CASES // 2):
        victim = rng.choice(sorted(whole))
        for name, content in whole.items():
            (folder / name).write_bytes(damage(content, rng) if name == victim else content)
        if rng.random() < 0.1:
            (folder / victim).unlink()
        load_or_one_line(folder)
    shutil.rmtree(folder)


def write_sonic(clip: MotionClip, folder: Path, header: bool = True) -> Path:
    """Write a folder as SONIC's converters do."""
    folder.mkdir()
    columns = [JOINT_NAMES.index(name) for name in ISAAC_JOINT_NAMES]
    tables = {
        "joint_pos": clip.joint_pos[:, columns],
        "joint_vel": clip.joint_vel[:, columns],
        "body_pos": clip.body_pos_w[:, :14].reshape(clip.num_frames, -1),
        "body_quat": clip.body_quat_w[:, :14].reshape(clip.num_frames, -1),
    }
    for name, table in tables.items():
        head = ",".join(f"{name}_{i}" for i in range(table.shape[1])) if header else ""
        np.savetxt(folder / f"{name}.csv", table, delimiter=",", header=head, comments="")
    (folder / "metadata.txt").write_text("Body part indexes:\n[0 4 10]\n")
    return folder


@pytest.mark.parametrize("header", [True, False])
def test_sonic_folders_are_read(clip: MotionClip, tmp_path: Path, header: bool) -> None:
    """Isaac order, w x y z, the pelvis first, with or without a row of names."""
    folder = write_sonic(clip, tmp_path / "dance", header)
    again = load_motion(folder)
    assert (again.name, again.fps) == ("dance", 50.0)
    np.testing.assert_allclose(again.joint_pos, clip.joint_pos, atol=1e-9)
    np.testing.assert_allclose(again.body_pos_w, clip.body_pos_w, atol=1e-9)
    assert load_motion(folder, source_fps=25.0, fps=None).fps == 25.0
    np.savetxt(folder / "joint_vel.csv", clip.joint_vel + 1.0, delimiter=",")
    assert any("joint_vel" in note for note in load_motion(folder).notes)
    (folder / "body_quat.csv").unlink()
    with pytest.raises(G1MimicError, match=r"body_quat.csv is missing"):
        load_motion(folder)
    with pytest.raises(G1MimicError, match=r"holds 1 motion: name .*dance"):
        load_motion(tmp_path)


def test_numbers_without_end_are_one_line(clip: MotionClip, tmp_path: Path) -> None:
    """JSON may hold numbers that no float holds, and nest without end."""
    path = tmp_path / "a.json"
    save_json(clip, path)
    data = json.loads(path.read_text())
    for frames in ([[10**400] * 36] * 2, [[1e308] * 36] * 2):
        path.write_text(json.dumps(data | {"frames": frames}))
        assert not load_or_one_line(path)
    for content in ('{"a":' * 100_000, "{" * 100_000, '{"fps": ' + "9" * 10_000 + "}"):
        path.write_text(content)
        assert not load_or_one_line(path)
