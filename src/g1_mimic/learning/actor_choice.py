"""Which of the learner's two actors is the better one now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from g1_mimic.envs.tracking_env import TrackingEnv
from g1_mimic.evaluation.episodes import Evaluation, evaluate
from g1_mimic.learning.learner import Learner, finite_actions
from g1_mimic.learning.networks import Actor


@dataclass(frozen=True)
class Choice:
    """The actor that did better in an evaluation."""

    name: str
    """Its key in `Learner.actors`."""
    actor: Actor
    evaluation: Evaluation
    scores: dict[str, float]
    """Of all actors, by name."""

    def metrics(self) -> dict[str, float]:
        """Return what is told of the evaluation."""
        scores = {f"score_{name}": score for name, score in self.scores.items()}
        return self.evaluation.as_dict() | scores


def choose_actor(learner: Learner, env: TrackingEnv) -> Choice:
    """Evaluate the learner's actors in ``env``, each from the same states.

    Raises:
        NotFiniteError: if an action is not finite.
    """
    actors = learner.actors
    results = {name: _evaluate(actor, learner.device, env) for name, actor in actors.items()}
    scores = {name: result.score for name, result in results.items()}
    name = max(scores, key=lambda name: scores[name])
    return Choice(name, actors[name], results[name], scores)


def _evaluate(actor: Actor, device: torch.device, env: TrackingEnv) -> Evaluation:
    @torch.no_grad()
    def act(obs: np.ndarray, frames: np.ndarray) -> np.ndarray:
        return finite_actions(actor(torch.from_numpy(obs).to(device)))

    return evaluate(env, act)
