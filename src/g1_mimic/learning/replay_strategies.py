"""Which transitions the learner is given: the strategies behind the setting ``sampling``.

- ``uniform``: every transition alike. The baseline, and hard to beat where each transition is
  replayed many times anyway.
- ``per``: prioritized experience replay (Schaul et al. 2016, arXiv 1511.05952) for critic and
  actor, with importance weights. For sparse or rare events; in actor-critic it can hurt, because
  the actor is trained where the critic is worst.
- ``lap``: loss-adjusted prioritization (Fujimoto et al. 2020, arXiv 2007.06049). Milder than
  ``per``: small errors are all alike, and no weights take away again what priorities give.
- ``per_critic``: the critic learns from prioritized samples mixed with uniform ones, the actor
  from uniform ones; the idea of LA3P (Saglam et al. 2023, JAIR 77). Takes away the reason for
  which ``per`` hurts the actor. Two simplifications against LA3P: the actor's samples are uniform
  rather than those of small error, and the priorities and weights are those of ``per``.
- ``recency``: truncated geometric replay (Korniak et al. 2026, arXiv 2605.10236): the newer, the
  likelier. For many robots and few updates per step, where each transition is replayed seldom and
  old ones come from worse policies. It needs no errors and costs nothing.

A strategy draws its own random numbers from torch's global generators, which checkpoints hold:
its whole state is that of its buffer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from g1_mimic.learning.config import TrainConfig
from g1_mimic.learning.experience_buffer import ExperienceBuffer, PrioritizedExperienceBuffer

HISTOGRAM_EDGES = np.linspace(-3.0, 3.0, 25)
"""Edges of the priority histogram: log10 of how much likelier than under uniform replay."""

ACTOR_OBS = "actor_obs"
"""Observations of a batch that only the actor learns from, where they are not the critic's."""


class Replay:
    """Uniform replay, and the base of the other strategies.

    Args:
        buffer: where the transitions are.
    """

    def __init__(self, buffer: ExperienceBuffer) -> None:
        self.buffer = buffer
        self._indices: Tensor | None = None  # of the newest batch, for `metrics`
        self._weights: Tensor | None = None

    def sample(self, n: int, fields: Iterable[str]) -> dict[str, Tensor]:
        """Return ``n`` transitions: ``fields`` [n, …], ``indices`` [n] and loss ``weights`` [n].

        Raises:
            G1MimicError: if the buffer is empty or has no such field.
        """
        self._indices, self._weights = self._draw(n)
        batch = {"indices": self._indices, "weights": self._weights}
        return self.buffer.gather(self._indices, fields) | batch

    def _draw(self, n: int) -> tuple[Tensor, Tensor]:
        return self.buffer.sample_indices(n)

    def learn_errors(self, indices: Tensor, errors: Tensor) -> None:
        """Take in the magnitudes of the TD errors [n] of the transitions ``indices`` [n].

        Raises:
            G1MimicError: if one is not finite, in strategies that use them.
        """

    def probabilities(self) -> Tensor:
        """Return the probability of each stored transition in a draw for the critic [N], float64.

        The order is that of the flat indices.
        """
        count = self.buffer.get_sample_count()
        return torch.full((count,), 1.0 / count, dtype=torch.float64, device=self.buffer.device)

    # -- what is seen of it ---------------------------------------------------------------------

    def metrics(self) -> dict[str, float]:
        """Return what the sampling is like now; nothing of this before anything is stored.

        ``transitions`` N; ``entropy`` of the probabilities over log N; ``effective_share``
        1/(N Σ P²), the share of the buffer that a uniform replay as concentrated would use; of the
        newest batch ``age``, the mean number of environment steps since its transitions, and
        ``weight_ess``, the effective sample size of its weights (Σw)²/(n Σw²); the memory of the
        transitions, ``bytes``, and of their priorities, ``priority_bytes``.
        """
        count = self.buffer.get_sample_count()
        if count == 0:
            return {}
        p = self.probabilities()
        entropy = float(-torch.special.xlogy(p, p).sum()) / math.log(count) if count > 1 else 1.0
        result = {
            "transitions": float(count),
            "entropy": entropy,
            "effective_share": 1.0 / (count * float(p.square().sum())),
            "bytes": float(self.buffer.nbytes()),
            "priority_bytes": float(self.buffer.priority_nbytes()),
        }
        if self._indices is not None and self._weights is not None:
            rows, w = self.buffer.newer_rows(self._indices), self._weights.double()
            result["age"] = float(rows.double().mean()) * self.buffer.batch_size
            result["weight_ess"] = float(w.sum().square() / (w.square().sum() * w.numel()))
        return result

    def histogram(self) -> np.ndarray:
        """Return the share of stored transitions in each bin of `HISTOGRAM_EDGES`.

        Binned is log10(N·P): 0 where a transition is as likely as under uniform replay, 1 where
        ten times as likely. What is beyond the edges counts for the outermost bins.
        """
        p = self.probabilities()
        relative = (p * p.numel()).clamp(min=1e-30).log10().cpu().numpy()
        relative = np.clip(relative, HISTOGRAM_EDGES[0], HISTOGRAM_EDGES[-1])
        counts = np.histogram(relative, HISTOGRAM_EDGES)[0]
        return counts / max(len(relative), 1)


