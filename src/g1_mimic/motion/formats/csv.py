"""36-column CSV: the layout of the LAFAN1 clips retargeted to the G1, and of its descendants.

A row is a frame: ``x y z`` (m), the root's quaternion, 29 joint angles (rad), by convention in
``JOINT_NAMES`` order. Neither the frame rate (30 by convention) nor the order of the quaternion is
in the file: LAFAN1 files have x y z w, ProtoMotions' have w x y z. The CSVs that this package
writes say both in comment lines, which other readers skip.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from g1_mimic.errors import BadValue, ReadError
from g1_mimic.files import atomic_write_text
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.formats.bones import bones_trajectory, is_bones
from g1_mimic.motion.formats.joints import to_joint_order
from g1_mimic.motion.formats.orders import QUAT_ORDERS, ReadOptions, quat_to_wxyz, settle_orders
from g1_mimic.motion.trajectory import MAX_FRAMES, Trajectory
from g1_mimic.robot.names import NUM_JOINTS

DEFAULT_FPS = 30.0
_COLUMNS = 7 + NUM_JOINTS
_HEAD = "# g1_mimic.motion "
_ROOT = {"xyzw": "x,y,z,qx,qy,qz,qw", "wxyz": "x,y,z,qw,qx,qy,qz"}
_MAX_BYTES = 1 << 29


def recognise_csv(path: Path, head: bytes) -> str:
    """Return by what a file that begins with ``head`` is recognised; empty if it is another's."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return "the first line" if text[:1] in b"0123456789+-.#" and b"," in text else ""


def read_csv(path: Path, options: ReadOptions) -> Trajectory:
    """Read a 36-column CSV.

    Args:
        path: the file; empty lines and lines that start with ``#`` are skipped, and a first row
            of names, unless they are those of Bones-SEED, which has columns of its own.
        options: its frame rate (30 by default), the order of the quaternion and of the joints
            (told from the motion by default).

    Raises:
        G1MimicError: naming the line that is wrong; or if an order is not given and cannot be
            told.
    """
    lines = read_lines(path)
    head, names = _read_head(path, lines), column_names(lines)
    if is_bones(names):
        table = parse_table(path, lines, len(names), "as in the first row", header=True)
        return bones_trajectory(path, names, table, options)
    table = parse_table(
        path, lines, _COLUMNS, "x y z, quaternion, 29 joint angles", header=bool(names)
    )
    if head:
        options.refuse(path, "source_fps", "quat_order", "joints")
        order = head["quat_order"]
        quat = quat_to_wxyz(table[:, 3:7], order)
        joints = to_joint_order(table[:, 7:], head["columns"].split(",")[7:], str(path))
        notes: tuple[str, ...] = ()
    else:
        quat, joints, notes = settle_orders(
            str(path), table[:, :3], table[:, 3:7], table[:, 7:], options
        )
    return Trajectory(
        name=head.get("name", path.stem),
        fps=float(head["fps"]) if head else options.rate(DEFAULT_FPS),
        root_pos=table[:, :3],
        root_quat=quat,
        joint_pos=joints,
        looped=head.get("looped") == "true",
        notes=notes,
    )


def column_names(lines: Sequence[str]) -> list[str]:
    """Return the names in the first row, or nothing if it holds numbers."""
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    names = [name.strip().strip('"') for name in first.split(",")]
    return [] if len(names) < 2 or any(map(is_number, names)) else names


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file.

    Raises:
        G1MimicError: if it cannot be read, or is too large to be a motion.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise BadValue(f"{path} has more than {_MAX_BYTES >> 20} MB: no motion is so long")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        detail = " ".join(str(error).split())
        raise ReadError(f"cannot read {path}: {detail}") from error
    require_content(path, lines[0].encode()[:64] if lines else b"")
    return lines


