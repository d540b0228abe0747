"""Running a policy's network beside the state loop, so that a slow one does not hold it up."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import NamedTuple, Protocol

import numpy as np


class Acts(Protocol):
    """What runs a network."""

    def act(self, obs: np.ndarray, time_step: int) -> np.ndarray:
        """Return the raw action [29] for an observation [n]."""


class Inference(NamedTuple):
    """What the network said, and how long it took."""

    action: np.ndarray
    """[29] raw."""
    seconds: float
    """Wall time."""


class InferenceRunner:
    """Runs one inference at a time, in a thread of its own or in the caller's.

    Args:
        policy: whose ``act`` is called.
        wait: wall time that `collect` waits for an inference that has just been started, s; None
            runs it at once in the caller's thread, however long it takes: for lock-step, where
            no time passes meanwhile.
    """

    def __init__(self, policy: Acts, wait: float | None = None) -> None:
        self._policy, self._wait = policy, wait
        self._jobs: SimpleQueue[tuple[int, np.ndarray, int] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[int, Inference | Exception]] = SimpleQueue()
        self._number = 0
        self._running = 0
        """Number of the inference that the thread works on; 0: none."""
        self._thread: threading.Thread | None = None
        if wait is not None:
            # A daemon: a network that hangs must not keep the process from ending.
            self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
            self._thread.start()

    @property
    def busy(self) -> bool:
        """True while an inference is under way."""
        return self._running != 0

    def start(self, obs: np.ndarray, time_step: int) -> None:
        """Begin an inference; none may be under way."""
        assert not self.busy
        self._number += 1
        self._running = self._number
        if self._thread is None:
            self._results.put((self._number, self._infer(obs, time_step)))
        else:
            self._jobs.put((self._number, obs, time_step))

    def collect(self, *, wait: bool = False) -> Inference | None:
        """Return the result of the inference under way; None if it is not there yet.

        Args:
            wait: give it the time that the constructor was given.

        Raises:
            Exception: what the policy raised.
        """
        if not self.busy:
            return None
        try:
            number, result = self._results.get(timeout=self._wait if wait else 0.0)
        except Empty:
            return None
        self._running = 0
        if number != self._number:  # abandoned
            return None
        if isinstance(result, Exception):
            raise result
        return result

    def abandon(self) -> None:
        """Forget the inference under way: its result is dropped when it comes."""
        self._number += 1

    def close(self) -> None:
        """End the thread as soon as it has nothing to do."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            number, obs, time_step = job
            self._results.put((number, self._infer(obs, time_step)))

    def _infer(self, obs: np.ndarray, time_step: int) -> Inference | Exception:
        started = time.perf_counter()
        try:
            action = self._policy.act(obs, time_step)
        except Exception as error:  # handed to whoever collects it
            return error
        return Inference(action, time.perf_counter() - started)
