"""The commands about runs: `g1-mimic train`, `plot` and `export`."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from typing import Any

from g1_mimic.cli.options import Command, add_output, given

TRAIN_OPTIONS = (
    "motion", "task", "robot", "num_envs", "total_env_steps", "sampling", "seed", "device",
    "run_dir", "warm_start", "resume",
)  # fmt: skip
"""Settings of a run with an option of their own."""


def add_parsers(commands: Any) -> None:
    """Add the commands to what ``ArgumentParser.add_subparsers`` returned."""
    commands.add_parser(
        "train",
        help="train a policy on a motion clip",
        description="Train a policy. Settings come from config/train.yaml of the package, or from "
        "--config; the options below and --set override them.",
        fill=_train_options,
    )
    commands.add_parser(
        "plot",
        help="draw learning curves, replay and hard moments of the clip of one or more runs",
        description="Draw runs from what they have logged, also while they go on: evaluations and "
        "returns, what the replay did, and where in the clip episodes started and failed.",
        fill=_plot_options,
    )
    commands.add_parser(
        "export", help="export the policy of a run's checkpoint as ONNX", fill=_export_options
    )


def _train_options(parser: Command) -> None:
    from g1_mimic.learning.config import TrainConfig

    parser.add_argument("--config", metavar="YAML", help="settings (default: the package's)")
    parser.add_settings(TrainConfig, *TRAIN_OPTIONS)
    parser.add_set(TrainConfig, "any setting of the YAML, e.g. --set learner.gamma=0.98")
    parser.set_defaults(run=_train)


def _train(args: argparse.Namespace) -> None:
    from g1_mimic.learning.config import TrainConfig, load_train_config
    from g1_mimic.learning.session import open_trainer
    from g1_mimic.settings import merge, parse_assignments, validate

    overrides = merge(given(args, *TRAIN_OPTIONS), parse_assignments(args.settings, "--set "))
    if args.resume and not args.config:
        settings = validate(TrainConfig, overrides, "arguments")
    else:
        settings = load_train_config(args.config, overrides)
    trainer = open_trainer(settings)
    print(f"run folder: {trainer.folder.path}", flush=True)
    trainer.log.on_progress = lambda progress: print(progress, flush=True)

    def interrupt(number: int, frame: Any) -> None:
        print("stopping: writing a checkpoint …", flush=True)
        trainer.control.stop()
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    trainer.run()
    if trainer.folder.policy.exists():
        print(f"policy: {trainer.folder.policy}")


def _plot_options(parser: Command) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run")
    add_output(parser, "file to write: .png, .pdf or .svg")
    parser.set_defaults(run=_plot)


def _plot(args: argparse.Namespace) -> None:
    from g1_mimic.comparison.plots import plot_runs

    print(plot_runs(args.runs, args.output))


def _export_options(parser: Command) -> None:
    parser.add_argument("run_folder", help="folder of the run")
    add_output(parser, "the ONNX file to write")
    parser.add_argument(
        "--checkpoint", default="best", help="best, newest, or the path of a checkpoint"
    )
    parser.add_argument(
        "--actor",
        choices=["chosen", "raw", "averaged"],
        default="chosen",
        help="which actor: the one that evaluated better, the learning one, or its average",
    )
    parser.set_defaults(run=_export)


def _export(args: argparse.Namespace) -> None:
    from g1_mimic.learning.run.export import export_run

    print(export_run(Path(args.run_folder), Path(args.output), args.checkpoint, args.actor))
