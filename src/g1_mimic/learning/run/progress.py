"""How far a training run is: what listeners are told, and the line that shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Histogram = tuple[np.ndarray, np.ndarray]
"""Edges [n + 1] and shares [n]: binned already."""


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    env_steps: int
    total_env_steps: int
    steps_per_s: float
    metrics: Mapping[str, float]
    """The newest value of each."""
    histograms: Mapping[str, Histogram]
    faults: str = ""
    """What went wrong and was contained."""

    @property
    def remaining_s(self) -> float:
        """Training time until the end at the present rate, s."""
        left = max(self.total_env_steps - self.env_steps, 0)
        return left / self.steps_per_s if self.steps_per_s > 0 else float("inf")

    def __str__(self) -> str:
        share = 100.0 * self.env_steps / self.total_env_steps
        parts = [
            f"{self.env_steps}/{self.total_env_steps} steps ({share:.0f}%)",
            f"{self.steps_per_s:.0f} steps/s",
        ]
        shown = {
            "train/return": "return {:.2f}",
            "train/episode_s": "episode {:.1f} s",
            "eval/survival": "eval survival {:.0%}",
            "eval/score": "score {:.2f}",
        }
        parts += [text.format(self.metrics[k]) for k, text in shown.items() if k in self.metrics]
        if np.isfinite(self.remaining_s):
            minutes, seconds = divmod(round(self.remaining_s), 60)
            parts.append(f"{minutes}:{seconds:02d} left")
        if self.faults:
            parts.append(self.faults)
        return " | ".join(parts)


def steps_told(lines: bytes) -> int:
    """Return the environment steps of the newest progress line among ``lines``, or 0."""
    found = re.findall(rb"^(\d+)/\d+ steps", lines, re.MULTILINE)
    return int(found[-1]) if found else 0
