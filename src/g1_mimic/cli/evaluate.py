"""The command `g1-mimic evaluate`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from g1_mimic.cli.options import Command, given
from g1_mimic.errors import BadValue

if TYPE_CHECKING:
    from g1_mimic.evaluation.suite import Assessment

_OPTIONS = ("episodes", "seconds", "seed", "robot")
_ENVIRONMENT = ("reset.noise", "feet", "self_collision")


def add_parser(commands: Any) -> None:
    """Add the command to what ``ArgumentParser.add_subparsers`` returned."""
    commands.add_parser(
        "evaluate",
        help="run many episodes of a policy and tell how well it tracks, also where it was not "
        "trained",
        description="Episodes start from frames spread evenly over the clip; a looped clip runs "
        "for --seconds, others to their end. Without --suite on the robot of training alone.",
        fill=_options,
    )


def _options(parser: Command) -> None:
    from g1_mimic.deployment.settings import PolicyChoice
    from g1_mimic.envs.config import EnvConfig
    from g1_mimic.evaluation.options import Options

    parser.add_argument(
        "policies", nargs="+", metavar="POLICY", help="an ONNX file, or a run folder (its best)"
    )
    parser.add_argument(
        "--suite",
        default="nominal",
        metavar="PART,…",
        help="nominal (default), randomised (each preset), pushes (growing until most episodes "
        "fail), delay (to 40 ms), second_robot (armature, joint friction, other contacts and "
        "physics step), or full: all of them",
    )
    parser.add_settings(PolicyChoice, "action_scale")
    parser.add_settings(Options, *_OPTIONS)
    parser.add_settings(EnvConfig, *_ENVIRONMENT)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page of its own, too")
    parser.add_argument("--film", action="store_true", help="show films on the page, not pictures")
    parser.set_defaults(run=evaluate)


def evaluate(args: argparse.Namespace) -> None:
    """Run the command."""
    from g1_mimic.envs.config import EnvConfig
    from g1_mimic.evaluation.conditions import conditions
    from g1_mimic.evaluation.options import Options
    from g1_mimic.evaluation.suite import assess
    from g1_mimic.policy.locate import find_policy
    from g1_mimic.policy.runtime import OnnxPolicy
    from g1_mimic.settings import validate

    environment = given(args, *_ENVIRONMENT)
    validate(EnvConfig, environment, "arguments")
    wishes = given(args, *_OPTIONS) | {"config": environment}
    options = validate(Options, wishes, "arguments")
    if args.html is not None and args.html.suffix.lower() != ".html":
        raise BadValue(f"--html {args.html}: the name must end in .html")
    if args.film and args.html is None:
        raise BadValue("--film is for the page: give --html FILE too")
    wanted = conditions(part for part in args.suite.split(",") if part)
    paths = [find_policy(name) for name in args.policies]
    policies = [OnnxPolicy.load(path, args.action_scale or "") for path in paths]
    quick = len(wanted) == 1

    def tell(line: str) -> None:
        if not quick:
            print(line, file=sys.stderr, flush=True)

    found = [
        assess(policy, name, wanted, options, tell)
        for policy, name in zip(policies, args.policies, strict=True)
    ]
    if args.json:
        each = [a.nominal.as_dict() if quick else a.as_dict() for a in found]
        print(json.dumps(each[0] if len(each) == 1 else each, indent=2))
    else:
        _print(found, quick)
    if args.html is not None:
        from g1_mimic.evaluation.page import write_page

        for line in write_page(args.html, found, policies, args.film):
            print(line, file=sys.stderr)


def _print(found: list[Assessment], quick: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from g1_mimic.cli.terminal import print_table
    from g1_mimic.evaluation.tables import NARROW, UNITS, push_line

    for assessment in found:
        if quick:
            title = "evaluation" if len(found) == 1 else f"evaluation of {assessment.name}"
            print_table(title, assessment.nominal.as_dict())
            continue
        title = f"{assessment.name}, {assessment.options.episodes} episodes each"
        table = Table(title=title, caption=UNITS, box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
        table.add_column("", no_wrap=True)
        for name in NARROW:
            table.add_column(name, justify="right")
        for outcome in assessment.outcomes:
            values = outcome.evaluation.as_dict()
            shares = ("success_rate", "torque_limit_share")
            figures = (
                f"{values[key]:.1%}" if key in shares else f"{values[key]:.3g}"
                for key in NARROW.values()
            )
            table.add_row(outcome.condition.name, *figures)
        Console().print(table)
        if line := push_line(assessment):
            print(line)
