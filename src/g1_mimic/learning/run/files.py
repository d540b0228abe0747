"""What a run leaves in its folder for others: checkpoints, and policies."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from g1_mimic.learning.actor_choice import Choice
from g1_mimic.learning.experiment import Experiment
from g1_mimic.learning.networks import Actor
from g1_mimic.learning.run.checkpoint import Learned, prune, save_checkpoint, step_file
from g1_mimic.learning.run.export import export_actor
from g1_mimic.learning.run.folder import RunFolder


class RunFiles:
    """Writes the checkpoints and policies of a run.

    Args:
        folder: where to.
        experiment: what is trained.
    """

    def __init__(self, folder: RunFolder, experiment: Experiment) -> None:
        self.folder, self._experiment = folder, experiment
        self.best_score = -np.inf
        """Of the evaluation whose actor is the policy."""
        self._saved_at = time.monotonic()

    def due(self, interval_s: float) -> bool:
        """Return whether the last checkpoint was so long ago."""
        return time.monotonic() - self._saved_at >= interval_s

    def save(self, state: dict[str, Any]) -> Path:
        """Write a checkpoint that the run can be continued from, and delete old ones.

        Raises:
            WriteError: if the disk does not take it; older ones are kept then.
        """
        self._saved_at = time.monotonic()
        path = step_file(self.folder.checkpoints, state["env_steps"])
        save_checkpoint(path, state)
        prune(self.folder.checkpoints, self._experiment.config.checkpoint.keep)
        return path

    def export(self, actor: Actor, env_steps: int) -> Path:
        """Export the newest policy.

        Raises:
            WriteError: if it cannot be written.
        """
        path = self.folder.latest_policy
        export_actor(path, actor, self._experiment, self.folder, env_steps)
        return path

    def take(self, choice: Choice, learned: Learned) -> None:
        """Export what an evaluation chose, and keep it if it is the best so far.

        Args:
            choice: the actor that did better.
            learned: what the run has learned.

        Raises:
            WriteError: if a file cannot be written.
        """
        self.export(choice.actor, learned.env_steps)
        if choice.score > self.best_score:
            path, steps = self.folder.policy, learned.env_steps
            export_actor(path, choice.actor, self._experiment, self.folder, steps)
            about = {"score": choice.score, "chosen": choice.name}
            save_checkpoint(self.folder.best, learned.state_dict() | about)
            self.best_score = choice.score
