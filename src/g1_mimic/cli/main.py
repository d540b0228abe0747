"""The command line `g1-mimic`: train, evaluate, plot, export, motion … Needs no ROS.

Heavy modules (torch, mujoco) are imported by the commands that need them, so that --help and
mistakes in arguments answer at once.
"""

from __future__ import annotations

import argparse
import sys

import g1_mimic
from g1_mimic.cli import compare, evaluate, motion, policies, report, runs, simulate
from g1_mimic.errors import G1MimicError


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, or 2 after a one-line error."""
    parser = build_parser()
    args = parser.parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except G1MimicError as error:
        print(f"g1-mimic: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="g1-mimic",
        description="Teach a Unitree G1 to imitate motion clips in MuJoCo.",
    )
    parser.add_argument("--version", action="version", version=g1_mimic.__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    runs.add_train(commands)
    evaluate.add_parser(commands)
    runs.add_plot(commands)
    runs.add_export(commands)
    compare.add_parser(commands)
    clips = commands.add_parser("motion", help="inspect, show, convert and make motion clips")
    motion.add_parser(clips.add_subparsers(title="commands", required=True, metavar="COMMAND"))
    policies.add_render(commands)
    simulate.add_parser(commands)
    report.add_parser(commands)
    policies.add_info(commands)
    return parser