class PrioritizedReplay(Replay):
    """Prioritized experience replay (Schaul et al. 2016): P ∝ (|δ| + ε)^α, with weights."""

    buffer: PrioritizedExperienceBuffer

    def learn_errors(self, indices: Tensor, errors: Tensor) -> None:
        """Make the errors the priorities.

        Raises:
            G1MimicError: if one is not finite.
        """
        self.buffer.update_priorities(indices, errors)

    def probabilities(self) -> Tensor:
        """Return the probability of each stored transition [N], float64."""
        return self.buffer.get_probabilities()[: self.buffer.get_sample_count()]

    def metrics(self) -> dict[str, float]:
        """Return those of `Replay`, and β."""
        return super().metrics() | {"beta": float(self.buffer.beta)}


class LossAdjustedReplay(PrioritizedReplay):
    """LAP (Fujimoto et al. 2020): P ∝ max(|δ|, threshold)^α, without weights.

    The paper pairs this with the Huber loss: bounded gradients of large errors make up for their
    being drawn more often, and errors in the quadratic part are drawn alike. The cross-entropy of
    our categorical critics has that shape by itself, so it stays as it is: its gradient in the
    logits, prediction − target, grows in proportion to a small shift between the two distributions
    and saturates (norm at most √2) when they no longer overlap. A Huber loss on the expected values
    would train something else than the other strategies do.

    Errors are divided by the threshold first. That leaves the probabilities as they are, and makes
    the buffer's initial priority of 1 the lowest there is, as in the paper.

    Args:
        buffer: a prioritized buffer with β = 0.
        threshold: error below which all are alike, in units of the (scaled) return.
    """

    def __init__(self, buffer: PrioritizedExperienceBuffer, threshold: float) -> None:
        super().__init__(buffer)
        self._threshold = threshold

    def learn_errors(self, indices: Tensor, errors: Tensor) -> None:
        """Make the errors above the threshold the priorities.

        Raises:
            G1MimicError: if one is not finite.
        """
        self.buffer.update_priorities(indices, (errors.abs() / self._threshold).clamp(min=1.0))

    def metrics(self) -> dict[str, float]:
        """Return those of `Replay`: there is no β."""
        return Replay.metrics(self)


class CriticPrioritizedReplay(PrioritizedReplay):
    """Prioritized and uniform samples for the critic, uniform ones for the actor.

    The critic's batch is a mixture: transition i has the probability
    Q(i) = λ/N + (1 − λ)·P(i), λ being the share of uniform samples, and the weight (N·Q(i))^-β
    over the largest in the batch. λ > 0 bounds the weights from below, whatever the priorities.

    Args:
        buffer: a prioritized buffer.
        uniform_share: λ, rounded to whole samples of a batch; at least one is prioritized.
    """

    def __init__(self, buffer: PrioritizedExperienceBuffer, uniform_share: float) -> None:
        super().__init__(buffer)
        self._share = uniform_share

    def sample(self, n: int, fields: Iterable[str]) -> dict[str, Tensor]:
        """Return the critic's batch as `Replay.sample`, and the actor's ``actor_obs`` [n, …]."""
        batch = super().sample(n, fields)
        batch[ACTOR_OBS] = self.buffer.gather(draw_uniform(self.buffer, n), ("obs",))["obs"]
        return batch

    def _draw(self, n: int) -> tuple[Tensor, Tensor]:
        beta = self.buffer.beta
        uniform = min(round(n * self._share), n - 1)
        prioritized, _ = self.buffer.sample_indices(n - uniform)
        indices = torch.cat([prioritized, draw_uniform(self.buffer, uniform)])
        priorities = self.buffer.get_priorities()  # not all probabilities: they take longer
        p = priorities.index_select(0, indices).double() / priorities.sum(dtype=torch.float64)
        q = self._mixture(p, uniform / n)
        return indices, ((q.min() / q) ** beta).float()

    def _mixture(self, p: Tensor, share: float) -> Tensor:
        return share / self.buffer.get_sample_count() + (1.0 - share) * p

    def probabilities(self) -> Tensor:
        """Return Q(i) of each stored transition [N], float64."""
        return self._mixture(super().probabilities(), self._share)


