"""Pickled motions: GMR, ASAP and PBHC, MimicKit.

- **GMR**: ``fps``, ``root_pos`` [T, 3], ``root_rot`` [T, 4] x y z w, ``dof_pos`` [T, 29].
- **ASAP, PBHC** (joblib): a motion by each key, with ``root_trans_offset`` [T, 3], ``root_rot``
  [T, 4] x y z w, ``dof`` [T, 23] (the G1 without wrists), ``pose_aa`` [T, 27, 3] (rotation
  vectors of root, joints and extended bodies), ``fps``. SONIC's motion libraries are the same with
  29 joints.
- **SONIC** (joblib, for deployment): a motion by each key, with ``joint_pos`` [T, 29] in Isaac
  Lab's order, ``body_pos_w`` [T, B, 3] and ``body_quat_w`` [T, B, 4] w x y z, whose first body is
  the pelvis; 50 Hz.
- **MimicKit**: ``fps``, ``loop_mode`` (1: the motion repeats), ``frames`` [T, 6 + 29]: root
  position, root rotation vector, joint angles.

Joints are in MJCF order. The files are read as data (``safe_pickle``), never run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.motion.formats.joints import with_default_wrists
from g1_mimic.motion.formats.orders import (
    ReadOptions,
    quat_to_wxyz,
    settle_orders,
    velocity_notes,
)
from g1_mimic.motion.formats.safe_pickle import load_pickle
from g1_mimic.motion.trajectory import LARGEST, MAX_FRAMES, Trajectory, one_line
from g1_mimic.robot.names import NUM_JOINTS
from g1_mimic.rotations import quat_error, quat_from_rotation_vector

_SONIC_FPS = 50.0
_JOINTS_WITHOUT_WRISTS = 23
_AGREE = 1e-2
"""rad: two records of the same angles differ by rounding only."""
_COMPRESSED = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b")
"""How zlib's and gzip's data begin, which is how joblib compresses. A CSV may begin with x, too."""


def recognise_pickle(path: Path, head: bytes) -> str:
    """Return by what a file that begins with ``head`` is recognised; empty if it is another's."""
    # Protocols 0 and 1 begin with the opcode of a dictionary, list or global, not with numbers.
    as_text = head[:1] in (b"(", b"}", b"]") or head.startswith(b"ccollections\n")
    found = head[:1] == b"\x80" or head[:2] in _COMPRESSED or as_text
    return "the first bytes" if found else ""


def read_pickle(path: Path, options: ReadOptions) -> Trajectory:
    """Read a pickle of GMR, ASAP, PBHC or MimicKit.

    Args:
        path: the file.
        options: ``key`` picks one of several motions; ``quat_order`` and ``joints`` are taken
            where the format leaves them open; ``format`` may name the format.

    Raises:
        G1MimicError: if the file is damaged, holds code, or holds no motion of a known format; if
            it holds several motions and none is picked, naming them.
    """
    data = load_pickle(path)
    if not isinstance(data, dict):
        raise BadValue(f"{path} holds a {type(data).__name__}, no motion")
    name, source = path.stem, str(path)
    if not _kind(data):
        name, data = _pick(path, data, options.key)
        source = f"{path}#{options.key}" if options.key else source
    elif options.key is not None:
        raise BadValue(f"{path} holds a single motion; leave '#{options.key}' out")
    kind = _kind(data)
    if not kind:
        keys = ", ".join(one_line(key, 40) for key in list(data)[:8]) or "none"
        known = [f"{kind.title} ({', '.join(kind.keys)})" for kind in KINDS.values()]
        raise BadValue(
            f"{source} is no motion of {', '.join(known[:-1])} or {known[-1]}: its keys are {keys}"
        )
    if options.format not in (None, "pkl", kind):
        raise BadValue(f"{source} has the keys of a {kind} file, not {options.format}")
    if "fps" in data:
        options.refuse(source, "source_fps")
    trajectory = KINDS[kind].read(source, name, data, options)
    return replace(trajectory, notes=(f"a motion of {KINDS[kind].title}", *trajectory.notes))


def _kind(data: dict[str, Any]) -> str | None:
    return next((name for name, kind in KINDS.items() if all(k in data for k in kind.keys)), None)


