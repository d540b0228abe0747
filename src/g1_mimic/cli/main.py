"""The command line `g1-mimic`: train, evaluate, plot, export, motion … Needs no ROS.

Heavy modules (torch, mujoco) are imported by the commands that need them, so that --help and
mistakes in arguments answer at once.
"""

from __future__ import annotations

import argparse
import sys

import g1_mimic
from g1_mimic.cli import compare, evaluate, motion, policies, report, runs, simulate
from g1_mimic.cli.options import Command
from g1_mimic.errors import G1MimicError, missing_package


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, or 2 after a one-line error."""
    try:
        args = build_parser().parse_args(argv)  # some options are made from what they set
        return int(args.run(args) or 0)
    except G1MimicError as error:
        print(f"g1-mimic: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"g1-mimic: {missing_package(error)}", file=sys.stderr)
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
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", parser_class=Command
    )
    runs.add_parsers(commands)
    evaluate.add_parser(commands)
    compare.add_parser(commands)
    motion.add_parser(commands)
    policies.add_parsers(commands)
    simulate.add_parser(commands)
    report.add_parser(commands)
    return parser
