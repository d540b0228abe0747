"""How long it takes to learn a clip: wall time to a policy with no fall, by seed.

A run counts as done at its first evaluation in which none of 64 ten-second episodes from all over
the clip ends in a fall (a clip that does not loop ends before). With ``--hold 3`` it then goes on
until three times the steps, and the table tells the least share of no falls from there on: what
was learned must not be lost. Wall time is everything, evaluations and exports included; the time of
the training alone is beside it. The last line is ``median M min``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from g1_mimic.learning.config import load_train_config
from g1_mimic.learning.run.progress import Progress
from g1_mimic.learning.session import open_trainer
from g1_mimic.settings import merge, parse_assignments


@dataclass
class Learned:
    """One run."""

    steps: int | None = None
    """Environment steps at the first evaluation without a fall; None if there was none."""
    wall_s: float = 0.0
    train_s: float = 0.0
    best: float = 0.0
    """The highest share of episodes without a fall."""
    held: float = 1.0
    """The least share after the first evaluation without a fall."""
    score: float = 0.0
    """Of the last evaluation."""


def learn(motion: str, seed: int, steps: int, hold: float, settings: list[str]) -> Learned:
    """Train one seed until it is done."""
    result = Learned()
    changes = {
        "motion": motion,
        "seed": seed,
        "total_env_steps": steps,
        "evaluation": {"episodes": 64},
    }
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        overrides = merge(changes, parse_assignments(settings))
        config = load_train_config(None, {**overrides, "run_dir": str(run)})
        begun = time.monotonic()
        trainer = open_trainer(config)
        seen = -1

        def look(progress: Progress) -> None:
            nonlocal seen
            metrics = progress.metrics
            if trainer.log.evaluated_at in (seen, -1):
                return
            seen = trainer.log.evaluated_at
            share = metrics["eval/success_rate"]
            result.best, result.score = max(result.best, share), metrics["eval/score"]
            if result.steps is not None:
                result.held = min(result.held, share)
            elif share == 1.0:
                result.steps, result.train_s = seen, metrics["train/time_s"]
                result.wall_s = time.monotonic() - begun
            if result.steps is not None and seen >= hold * result.steps:
                trainer.control.stop()

        trainer.log.on_progress = look
        trainer.run()
    if result.steps is None:
        result.wall_s = time.monotonic() - begun
    return result


def main() -> None:
    """Train all seeds, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--motion", default="stand")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=500_000, help="give up after so many")
    parser.add_argument("--hold", type=float, default=1.0, help="go on to so many times the steps")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    print(f"{args.motion}: no fall in 64 episodes")
    print("seed  steps    wall min  training min  best  held  last score")
    times = []
    for seed in range(args.seeds):
        r = learn(args.motion, seed, args.steps, args.hold, args.set)
        steps = "never" if r.steps is None else f"{r.steps // 1000}k"
        print(
            f"{seed:4}  {steps:7}  {r.wall_s / 60:8.2f}  {r.train_s / 60:12.2f}  {r.best:4.0%}  "
            f"{r.held:4.0%}  {r.score:.2f}",
            flush=True,
        )
        times.append(r.wall_s / 60 if r.steps is not None else float("inf"))
    print(f"median {statistics.median(times):.2f} min")


if __name__ == "__main__":
    main()
