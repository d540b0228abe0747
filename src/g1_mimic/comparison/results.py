"""The result of one run of a comparison: its curves, small enough to keep and to commit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from g1_mimic.comparison.curves import read_curves
from g1_mimic.errors import BadState, BadValue
from g1_mimic.files import atomic_write_text
from g1_mimic.settings import read_mapping

RESULT_FILE = "result.json"
CURVES = (
    "eval/score",
    "eval/survival",
    "eval/success_rate",
    "eval/joint_error_rad",
    "train/time_s",
    "train/cpu_s",
)
"""What is kept of a run, by the names of its metrics."""
SIZES = ("replay/bytes", "replay/priority_bytes")


@dataclass(frozen=True)
class RunResult:
    """Curves of a finished run, at its evaluations."""

    env_steps: np.ndarray
    """[K]."""
    curves: dict[str, np.ndarray]
    """`CURVES`, each [K]."""
    sizes: dict[str, float]
    """`SIZES` at the end of the run."""

    def write(self, folder: Path) -> None:
        """Write the file into the run folder.

        Raises:
            G1MimicError: if it cannot be written.
        """
        content = {
            "env_steps": self.env_steps.tolist(),
            "curves": {name: values.tolist() for name, values in self.curves.items()},
            "sizes": self.sizes,
        }
        atomic_write_text(folder / RESULT_FILE, json.dumps(content) + "\n")

    @classmethod
    def read(cls, folder: Path) -> RunResult:
        """Read what `write` wrote.

        Raises:
            G1MimicError: if the file is missing or damaged.
        """
        path = folder / RESULT_FILE
        content = read_mapping(path)
        try:
            steps = np.asarray(content["env_steps"], dtype=np.float64)
            curves = {n: np.asarray(content["curves"][n], dtype=np.float64) for n in CURVES}
            sizes = {name: float(content["sizes"][name]) for name in SIZES}
        except (KeyError, TypeError, ValueError):
            raise BadValue(f"{path} is damaged: delete it, and the run is done anew") from None
        if steps.ndim != 1 or any(values.shape != steps.shape for values in curves.values()):
            raise BadValue(f"{path} is damaged: delete it, and the run is done anew")
        return cls(steps, curves, sizes)

    @classmethod
    def of_run(cls, folder: Path) -> RunResult:
        """Gather the result from what a run has logged.

        Raises:
            G1MimicError: if the run has logged no evaluation.
        """
        scalars = read_curves(folder).scalars
        if "eval/score" not in scalars:
            raise BadState(f"{folder} has no evaluation: train for longer")
        steps = scalars["eval/score"][0]
        curves = {name: np.interp(steps, *scalars[name]) for name in CURVES}
        return cls(steps, curves, {name: float(scalars[name][1][-1]) for name in SIZES})
