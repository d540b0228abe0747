"""The command `g1-mimic compare`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from g1_mimic.cli.options import Command, add_output, given
from g1_mimic.errors import BadValue


def add_parser(commands: Any) -> None:
    """Add the command to what ``ArgumentParser.add_subparsers`` returned."""
    commands.add_parser(
        "compare",
        help="train several arms with common seeds and report which is better, and how surely",
        description="Train every arm with every seed, some runs at a time, and write report.md, "
        "report.json and curves.png: training speed, stability and final performance of each arm "
        "as ratios to the first one, with 95 % bootstrap intervals. Interrupted, the same command "
        "goes on; with more seeds or arms it adds them.",
        fill=_options,
    )


def _options(parser: Command) -> None:
    from g1_mimic.comparison.arms import strategies
    from g1_mimic.learning.config import TrainConfig

    parser.add_argument(
        "--arms",
        nargs="+",
        default=["uniform", "per"],
        metavar="ARM",
        help=f"{strategies()}, both (per+failure_bins), or NAME:key=value,…; the first is what the "
        "others are compared with (uniform per)",
    )
    add_output(parser, "runs and report", metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=5, help="seeds per arm (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=0, help="the least seed (%(default)s)")
    parser.add_argument("--steps", type=int, help="environment steps of each run")
    parser.add_settings(TrainConfig, "motion")
    parser.add_argument("--config", metavar="YAML", help="settings of all runs")
    parser.add_set(TrainConfig, "a setting of all runs, e.g. --set updates_per_step=2")
    parser.add_argument("--jobs", type=int, help="runs at a time (default: one per core)")
    parser.add_argument("--target", type=float, help="score that training speed is measured to")
    parser.add_argument("--report-only", action="store_true", help="train nothing more")
    parser.set_defaults(run=compare)


def compare(args: argparse.Namespace) -> int:
    """Run the command; the exit status is 1 if a run failed."""
    import os
    import platform

    import g1_mimic
    from g1_mimic.comparison.arms import parse_arms
    from g1_mimic.comparison.report import REPORT, to_markdown, write_report
    from g1_mimic.comparison.runs import Comparison, Runner
    from g1_mimic.learning.config import load_train_config
    from g1_mimic.learning.run.folder import git_revision
    from g1_mimic.learning.session import with_whole_paths
    from g1_mimic.settings import merge, parse_assignments

    arms = parse_arms(args.arms)
    if args.seeds < 1 or args.first_seed < 0 or (args.jobs is not None and args.jobs < 1):
        raise BadValue("--seeds and --jobs must be at least 1, --first-seed at least 0")
    # One process per core: threads of their own would only get into each other's way. Nobody
    # reads checkpoints but a run that was interrupted.
    overrides: dict[str, Any] = {"env": {"threads": 1}, "checkpoint": {"interval_s": 120.0}}
    overrides |= given(args, "motion")
    if args.steps is not None:
        overrides["total_env_steps"] = args.steps
    merge(overrides, parse_assignments(args.settings, "--set "))
    base = with_whole_paths(load_train_config(args.config, overrides))
    seeds = list(range(args.first_seed, args.first_seed + args.seeds))
    comparison = Comparison(Path(args.output).expanduser().resolve(), base, arms, seeds)
    comparison.prepare()
    failures = {}
    if not args.report_only:
        jobs = args.jobs or os.cpu_count() or 1
        failures = Runner(comparison, jobs, lambda line: print(line, flush=True)).run()
    about = {
        "motion": Path(base.motion).name,
        "environment steps of a run": base.total_env_steps,
        "robots": base.num_envs,
        "updates per step of all robots": base.updates_per_step,
        "arms": "; ".join(args.arms),
        "settings of all": " ".join(args.settings) or "the package's",
        "version": f"g1_mimic {g1_mimic.__version__} {git_revision()}, {platform.machine()}",
    }
    findings = write_report(comparison.folder, comparison.results(), about, args.target)
    print(to_markdown(findings, about))
    print(f"report: {comparison.folder / REPORT}")
    for name, words in failures.items():
        print(f"failed, and not in the report: {name}: {words}")
    return 1 if failures else 0
