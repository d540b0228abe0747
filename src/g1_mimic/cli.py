"""The command line `g1-mimic`: train, evaluate, plot, export, motion … Needs no ROS."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

import g1_mimic
from g1_mimic.errors import G1MimicError
from g1_mimic.options import add_settings_option

# Heavy modules (torch, mujoco) are imported by the commands that need them, so that --help and
# mistakes in arguments answer at once.


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
    from g1_mimic.learning.assessment import commands as evaluation_commands
    from g1_mimic.learning.comparison import commands as comparison_commands
    from g1_mimic.motion import commands as motion_commands

    _add_train(commands)
    evaluation_commands.add_parser(commands)
    _add_plot(commands)
    _add_export(commands)
    comparison_commands.add_parser(commands)

    motion = commands.add_parser("motion", help="inspect, show, convert and make motion clips")
    motion_commands.add_parser(
        motion.add_subparsers(title="commands", required=True, metavar="COMMAND")
    )
    _add_render(commands)
    from g1_mimic.nodes.simulate_command import add_simulate
    from g1_mimic.recording.commands import add_report

    add_simulate(commands)
    add_report(commands)
    _add_info(commands)
    return parser


# -- train ----------------------------------------------------------------------------------------


def _add_train(commands: Any) -> None:
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
    trainer.on_progress = lambda progress: print(progress, flush=True)

    def interrupt(number: int, frame: Any) -> None:
        print("stopping: writing a checkpoint …", flush=True)
        trainer.stop()
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    trainer.run()
    if trainer.folder.policy.exists():
        print(f"policy: {trainer.folder.policy}")


# -- plot, export, info -----------------------------------------------------------------


def _add_plot(commands: Any) -> None:
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
    from g1_mimic.learning.plots import plot_runs

    print(plot_runs(args.runs, args.output))


def _add_export(commands: Any) -> None:
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
    from g1_mimic.learning.rollout import export_run

    print(export_run(Path(args.run_folder), Path(args.output), args.checkpoint, args.actor))


def _add_info(commands: Any) -> None:
    parser = commands.add_parser("info", help="show what a policy file contains")
    parser.add_argument("policy", help="an ONNX file, or a run folder (its best policy)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(run=_info)


def _info(args: argparse.Namespace) -> None:
    from g1_mimic.policy.info import policy_info
    from g1_mimic.policy.locate import find_policy
    from g1_mimic.terminal import print_table

    info = policy_info(find_policy(args.policy))
    if args.json:
        print(json.dumps(info, indent=2))
    else:
        print_table(args.policy, info)


# -- render ---------------------------------------------------------------------------------------


def _add_render(commands: Any) -> None:
    parser = commands.add_parser(
        "render",
        help="film a policy in simulation, or a motion clip",
        description="Draw off-screen. A .mp4 is a film, a .png a contact sheet of moments.",
    )
    parser.add_argument("source", help="a policy (.onnx or run folder) or a motion clip")
    parser.add_argument("-o", "--output", required=True, help="file to write: .mp4 or .png")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--motion",
        default="",
        metavar="NAME",
        help="the clip to track, of a policy that carries several (default: its first)",
    )
    parser.add_argument(
        "--action-scale",
        default="",
        metavar="RAD|effort",
        help="of a policy of others whose file lacks it (holosoma): rad per unit action, or "
        "effort for 0.25·effort/stiffness",
    )
    parser.set_defaults(run=_render)


def _render(args: argparse.Namespace) -> None:
    from g1_mimic.learning.rollout import render_source

    output, scale = Path(args.output), args.action_scale
    print(render_source(args.source, output, args.seconds, args.seed, scale, args.motion))


if __name__ == "__main__":
    sys.exit(main())
