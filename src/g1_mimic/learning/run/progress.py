"""How far a training run is: what the progress line and the topics show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Progress:
    """How far a run is; what the progress line shows."""

    env_steps: int
    total_env_steps: int
    steps_per_s: float
    remaining_s: float
    metrics: dict[str, float]
    faults: str = ""
    """What went wrong and was contained."""

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
