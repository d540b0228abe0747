"""Motion files by what they contain: one reader and at most one writer per format."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from g1_mimic.errors import BadValue, G1MimicError, read_error
from g1_mimic.files import find_file
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.formats import pickle
from g1_mimic.motion.formats.csv import read_csv, recognise_csv, require_content, save_csv
from g1_mimic.motion.formats.json import read_json, recognise_json, save_json
from g1_mimic.motion.formats.npz import read_npz, recognise_npz, save_npz
from g1_mimic.motion.formats.orders import ReadOptions
from g1_mimic.motion.formats.sonic import read_sonic, recognise_sonic
from g1_mimic.motion.kinematics import complete_trajectory
from g1_mimic.motion.trajectory import CONTROL_RATE, Trajectory, resample
from g1_mimic.motion.validate import MotionReport, validate_clip
from g1_mimic.settings import did_you_mean

if TYPE_CHECKING:
    from g1_mimic.robot.profile import RobotProfile

__all__ = [
    "FORMATS",
    "inspect_motion",
    "load_motion",
    "motion_formats_table",
    "read_trajectory",
    "require_writable",
    "save_csv",
    "save_json",
    "save_motion",
    "save_npz",
]

_LOG = logging.getLogger(__name__)
_HEAD_BYTES = 4096


@dataclass(frozen=True)
class Format:
    """A kind of motion file.

    Attributes:
        title: what it is.
        read: returns what a file holds, at its own rate.
        suffix: of its files; empty: they have that of another entry, or it is a folder.
        recognise: returns by what a path with these first bytes is one; empty if it is not. None:
            only if users say so.
        write: writes a clip.
        several: a file may hold several motions, of which ``FILE#KEY`` names one.
        folder: it is a folder of files.
    """

    title: str
    read: Callable[[Path, ReadOptions], Trajectory]
    suffix: str = ""
    recognise: Callable[[Path, bytes], str] | None = None
    write: Callable[[MotionClip, Path], None] | None = None
    several: bool = False
    folder: bool = False


FORMATS: dict[str, Format] = {
    "json": Format("JSON of this package", read_json, ".json", recognise_json, save_json),
    "npz": Format("npz in BeyondMimic's layout", read_npz, ".npz", recognise_npz, save_npz),
    "csv": Format("CSV", read_csv, ".csv", recognise_csv, save_csv),
    "pkl": Format("pickle", pickle.read_pickle, ".pkl", pickle.recognise_pickle, several=True),
    **{
        name: Format(f"pickle of {kind.title}", pickle.read_pickle, several=True)
        for name, kind in pickle.KINDS.items()
    },
    "sonic": Format("folder of SONIC's CSVs", read_sonic, "", recognise_sonic, folder=True),
}
"""By the names under which users tell them; the first one that recognises a file reads it."""


def suffixes(*, written: bool = False) -> list[str]:
    """Return the suffixes of motion files; ``written``: of those that can be written."""
    return [f.suffix for f in FORMATS.values() if f.suffix and (f.write or not written)]


def motion_formats_table() -> list[tuple[str, str, str, bool]]:
    """Return name, title, suffix (empty for a folder) of each format, and whether it is written."""
    return [
        (name, f.title, f.suffix or (".pkl" if f.several else ""), f.write is not None)
        for name, f in FORMATS.items()
    ]


def detect_format(path: Path) -> tuple[str, str]:
    """Return the format of a motion file and by what it was recognised.

    The first bytes decide; the suffix only where they say nothing (then the reader of that suffix
    says what is wrong, as SONIC's does of any folder).

    Raises:
        G1MimicError: if the file cannot be read or is of no known format.
    """
    head = b""
    if not path.is_dir():
        try:
            with path.open("rb") as stream:
                head = stream.read(_HEAD_BYTES)
        except OSError as error:
            raise read_error(path, error) from error
        require_content(path, head)
    for name, known in FORMATS.items():
        recognise = known.recognise if known.folder == path.is_dir() else None
        if recognise is not None and (how := recognise(path, head)):
            return name, how
    if path.is_dir():
        return "sonic", "a folder"
    for name, known in FORMATS.items():
        if known.suffix and known.suffix == path.suffix.lower():
            return name, "the suffix alone"
    raise BadValue(f"{path}: motion files are {', '.join(suffixes())} or a folder of SONIC's")


def _is_motion_folder(path: Path) -> bool:
    folders = (f.recognise for f in FORMATS.values() if f.folder and f.recognise)
    return os.path.isdir(path) and any(recognise(path, b"") for recognise in folders)


def _find(name: str | os.PathLike[str], beside: Path | None) -> tuple[Path, str | None]:
    """Return the path of a motion and, of ``file.pkl#key``, the key."""
    text = os.path.expanduser(os.fspath(name))
    folders = [root / text for root in (beside, Path.cwd()) if root is not None]
    for folder in folders:
        if _is_motion_folder(folder):
            return folder, None

    def find(what: str) -> Path:
        return find_file(
            what, subdirs=["models/motions"], suffixes=suffixes(), beside=beside, what="motion"
        )

    try:
        return find(text), None
    except G1MimicError:
        file, hash_sign, key = text.rpartition("#")
        if hash_sign:
            return find(file), key
        for folder in folders:
            if text and os.path.isdir(folder):
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
    if not folder.is_dir() or _is_motion_folder(folder):
        return [os.fspath(name)]
    found = [
        str(path)
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".")
        and (path.suffix.lower() in suffixes() or _is_motion_folder(path))
    ]
    if not found:
        raise BadValue(f"the folder {folder} holds no motions ({', '.join(suffixes())})")
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
        raise BadValue(
            f"format is one of {', '.join(FORMATS)}, not '{options.format}'"
            f"{did_you_mean(options.format, FORMATS)}"
        )
    known = FORMATS[kind]
    if options.key is not None and not known.several:
        raise BadValue(f"{path}: only a pickle holds several motions; leave '#{options.key}'")
    if path.is_dir() != known.folder:
        raise BadValue(f"{path} is {'a' if path.is_dir() else 'no'} folder: not a {kind}")
    return known.read(path, options), f"{known.title}, by {how}"


