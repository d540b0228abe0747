"""BeyondMimic's npz layout: the exchange format between trackers of the G1.

Keys: ``fps`` [1], ``joint_pos`` and ``joint_vel`` [T, 29], ``body_pos_w`` [T, 30, 3],
``body_quat_w`` [T, 30, 4] w x y z, ``body_lin_vel_w`` and ``body_ang_vel_w`` [T, 30, 3]. Files of
BeyondMimic (Isaac Lab's order) and mjlab (MJCF order) look the same and hold no names; ours adds
``joint_names``, ``body_names``, ``name`` and ``looped``. holosoma's files hold names, and the root
inside ``joint_pos`` [T, 36].

Stored velocities are never used: BeyondMimic's are those of the centres of mass, mjlab's those of
the link frames, and holosoma's angular ones are wrong. They are recomputed from the poses.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from g1_mimic.errors import BadValue, G1MimicError
from g1_mimic.files import atomic_write
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.formats.joints import BODY_ORDERS, JOINT_ORDERS, to_joint_order
from g1_mimic.motion.formats.orders import (
    QUAT_ORDERS,
    VELOCITY_TOLERANCE,
    ReadOptions,
    quat_to_wxyz,
)
from g1_mimic.motion.kinematics import complete_trajectory, forward_kinematics
from g1_mimic.motion.trajectory import LARGEST, MAX_FRAMES, Trajectory, one_line
from g1_mimic.robot.names import BODY_NAMES, NUM_JOINTS

_FIT = 0.05
"""m: the right order fits to about a centimetre, a wrong one only to decimetres."""
_CLEARLY_BETTER = 3.0
_VELOCITY_FRAMES = 500
_MAX_BYTES = 1 << 30
"""Of the arrays that are read, when decompressed."""
_TEXTS = ("joint_names", "body_names", "name")
_KEYS = (
    *("fps", "joint_pos", "joint_vel", "body_pos_w", "body_quat_w"),
    *("body_lin_vel_w", "body_ang_vel_w", "looped", *_TEXTS),
)


def recognise_npz(path: Path, head: bytes) -> str:
    """Return by what a file that begins with ``head`` is recognised; empty if it is another's.

    Raises:
        G1MimicError: for an archive that is known to be something else.
    """
    if not head.startswith(b"PK\x03\x04"):
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        names = []  # the reader says what is damaged
    if any(name.endswith("data.pkl") for name in names):
        raise BadValue(
            f"{path} is a file of torch (ProtoMotions?), which is not read; export it as CSV or npz"
        )
    if {"poses.npy", "trans.npy"} <= set(names):
        raise BadValue(
            f"{path} holds a human's motion (AMASS, SMPL); retarget it to the G1 first, e.g. with "
            "GMR"
        )
    return "the first bytes"


def read_npz(path: Path, options: ReadOptions) -> Trajectory:
    """Read a clip in BeyondMimic's layout, with or without names.

    Args:
        path: the file.
        options: quaternion and joint order of a file without names (told by forward kinematics
            by default).

    Raises:
        G1MimicError: if the file is damaged, a key is missing or has the wrong shape, or if the
            body poses fit the joint angles in no known order.
    """
    options.refuse(path, "source_fps")
    data = _load(path)
    for key in ("fps", "joint_pos", "body_pos_w", "body_quat_w"):
        if key not in data:
            raise BadValue(f"{path} is no motion file: the array '{key}' is missing")
    for key, array in data.items():
        kinds = "U" if key in _TEXTS else "b" if key == "looped" else "fiu"
        if array.dtype.kind not in kinds or (key in ("fps", "looped", "name") and array.size != 1):
            raise BadValue(
                f"{path}: {key} has shape {array.shape} and type {array.dtype}, which cannot be"
            )
    frames = len(data["joint_pos"]) if data["joint_pos"].ndim else 0
    if frames > MAX_FRAMES:
        raise BadValue(f"{path} has {frames} frames; at most {MAX_FRAMES} are read")
    for key, ndim in (("joint_pos", 2), ("body_pos_w", 3), ("body_quat_w", 3)):
        if data[key].ndim != ndim or len(data[key]) != frames:
            raise BadValue(f"{path}: {key} has shape {data[key].shape}, which cannot be")
        if (abs(data[key]) > LARGEST).any():
            raise BadValue(f"{path}: {key} holds {abs(data[key]).max():.3g}, which cannot be")
    pos, quat = data["body_pos_w"], data["body_quat_w"]
    if not frames or pos.shape[1] != quat.shape[1] or (pos.shape[2], quat.shape[2]) != (3, 4):
        raise BadValue(f"{path}: body_pos_w {pos.shape} and body_quat_w {quat.shape} differ")
    fps = float(data["fps"].reshape(-1)[0])
    if "joint_names" in data:
        options.refuse(path, "quat_order", "joints")
        return _read_named(path, data, fps)
    return _read_unnamed(path, data, fps, options)


def _load(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a motion; others that the file has are left alone."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
            wanted = [key for key in _KEYS if f"{key}.npy" in sizes]
            # What the file says of its size is checked before memory is asked for.
            if sum(sizes[f"{key}.npy"] for key in wanted) > _MAX_BYTES:
                raise BadValue(f"{path} has more than {_MAX_BYTES >> 20} MB of arrays")
            return {key: _load_array(archive, f"{key}.npy", sizes) for key in wanted}
    except G1MimicError:
        raise
    except Exception as error:  # a damaged file can raise anything, and must not
        detail = one_line(f"{type(error).__name__}: {error}")
        raise BadValue(f"{path} is no readable npz file (damaged?): {detail}") from error


def _load_array(archive: zipfile.ZipFile, name: str, sizes: dict[str, int]) -> np.ndarray:
    """Read one array; its header must claim no more than the bytes that are there."""
    with archive.open(name) as stream:
        version = npy.read_magic(stream)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(stream)
        if dtype.hasobject:
            raise ValueError(f"{name} holds objects, which would run code when read")
        size = math.prod(shape) * dtype.itemsize
        if size > sizes[name]:
            raise ValueError(f"{name} claims {size} bytes and has {sizes[name]}")
        content = stream.read(size)
    array = np.frombuffer(content, dtype, math.prod(shape))
    return array.reshape(shape, order="F" if fortran else "C")


def _read_named(path: Path, data: dict[str, np.ndarray], fps: float) -> Trajectory:
    """Read a file that says which joint is which: ours, and holosoma's."""
    names = [str(name) for name in np.atleast_1d(data["joint_names"])]
    joint_pos = data["joint_pos"]
    if joint_pos.shape[1] not in (len(names), 7 + len(names)):
        raise BadValue(
            f"{path}: joint_pos has {joint_pos.shape[1]} columns for {len(names)} joint_names"
        )
    bodies = [str(name) for name in np.atleast_1d(data.get("body_names", BODY_NAMES))]
    if len(bodies) != data["body_pos_w"].shape[1] or BODY_NAMES[0] not in bodies:
        raise BadValue(f"{path}: body_names does not name the bodies of body_pos_w")
    pelvis = bodies.index(BODY_NAMES[0])
    root_inside = joint_pos.shape[1] == 7 + len(names)
    trajectory = Trajectory(
        name=str(data.get("name", path.stem)),
        fps=fps,
        root_pos=joint_pos[:, :3] if root_inside else data["body_pos_w"][:, pelvis],
        root_quat=joint_pos[:, 3:7] if root_inside else data["body_quat_w"][:, pelvis],
        joint_pos=to_joint_order(joint_pos[:, 7 * root_inside :], names, str(path)),
        looped=bool(data.get("looped", False)),
    )
    fit = _fit(trajectory, data["body_pos_w"], bodies)
    if fit > _FIT:
        raise BadValue(
            f"{path}: body_pos_w is {fit:.2f} m off what joint_pos gives on this robot; "
            "the names do not fit the arrays"
        )
    return _with_velocity_notes(trajectory, data, names, bodies)


