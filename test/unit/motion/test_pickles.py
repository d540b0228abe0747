"""Laws of reading pickled motions: the right numbers, and nothing ever run."""

from __future__ import annotations

import collections
import io
import os
import pickle
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from g1_mimic.errors import G1MimicError
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.files import inspect_motion, load_motion
from g1_mimic.motion.formats import safe_pickle
from g1_mimic.motion.formats.joints import WRIST_JOINT_NAMES
from g1_mimic.motion.formats.safe_pickle import load_pickle
from g1_mimic.robot.names import JOINT_NAMES
from g1_mimic.robot.profile import load_profile
from g1_mimic.rotations import quat_apply, quat_from_yaw, quat_multiply, rotation_vector

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.fixture(scope="module")
def walk() -> MotionClip:
    """The package's walk, heading along y."""
    clip = load_motion("walk")
    turn = quat_from_yaw(np.array(1.2))
    from g1_mimic.motion.kinematics import complete_clip

    return complete_clip(
        "walk",
        clip.fps,
        quat_apply(turn, clip.root_pos)[:200],
        quat_multiply(turn, clip.root_quat)[:200],
        clip.joint_pos[:200],
        False,
    )


def save(path: Path, data: object, protocol: int = 4) -> Path:
    """Write a pickle."""
    path.write_bytes(pickle.dumps(data, protocol))
    return path


def gmr(clip: MotionClip) -> dict[str, Any]:
    """The clip as GMR stores it."""
    return {
        "fps": clip.fps,
        "root_pos": clip.root_pos,
        "root_rot": clip.root_quat[:, [1, 2, 3, 0]],
        "dof_pos": clip.joint_pos,
        "local_body_pos": None,
        "link_body_list": ["pelvis"],
    }


def asap(clip: MotionClip) -> dict[str, Any]:
    """The clip as ASAP stores it, without wrists."""
    kept = [i for i, name in enumerate(JOINT_NAMES) if name not in WRIST_JOINT_NAMES]
    dof = clip.joint_pos[:, kept].astype(np.float32)
    pose = np.zeros((len(dof), 27, 3), np.float32)
    pose[:, 0] = rotation_vector(clip.root_quat)
    pose[:, 1:24, 1] = dof
    return {
        "root_trans_offset": clip.root_pos,
        "pose_aa": pose,
        "dof": dof,
        "root_rot": clip.root_quat[:, [1, 2, 3, 0]],
        "fps": 50,
    }


def mimickit(clip: MotionClip, loop_mode: int = 0) -> dict[str, Any]:
    """The clip as MimicKit stores it."""
    parts = [clip.root_pos, rotation_vector(clip.root_quat), clip.joint_pos]
    return {"loop_mode": loop_mode, "fps": 50, "frames": np.concatenate(parts, axis=1).tolist()}


def joblib_bytes(data: dict[str, np.ndarray | float]) -> bytes:
    """Write a dictionary as joblib does: arrays follow their descriptions, aligned to 16 bytes."""
    out = io.BytesIO()
    out.write(b"\x80\x04}(")

    def text(value: str) -> bytes:
        return b"\x8c" + bytes([len(value)]) + value.encode()

    for key, value in data.items():
        out.write(text(key))
        if not isinstance(value, np.ndarray):
            out.write(b"G" + struct.pack(">d", value))
            continue
        out.write(text("joblib.numpy_pickle") + text("NumpyArrayWrapper") + b"\x93)\x81}(")
        out.write(text("subclass") + b"cnumpy\nndarray\n")
        out.write(text("shape") + pickle.dumps(value.shape, 2)[2:-1])
        out.write(text("order") + text("C"))
        out.write(text("dtype") + pickle.dumps(value.dtype, 2)[2:-1])
        out.write(text("allow_mmap") + b"\x88")
        out.write(text("numpy_array_alignment_bytes") + b"K\x10ub")
        padding = 16 - (out.tell() + 1) % 16
        out.write(bytes([padding]) + b"\xff" * padding + value.tobytes())
    out.write(b"u.")
    return out.getvalue()


def same(a: MotionClip, b: MotionClip, joints: slice | list[int] = slice(None)) -> None:
    """Assert that two clips show the same motion."""
    np.testing.assert_allclose(a.root_pos, b.root_pos, atol=1e-6)
    np.testing.assert_allclose(abs((a.root_quat * b.root_quat).sum(-1)), 1.0, atol=1e-6)
    np.testing.assert_allclose(a.joint_pos[:, joints], b.joint_pos[:, joints], atol=1e-6)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_gmr_is_read_in_every_protocol(walk: MotionClip, tmp_path: Path, protocol: int) -> None:
    """A pickle of any age holds the same motion, whatever its suffix."""
    clip = load_motion(save(tmp_path / "motion.bin", gmr(walk), protocol))
    same(clip, walk)
    assert clip.notes[0] == "a motion of GMR"


