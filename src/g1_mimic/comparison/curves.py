"""What a run has logged, read from its folder: also while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from g1_mimic.errors import BadState
from g1_mimic.learning.run.folder import RunFolder
from g1_mimic.learning.run.starts_history import StartsHistory

Curve = tuple[np.ndarray, np.ndarray]
"""Environment steps [K], ascending, and values [K]."""

FORMER = {"sampling/phase_": "starts/", "sampling/": "starts/"}
"""Beginnings of names in runs of earlier versions, and what they are now."""


@dataclass(frozen=True)
class RunCurves:
    """The curves of a run."""

    name: str
    scalars: Mapping[str, Curve]
    starts: StartsHistory | None
    """None before the first evaluation."""

    def per_clip(self, prefix: str) -> dict[str, Curve]:
        """Return the curves by clip whose names begin with ``prefix``."""
        named = [name for name in self.scalars if name.startswith(prefix)]
        return {name.removeprefix(prefix): self.scalars[name] for name in named}

    def minutes(self, steps: np.ndarray) -> np.ndarray:
        """Return the training time at ``steps`` [K], min."""
        known, seconds = self.scalars.get("train/time_s", (np.zeros(1), np.zeros(1)))
        return np.interp(steps, [0.0, *known], [0.0, *seconds]) / 60.0


def read_curves(path: str | Path) -> RunCurves:
    """Read the TensorBoard events and the history of starts in a run folder.

    Raises:
        G1MimicError: if it is no run folder or nothing has been logged yet.
    """
    folder = RunFolder(path)
    folder.read_config()  # which says so if there is no run
    events = EventAccumulator(str(folder.events), {"scalars": 0, "histograms": 1})
    if folder.events.is_dir():
        events.Reload()
    points: dict[str, dict[int, float]] = {}
    for name in events.Tags()["scalars"]:
        # A step may be there twice: where a run was resumed and had logged further before.
        scalars = {event.step: event.value for event in events.Scalars(name)}
        points.setdefault(_present_name(name), {}).update(scalars)
    if not points:
        raise BadState(f"{path} has no metrics yet: nothing to plot")
    starts = StartsHistory.read(folder.starts) if folder.starts.exists() else None
    return RunCurves(folder.path.name, {name: _curve(p) for name, p in points.items()}, starts)


def _curve(points: Mapping[int, float]) -> Curve:
    steps = sorted(points)
    return np.array(steps, dtype=np.float64), np.array([points[step] for step in steps])


def _present_name(name: str) -> str:
    for former, now in FORMER.items():
        if name.startswith(former):
            return now + name.removeprefix(former)
    return name
