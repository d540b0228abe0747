"""The commands about runs: `g1-mimic train`, `plot` and `export`."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from typing import Any

from g1_mimic.cli.options import add_settings_option


def add_train(commands: Any) -> None:
    """Add the command ``train`` (as `motion.add_parser` adds its own)."""
    parser = commands.add_parser(
        "train",
        help="train a policy on a motion clip",
        description="Train a policy. Settings come from config/train.yaml of the package, or from "
        "--config; the options below and --set override them.",
    )
    parser.add_argument("--config", metavar="YAML", help="settings (default: the package's)")
    parser.add_argument(
        "--motion", help="clip: a name (stand, walk), a file or folder; several: walk:2,stand"
    )
    parser.add_argument("--task", help="task JSON (the guide's format)")
    parser.add_argument("--robot", help="robot profile: g1_29dof, g1_guide or a file")
    parser.add_argument("--num-envs", type=int, help="robots simulated side by side")
    parser.add_argument("--total-env-steps", type=int, help="control steps over all robots")
    parser.add_argument("--sampling", help="replay: uniform, per, lap, per_critic or recency")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--run-dir", help="folder of the run (default: a new one under runs/)")
    parser.add_argument(
        "--warm-start",
        metavar="RUN",
        help="begin with the networks of another run (its best policy) or checkpoint",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        default=None,
        help="continue the run in --run-dir, "
        "or the newest one; keeps its settings but for those given here",
    )
    add_settings_option(parser, "any setting of the YAML, e.g. --set learner.gamma=0.98")
    parser.set_defaults(run=_train)


TRAIN_OPTIONS = (
    "motion", "task", "robot", "num_envs", "total_env_steps", "sampling", "seed", "device",
    "run_dir", "warm_start", "resume",
)  # fmt: skip


def _train(args: argparse.Namespace) -> None:
    from g1_mimic.learning.config import TrainConfig, load_train_config
    from g1_mimic.learning.session import open_trainer
    from g1_mimic.settings import merge, parse_assignments, validate

    given = {name: getattr(args, name) for name in TRAIN_OPTIONS}
    overrides = {name: value for name, value in given.items() if value is not None}
    merge(overrides, parse_assignments(args.settings, "--set "))
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


def add_plot(commands: Any) -> None:
    """Add the command ``plot`` (as `motion.add_parser` adds its own)."""
    parser = commands.add_parser(
        "plot",
        help="draw learning curves, replay and hard moments of the clip of one or more runs",
        description="Draw runs from what they have logged, also while they go on: evaluations and "
        "returns, what the replay did, and where in the clip episodes started and failed.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run")
    parser.add_argument("-o", "--output", required=True, help="file to write: .png, .pdf or .svg")
    parser.set_defaults(run=_plot)


def _plot(args: argparse.Namespace) -> None:
    from g1_mimic.comparison.plots import plot_runs

    print(plot_runs(args.runs, args.output))


def add_export(commands: Any) -> None:
    """Add the command ``export`` (as `motion.add_parser` adds its own)."""
    parser = commands.add_parser("export", help="export the policy of a run's checkpoint as ONNX")
    parser.add_argument("run_folder", help="folder of the run")
    parser.add_argument("-o", "--output", required=True, help="the ONNX file to write")
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