def test_gmr_in_isaac_order_is_told_from_the_feet(walk: MotionClip, tmp_path: Path) -> None:
    """A file that breaks GMR's convention is read as what it is; options overrule."""
    from g1_mimic.motion.formats.joints import ISAAC_JOINT_NAMES

    columns = [JOINT_NAMES.index(name) for name in ISAAC_JOINT_NAMES]
    data = gmr(walk) | {"dof_pos": walk.joint_pos[:, columns], "root_rot": walk.root_quat}
    path = save(tmp_path / "a.pkl", data)
    clip = load_motion(path)
    same(clip, walk)
    assert any("isaac order" in note for note in clip.notes)
    same(load_motion(path, joints="isaac", quat_order="wxyz"), walk)
    wrong, report = inspect_motion(path, joints="mjcf", quat_order="wxyz")
    assert abs(wrong.joint_pos - walk.joint_pos).max() > 0.5
    assert report.warnings


@pytest.mark.parametrize("packed", [False, True])
def test_joblib_files_are_read(walk: MotionClip, tmp_path: Path, packed: bool) -> None:
    """Arrays that follow their description in the stream are found, compressed or not."""
    data = asap(walk)
    content = joblib_bytes(data)
    (tmp_path / "a.pkl").write_bytes(zlib.compress(content) if packed else content)
    clip = load_motion(tmp_path / "a.pkl")
    body = [i for i, name in enumerate(JOINT_NAMES) if name not in WRIST_JOINT_NAMES]
    same(clip, walk, body)
    wrists = [JOINT_NAMES.index(name) for name in WRIST_JOINT_NAMES]
    default = load_profile("g1_29dof").default_position[wrists]
    np.testing.assert_array_equal(clip.joint_pos[:, wrists], np.tile(default, (200, 1)))
    assert any("pose_aa has the same rotations" in note for note in clip.notes)


def test_asap_quaternion_order_is_told_by_pose_aa(walk: MotionClip, tmp_path: Path) -> None:
    """The rotation vectors beside the quaternions say which columns they are in."""
    path = save(tmp_path / "a.pkl", asap(walk) | {"root_rot": walk.root_quat})
    clip = load_motion(path)
    np.testing.assert_allclose(clip.body_pos_w[:, :16], walk.body_pos_w[:, :16], atol=1e-5)
    assert any("wxyz: pose_aa" in note for note in clip.notes)


def test_one_of_several_motions_is_picked_by_its_key(walk: MotionClip, tmp_path: Path) -> None:
    """A single motion is taken; of several, one must be named."""
    one = save(tmp_path / "one.pkl", {"first": asap(walk)})
    assert load_motion(one).name == "one"
    two = save(tmp_path / "two.pkl", {"first": asap(walk), "other": gmr(walk)})
    with pytest.raises(G1MimicError, match=r"2 motions; say which, as two.pkl#KEY: first, other"):
        load_motion(two)
    clip = load_motion(f"{two}#other")
    same(clip, walk)
    assert clip.name == "other"
    with pytest.raises(G1MimicError, match="holds no motion 'third'; it holds: first, other"):
        load_motion(f"{two}#third")
    with pytest.raises(G1MimicError, match="not found"):
        load_motion(tmp_path / "none.pkl#first")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_mimickit_frames_are_lists(walk: MotionClip, tmp_path: Path, protocol: int) -> None:
    """Root rotation vectors and rows of floats are read; a loop mode is told."""
    clip = load_motion(save(tmp_path / "a.pkl", mimickit(walk, loop_mode=1), protocol))
    same(clip, walk)
    assert any("loop_mode 1" in note for note in clip.notes)
    data = mimickit(walk) | {"frames": np.array(mimickit(walk)["frames"])}
    same(load_motion(save(tmp_path / "b.pkl", data, protocol)), walk)


