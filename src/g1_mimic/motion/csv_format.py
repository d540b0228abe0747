"""36-column CSV: the layout of the LAFAN1 clips retargeted to the G1, and of its descendants.

A row is a frame: ``x y z`` (m), the root's quaternion, 29 joint angles (rad) in ``JOINT_NAMES``
order. The frame rate is not in the file (30 by convention), and neither is the order of the
quaternion: LAFAN1 files have x y z w, ProtoMotions' have w x y z.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from g1_mimic.errors import G1MimicError
from g1_mimic.motion.kinematics import forward_kinematics
from g1_mimic.motion.skeleton import FOOT_BODY_NAMES
from g1_mimic.motion.trajectory import Trajectory
from g1_mimic.robot.names import BODY_NAMES, NUM_JOINTS

DEFAULT_FPS = 30.0
QUAT_ORDERS = ("xyzw", "wxyz")
_COLUMNS = 7 + NUM_JOINTS
# A standing, walking or dancing root keeps its z axis within about 45° of the world's on average.
_UPRIGHT = 0.7
# A foot that carries the robot hardly slips; read wrongly, the root turns against the legs.
_SLIP_RATIO = 3.0
_SLIP_MARGIN = 0.02  # m/s


def read_csv(path: Path, fps: float | None = None, quat_order: str | None = None) -> Trajectory:
    """Read a 36-column CSV.

    Args:
        path: the file; empty lines and lines that start with ``#`` are skipped.
        fps: its frame rate; 30 by default.
        quat_order: ``xyzw`` or ``wxyz``; by default the order is told from the motion.

    Raises:
        G1MimicError: naming the line that is wrong; or if the order of the quaternion is not
            given and cannot be told.
    """
    rows = []
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip() and not line.startswith("#"):
                    rows.append(_parse_line(path, number, line))
    except (OSError, UnicodeDecodeError) as error:
        raise G1MimicError(f"cannot read {path}: {error}") from error
    if not rows:
        raise G1MimicError(f"{path} holds no frames")
    table = np.array(rows)
    note = f"quaternion read as {quat_order}, as told"
    if quat_order is None:
        quat_order, note = _detect_order(path, table)
    return Trajectory(
        name=path.stem,
        fps=DEFAULT_FPS if fps is None else fps,
        root_pos=table[:, :3],
        root_quat=_quat(table, quat_order),
        joint_pos=table[:, 7:],
        notes=(note,),
    )


def _parse_line(path: Path, number: int, line: str) -> list[float]:
    parts = line.split(",")
    if len(parts) != _COLUMNS:
        raise G1MimicError(
            f"{path}, line {number}: {len(parts)} columns, expected {_COLUMNS} "
            "(x y z, quaternion, 29 joint angles)"
        )
    try:
        return [float(part) for part in parts]
    except ValueError:
        column = next(i for i, part in enumerate(parts) if not _is_number(part))
        raise G1MimicError(
            f"{path}, line {number}, column {column + 1}: '{parts[column].strip()}' is no number"
        ) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _quat(table: np.ndarray, order: str) -> np.ndarray:
    """Return the root's quaternions [T, 4] w x y z."""
    return table[:, 3:7] if order == "wxyz" else table[:, [6, 3, 4, 5]]


def _detect_order(path: Path, table: np.ndarray) -> tuple[str, str]:
    """Return the order of the quaternion's columns and a note on how it was told.

    The root must stay upright. An x y z w file that heads along x stays so under both readings
    (the wrong one is turned about z by half a turn); there the lower foot must slip much less
    under one reading than under the other.
    """
    quat = {order: _quat(table, order) for order in QUAT_ORDERS}
    # z component of the root's z axis in the world: 1 is upright.
    up = {o: float(np.mean(1.0 - 2.0 * (q[:, 1] ** 2 + q[:, 2] ** 2))) for o, q in quat.items()}
    upright = [order for order in QUAT_ORDERS if up[order] >= _UPRIGHT]
    if len(upright) == 1:
        return upright[0], f"quaternion read as {upright[0]}: the root is upright only so"
    found = f"upright {up['xyzw']:.2f} as xyzw, {up['wxyz']:.2f} as wxyz"
    if len(upright) == 2 and len(table) > 1:
        slip = {order: _slip(table, q) for order, q in quat.items()}
        best, other = sorted(QUAT_ORDERS, key=lambda order: slip[order])
        if slip[other] > max(_SLIP_RATIO * slip[best], slip[best] + _SLIP_MARGIN):
            return best, (
                f"quaternion read as {best}: the lower foot slips {slip[best]:.2f} m/s so, "
                f"{slip[other]:.2f} m/s otherwise"
            )
        found += f"; the feet slip {slip['xyzw']:.2f} and {slip['wxyz']:.2f} m/s"
    raise G1MimicError(
        f"{path}: cannot tell whether the quaternion is x y z w or w x y z ({found}); say it "
        "(quat_order, --quat-order)"
    )


def _slip(table: np.ndarray, quat: np.ndarray) -> float:
    """Return the mean speed (m/s at 30 frames per second) of whichever foot is lower."""
    pos, _ = forward_kinematics(table[:, :3], quat, table[:, 7:])
    feet = pos[:, [BODY_NAMES.index(name) for name in FOOT_BODY_NAMES]]
    speed = np.linalg.norm(np.diff(feet, axis=0), axis=-1) * DEFAULT_FPS
    lower = feet[1:, :, 2].argmin(axis=1)
    return float(speed[np.arange(len(speed)), lower].mean())
