"""Training throughput over its two limits, physics alone and updates alone, and where time goes.

All is measured in one run, in turn, on the same trainer past its warm-up: training steps (physics
in a thread of its own beside the updates), the updates of as many steps without physics, and
`mujoco.rollout` alone on states and controls that training went through. Perfect overlap would
take as long as the slower of the two alone. The share of a part is its time over that of the step;
"beside" are parts of the physics thread, which runs while the learner updates. The last line is
``ratio R``: the time of the slower limit over that of a training step.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from g1_mimic.learning import trainer as trainer_module
from g1_mimic.learning.config import TrainConfig
from g1_mimic.learning.session import open_trainer
from g1_mimic.learning.trainer import Trainer
from g1_mimic.settings import merge, parse_assignments


class Parts:
    """Time spent in functions, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.on = False

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function`` with its time counted for ``name`` while this is on."""

        def run(*args: Any, **kwargs: Any) -> Any:
            begun = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                if self.on:
                    self.seconds[name] += time.perf_counter() - begun

        return run

    def watch(self, owner: Any, method: str, name: str) -> None:
        """Count the time of a method of an object or of a function of a module."""
        setattr(owner, method, self.timed(name, getattr(owner, method)))


def watched(trainer: Trainer) -> Parts:
    """Return the parts of the training step of ``trainer``."""
    parts = Parts()
    learner = trainer.learner
    parts.watch(trainer.env.physics, "step", "physics")
    parts.watch(trainer.env, "step", "environment")
    parts.watch(learner, "observe", "observe")
    parts.watch(learner, "explore", "explore")
    parts.watch(trainer.replay, "sample", "sample")
    parts.watch(trainer_module, "gather_nstep", "n-step window")
    parts.watch(learner, "_update_critic", "critic update")
    parts.watch(learner, "_update_actor", "actor update")
    parts.watch(trainer.replay, "learn_errors", "priorities")
    parts.watch(trainer, "_update", "updates")
    parts.watch(trainer, "_record", "record")
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--motion", default="stand")
    parser.add_argument("--steps", type=int, default=60, help="training steps in each round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    args = parser.parse_args()
    settings = {"motion": args.motion, "total_env_steps": 10**9, "device": "cpu"}
    merge(settings, parse_assignments(args.settings, "--set "))
    with tempfile.TemporaryDirectory() as folder:
        settings["run_dir"] = str(Path(folder) / "run")
        trainer = open_trainer(TrainConfig.model_validate(settings))
        torch.set_num_threads(1)
        measure(trainer, args.steps, args.rounds)
        trainer.close()


def measure(trainer: Trainer, steps: int, rounds: int) -> None:
    """Print what the trainer does with its time."""
    config, env = trainer.config, trainer.env
    parts = watched(trainer)
    recorded: list[tuple[np.ndarray, np.ndarray]] = []
    step = env.physics.step

    def record(control: np.ndarray) -> np.ndarray:
        recorded.append((env.physics._state.copy(), control.copy()))
        return step(control)

    with ThreadPoolExecutor(1) as pool:
        while trainer.env_steps < 2 * config.warmup_env_steps:
            trainer._train_step(pool)
        env.physics.step = record  # type: ignore[method-assign]
        for _ in range(steps):
            trainer._train_step(pool)
        env.physics.step = step  # type: ignore[method-assign]

        def train() -> None:
            parts.on = True
            for _ in range(steps):
                trainer._train_step(pool)
            parts.on = False

        def update() -> None:
            for _ in range(steps * config.updates_per_step):
                trainer._update()

        def physics() -> None:
            for state, control in recorded:
                env.physics._state[:] = state
                step(control)

        def seconds(work: Callable[[], None]) -> float:
            begun = time.perf_counter()
            work()
            return (time.perf_counter() - begun) / steps

        measured = []
        for _ in range(rounds):
            kept = env.physics._state.copy()
            alone = seconds(physics)
            env.physics._state[:] = kept
            measured.append((seconds(train), seconds(update), alone))
    full, updates, bare = (statistics.median(column) for column in zip(*measured, strict=True))
    begun = time.perf_counter()
    trainer.evaluate()
    evaluation = time.perf_counter() - begun
    per_step = config.evaluation.interval_env_steps / config.num_envs

    print(f"{config.num_envs} robots, {config.updates_per_step} updates of "
          f"{config.replay.batch_size} per step, sampling {config.sampling}, "
          f"{env.physics.threads} physics threads")  # fmt: skip
    print(f"{'':14}{'env steps/s':>12}{'updates/s':>11}{'ms/step':>9}")
    for name, time_s in (("training", full), ("physics alone", bare), ("updates alone", updates)):
        env_rate = "" if name.startswith("updates") else f"{config.num_envs / time_s:.0f}"
        rate = "" if name.startswith("physics") else f"{config.updates_per_step / time_s:.0f}"
        print(f"{name:14}{env_rate:>12}{rate:>11}{1e3 * time_s:9.2f}")
    print(f"\nshares of a training step of {1e3 * full:.2f} ms")
    total = steps * rounds
    shares = {name: value / total for name, value in parts.seconds.items()}
    inner = ("sample", "n-step window", "critic update", "actor update", "priorities")
    rest = shares["updates"] - sum(shares[name] for name in inner if name in shares)
    learner = {name: shares[name] for name in ("observe", "explore", *inner) if name in shares}
    learner |= {"other of updates": rest, "record": shares["record"]}
    mean_step = statistics.mean(column[0] for column in measured)
    learner["waiting, rest"] = mean_step - sum(learner.values())
    for name, value in learner.items():
        print(f"  {name:28}{value / mean_step:6.1%}")
    python = shares["environment"] - shares["physics"]
    print(f"  beside: {'physics':20}{shares['physics'] / mean_step:6.1%}")
    print(f"  beside: {'observations, rewards':20}{python / mean_step:6.1%}")
    print(f"evaluation: {evaluation:.2f} s for every {per_step:.0f} steps, "
          f"{evaluation / (evaluation + per_step * full):.1%} of a run")  # fmt: skip
    print(f"env steps/s over physics alone {bare / full:.3f}")
    print(f"updates/s over updates alone   {updates / full:.3f}")
    print(f"ratio {max(bare, updates) / full:.3f}")


if __name__ == "__main__":
    main()
