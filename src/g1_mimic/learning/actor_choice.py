"""Which of the learner's actors is the better one now."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from g1_mimic.envs.tracking_env import TrackingEnv
from g1_mimic.evaluation.episodes import Evaluation, evaluate
from g1_mimic.learning.learner import Learner, finite_actions
from g1_mimic.learning.networks import Actor


class Choice(NamedTuple):
    """The actor that did better in an evaluation."""

    name: str
    """Its key in `Learner.actors`."""
    actor: Actor
    score: float
    metrics: dict[str, float]
    """Those of its evaluation, and the scores of all actors."""


def choose_actor(learner: Learner, env: TrackingEnv) -> Choice:
    """Evaluate the learner's actors in ``env``, each from the same states.

    Raises:
        NotFiniteError: if an action is not finite.
    """

    def of(actor: Actor) -> Evaluation:
        @torch.no_grad()
        def act(obs: np.ndarray, frames: np.ndarray) -> np.ndarray:
            return finite_actions(actor(torch.from_numpy(obs).to(learner.device)))

        return evaluate(env, act)

    results = {name: of(actor) for name, actor in learner.actors.items()}
    best = max(results, key=lambda name: results[name].score)
    metrics = results[best].as_dict()
    metrics |= {f"score_{name}": result.score for name, result in results.items()}
    return Choice(best, learner.actors[best], results[best].score, metrics)