class RecencyReplay(Replay):
    """Truncated geometric replay (Korniak et al. 2026): P(age) ∝ 2^(−age / half-life).

    The age is counted in rows of the buffer, that is in steps of all environments at once.

    Args:
        buffer: a uniform buffer.
        half_life: age at which a transition is half as likely as the newest, in shares of the
            buffer's length. With 0.5 the newest of a full buffer are 4 times as likely as the
            oldest, and the entropy stays at 0.99 of uniform: the paper finds that a bias to new
            transitions pays only while the entropy stays high.
    """

    def __init__(self, buffer: ExperienceBuffer, half_life: float) -> None:
        super().__init__(buffer)
        self._log_ratio = -math.log(2.0) / (half_life * buffer.buffer_len)

    def _draw(self, n: int) -> tuple[Tensor, Tensor]:
        buffer = self.buffer
        rows = buffer.get_sample_count() // buffer.batch_size
        if rows == 0:
            return super()._draw(n)  # which says that the buffer is empty
        # The inverse of the distribution function of a geometric distribution cut at `rows`.
        u = torch.rand(n, dtype=torch.float64, device=buffer.device)
        age = torch.log1p(u * math.expm1(rows * self._log_ratio)) / self._log_ratio
        age = age.long().clamp_(max=rows - 1)
        newest = buffer.newer_rows(torch.zeros(1, dtype=torch.long, device=buffer.device))
        row = (newest - age) % buffer.buffer_len
        env = torch.randint(buffer.batch_size, (n,), device=buffer.device)
        return row * buffer.batch_size + env, torch.ones(n, device=buffer.device)

    def probabilities(self) -> Tensor:
        """Return the probability of each stored transition [N], float64."""
        index = torch.arange(self.buffer.get_sample_count(), device=self.buffer.device)
        p = (self.buffer.newer_rows(index).double() * self._log_ratio).exp()
        return p / p.sum()


def draw_uniform(buffer: ExperienceBuffer, n: int) -> Tensor:
    """Return the flat indices [n] of independent uniform draws between whole rows."""
    return torch.randint(buffer.get_sample_count(), (n,), device=buffer.device)


def make_replay(config: TrainConfig, reward_scale: float, device: torch.device) -> Replay:
    """Return the replay that the settings ask for, empty.

    Args:
        config: the settings.
        reward_scale: factor on the rewards; LAP's threshold is in rewards without it.
        device: where the transitions will be.
    """
    rows, envs, replay = config.replay.capacity // config.num_envs, config.num_envs, config.replay
    if config.sampling == "uniform":
        return Replay(ExperienceBuffer(rows, envs, device))
    if config.sampling == "recency":
        return RecencyReplay(ExperienceBuffer(rows, envs, device), replay.half_life)
    if config.sampling == "lap":
        lap = PrioritizedExperienceBuffer(
            rows, envs, replay.lap_alpha, 0.0, 0.0, replay.epsilon, device
        )
        return LossAdjustedReplay(lap, replay.lap_threshold * reward_scale)
    buffer = PrioritizedExperienceBuffer(
        rows, envs, replay.alpha, replay.beta, replay.beta_increment, replay.epsilon, device
    )
    if config.sampling == "per_critic":
        return CriticPrioritizedReplay(buffer, replay.uniform_share)
    return PrioritizedReplay(buffer)
