"""The command `g1-mimic evaluate`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from g1_mimic.errors import G1MimicError

if TYPE_CHECKING:
    from g1_mimic.evaluation.suite import Assessment

def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "evaluate",
        help="run many episodes of a policy and tell how well it tracks, also where it was not "
        "trained",
        description="Episodes start from frames spread evenly over the clip; a looped clip runs "
        "for --seconds, others to their end. Without --suite on the robot of training alone.",
    )
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
    parser.add_argument("--robot", help="robot profile (default: the policy's)")
    parser.add_argument(
        "--action-scale",
        default="",
        metavar="RAD|effort",
        help="of a policy of others whose file lacks it (holosoma): rad per unit action, or "
        "effort for 0.25·effort/stiffness",
    )
    parser.add_argument("--episodes", type=int, default=64, help="per condition (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="longest episode (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--noise", type=float, default=0.25, help="scale of the start noise")
    parser.add_argument("--feet", choices=["spheres", "capsules"], default="spheres")
    parser.add_argument("--self-collision", action="store_true")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page of its own, too")
    parser.add_argument("--film", action="store_true", help="show films on the page, not pictures")
    parser.set_defaults(run=evaluate)


def evaluate(args: argparse.Namespace) -> None:
    """Run the command."""
    from g1_mimic.envs.config import ResetConfig
    from g1_mimic.evaluation.conditions import conditions
    from g1_mimic.evaluation.suite import Options, assess
    from g1_mimic.policy.locate import find_policy
    from g1_mimic.policy.runtime import OnnxPolicy

    if args.episodes < 1 or args.seconds <= 0 or args.noise < 0:
        raise G1MimicError("--episodes and --seconds must be positive, --noise not negative")
    if args.html is not None and args.html.suffix.lower() != ".html":
        raise G1MimicError(f"--html {args.html}: the name must end in .html")
    if args.film and args.html is None:
        raise G1MimicError("--film is for the page: give --html FILE too")
    wanted = conditions(part for part in args.suite.split(",") if part)
    shared = {
        "feet": args.feet,
        "self_collision": args.self_collision,
        "reset": ResetConfig(noise=args.noise),
    }
    options = Options(args.robot, args.episodes, args.seconds, args.seed, shared)
    paths = [find_policy(name) for name in args.policies]
    policies = [OnnxPolicy.load(path, args.action_scale) for path in paths]
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
