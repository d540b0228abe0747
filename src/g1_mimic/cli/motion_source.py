"""The options of ``g1-mimic motion`` that say which clip to read, and how."""

from __future__ import annotations

import argparse
from typing import Any

_TOLD = ("source_fps", "format", "quat_order", "joints")


def add_source(parser: argparse.ArgumentParser, *, fps: float = 50.0) -> None:
    """Add the clip and what may be told about its file; ``fps`` is the default to resample to."""
    parser.add_argument(
        "motion",
        help="path of a .json, .npz, .csv, .pkl or SONIC folder (FILE.pkl#KEY: one of several), "
        "or a clip of the package",
    )
    parser.add_argument(
        "--fps",
        type=float,
        default=fps,
        help=f"resample to this rate, Hz; 0 keeps the file's ({fps:g})",
    )
    parser.add_argument("--source-fps", type=float, help="frame rate of a file without one")
    parser.add_argument(
        "--format", help="json, npz, csv, pkl, gmr, asap, mimickit, sonic (told from the content)"
    )
    parser.add_argument(
        "--quat-order",
        choices=("xyzw", "wxyz"),
        help="quaternion columns of a file without names (told from the motion)",
    )
    parser.add_argument(
        "--joints",
        choices=("mjcf", "isaac"),
        help="joint order of a file without names (told from the motion)",
    )


def told(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the user told of the source, as keywords of ``load_motion``."""
    return {"fps": args.fps or None, **{name: getattr(args, name) for name in _TOLD}}
