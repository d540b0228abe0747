"""Which transitions the learner is given: the classes behind the table of `replay_strategies`.

A strategy draws its own random numbers from torch's global generators, which checkpoints hold:
its whole state is that of its buffer.
"""

from __future__ import annotations

import math
import pkgutil
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from g1_mimic.learning.config import ReplayConfig, TrainConfig
from g1_mimic.learning.experience_buffer import ExperienceBuffer, PrioritizedExperienceBuffer
from g1_mimic.learning.replay_strategies import REPLAY_STRATEGIES

HISTOGRAM_EDGES = np.linspace(-3.0, 3.0, 25)
"""Edges of the priority histogram: log10 of how much likelier than under uniform replay."""

ACTOR_OBS = "actor_obs"
"""Observations of a batch that only the actor learns from, where they are not the critic's."""


class Replay:
    """Uniform replay, and the base of the other strategies.

    Args:
        config: the settings.
        reward_scale: factor on the rewards, for what is told in rewards without it.
        device: where the transitions will be.
    """

    def __init__(self, config: TrainConfig, reward_scale: float, device: torch.device) -> None:
        size = config.replay.capacity // config.num_envs, config.num_envs
        self.buffer = self._empty_buffer(config.replay, size, device)
        self._indices: Tensor | None = None  # of the newest batch, for `metrics`
        self._weights: Tensor | None = None

    def _empty_buffer(
        self, config: ReplayConfig, size: tuple[int, int], device: torch.device
    ) -> ExperienceBuffer:
        """Return the buffer of ``size``, which is rows and environments."""
        return ExperienceBuffer(*size, device)

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

    def _empty_buffer(
        self, config: ReplayConfig, size: tuple[int, int], device: torch.device
    ) -> ExperienceBuffer:
        exponents = config.alpha, config.beta, config.beta_increment
        return PrioritizedExperienceBuffer(*size, *exponents, config.epsilon, device)

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
    """

    def __init__(self, config: TrainConfig, reward_scale: float, device: torch.device) -> None:
        super().__init__(config, reward_scale, device)
        self._threshold = config.replay.lap_threshold * reward_scale

    def _empty_buffer(
        self, config: ReplayConfig, size: tuple[int, int], device: torch.device
    ) -> ExperienceBuffer:
        exponents = config.lap_alpha, 0.0, 0.0
        return PrioritizedExperienceBuffer(*size, *exponents, config.epsilon, device)

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
    over the largest in the batch. λ > 0 bounds the weights from below, whatever the priorities. It
    is rounded to whole samples of a batch, of which at least one is prioritized.

    The idea is that of LA3P (Saglam et al. 2023), with two simplifications: the actor's samples are
    uniform rather than those of small error, and the priorities and weights are those of `per`.
    """

    def __init__(self, config: TrainConfig, reward_scale: float, device: torch.device) -> None:
        super().__init__(config, reward_scale, device)
        self._share = config.replay.uniform_share

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

    The age is counted in rows of the buffer, that is in steps of all environments at once. With a
    half-life of 0.5 of the buffer the newest of a full one are 4 times as likely as the oldest, and
    the entropy stays at 0.99 of uniform: the paper finds that a bias to new transitions pays only
    while the entropy stays high.
    """

    def __init__(self, config: TrainConfig, reward_scale: float, device: torch.device) -> None:
        super().__init__(config, reward_scale, device)
        rows = config.replay.half_life * self.buffer.buffer_len
        self._log_ratio = -math.log(2.0) / rows

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
    """Return the replay that the settings ask for, empty; arguments as of `Replay`."""
    kind: type[Replay] = pkgutil.resolve_name(REPLAY_STRATEGIES[config.sampling].kind)
    return kind(config, reward_scale, device)
