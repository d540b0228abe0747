"""Motion files by what they contain: one reader and at most one writer per format."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from g1_mimic.errors import G1MimicError
from g1_mimic.files import find_file
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.formats.csv import read_csv, require_content, save_csv
from g1_mimic.motion.formats.json import read_json, save_json
from g1_mimic.motion.formats.npz import read_npz, save_npz
from g1_mimic.motion.formats.orders import ReadOptions
from g1_mimic.motion.formats.pickle import read_pickle
from g1_mimic.motion.formats.sonic import FILES as SONIC_FILES
from g1_mimic.motion.formats.sonic import read_sonic
from g1_mimic.motion.kinematics import complete_trajectory
from g1_mimic.motion.trajectory import CONTROL_RATE, Trajectory, resample
from g1_mimic.motion.validate import MotionReport, validate_clip

if TYPE_CHECKING:
    from g1_mimic.robot.profile import RobotProfile

__all__ = [
    "FORMATS",
    "inspect_motion",
    "load_motion",
    "read_trajectory",
    "require_writable",
    "save_csv",
    "save_json",
    "save_motion",
    "save_npz",
]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Format:
    """A kind of motion file."""

    read: Callable[[Path, ReadOptions], Trajectory]
    title: str


FORMATS: dict[str, Format] = {
    "json": Format(read_json, "JSON of this package"),
    "npz": Format(read_npz, "npz in BeyondMimic's layout"),
    "csv": Format(read_csv, "CSV"),
    "pkl": Format(read_pickle, "pickle"),
    "gmr": Format(read_pickle, "pickle of GMR"),
    "asap": Format(read_pickle, "pickle of ASAP or PBHC"),
    "mimickit": Format(read_pickle, "pickle of MimicKit"),
    "sonic": Format(read_sonic, "folder of SONIC's CSVs"),
}
"""By the names under which users tell them."""

_SUFFIXES = (".json", ".npz", ".csv", ".pkl")
_HEAD_BYTES = 4096
_COMPRESSED = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b")
"""How zlib's and gzip's data begin, which is how joblib compresses. A CSV may begin with x, too."""

WRITERS: dict[str, Callable[[MotionClip, Path], None]] = {
    ".json": save_json,
    ".npz": save_npz,
    ".csv": save_csv,
}


def detect_format(path: Path) -> tuple[str, str]:
    """Return the format of a motion file and by what it was recognised.

    The first bytes decide; the suffix only where they say nothing (then the reader of that suffix
    says what is wrong).

    Raises:
        G1MimicError: if the file cannot be read or is of no known format.
    """
    if path.is_dir():
        return "sonic", "a folder"
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise G1MimicError(f"cannot read {path}: {error.strerror}") from error
    require_content(path, head)
    if head.startswith(b"PK\x03\x04"):
        return "npz", _of_zip(path)
    if head[:1] == b"\x80" or head[:2] in _COMPRESSED or _is_text_pickle(head):
        return "pkl", "the first bytes"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"{"):
        return "json", "the first bytes"
    if text[:1] in b"0123456789+-.#" and b"," in text:
        return "csv", "the first line"
    suffix = path.suffix.lower()
    if suffix in _SUFFIXES:
        return suffix[1:], "the suffix alone"
    raise G1MimicError(f"{path}: motion files are {', '.join(_SUFFIXES)} or a folder of SONIC's")


def _is_text_pickle(head: bytes) -> bool:
    """Protocols 0 and 1 begin with the opcode of a dictionary, list or global, not with numbers."""
    return head[:1] in (b"(", b"}", b"]") or head.startswith(b"ccollections\n")


def _of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return "the first bytes"  # the reader says what is damaged
    if any(name.endswith("data.pkl") for name in names):
        raise G1MimicError(
            f"{path} is a file of torch (ProtoMotions?), which is not read; export it as CSV or npz"
        )
    if {"poses.npy", "trans.npy"} <= set(names):
        raise G1MimicError(
            f"{path} holds a human's motion (AMASS, SMPL); retarget it to the G1 first, e.g. with "
            "GMR"
        )
    return "the first bytes"


def _find(name: str | os.PathLike[str], beside: Path | None) -> tuple[Path, str | None]:
    """Return the path of a motion and, of ``file.pkl#key``, the key."""
    text = os.path.expanduser(os.fspath(name))
    folders = [root / text for root in (beside, Path.cwd()) if root is not None]
    for folder in folders:
        if (folder / SONIC_FILES[0]).is_file():
            return folder, None

    def find(what: str) -> Path:
        return find_file(
            what, subdirs=["models/motions"], suffixes=_SUFFIXES, beside=beside, what="motion"
        )

    try:
        return find(text), None
    except G1MimicError:
        file, hash_sign, key = text.rpartition("#")
        if hash_sign:
            return find(file), key
        for folder in folders:
            if text and folder.is_dir():
                return folder, None
        raise


