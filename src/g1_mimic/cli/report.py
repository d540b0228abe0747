"""``g1-mimic report``: a recording on one page."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    """Add the command ``report`` (as `motion.add_parser` adds its own)."""
    parser = commands.add_parser(
        "report",
        help="draw a recording of a deployment: tracking, torques against limits, latency",
        description="Draw an MCAP recording (record:=true, or ros2 bag record -s mcap) on one "
        "page. Recordings that a crash has cut short are read as far as they go.",
    )
    parser.add_argument("recording", metavar="FILE.mcap", help="the recording")
    parser.add_argument(
        "-o", "--output", required=True, help="file to write: .html, .png, .pdf or .svg"
    )
    parser.set_defaults(run=_report)


def _report(args: argparse.Namespace) -> None:
    from g1_mimic.recording.report import write_report

    print(write_report(args.recording, args.output))
