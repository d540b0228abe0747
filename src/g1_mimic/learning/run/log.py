"""What is told of a run while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from g1_mimic.learning.learner import NotFiniteError
from g1_mimic.learning.run.contained_faults import ContainedFaults
from g1_mimic.learning.run.metrics_log import EpisodeMeans, EventFiles, RunningMeans
from g1_mimic.learning.run.progress import Histogram, Progress


class TrainingClock:
    """Wall and computing time of the training alone, over all parts of a run."""

    def __init__(self) -> None:
        self.wall_s = 0.0
        """Wall time up to the newest `lap`, s."""
        self.cpu_s = 0.0
        """Computing time of the same over all threads, s; other processes add little to it."""
        self.start()

    def start(self) -> None:
        """Begin a lap: what came since the one before does not count."""
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def elapsed(self) -> float:
        """Return the wall time of the present lap, s."""
        return time.monotonic() - self._wall

    def lap(self) -> float:
        """Count the present lap, begin the next one, and return the wall time of it, s."""
        elapsed = self.elapsed()
        self.wall_s += elapsed
        self.cpu_s += time.process_time() - self._cpu
        self.start()
        return elapsed

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let the clock stand still in the block."""
        wall, cpu = time.monotonic(), time.process_time()
        try:
            yield
        finally:
            self._wall += time.monotonic() - wall
            self._cpu += time.process_time() - cpu


class RunLog:
    """Metrics of a run on their way to TensorBoard and to whoever listens, and the run's clock.

    Args:
        events: folder of the event files.
        num_envs: how many robots there are.
        faults: what was contained so far; told along, and what cannot be written adds to it.
    """

    def __init__(self, events: Path, num_envs: int, faults: ContainedFaults) -> None:
        self._folder, self._faults = events, faults
        self.clock = TrainingClock()
        self.updates = RunningMeans()
        self.episodes = EpisodeMeans(num_envs)
        self.metrics: dict[str, float] = {}
        """The newest value of each."""
        self.evaluated_at = -1
        """Environment steps at the last evaluation; -1 before the first one."""
        self.on_progress: Callable[[Progress], None] = lambda progress: None
        """Is told at each `write`, in the training thread."""
        self._events = EventFiles(events, 0)
        self._written_at = 0

    def start(self, env_steps: int) -> None:
        """Begin a part of the run: at 0, or where it was interrupted."""
        self._events, self._written_at = EventFiles(self._folder, env_steps), env_steps
        self.clock.start()

    def close(self) -> None:
        """Close the files."""
        self._events.close()

    def due(self, interval_s: float) -> bool:
        """Return whether so much training time has passed since the last `write`."""
        return self.clock.elapsed() >= interval_s

    def evaluated(self, env_steps: int, metrics: Mapping[str, float]) -> None:
        """Take in the metrics of an evaluation, by name without ``eval/``."""
        self._take("eval", metrics)
        self.evaluated_at = env_steps

    def _take(self, group: str, metrics: Mapping[str, float]) -> None:
        self.metrics |= {f"{group}/{name}": float(value) for name, value in metrics.items()}

    def write(
        self,
        env_steps: int,
        total_env_steps: int,
        groups: Mapping[str, Mapping[str, float]],
        histograms: Mapping[str, Histogram],
    ) -> None:
        """Write the metrics, and tell `on_progress` of them.

        Args:
            env_steps: environment steps now.
            total_env_steps: and at the end of the run.
            groups: the present metrics of the run's parts: by group, and by name in it.
            histograms: by their whole names.

        Raises:
            NotFiniteError: if the updates or an evaluation gave a number that is not finite.
        """
        self._take("learner", self.updates.take())
        if bad := [name for name, value in self.metrics.items() if not np.isfinite(value)]:
            raise NotFiniteError(f"{', '.join(bad)} not finite")
        for group, metrics in groups.items():
            self._take(group, metrics)
        elapsed = self.clock.lap()
        rate = (env_steps - self._written_at) / elapsed if elapsed > 0 else 0.0
        times = {"time_s": self.clock.wall_s, "cpu_s": self.clock.cpu_s, "env_steps_per_s": rate}
        self._take("train", self.episodes.metrics() | self._faults.metrics() | times)
        # An evaluation is one point of a curve; listeners are told again, also those who come late.
        fresh = self.evaluated_at == env_steps
        new = {k: v for k, v in self.metrics.items() if fresh or not k.startswith("eval/")}
        with self._faults.contained_write():
            self._events.write(env_steps, new, histograms)
        progress = Progress(
            env_steps, total_env_steps, rate, dict(self.metrics), histograms, str(self._faults)
        )
        self.on_progress(progress)
        self._faults.forget()
        self._written_at = env_steps
        self.clock.start()

    # -- checkpoints ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        clock = self.clock
        return {"train_s": clock.wall_s, "cpu_s": clock.cpu_s, "returns": self.episodes.returns}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state_dict`'s result."""
        self.clock.wall_s, self.clock.cpu_s = float(state["train_s"]), float(state["cpu_s"])
        self.episodes.returns = np.asarray(state["returns"]).copy()