def _pick(path: Path, data: dict[str, Any], key: str | None) -> tuple[str, dict[str, Any]]:
    motions = {name: item for name, item in data.items() if isinstance(item, dict) and _kind(item)}
    shown = ", ".join(one_line(name) for name in list(motions)[:12])
    shown += ", …" if len(motions) > 12 else ""
    if key is not None:
        if key not in motions:
            raise BadValue(f"{path} holds no motion '{key}'; it holds: {shown or 'none'}")
        return key, motions[key]
    if len(motions) > 1:
        raise BadValue(
            f"{path} holds {len(motions)} motions; say which, as {path.name}#KEY: {shown}"
        )
    return path.stem, next(iter(motions.values()), data)


def _read_gmr(source: str, name: str, data: dict[str, Any], options: ReadOptions) -> Trajectory:
    pos = _array(source, data, "root_pos", (None, 3))
    raw = _array(source, data, "root_rot", (len(pos), 4))
    joints, wrists = _all_joints(
        source, "dof_pos", _array(source, data, "dof_pos", (len(pos), None))
    )
    quat, joints, notes = settle_orders(
        source, pos, raw, joints, options, quat_convention="xyzw", joint_convention="mjcf"
    )
    return Trajectory(name, _fps(source, data), pos, quat, joints, notes=(*notes, *wrists))


def _read_asap(source: str, name: str, data: dict[str, Any], options: ReadOptions) -> Trajectory:
    options.refuse(source, "joints")
    pos = _array(source, data, "root_trans_offset", (None, 3))
    raw = _array(source, data, "root_rot", (len(pos), 4))
    joints = _array(source, data, "dof", (len(pos), None))
    count = joints.shape[1]
    full, wrists = _all_joints(source, "dof", joints)
    order = options.quat_order or "xyzw"
    notes = [f"quaternion read as {order}" + (", as told" if options.quat_order else "")]
    if "pose_aa" in data and np.isfinite(raw).all():
        turns = _array(source, data, "pose_aa", (len(pos), None, 3))
        if turns.shape[1] <= count:
            raise BadValue(
                f"{source}: pose_aa has {turns.shape[1]} bodies, at least {count + 1} needed"
            )
        # The same rotations once more, as vectors: they tell the order and check the joints.
        root = quat_from_rotation_vector(turns[:, 0])
        off = {o: float(quat_error(quat_to_wxyz(raw, o), root).mean()) for o in ("xyzw", "wxyz")}
        best = min(off, key=lambda o: off[o])
        if options.quat_order is None and off[best] < _AGREE:
            order = best
            notes = [f"quaternion read as {order}: pose_aa has the same rotations"]
        elif off[order] >= _AGREE:
            notes.append(f"the file's pose_aa is {off[order]:.2f} rad off its root_rot; not used")
        bend = abs(turns[:, 1 : count + 1].sum(-1) - joints).max()
        if not bend < _AGREE:
            notes.append(f"the file's pose_aa is up to {bend:.2f} rad off its dof; not used")
    fps = _fps(source, data)
    notes += _velocity_notes(source, data, joints, fps)
    return Trajectory(name, fps, pos, quat_to_wxyz(raw, order), full, notes=(*notes, *wrists))


def _read_mimickit(
    source: str, name: str, data: dict[str, Any], options: ReadOptions
) -> Trajectory:
    options.refuse(source, "quat_order")
    frames = _array(source, data, "frames", (None, None))
    joints, wrists = _all_joints(source, "frames", frames[:, 6:])
    quat = quat_from_rotation_vector(frames[:, 3:6])
    if wrists:
        options.refuse(source, "joints")
        notes: tuple[str, ...] = ()
    else:
        told = ReadOptions(quat_order="wxyz", joints=options.joints)
        quat, joints, notes = settle_orders(
            source, frames[:, :3], quat, joints, told, joint_convention="mjcf"
        )
        notes = notes[1:]
    if data.get("loop_mode") == 1:
        # There the last frame need not be the first one, moved; here it must.
        notes += ("loop_mode 1 (the motion repeats): 'motion fix --loop' closes it",)
    fps = _fps(source, data)
    return Trajectory(name, fps, frames[:, :3], quat, joints, notes=(*notes, *wrists))


