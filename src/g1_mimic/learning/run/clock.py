"""The time that a training takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


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