def test_stored_velocities_that_are_wrong_are_told(walk: MotionClip, tmp_path: Path) -> None:
    """They are recomputed, and a note says so."""
    data = asap(walk)
    right = data | {"dof_vel": np.gradient(data["dof"], 1 / 50, axis=0)}
    notes = load_motion(save(tmp_path / "a.pkl", right)).notes
    assert not any("recomputed" in note for note in notes)
    notes = load_motion(save(tmp_path / "b.pkl", data | {"dof_vel": data["dof"] + 3.0})).notes
    assert any("dof_vel" in note and "recomputed" in note for note in notes)


def test_shared_asap_files_load(shared_data: Path) -> None:
    """Real joblib files: 23 joints at 30 Hz, upright, feet on the floor."""
    files = sorted(shared_data.glob("asap_*.pkl"))
    assert len(files) == 3
    for file in files:
        clip, report = inspect_motion(file, fps=None)
        assert clip.fps == 30.0
        assert not report.errors
        assert "xyzw: pose_aa has the same rotations" in clip.notes[1]
        assert abs(float(report.figures["lowest sole point [m]"])) < 0.04


def test_plain_values_survive(tmp_path: Path) -> None:
    """What is read is what was written: containers, texts, numbers, arrays of every kind."""
    array = np.arange(24, dtype=">i2").reshape(2, 3, 4)
    data = {
        "a": [1, -2.5, True, None, "é\n", b"\x00\xff", 10**30, (), (1, 2, 3, 4)],
        "big endian": array,
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.zeros((0, 3)),
        "scalar": np.float32(0.5),
        "flags": np.array([True, False]),
        "ordered": collections.OrderedDict(x=np.arange(3.0)),
    }
    data["again"] = data["big endian"]
    for protocol in PROTOCOLS:
        read = load_pickle(save(tmp_path / "a.pkl", data, protocol))
        assert read["a"] == data["a"]
        for key in ("big endian", "fortran", "empty", "flags", "again"):
            np.testing.assert_array_equal(read[key], data[key])
            assert read[key].dtype == data[key].dtype
        assert read["scalar"] == np.float32(0.5)
        np.testing.assert_array_equal(read["ordered"]["x"], np.arange(3.0))


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


class Plain:
    """An object of a class that is not data."""


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("packed", [False, True])
def test_no_function_is_ever_called(tmp_path: Path, protocol: int, packed: bool) -> None:
    """A pickle that would run something is refused by the name of it, before anything happens."""
    marker = tmp_path / "ran"
    hostile: list[tuple[Any, str]] = [
        (Call(os.system, f"touch {marker}"), "system"),
        (Call(eval, f"open({str(marker)!r}, 'w')"), "eval"),
        (Call(exec, "1"), "exec"),
        (Call(getattr, 1, "real"), "getattr"),
        (Call(bytearray, 1 << 40), "bytearray"),
        (Call(np.zeros, 1 << 40), "zeros"),
        (Call(np.load, "x"), "load"),
        (Plain(), "_reconstructor|Plain"),
        (np.array([print, Plain()], dtype=object), "no numbers|print"),
        (np.array(["text"]), "no numbers"),
        ({1, 2}, "set|SET"),
        (os.path.join, "join"),
    ]
    for data, named in hostile:
        content = pickle.dumps({"fps": 30, "frames": data}, protocol)
        path = tmp_path / "a.pkl"
        path.write_bytes(zlib.compress(content) if packed else content)
        with pytest.raises(G1MimicError, match=named) as caught:
            load_motion(path)
        assert "\n" not in str(caught.value)
        assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x04cos\nsystem\n\x8c\x02ls\x85R.", "asks for 'os.system'"),
        (b"\x80\x04(\x8c\x02lscos\nsystem\no.", "OBJ|os.system"),
        (b"\x80\x02(S'ls'\nios\nsystem\n.", "INST"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"Pabc\n.", "no readable|PERSID|no motion"),
        (b"\x80\x04}\x8c\x01aR.", "no function"),
        (b"\x80\x04cnumpy\ndtype\n\x8c\x02O8\x89\x88\x87R.", "no numbers"),
        (b"\x80\x04cnumpy\ndtype\n\x8c\x07V999999\x89\x88\x87R.", "no numbers"),
        (b"\x80\x04cnumpy.core.multiarray\n_reconstruct\ncos\nsystem\n)C\x01b\x87R.", "os.system"),
        (b"\x80\x05\x96" + struct.pack("<Q", 1 << 50) + b"x.", "damaged"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 50) + b"x.", "damaged"),
        (b"\x80\x04r\xff\xff\xff\xff.", "damaged"),
        (b"\x80\x04]r\xff\xff\xff\x7f.", "holds a list"),
        (b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".", "holds a list"),
        (b"\x80\x04(" * 1000, "damaged|ends early"),
        (b"\x80\x04" + b"0" * 10, "damaged"),
        (b"\x80\x04.", "damaged"),
        (b"\x80\x04" + b"I" + b"9" * 10_000 + b"\n.", "damaged|int, no motion"),
        (b"\x80\x04}(]K\x01u.", "key that is no text"),
    ],
)
def test_hostile_instructions_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """Every way to name a class, to persist, or to ask for memory ends in one line."""
    path = tmp_path / "a.pkl"
    path.write_bytes(content)
    with pytest.raises(G1MimicError, match=message) as caught:
        load_motion(path)
    assert "\n" not in str(caught.value)


