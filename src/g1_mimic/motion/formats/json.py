"""The package's own JSON: a clip that a person can read and edit.

::

    {
      "format": "g1_mimic.motion",
      "version": 1,
      "name": "walk",
      "fps": 50,
      "looped": true,
      "columns": ["root_pos x y z [m]", "root_quat w x y z", "joint_pos [rad]"],
      "joint_names": ["left_hip_pitch_joint", …],
      "frames": [
        [0.0, 0.0, 0.76, 1.0, 0.0, 0.0, 0.0, -0.312, …],
        …
      ]
    }

Every frame is one row of 7 + 29 numbers. ``columns`` is for the reader's eye. The joints may come
in any order; all 29 must be there. ``name`` (the file's name) and ``looped`` (false) are optional.
A looped clip's last frame is its first one, moved in the plane (x, y, yaw).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.files import atomic_write_text
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.formats.joints import to_joint_order
from g1_mimic.motion.formats.orders import ReadOptions
from g1_mimic.motion.trajectory import MAX_FRAMES, Trajectory
from g1_mimic.settings import read_mapping

FORMAT = "g1_mimic.motion"
VERSION = 1
_REQUIRED = ("format", "version", "fps", "joint_names", "frames")
_OPTIONAL = ("name", "looped", "columns")
_COLUMNS = ["root_pos x y z [m]", "root_quat w x y z", "joint_pos [rad]"]


def recognise_json(path: Path, head: bytes) -> str:
    """Return by what a file that begins with ``head`` is recognised; empty if it is another's."""
    return "the first bytes" if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else ""


def read_json(path: Path, options: ReadOptions) -> Trajectory:
    """Read a clip in the package's JSON, which says all there is to be told.

    Raises:
        G1MimicError: naming the key, frame or joint that is wrong.
    """
    options.refuse(path, "source_fps", "quat_order", "joints")
    data = read_mapping(path, as_json=True)
    for key in _REQUIRED:
        if key not in data:
            raise BadValue(f"{path} is no motion file: the key '{key}' is missing")
    for key in data:
        if key not in _REQUIRED + _OPTIONAL:
            raise BadValue(f"{path}: unknown key {_shown(key)}")
    if data["format"] != FORMAT or data["version"] != VERSION:
        raise BadValue(
            f"{path}: format {_shown(data['format'])} version {_shown(data['version'])}; "
            f"this package reads '{FORMAT}' version {VERSION}"
        )
    fps, looped, name = data["fps"], data.get("looped", False), data.get("name", path.stem)
    for key, value, kind in (("looped", looped, bool), ("name", name, str)):
        if not isinstance(value, kind):
            raise BadValue(f"{path}: {key} is {_shown(value)}, expected a {kind.__name__}")
    if not _is_number(fps):
        raise BadValue(f"{path}: fps is {_shown(fps)}, expected a number")
    names = data["joint_names"]
    if not (isinstance(names, list) and all(isinstance(n, str) for n in names)):
        raise BadValue(f"{path}: joint_names must be a list of names")
    table = _table(path, data["frames"], 7 + len(names))
    return Trajectory(
        name=name,
        fps=float(fps),
        root_pos=table[:, :3],
        root_quat=table[:, 3:7],
        joint_pos=to_joint_order(table[:, 7:], names, str(path)),
        looped=looped,
    )


def _table(path: Path, frames: Any, width: int) -> np.ndarray:
    if not isinstance(frames, list) or not 0 < len(frames) <= MAX_FRAMES:
        raise BadValue(f"{path}: frames must be a list with one row per frame")
    for index, row in enumerate(frames):
        if not isinstance(row, list) or len(row) != width:
            size = f"{len(row)} numbers" if isinstance(row, list) else type(row).__name__
            raise BadValue(
                f"{path}: frame {index} is {size}, expected {width} numbers (7 + joint_names)"
            )
    try:
        return np.array(frames, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        for index, row in enumerate(frames):
            for column, value in enumerate(row):
                if not _is_number(value):
                    raise BadValue(
                        f"{path}: frame {index}, column {column + 1}: {_shown(value)} is no number"
                    ) from None
        raise


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def _shown(value: Any) -> str:
    """Return a value for a message: a file may hold anything there, however long."""
    return repr(value)[:60] if isinstance(value, str | int | float | None) else type(value).__name__


def save_json(clip: MotionClip, path: Path) -> None:
    """Write ``clip`` as JSON, one line per frame, rounded to 1e-6 (m, rad).

    Raises:
        G1MimicError: if the file cannot be written.
    """
    head = {
        "format": FORMAT,
        "version": VERSION,
        "name": clip.name,
        "fps": int(clip.fps) if clip.fps == int(clip.fps) else clip.fps,
        "looped": clip.looped,
        "columns": _COLUMNS,
        "joint_names": list(clip.joint_names),
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    # Adding 0.0 turns -0.0 into 0.0.
    table = np.round(clip.qpos(), 6) + 0.0
    rows = ",\n".join("  [" + ", ".join(f"{v:.10g}" for v in row) + "]" for row in table)
    text = "{\n" + ",\n".join(lines) + ',\n"frames": [\n' + rows + "\n]\n}\n"
    atomic_write_text(path, text)
