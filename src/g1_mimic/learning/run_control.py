"""What other threads ask of a training run: to stop, to pause, to do something between steps."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from g1_mimic.errors import BadState

Request = tuple[Callable[[], Any], Future[Any]]


class RunControl:
    """Requests to a loop, made from any thread and served by the loop between two steps."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._running = threading.Event()
        self._running.set()
        self._requests: deque[Request] = deque()

    def stop(self) -> None:
        """Ask `run` to save and return after the present step."""
        self._stop.set()
        self._running.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def pause(self, paused: bool = True) -> None:
        """Hold the run between steps, or let it go on."""
        if paused:
            self._running.clear()
        else:
            self._running.set()

    def call(self, function: Callable[[], Any], timeout: float = 60.0) -> Any:
        """Run ``function`` between two steps in the training thread and return its result.

        Raises:
            G1MimicError: if the run did not get to it in time; besides what ``function`` raises.
        """
        try:
            return self.post(function).result(timeout)
        except TimeoutError:
            raise BadState("the training loop did not answer in time") from None

    def post(self, function: Callable[[], Any]) -> Future[Any]:
        """Have ``function`` run between two steps, without waiting for it."""
        future: Future[Any] = Future()
        self._requests.append((function, future))
        return future

    def wait_while_paused(self, timeout: float) -> bool:
        """Wait for the end of a pause, ``timeout`` seconds at most; return whether it has ended."""
        return self._running.wait(timeout)

    def serve(self) -> None:
        """Do what was asked for; the loop calls it between two steps."""
        while self._requests:
            function, future = self._requests.popleft()
            try:
                future.set_result(function())
            except Exception as error:  # it belongs to the caller, training goes on
                future.set_exception(error)
