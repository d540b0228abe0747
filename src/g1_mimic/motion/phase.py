"""Where in a clip episodes start: uniformly, or more often where the policy fails."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from g1_mimic.settings import Settings


class PhaseConfig(Settings):
    """How start frames are drawn."""

    strategy: Literal["uniform", "failure_bins"] = "uniform"
    bin_s: float = Field(1.0, gt=0)
    """Width of a failure bin, s."""
    uniform_ratio: float = Field(0.1, gt=0)
    """Probability mass (before normalisation) shared by all bins alike."""
    smoothing: float = Field(0.001, gt=0, le=1)
    """Rate of the moving average of failures, per control step."""
    kernel_size: int = Field(1, ge=1)
    """Bins before a failure that are made likelier too."""
    kernel_decay: float = Field(0.8, gt=0, le=1)
    """Weight of each further bin before the failure."""


class PhaseSampler:
    """Draws start frames of episodes from a clip of ``num_frames`` frames.

    `failure_bins` is BeyondMimic's adaptive sampling (whole_body_tracking, mdp/commands.py): a
    moving average of failures per bin, smoothed backwards in time by a decaying kernel (what goes
    wrong now began a little earlier), above a uniform floor.

    Args:
        config: the strategy and its parameters.
        num_frames: number of frames an episode may start from.
        rate: frames per second.
    """

    def __init__(self, config: PhaseConfig, num_frames: int, rate: float) -> None:
        self.config = config
        self.num_frames = num_frames
        self.bins = max(1, int(num_frames / rate / config.bin_s))
        self.failures = np.zeros(self.bins)
        kernel = config.kernel_decay ** np.arange(config.kernel_size)
        self._kernel = kernel / kernel.sum()

    def probabilities(self) -> np.ndarray:
        """Return the probability of each bin [bins]."""
        if self.config.strategy == "uniform":
            return np.full(self.bins, 1.0 / self.bins)
        weights = self.failures + self.config.uniform_ratio / self.bins
        padded = np.pad(weights, (0, self.config.kernel_size - 1), mode="edge")
        # correlate, not convolve: bin b gathers what failed in b, b + 1, …
        weights = np.correlate(padded, self._kernel, mode="valid")
        return weights / weights.sum()

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``count`` start frames, integers in [0, num_frames)."""
        if self.config.strategy == "uniform":
            return rng.integers(self.num_frames, size=count)
        bins = rng.choice(self.bins, size=count, p=self.probabilities())
        frames = (bins + rng.random(count)) / self.bins * self.num_frames
        return np.minimum(frames.astype(np.int64), self.num_frames - 1)

    def record(self, failed_frames: np.ndarray) -> None:
        """Take in the frames (modulo the clip's length) at which episodes failed in one step."""
        bins = (failed_frames % self.num_frames) * self.bins // self.num_frames
        counts = np.bincount(bins, minlength=self.bins)
        rate = self.config.smoothing
        self.failures += rate * (counts - self.failures)

    def metrics(self) -> dict[str, float]:
        """Return the normalised entropy of the bins, and the likeliest bin with its share."""
        p = self.probabilities()
        entropy = -(p * np.log(p + 1e-12)).sum() / np.log(self.bins) if self.bins > 1 else 1.0
        return {
            "phase_entropy": float(entropy),
            "phase_top_share": float(p.max()),
            "phase_top_s": float((p.argmax() + 0.5) * self.config.bin_s),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {"failures": self.failures.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`'s result.

        Raises:
            ValueError: if the clip's length or the bin width has changed since.
        """
        failures = np.asarray(state["failures"], dtype=np.float64)
        if failures.shape != self.failures.shape:
            raise ValueError(f"{failures.size} failure bins in the state, {self.bins} expected")
        self.failures = failures
