"""``g1-mimic simulate``: a deployment in simulation without ROS."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from g1_mimic.cli.options import Command


def add_parser(commands: Any) -> None:
    """Add the command to what ``ArgumentParser.add_subparsers`` returned."""
    commands.add_parser(
        "simulate",
        help="run a policy on the simulated robot as deploy_sim does, without ROS",
        description="Run a policy under the deployed controller and its limits on the simulated "
        "robot of deploy_sim, in one process and as fast as possible.",
        fill=_options,
    )


def _options(parser: Command) -> None:
    from g1_mimic.simulation.settings import SimSettings

    parser.add_argument("policy", help="policy file, run folder, or name of one that ships")
    parser.add_argument("--seconds", type=float, default=60.0, help="of tracking (%(default)s)")
    parser.add_argument("--motion", default="", help="clip to track (default: the policy's own)")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")
    parser.add_set(
        SimSettings,
        "any parameter of mujoco_sim, e.g. --set randomisation.preset=mjlab --set seed=3",
    )
    parser.set_defaults(run=_simulate)


def _simulate(args: argparse.Namespace) -> int:
    from g1_mimic.settings import merge, parse_assignments, validate
    from g1_mimic.simulation.closed_loop import ClosedLoop
    from g1_mimic.simulation.settings import SimSettings

    given = merge(parse_assignments(args.settings, "--set "), {"policy": args.policy})
    loop = ClosedLoop(validate(SimSettings, given, "arguments"), motion=args.motion)
    started = time.perf_counter()
    kept_up = loop.track(args.seconds)
    wall = time.perf_counter() - started
    figures = loop.report.figures() | {
        "fault": loop.controller.mode_state.fault,
        "realtime_factor": loop.sim.time_ns * 1e-9 / wall,
    }
    if args.json:
        print(json.dumps(figures, indent=2, ensure_ascii=False))
    else:
        error = figures["joint_error_mean_rad"]
        print(
            f"{'tracked' if kept_up else 'fell or stopped after'} {figures['survived_s']:.1f} s, "
            f"{figures['realtime_factor']:.1f} times real time"
            + ("" if error is None else f"; mean joint error {error:.3f} rad")
            + (f"; {figures['fault']}" if figures["fault"] else "")
        )
    return 0 if kept_up else 1