def inspect_motion(
    name_or_path: str | os.PathLike[str],
    *,
    fps: float | None = CONTROL_RATE,
    profile: RobotProfile | None = None,
    beside: Path | None = None,
    **told: Any,
) -> tuple[MotionClip, MotionReport]:
    """Return a clip and what is to be said about it; arguments as in ``load_motion``.

    Raises:
        G1MimicError: if the file is missing or cannot be read as a clip. A clip that the robot
            could not show is returned, with errors in the report.
    """
    path, key = _find(name_or_path, beside)
    trajectory, how = _read(path, ReadOptions(**told, key=key))
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
    beside: Path | None = None,
    **told: Any,
) -> MotionClip:
    """Find, read, check, resample and complete a motion clip.

    Args:
        name_or_path: a path, or the name of one of the package's clips (``walk``);
            ``file.pkl#key`` names one of several motions in a file.
        fps: the frame rate of the result; None keeps the file's.
        profile: the robot whose limits the clip is checked against; the hardware's by default.
        beside: a folder that relative paths are tried against first.
        told: what the file does not say itself: ``format``, ``source_fps``, ``quat_order`` and
            ``joints`` of `ReadOptions`.

    Raises:
        G1MimicError: if the file is missing or wrong, or the clip is not one the robot could show
            (``validate_clip``). What is merely doubtful is logged as a warning.
    """
    clip, report = inspect_motion(name_or_path, fps=fps, profile=profile, beside=beside, **told)
    if report.errors:
        raise BadValue(f"{name_or_path}: {report.errors[0]}")
    for note in clip.notes:
        _LOG.info("%s: %s", name_or_path, note)
    for warning in report.warnings:
        _LOG.warning("%s: %s", name_or_path, warning)
    return clip


def require_writable(path: Path) -> None:
    """Raise ``G1MimicError`` if no writer has the suffix of ``path``.

    For those who are about to spend time on a clip before they save it.
    """
    _writer(path)


def _writer(path: Path) -> Callable[[MotionClip, Path], None]:
    for known in FORMATS.values():
        if known.write is not None and known.suffix == path.suffix.lower():
            return known.write
    raise BadValue(f"{path}: motions are written as {', '.join(suffixes(written=True))}")


def save_motion(clip: MotionClip, path: Path) -> None:
    """Write ``clip`` in the format that the suffix of ``path`` names.

    Raises:
        G1MimicError: if no writer has this suffix, or the file cannot be written.
    """
    _writer(path)(clip, path)