def _read_sonic(source: str, name: str, data: dict[str, Any], options: ReadOptions) -> Trajectory:
    joints = _array(source, data, "joint_pos", (None, NUM_JOINTS))
    pos = _array(source, data, "body_pos_w", (len(joints), None, 3))[:, 0]
    raw = _array(source, data, "body_quat_w", (len(joints), None, 4))[:, 0]
    quat, joints, notes = settle_orders(
        source, pos, raw, joints, options, quat_convention="wxyz", joint_convention="isaac"
    )
    fps = _fps(source, data) if "fps" in data else options.rate(_SONIC_FPS)
    return Trajectory(name, fps, pos, quat, joints, notes=notes)


class Kind(NamedTuple):
    """One system's pickles."""

    title: str
    keys: tuple[str, ...]
    """What it is recognised by."""
    read: Callable[[str, str, dict[str, Any], ReadOptions], Trajectory]


KINDS = {
    "gmr": Kind("GMR", ("fps", "root_pos", "root_rot", "dof_pos"), _read_gmr),
    "asap": Kind("ASAP or PBHC", ("root_trans_offset", "root_rot", "dof", "fps"), _read_asap),
    "mimickit": Kind("MimicKit", ("fps", "frames"), _read_mimickit),
    "sonic": Kind("SONIC", ("joint_pos", "body_pos_w", "body_quat_w"), _read_sonic),
}
"""By the names under which users tell them."""


def _velocity_notes(
    source: str, data: dict[str, Any], joints: np.ndarray, fps: float
) -> tuple[str, ...]:
    for key in ("dof_vel", "dof_vels"):
        if key in data and len(joints) > 1:
            return velocity_notes(key, _array(source, data, key, joints.shape), joints, fps)
    return ()


def _all_joints(source: str, key: str, joints: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return 29 joints [T, 29] of 29 or of 23, and a note on the wrists that were added."""
    count = joints.shape[1]
    if count == NUM_JOINTS:
        return joints, ()
    if count == _JOINTS_WITHOUT_WRISTS:
        note = "23 joints stored: the wrists stand at their default position"
        return with_default_wrists(joints), (note,)
    raise BadValue(
        f"{source}: {key} has {count} joints; the G1 has {NUM_JOINTS}. Another robot's motion?"
    )


def _fps(source: str, data: dict[str, Any]) -> float:
    value = data["fps"]
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise BadValue(f"{source}: fps is a {type(value).__name__}, expected a number")
    try:
        return float(value)
    except OverflowError:
        raise BadValue(f"{source}: fps is too large") from None


def _array(
    source: str, data: dict[str, Any], key: str, shape: tuple[int | None, ...]
) -> np.ndarray:
    """Return the numbers under ``key`` as float64; None in ``shape`` stands for any size.

    Lists are taken one level at a time: one that holds itself, or a row that is there a million
    times, must not become an array.
    """
    value = data[key]
    if isinstance(value, list | tuple) and len(shape) == 2:
        if len(value) > MAX_FRAMES:
            raise BadValue(f"{source}: {key} has {len(value)} rows; at most {MAX_FRAMES}")
        value = _rows(source, key, value)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise BadValue(f"{source}: {key} holds no numbers")
    fits = value.ndim == len(shape) and all(
        want is None or size == want for size, want in zip(value.shape, shape, strict=True)
    )
    if not fits or value.size == 0 or len(value) > MAX_FRAMES:
        wanted = " × ".join("any" if n is None else str(n) for n in shape)
        raise BadValue(f"{source}: {key} has shape {value.shape}, expected {wanted}")
    values = value.astype(np.float64)
    if (abs(values) > LARGEST).any():
        raise BadValue(f"{source}: {key} holds {abs(values).max():.3g}, which cannot be")
    return values


def _rows(source: str, key: str, rows: list[Any] | tuple[Any, ...]) -> np.ndarray:
    width = len(rows[0]) if rows and isinstance(rows[0], list | tuple | np.ndarray) else 0
    if not 0 < width <= 1000:
        raise BadValue(f"{source}: {key} has rows of {width} numbers")
    table = np.empty((len(rows), width))
    for index, row in enumerate(rows):
        right = isinstance(row, list | tuple) and set(map(type, row)) <= {float, int}
        right = right or (isinstance(row, np.ndarray) and row.ndim == 1 and row.dtype.kind in "fiu")
        if not right or len(row) != width:
            raise BadValue(f"{source}: {key}, row {index} is not {width} numbers")
        try:
            table[index] = row
        except OverflowError:
            raise BadValue(f"{source}: {key}, row {index} has too large a number") from None
    return table