def motions_in(name: str | os.PathLike[str], beside: Path | None = None) -> list[str]:
    """Return the motions that ``name`` stands for: itself, or all in the folder that it names.

    A folder of SONIC's CSVs is one motion; in other folders, every file with a known suffix and
    every folder of SONIC's is one, in the order of their names.

    Raises:
        G1MimicError: if the folder holds none.
    """
    folder = find_motion(name, beside)
    if not folder.is_dir() or (folder / SONIC_FILES[0]).is_file():
        return [os.fspath(name)]
    found = [
        str(path)
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".")
        and (path.suffix.lower() in _SUFFIXES or (path / SONIC_FILES[0]).is_file())
    ]
    if not found:
        raise G1MimicError(f"the folder {folder} holds no motions ({', '.join(_SUFFIXES)})")
    return found


def find_motion(name: str | os.PathLike[str], beside: Path | None = None) -> Path:
    """Return the file or folder that ``name`` means.

    Raises:
        G1MimicError: if there is none.
    """
    return _find(name, beside)[0]


def read_trajectory(path: Path, options: ReadOptions | None = None) -> Trajectory:
    """Read what a motion file holds, at the file's own rate.

    Args:
        path: a file, or a folder of SONIC's.
        options: what the file does not say itself.

    Raises:
        G1MimicError: one line naming what is wrong in the file and where.
    """
    return _read(path, options or ReadOptions())[0]


def _read(path: Path, options: ReadOptions) -> tuple[Trajectory, str]:
    """Return the trajectory, and how the format was recognised."""
    if options.format is None:
        kind, how = detect_format(path)
    elif options.format in FORMATS:
        kind, how = options.format, "as told"
    else:
        raise G1MimicError(f"format is one of {', '.join(FORMATS)}, not '{options.format}'")
    if options.key is not None and FORMATS[kind].read is not read_pickle:
        raise G1MimicError(f"{path}: only a pickle holds several motions; leave '#{options.key}'")
    if path.is_dir() != (kind == "sonic"):
        raise G1MimicError(f"{path} is {'a' if path.is_dir() else 'no'} folder: not a {kind}")
    return FORMATS[kind].read(path, options), f"{FORMATS[kind].title}, by {how}"


def inspect_motion(
    name_or_path: str | os.PathLike[str],
    *,
    fps: float | None = CONTROL_RATE,
    profile: RobotProfile | None = None,
    source_fps: float | None = None,
    quat_order: str | None = None,
    joints: str | None = None,
    format: str | None = None,
    beside: Path | None = None,
) -> tuple[MotionClip, MotionReport]:
    """Return a clip and what is to be said about it; arguments as in ``load_motion``.

    Raises:
        G1MimicError: if the file is missing or cannot be read as a clip. A clip that the robot
            could not show is returned, with errors in the report.
    """
    path, key = _find(name_or_path, beside)
    trajectory, how = _read(path, ReadOptions(format, source_fps, quat_order, joints, key))
    if fps is not None:
        trajectory = resample(trajectory, fps)
    clip = complete_trajectory(trajectory)
    report = validate_clip(clip, profile)
    return clip, replace(report, figures={"format": how, **report.figures})


def load_motion(
    name_or_path: str | os.PathLike[str],
    *,
    fps: float | None = CONTROL_RATE,
    profile: RobotProfile | None = None,
    source_fps: float | None = None,
    quat_order: str | None = None,
    joints: str | None = None,
    format: str | None = None,
    beside: Path | None = None,
) -> MotionClip:
    """Find, read, check, resample and complete a motion clip.

    Args:
        name_or_path: a path, or the name of one of the package's clips (``walk``);
            ``file.pkl#key`` names one of several motions in a file.
        fps: the frame rate of the result; None keeps the file's.
        profile: the robot whose limits the clip is checked against; the hardware's by default.
        source_fps: frame rate of a file that does not hold one (CSV: 30 by default; SONIC: 50).
        quat_order: ``xyzw`` or ``wxyz`` for a file in which it cannot be told.
        joints: ``mjcf`` or ``isaac`` order of joints without names in which it cannot be told.
        format: one of ``FORMATS``; told from the content by default.
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
        joints=joints,
        format=format,
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
        raise G1MimicError(f"{path}: motions are written as {', '.join(WRITERS)}")


def save_motion(clip: MotionClip, path: Path) -> None:
    """Write ``clip`` in the format that the suffix of ``path`` names.

    Raises:
        G1MimicError: if no writer has this suffix, or the file cannot be written.
    """
    require_writable(path)
    WRITERS[path.suffix.lower()](clip, path)