def test_huge_claims_take_no_memory(
    walk: MotionClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An array that claims more than the file has, and a bomb of zeros, are refused."""
    path = tmp_path / "a.pkl"
    head = b"\x80\x04cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}("
    head += b"\x8c\x08subclasscnumpy\nndarray\n\x8c\x05order\x8c\x01C\x8c\x05shape"
    head += b"\x8a\x08" + struct.pack("<Q", 1 << 60) + b"K\x1d\x86"
    head += b"\x8c\x05dtype" + pickle.dumps(np.dtype("f8"), 2)[2:-1] + b"ub."
    path.write_bytes(head)
    with pytest.raises(G1MimicError, match="an array claims"):
        load_motion(path)
    with monkeypatch.context() as patch:
        patch.setattr(safe_pickle, "_MAX_BYTES", 1 << 20)
        path.write_bytes(zlib.compress(bytes(1 << 21)))
        with pytest.raises(G1MimicError, match="when decompressed"):
            load_motion(path)
    text = b"\x80\x04c_codecs\nencode\n0X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20)
    text += b"\x8c\x06latin1\x86\x940](c_codecs\nencode\n\x940"
    path.write_bytes(text + b"h\x01h\x00R" * 100_000 + b"e.")  # 100 GB of bytes, if followed
    with pytest.raises(G1MimicError, match="again and again"):
        load_motion(path)
    rows: list[Any] = [[0.0] * 35] * 300_000  # one row, named three hundred thousand times
    with pytest.raises(G1MimicError, match="at most 200000"):
        load_motion(save(path, {"fps": 30, "frames": rows}))
    nested: Any = [0.0]
    for _ in range(60):  # 2 ** 60 numbers, if followed
        nested = [nested, nested]
    with pytest.raises(G1MimicError, match="row 0 is not 2 numbers"):
        load_motion(save(path, {"fps": 30, "frames": nested}))
    with pytest.raises(G1MimicError, match="no motion of GMR"):
        load_motion(save(path, {"fps": nested, "x": nested}))
    with pytest.raises(G1MimicError, match="fps is a list"):
        load_motion(save(path, gmr(walk) | {"fps": nested}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dof_pos": np.zeros((200, 12))}, "12 joints; the G1 has 29. Another robot's motion"),
        ({"root_pos": np.zeros((199, 3))}, "shape"),
        ({"root_rot": np.zeros((200, 3))}, "shape"),
        ({"root_rot": np.zeros((200, 4))}, "root quaternion of frame 0 has norm 0"),
        ({"fps": 0}, "fps must be above 0"),
        ({"fps": 1e-9}, "more than 200000"),
        ({"fps": 10**400}, "fps is too large"),
        ({"fps": "fast"}, "fps is a str"),
        ({"dof_pos": None}, "holds no numbers"),
        ({"root_pos": np.full((200, 3), np.nan)}, "frame 0, x is nan"),
    ],
)
def test_wrong_contents_are_one_line(
    walk: MotionClip, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """The key and shape, or frame and joint, that is wrong is named."""
    with pytest.raises(G1MimicError, match=message) as caught:
        load_motion(save(tmp_path / "a.pkl", gmr(walk) | changes))
    assert "\n" not in str(caught.value)


def test_a_format_that_is_told_must_fit(walk: MotionClip, tmp_path: Path) -> None:
    """``format`` is a claim that is checked."""
    path = save(tmp_path / "a.pkl", gmr(walk))
    same(load_motion(path, format="gmr"), walk)
    with pytest.raises(G1MimicError, match="keys of a gmr file, not mimickit"):
        load_motion(path, format="mimickit")
    with pytest.raises(G1MimicError, match="format is one of json, npz"):
        load_motion(path, format="bvh")
