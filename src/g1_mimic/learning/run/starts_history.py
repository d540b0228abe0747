"""How the start distribution of a run developed: a small file in the run folder for plots."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from g1_mimic.envs.starts import ClipBins, StartSampler
from g1_mimic.errors import ReadError
from g1_mimic.files import atomic_write
from g1_mimic.motion.trajectory import CONTROL_RATE

_ARRAYS = ("env_steps", "probabilities", "failure_rate")


@dataclass
class StartsHistory:
    """One entry per evaluation."""

    clips: Sequence[ClipBins]
    """The bins of each clip, which lie one after the other."""
    env_steps: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Environment steps [K] at which the entries were made."""
    probabilities: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    """Probability that an episode starts in each bin [K, bins]."""
    failure_rate: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    """Failures per robot and second in each bin since the entry before [K, bins], 1/s; NaN where
    no robot was."""

    def add(self, env_steps: int, starts: StartSampler) -> None:
        """Append the present distribution, and take the sampler's counts."""
        visits, falls = starts.take_counts()
        rate = np.full(starts.bins, np.nan)
        np.divide(falls * CONTROL_RATE, visits, out=rate, where=visits > 0)
        rows = (float(env_steps), starts.probabilities(), rate)
        for name, row in zip(_ARRAYS, rows, strict=True):
            old, new = getattr(self, name), np.asarray(row)[None]
            setattr(self, name, np.concatenate([old, new]) if len(old) else new)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {name: getattr(self, name) for name in _ARRAYS}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`'s result."""
        for name in _ARRAYS:
            setattr(self, name, np.asarray(state[name], np.float64).copy())

    def write(self, path: Path) -> None:
        """Write the file.

        Raises:
            G1MimicError: if it cannot be written.
        """
        with atomic_write(path) as temporary:
            np.savez(
                temporary,
                clip=np.array([clip.name for clip in self.clips]),
                clip_bins=np.array([clip.count for clip in self.clips]),
                bin_s=np.array([clip.bin_s for clip in self.clips]),
                **self.state_dict(),
            )

    @classmethod
    def read(cls, path: Path) -> StartsHistory:
        """Read a file that `write` wrote.

        Raises:
            G1MimicError: if it is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                widths = np.atleast_1d(data["bin_s"])
                # Runs of one clip did not always tell its name and number of bins.
                names = data.get("clip", [""])
                counts = data.get("clip_bins", [data["probabilities"].shape[1]])
                columns = zip(names, counts, widths, strict=True)
                result = cls([ClipBins(str(n), int(c), float(w)) for n, c, w in columns])
                result.load_state_dict({name: data[name] for name in _ARRAYS})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            detail = getattr(error, "strerror", None) or "damaged, or not a run's history of starts"
            raise ReadError(f"cannot read {path}: {detail}") from error
        return result
