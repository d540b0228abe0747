"""The commands about policy files: `g1-mimic info` and `render`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from g1_mimic.cli.options import Command, add_output


def add_parsers(commands: Any) -> None:
    """Add the commands to what ``ArgumentParser.add_subparsers`` returned."""
    commands.add_parser("info", help="show what a policy file contains", fill=_info_options)
    commands.add_parser(
        "render",
        help="film a policy in simulation, or a motion clip",
        description="Draw off-screen. A .mp4 is a film, a .png a contact sheet of moments.",
        fill=_render_options,
    )


def _info_options(parser: Command) -> None:
    parser.add_argument("policy", help="an ONNX file, or a run folder (its best policy)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(run=_info)


def _info(args: argparse.Namespace) -> None:
    from g1_mimic.cli.terminal import print_table
    from g1_mimic.policy.info import policy_info
    from g1_mimic.policy.locate import find_policy

    info = policy_info(find_policy(args.policy))
    if args.json:
        print(json.dumps(info, indent=2))
    else:
        print_table(args.policy, info)


def _render_options(parser: Command) -> None:
    from g1_mimic.deployment.settings import PolicyChoice

    parser.add_argument("source", help="a policy (.onnx or run folder) or a motion clip")
    add_output(parser, "file to write: .mp4 or .png")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the film (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the episode (%(default)s)")
    parser.add_argument(
        "--motion",
        default="",
        metavar="NAME",
        help="the clip to track, of a policy that carries several (default: its first)",
    )
    parser.add_settings(PolicyChoice, "action_scale")
    parser.set_defaults(run=_render)


def _render(args: argparse.Namespace) -> None:
    from g1_mimic.evaluation.film import render_source

    output, scale = Path(args.output), args.action_scale or ""
    print(render_source(args.source, output, args.seconds, args.seed, scale, args.motion))