def require_content(path: Path, head: bytes) -> None:
    """Raise ``G1MimicError`` if the file, which begins with ``head``, only stands for another."""
    if head.startswith(b"version https://git-lfs"):
        raise BadValue(
            f"{path} is a pointer of Git LFS, not the motion: run 'git lfs pull' in its repository"
        )


def parse_table(
    path: Path, lines: Sequence[str], columns: int | None, meaning: str, *, header: bool = False
) -> np.ndarray:
    """Return the numbers [T, columns] of comma-separated lines.

    Args:
        path: the file, for messages.
        lines: its lines; empty ones and those that start with ``#`` are skipped.
        columns: how many there must be; None: as many as in the first row.
        meaning: of the columns, for messages.
        header: whether the first row may hold names instead of numbers.

    Raises:
        G1MimicError: naming the line and column that is wrong.
    """
    rows = [
        (number, line)
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.startswith("#")
    ]
    if header and rows and not is_number(rows[0][1].split(",")[0]):
        rows = rows[1:]
    if not rows:
        raise BadValue(f"{path} holds no frames")
    if len(rows) > MAX_FRAMES:
        raise BadValue(f"{path} has {len(rows)} frames; at most {MAX_FRAMES} are read")
    columns = columns or rows[0][1].count(",") + 1
    for number, line in rows:
        if line.count(",") != columns - 1:
            raise BadValue(
                f"{path}, line {number}: {line.count(',') + 1} columns, expected {columns} "
                f"({meaning})"
            )
    try:
        values = [float(part) for part in ",".join(line for _, line in rows).split(",")]
    except ValueError:
        for number, line in rows:
            for column, part in enumerate(line.split(","), start=1):
                if not is_number(part):
                    shown = part.strip()[:40]
                    raise BadValue(
                        f"{path}, line {number}, column {column}: {shown!r} is no number"
                    ) from None
        raise
    return np.array(values).reshape(len(rows), columns)


def is_number(text: str) -> bool:
    """Whether a text can be read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_head(path: Path, lines: Sequence[str]) -> dict[str, str]:
    """Return what the comment lines of a CSV of this package say; empty for others' files."""
    if len(lines) < 2 or not lines[0].startswith(_HEAD):
        return {}
    head = dict(part.split("=", 1) for part in lines[0][len(_HEAD) :].split(";") if "=" in part)
    head["columns"] = lines[1].lstrip("# ").strip()
    expected = _ROOT.get(head.get("quat_order", ""), "none")
    if (
        not is_number(head.get("fps", ""))
        or not head["columns"].startswith(expected + ",")
        or len(head["columns"].split(",")) != _COLUMNS
    ):
        raise BadValue(f"{path}: the comment lines at the top are damaged; repair or remove")
    return head


def save_csv(clip: MotionClip, path: Path, *, quat_order: str = "xyzw") -> None:
    """Write ``clip`` as 36 columns with frame rate, loop flag and names in comment lines.

    Args:
        clip: the clip.
        path: the file.
        quat_order: ``xyzw`` (LAFAN1) or ``wxyz`` (ProtoMotions).

    Raises:
        G1MimicError: if the order is not known or the file cannot be written.
    """
    if quat_order not in QUAT_ORDERS:
        raise BadValue(f"quat_order is {' or '.join(QUAT_ORDERS)}, not '{quat_order}'")
    table = clip.qpos()
    if quat_order == "xyzw":
        table[:, 3:7] = table[:, [4, 5, 6, 3]]
    name = clip.name.replace(";", " ")
    head = f"{_HEAD}fps={clip.fps!r};quat_order={quat_order};"
    head += f"looped={str(clip.looped).lower()};name={name}"
    names = f"# {_ROOT[quat_order]},{','.join(clip.joint_names)}"
    # Adding 0.0 turns -0.0 into 0.0.
    rows = (",".join(f"{v:.9g}" for v in row) for row in (np.round(table, 9) + 0.0).tolist())
    atomic_write_text(path, "\n".join([head, names, *rows]) + "\n")
