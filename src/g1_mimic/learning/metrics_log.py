"""A run's metrics on their way to TensorBoard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter


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


class EventFiles:
    """The event files of a run.

    Args:
        folder: where they are; made if it is not there.
        step: where a resumed run goes on: what was written for later steps is void.
    """

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write scalars."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def histogram(self, step: int, name: str, edges: np.ndarray, shares: np.ndarray) -> None:
        """Write a histogram that is binned already: edges [n + 1] and shares [n]."""
        middle = 0.5 * (edges[1:] + edges[:-1])
        self._writer.add_histogram_raw(
            name,
            min=edges[0],
            max=edges[-1],
            num=1,
            sum=(shares * middle).sum(),
            sum_squares=(shares * middle**2).sum(),
            bucket_limits=edges[1:].tolist(),
            bucket_counts=shares.tolist(),
            global_step=step,
        )

    def flush(self) -> None:
        """Let readers see what was written."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