def _read_unnamed(
    path: Path, data: dict[str, np.ndarray], fps: float, options: ReadOptions
) -> Trajectory:
    """Read a file without names: the order is the one under which body poses fit the joints."""
    shape = data["joint_pos"].shape[1], data["body_pos_w"].shape[1]
    if shape != (NUM_JOINTS, len(BODY_NAMES)):
        raise BadValue(
            f"{path}: {shape[0]} joints and {shape[1]} bodies without names; only the G1 with "
            f"{NUM_JOINTS} joints and {len(BODY_NAMES)} bodies can be told without them"
        )
    fits: dict[tuple[str, str, str], tuple[float, Trajectory]] = {}
    for joints in [options.joints] if options.joints else JOINT_ORDERS:
        for reading in [options.quat_order] if options.quat_order else QUAT_ORDERS:
            candidate = Trajectory(
                name=path.stem,
                fps=fps,
                root_pos=data["body_pos_w"][:, 0],
                root_quat=quat_to_wxyz(data["body_quat_w"][:, 0], reading),
                joint_pos=to_joint_order(data["joint_pos"], JOINT_ORDERS[joints], str(path)),
            )
            for bodies, body_names in BODY_ORDERS.items():
                fit = _fit(candidate, data["body_pos_w"], body_names)
                fits[joints, bodies, reading] = fit, candidate
    (joints, bodies, reading), (fit, best) = min(fits.items(), key=lambda item: item[1][0])
    if fit > _FIT:
        raise BadValue(
            f"{path}: body_pos_w fits joint_pos neither in MJCF nor in Isaac Lab order "
            f"(best: {fit:.2f} m off); is it another robot's clip?"
        )
    for other_fit, other in fits.values():
        differs = abs(other.joint_pos - best.joint_pos).max() > 1e-6
        if differs and other_fit < max(_CLEARLY_BETTER * fit, 1e-3):
            raise BadValue(
                f"{path}: MJCF and Isaac Lab order fit body_pos_w alike ({fit:.3f} and "
                f"{other_fit:.3f} m off); say it (joints, --joints)"
            )
    note = f"no names stored: joints in {joints}, bodies in {bodies} order, {reading} fit to "
    best = replace(best, notes=(f"{note}{1e3 * fit:.1f} mm",))
    return _with_velocity_notes(best, data, JOINT_ORDERS[joints], BODY_ORDERS[bodies])


