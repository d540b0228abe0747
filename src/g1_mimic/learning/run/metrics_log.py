"""A run's metrics on their way to TensorBoard."""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch import Tensor

from g1_mimic.envs.tracking_env import StepResult
from g1_mimic.errors import WriteError
from g1_mimic.learning.run.progress import Histogram
from g1_mimic.motion.trajectory import CONTROL_RATE

_number = itertools.count(1)  # keeps the files of one process apart


class RunningMeans:
    """Means of metrics that are added at every update, without waiting for the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: dict[str, Tensor]) -> None:
        """Take in values (0-dim)."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """Return the means since the last call, and start anew."""
        means = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums.clear()
        self._counts.clear()
        return means


class EpisodeMeans:
    """Means over the newest episodes, four of each robot."""

    def __init__(self, num_envs: int) -> None:
        self.returns = np.zeros(num_envs)
        """Sum of the rewards of each robot's present episode [N]."""
        self._ended: deque[tuple[float, int]] = deque(maxlen=4 * num_envs)

    def add(self, result: StepResult) -> None:
        """Take in a control step."""
        self.returns += result.reward
        for i in np.flatnonzero(result.terminated | result.truncated):
            self._ended.append((self.returns[i], int(result.info["episode_length"][i])))
            self.returns[i] = 0.0

    def metrics(self) -> dict[str, float]:
        """Return their return and length, or nothing if none has ended."""
        if not self._ended:
            return {}
        returns, lengths = np.array(self._ended).T
        return {"return": returns.mean(), "episode_s": lengths.mean() / CONTROL_RATE}


class EventFiles:
    """The event files of a run, written in the calling thread.

    After a failure the next event goes into a new file: what follows half a record in a file is
    lost on readers.

    Args:
        folder: where they are; made if it is not there.
        step: where a resumed run goes on: what was written for later steps is void.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._folder = folder
        self._void_from: int | None = step + 1
        self._stream: IO[bytes] | None = None

    def write(
        self,
        step: int,
        values: Mapping[str, float],
        histograms: Mapping[str, Histogram],
    ) -> None:
        """Write scalars and histograms, and let readers see them.

        Args:
            step: environment steps.
            values: scalars by name.
            histograms: by name.

        Raises:
            WriteError: if the disk does not take it.
        """
        parts = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        parts += [Summary.Value(tag=name, histo=_histogram(*h)) for name, h in histograms.items()]
        try:
            stream = self._stream or self._open()
            _append(stream, Event(step=step, summary=Summary(value=parts)))
            stream.flush()
        except OSError as error:
            self.close()
            reason = error.strerror or error
            raise WriteError(f"cannot write into {self._folder}: {reason}") from error

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            with suppress(OSError):  # of what could not be written, which was told
                self._stream.close()
        self._stream = None

    def _open(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Readers take the files of a folder in the order of their names.
        name = f"{time.time():.0f}.{socket.gethostname()}.{os.getpid()}.{next(_number):04d}"
        self._stream = stream = (self._folder / f"events.out.tfevents.{name}").open("xb")
        _append(stream, Event(file_version="brain.Event:2"))
        if self._void_from is not None:
            start = SessionLog(status=SessionLog.SessionStatus.START)
            _append(stream, Event(step=self._void_from, session_log=start))
            stream.flush()
            self._void_from = None
        return stream


def _append(stream: IO[bytes], event: Event) -> None:
    event.wall_time = time.time()
    RecordWriter(stream).write(event.SerializeToString())


def _histogram(edges: np.ndarray, shares: np.ndarray) -> HistogramProto:
    middle = 0.5 * (edges[1:] + edges[:-1])
    return HistogramProto(
        min=edges[0],
        max=edges[-1],
        num=1,
        sum=(shares * middle).sum(),
        sum_squares=(shares * middle**2).sum(),
        bucket_limit=edges[1:].tolist(),
        bucket=shares.tolist(),
    )
