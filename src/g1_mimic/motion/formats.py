"""Motion files by suffix: one reader and at most one writer per format."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from g1_mimic.errors import G1MimicError
from g1_mimic.files import find_file
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.csv_format import QUAT_ORDERS, read_csv
from g1_mimic.motion.json_format import read_json, save_json
from g1_mimic.motion.kinematics import complete_trajectory
from g1_mimic.motion.npz_format import read_npz, save_npz
from g1_mimic.motion.trajectory import Trajectory, resample
from g1_mimic.motion.validate import MotionReport, validate_clip

if TYPE_CHECKING:
    from g1_mimic.robot.profile import RobotProfile

__all__ = [
    "inspect_motion",
    "load_motion",
    "read_trajectory",
    "require_writable",
    "save_json",
    "save_motion",
    "save_npz",
]

_LOG = logging.getLogger(__name__)

CONTROL_RATE = 50.0
"""Hz: the rate of policies, to which clips are resampled by default."""

READERS: dict[str, Callable[..., Trajectory]] = {
    ".json": read_json,
    ".npz": read_npz,
    ".csv": read_csv,
}
"""Every reader takes a path; what only the CSV needs (frame rate, quaternion) is in its options."""

WRITERS: dict[str, Callable[[MotionClip, Path], None]] = {".json": save_json, ".npz": save_npz}


def read_trajectory(
    path: Path, *, source_fps: float | None = None, quat_order: str | None = None
) -> Trajectory:
    """Read what a motion file holds, at the file's own rate.

    Args:
        path: a file whose suffix is in ``READERS``.
        source_fps: frame rate of a file that does not hold one (CSV).
        quat_order: ``xyzw`` or ``wxyz``, for a file that does not say (CSV).

    Raises:
        G1MimicError: one line naming what is wrong in the file and where.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise G1MimicError(f"{path}: motion files end in {', '.join(READERS)}")
    if quat_order is not None and quat_order not in QUAT_ORDERS:
        raise G1MimicError(f"quat_order is {' or '.join(QUAT_ORDERS)}, not '{quat_order}'")
    if reader is read_csv:
        return read_csv(path, source_fps, quat_order)
    if source_fps is not None or quat_order is not None:
        raise G1MimicError(f"{path}: the frame rate and quaternion order are told for CSV only")
    return reader(path)


def inspect_motion(
    name_or_path: str | os.PathLike[str],
    *,
    fps: float | None = CONTROL_RATE,
    profile: RobotProfile | None = None,
    source_fps: float | None = None,
    quat_order: str | None = None,
    beside: Path | None = None,
) -> tuple[MotionClip, MotionReport]:
    """Return a clip and what is to be said about it; arguments as in ``load_motion``.

    Raises:
        G1MimicError: if the file is missing or cannot be read as a clip. A clip that the robot
            could not show is returned, with errors in the report.
    """
    path = find_file(
        name_or_path, subdirs=["models/motions"], suffixes=READERS, beside=beside, what="motion"
    )
    trajectory = read_trajectory(path, source_fps=source_fps, quat_order=quat_order)
    if fps is not None:
        trajectory = resample(trajectory, fps)
    clip = complete_trajectory(trajectory)
    return clip, validate_clip(clip, profile)


def load_motion(
    name_or_path: str | os.PathLike[str],
    *,
    fps: float | None = CONTROL_RATE,
    profile: RobotProfile | None = None,
    source_fps: float | None = None,
    quat_order: str | None = None,
    beside: Path | None = None,
) -> MotionClip:
    """Find, read, check, resample and complete a motion clip.

    Args:
        name_or_path: a path, or the name of one of the package's clips (``walk``).
        fps: the frame rate of the result; None keeps the file's.
        profile: the robot whose limits the clip is checked against; the hardware's by default.
        source_fps: frame rate of a file that does not hold one (CSV); 30 by default.
        quat_order: ``xyzw`` or ``wxyz`` for a CSV in which it cannot be told.
        beside: a folder that relative paths are tried against first.

    Raises:
        G1MimicError: if the file is missing or wrong, or the clip is not one the robot could show
            (``validate_clip``). What is merely doubtful is logged as a warning.
    """
    clip, report = inspect_motion(
        name_or_path,
        fps=fps,
        profile=profile,
        source_fps=source_fps,
        quat_order=quat_order,
        beside=beside,
    )
    if report.errors:
        raise G1MimicError(f"{name_or_path}: {report.errors[0]}")
    for note in clip.notes:
        _LOG.info("%s: %s", name_or_path, note)
    for warning in report.warnings:
        _LOG.warning("%s: %s", name_or_path, warning)
    return clip


def require_writable(path: Path) -> None:
    """Raise ``G1MimicError`` if no writer has the suffix of ``path``.

    For those who are about to spend time on a clip before they save it.
    """
    if path.suffix.lower() not in WRITERS:
        raise G1MimicError(f"{path}: motions are written as {' or '.join(WRITERS)}")


def save_motion(clip: MotionClip, path: Path) -> None:
    """Write ``clip`` in the format that the suffix of ``path`` names.

    Raises:
        G1MimicError: if no writer has this suffix, or the file cannot be written.
    """
    require_writable(path)
    WRITERS[path.suffix.lower()](clip, path)
