"""The options that commands of ``g1-mimic motion`` share: the clip to read, the file to write."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from g1_mimic.motion.clip import MotionClip

_TOLD = ("source_fps", "format", "quat_order", "joints")


def add_source(parser: argparse.ArgumentParser, *, fps: float = 50.0) -> None:
    """Add the clip and what may be told about its file; ``fps`` is the default to resample to."""
    from g1_mimic.motion.files import FORMATS, suffixes
    from g1_mimic.motion.formats.joints import JOINT_ORDERS
    from g1_mimic.motion.formats.orders import QUAT_ORDERS

    parser.add_argument(
        "motion",
        help=f"path of a file ({', '.join(suffixes())}; FILE.pkl#KEY: one of several) or of a "
        "SONIC folder, or a clip of the package",
    )
    parser.add_argument(
        "--fps",
        type=float,
        default=fps,
        help=f"resample to this rate, Hz; 0 keeps the file's ({fps:g})",
    )
    parser.add_argument("--source-fps", type=float, help="frame rate of a file without one")
    parser.add_argument("--format", help=f"{', '.join(FORMATS)} (told from the content)")
    parser.add_argument(
        "--quat-order",
        choices=QUAT_ORDERS,
        help="quaternion columns of a file without names (told from the motion)",
    )
    parser.add_argument(
        "--joints",
        choices=tuple(JOINT_ORDERS),
        help="joint order of a file without names (told from the motion)",
    )


def told(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the user told of the source, as keywords of ``load_motion``."""
    return {"fps": args.fps or None, **{name: getattr(args, name) for name in _TOLD}}


def add_target(parser: argparse.ArgumentParser, *flags: str, **settings: Any) -> None:
    """Add the clip's file to write, by default as a positional argument, and its name."""
    from g1_mimic.motion.files import suffixes

    about = f"file to write: {', '.join(suffixes(written=True))}"
    parser.add_argument(*(flags or ["output"]), type=Path, metavar="OUT", help=about, **settings)
    parser.add_argument("--name", help="name of the clip (default: that of the file)")


def add_robot(parser: argparse.ArgumentParser) -> None:
    """Add the robot that a clip is checked against."""
    from g1_mimic.robot.names import DEFAULT_ROBOT

    parser.add_argument("--robot", default=DEFAULT_ROBOT, help="robot profile (%(default)s)")


def tell(clip: MotionClip, path: Path) -> None:
    """Print what was written."""
    loop = ", looped" if clip.looped else ""
    print(f"{path}: {clip.num_frames} frames, {clip.duration:.2f} s at {clip.fps:g} Hz{loop}")
