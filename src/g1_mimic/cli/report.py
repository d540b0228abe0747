"""``g1-mimic report``: a recording on one page."""

from __future__ import annotations

import argparse
from typing import Any

from g1_mimic.cli.options import Command, add_output


def add_parser(commands: Any) -> None:
    """Add the command to what ``ArgumentParser.add_subparsers`` returned."""
    commands.add_parser(
        "report",
        help="draw a recording of a deployment: tracking, torques against limits, latency",
        description="Draw an MCAP recording (record:=true, or ros2 bag record -s mcap) on one "
        "page. Recordings that a crash has cut short are read as far as they go.",
        fill=_options,
    )


def _options(parser: Command) -> None:
    parser.add_argument("recording", metavar="FILE.mcap", help="the recording")
    add_output(parser, "file to write: .html, .png, .pdf or .svg")
    parser.set_defaults(run=_report)


def _report(args: argparse.Namespace) -> None:
    from g1_mimic.recording.report import write_report

    print(write_report(args.recording, args.output))