def _fit(trajectory: Trajectory, body_pos_w: np.ndarray, names: Sequence[str]) -> float:
    """Return the mean distance (m) of the stored bodies from those of forward kinematics.

    A hundred frames are enough to tell orders apart, however long the clip is.
    """
    frames = np.unique(np.linspace(0, len(body_pos_w) - 1, 100).astype(int))
    pos, _ = forward_kinematics(
        trajectory.root_pos[frames], trajectory.root_quat[frames], trajectory.joint_pos[frames]
    )
    stored = [i for i, name in enumerate(names) if name in BODY_NAMES]
    ours = [BODY_NAMES.index(names[i]) for i in stored]
    distance = np.linalg.norm(body_pos_w[frames][:, stored] - pos[:, ours], axis=-1)
    return float(np.nan_to_num(distance.mean(), nan=np.inf))


def _with_velocity_notes(
    trajectory: Trajectory,
    data: dict[str, np.ndarray],
    joints: Sequence[str],
    bodies: Sequence[str],
) -> Trajectory:
    """Add a note for every stored velocity that is not the derivative of the poses.

    Looked at over the first frames only: wrong velocities are wrong everywhere.
    """
    first = slice(0, _VELOCITY_FRAMES)
    clip = complete_trajectory(
        replace(
            trajectory,
            root_pos=trajectory.root_pos[first],
            root_quat=trajectory.root_quat[first],
            joint_pos=trajectory.joint_pos[first],
            looped=False,
        )
    )
    stored = [i for i, name in enumerate(bodies) if name in BODY_NAMES]
    ours = [BODY_NAMES.index(bodies[i]) for i in stored]
    off: dict[str, tuple[float, str]] = {}
    truth = {"body_lin_vel_w": clip.body_lin_vel_w, "body_ang_vel_w": clip.body_ang_vel_w}
    for key, unit in (("body_lin_vel_w", "m/s"), ("body_ang_vel_w", "rad/s")):
        values = data.get(key)
        if values is not None and values.shape == (*data["body_pos_w"].shape[:2], 3):
            distance = np.linalg.norm(values[first, stored] - truth[key][:, ours], axis=-1)
            off[key] = float(distance.mean()), f"{unit} off the motion of the link frames"
    values = data.get("joint_vel")
    if values is not None and values.ndim == 2 and len(values) == len(data["joint_pos"]):
        # holosoma has the root's six velocities in front.
        values = values[first, -len(joints) :]
        if values.shape[1] == NUM_JOINTS:
            right = to_joint_order(values, joints, "joint_vel")
            off["joint_vel"] = float(abs(right - clip.joint_vel).mean()), "rad/s off joint_pos"
    notes = [
        f"the file's {key} is {value:.2f} {what} on average; recomputed"
        for key, (value, what) in off.items()
        if not value <= VELOCITY_TOLERANCE
    ]
    return replace(trajectory, notes=(*trajectory.notes, *notes))


def save_npz(clip: MotionClip, path: Path, *, order: str = "mjcf") -> None:
    """Write ``clip`` in BeyondMimic's layout, plus names.

    Args:
        clip: the clip; bodies' linear velocities are written as those of the link frames.
        path: the file.
        order: ``mjcf`` (mjlab) or ``isaac`` (BeyondMimic) order of joints and bodies.

    Raises:
        G1MimicError: if the order is not known or the file cannot be written.
    """
    if order not in JOINT_ORDERS:
        raise BadValue(f"order is {' or '.join(JOINT_ORDERS)}, not '{order}'")
    joint_names, body_names = JOINT_ORDERS[order], BODY_ORDERS[order]
    joints = [clip.joint_names.index(name) for name in joint_names]
    bodies = [clip.body_names.index(name) for name in body_names]
    arrays: dict[str, Any] = {
        "fps": np.array([clip.fps]),
        "joint_pos": clip.joint_pos[:, joints],
        "joint_vel": clip.joint_vel[:, joints],
        "body_pos_w": clip.body_pos_w[:, bodies],
        "body_quat_w": clip.body_quat_w[:, bodies],
        "body_lin_vel_w": clip.body_lin_vel_w[:, bodies],
        "body_ang_vel_w": clip.body_ang_vel_w[:, bodies],
        "joint_names": np.array(joint_names),
        "body_names": np.array(body_names),
        "name": np.array(clip.name),
        "looped": np.array(clip.looped),
    }
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        # float32 as BeyondMimic has it would round body positions far from the origin.
        np.savez(stream, **arrays)
