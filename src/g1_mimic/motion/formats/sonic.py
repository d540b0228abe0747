"""SONIC's reference motions: a folder of CSV files in Isaac Lab's order.

``joint_pos.csv`` [T, 29], ``body_pos.csv`` [T, 3 B] and ``body_quat.csv`` [T, 4 B] w x y z, whose
first body is the pelvis; ``joint_vel.csv`` is looked at only to report a difference. Each file may
begin with a row of names. The rate is 50 Hz.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.motion.formats.csv import parse_table, read_lines
from g1_mimic.motion.formats.orders import ReadOptions, settle_orders, velocity_notes
from g1_mimic.motion.trajectory import Trajectory
from g1_mimic.robot.names import NUM_JOINTS

FILES = ("joint_pos.csv", "body_pos.csv", "body_quat.csv")
DEFAULT_FPS = 50.0


def recognise_sonic(path: Path, head: bytes) -> str:
    """Return by what a folder is recognised; empty if it is another's."""
    return "its files" if (path / FILES[0]).is_file() else ""


def read_sonic(path: Path, options: ReadOptions) -> Trajectory:
    """Read a folder of SONIC's CSV files.

    Args:
        path: the folder.
        options: its frame rate (50 by default), quaternion and joint order (w x y z and Isaac
            Lab's by default).

    Raises:
        G1MimicError: naming the file and the line that is wrong.
    """
    inside = sorted(item.parent.name for item in path.glob(f"*/{FILES[0]}"))
    if inside:
        shown = ", ".join(inside[:6]) + (", …" if len(inside) > 6 else "")
        count = f"{len(inside)} motion{'s' * (len(inside) > 1)}"
        raise BadValue(f"{path} holds {count}: name one of the folders in it ({shown})")
    for name in FILES:
        if not (path / name).is_file():
            raise BadValue(
                f"{path} is no motion: a folder holds {', '.join(FILES)} (SONIC); {name} is missing"
            )
    joints = _table(path / FILES[0], NUM_JOINTS, 1)
    pos = _table(path / FILES[1], 3, 0)[:, :3]
    quat = _table(path / FILES[2], 4, 0)[:, :4]
    if not len(joints) == len(pos) == len(quat):
        raise BadValue(
            f"{path}: {len(joints)} frames of joint_pos, {len(pos)} of body_pos, {len(quat)} of "
            "body_quat"
        )
    fps = options.rate(DEFAULT_FPS)
    root_quat, joint_pos, notes = settle_orders(
        str(path), pos, quat, joints, options, quat_convention="wxyz", joint_convention="isaac"
    )
    return Trajectory(
        name=path.name,
        fps=fps,
        root_pos=pos,
        root_quat=root_quat,
        joint_pos=joint_pos,
        notes=(*notes, *_velocity_note(path, joints, fps)),
    )


def _table(path: Path, width: int, blocks: int) -> np.ndarray:
    """Return the numbers of a file with ``blocks`` (0: any) groups of ``width`` columns."""
    meaning = f"{width} joints" if blocks else f"{width} for each body"
    columns = width * blocks or None
    table = parse_table(path, read_lines(path), columns, meaning, header=True)
    if table.shape[1] % width:
        raise BadValue(f"{path}: {table.shape[1]} columns, expected {meaning}")
    return table


def _velocity_note(path: Path, joints: np.ndarray, fps: float) -> tuple[str, ...]:
    file = path / "joint_vel.csv"
    if not file.is_file() or len(joints) < 2 or not fps > 0.0:
        return ()
    stored = _table(file, NUM_JOINTS, 1)
    if stored.shape != joints.shape:
        return (f"joint_vel.csv has {len(stored)} frames, not {len(joints)}; recomputed",)
    return velocity_notes("joint_vel", stored, joints, fps)
