"""Actor, distributional critics and the observation normaliser."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

LOG_STD_RANGE = (-5.0, 0.0)
"""Bounds on the log standard deviation before the tanh."""


class RunningNormalizer(nn.Module):
    """Scales inputs by their running mean and deviation, and clips at ±10.

    The statistics are float64 sums in the manner of Chan et al. (1979), so that they do not
    drift; `forward` uses float32 copies.
    """

    def __init__(self, size: int, clip: float = 10.0) -> None:
        super().__init__()
        self.clip = clip
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("sum", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("square", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("inv_std", torch.ones(size))
        self.count: Tensor
        self.sum: Tensor
        self.square: Tensor
        self.mean: Tensor
        self.inv_std: Tensor

    @torch.no_grad()
    def update(self, batch: Tensor) -> None:
        """Take in a batch [N, size]."""
        batch = batch.double()
        count = float(batch.shape[0])
        mean = batch.mean(0)
        total = self.count + count
        delta = mean - self.sum / self.count.clamp(min=1.0)
        # ``square`` is the sum of squared deviations from the mean of all data so far.
        self.square += (batch - mean).square().sum(0) + delta.square() * self.count * count / total
        self.sum += mean * count
        self.count += count
        self.mean.copy_(self.sum / self.count)
        std = (self.square / self.count).sqrt()
        # Inputs that never change (a joint that the clip does not move) are left unscaled.
        self.inv_std.copy_(torch.where(std > 1e-3, 1.0 / std, torch.ones_like(std)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised input."""
        return ((x - self.mean) * self.inv_std).clamp(-self.clip, self.clip)


def mlp(sizes: Sequence[int]) -> nn.Sequential:
    """Hidden layers: linear, LayerNorm, SiLU for each pair of ``sizes``."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.LayerNorm(fan_out), nn.SiLU()]
    return nn.Sequential(*layers)


class Actor(nn.Module):
    """Gaussian policy squashed by tanh and scaled to ±bound (Haarnoja et al. 2018).

    Observations come in raw; the normaliser is part of the network, so that an exported actor is
    complete.
    """

    def __init__(
        self, observation_size: int, action_size: int, hidden: Sequence[int], bound: float
    ) -> None:
        super().__init__()
        self.bound = bound
        self.normalizer = RunningNormalizer(observation_size)
        self.trunk = mlp([observation_size, *hidden])
        self.mean = nn.Linear(hidden[-1], action_size)
        self.log_std = nn.Linear(hidden[-1], action_size)
        # Start at the middle of the action range: with a reference base that is the reference.
        nn.init.uniform_(self.mean.weight, -1e-3, 1e-3)
        nn.init.zeros_(self.mean.bias)

    def forward(self, obs: Tensor) -> Tensor:
        """Return the deterministic action [N, action_size]."""
        return torch.tanh(self.mean(self.trunk(self.normalizer(obs)))) * self.bound

    def sample(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Draw actions; return them [N, action_size] and their log-probabilities [N].

        The log-probability is that of the action in units of the bound, so that entropies do not
        depend on the bound.
        """
        features = self.trunk(self.normalizer(obs))
        mean = self.mean(features)
        low, high = LOG_STD_RANGE
        log_std = low + 0.5 * (high - low) * (torch.tanh(self.log_std(features)) + 1.0)
        noise = torch.randn_like(mean)
        u = mean + log_std.exp() * noise
        # log(1 − tanh(u)²) = 2·(log 2 − u − softplus(−2u)), which does not overflow
        squash = 2.0 * (math.log(2.0) - u - nn.functional.softplus(-2.0 * u))
        log_prob = -0.5 * noise.square() - log_std - 0.5 * math.log(2.0 * math.pi) - squash
        return torch.tanh(u) * self.bound, log_prob.sum(-1)


class EnsembleLinear(nn.Module):
    """E independent linear layers, computed as one batched product."""

    def __init__(self, members: int, fan_in: int, fan_out: int) -> None:
        super().__init__()
        limit = 1.0 / math.sqrt(fan_in)  # as nn.Linear
        self.weight = nn.Parameter(torch.empty(members, fan_in, fan_out).uniform_(-limit, limit))
        self.bias = nn.Parameter(torch.empty(members, 1, fan_out).uniform_(-limit, limit))

    def forward(self, x: Tensor) -> Tensor:
        """Map [E, N, fan_in] to [E, N, fan_out]."""
        return torch.baddbmm(self.bias, x, self.weight)


class EnsembleNorm(nn.Module):
    """LayerNorm with parameters of its own for each of E members."""

    def __init__(self, members: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.ones(members, 1, size))
        self.bias = nn.Parameter(torch.zeros(members, 1, size))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis of [E, N, size]."""
        return nn.functional.layer_norm(x, (self.size,)) * self.weight + self.bias


class CriticEnsemble(nn.Module):
    """Some categorical value distributions over fixed atoms (C51, Bellemare et al. 2017).

    Args:
        observation_size: width of the critic's observation.
        action_size: width of the action.
        hidden: widths of the hidden layers.
        bound: the action bound; actions are divided by it.
        atoms: number of atoms.
        value_range: the least and the greatest return that can be represented.
        members: how many there are.
    """

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        hidden: Sequence[int],
        bound: float,
        atoms: int,
        value_range: tuple[float, float],
        members: int = 2,
    ) -> None:
        super().__init__()
        self.bound, self.members = bound, members
        self.normalizer = RunningNormalizer(observation_size)
        sizes = [observation_size + action_size, *hidden]
        layers: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(sizes):
            layers += [
                EnsembleLinear(self.members, fan_in, fan_out),
                EnsembleNorm(self.members, fan_out),
                nn.SiLU(),
            ]
        layers.append(EnsembleLinear(self.members, sizes[-1], atoms))
        self.layers = nn.Sequential(*layers)
        self.register_buffer("support", torch.linspace(*value_range, atoms))
        self.support: Tensor

    def forward(self, obs: Tensor, action: Tensor) -> Tensor:
        """Return the logits [members, N, atoms]."""
        x = torch.cat([self.normalizer(obs), action / self.bound], -1)
        return self.layers(x.expand(self.members, *x.shape))

    def value(self, logits: Tensor) -> Tensor:
        """Return the expected values of ``logits`` [..., atoms]."""
        return (torch.softmax(logits, -1) * self.support).sum(-1)

    def project(self, probabilities: Tensor, shift: Tensor, discount: Tensor) -> Tensor:
        """Distribute ``shift + discount · support`` over the atoms.

        Args:
            probabilities: weights of the atoms of the next state [N, atoms].
            shift: reward (and entropy) part [N].
            discount: factor on the support, 0 where the episode ended [N].

        Returns:
            Target probabilities [N, atoms]; mass beyond the ends is put on the outermost atoms.
        """
        low, high = self.support[0], self.support[-1]
        atoms = self.support.numel()
        moved = (shift[:, None] + discount[:, None] * self.support).clamp(low, high)
        position = (moved - low) * (atoms - 1) / (high - low)
        below = position.floor().clamp(0, atoms - 2)
        upper = position - below
        below = below.long()
        target = torch.zeros_like(probabilities)
        target.scatter_add_(1, below, probabilities * (1.0 - upper))
        target.scatter_add_(1, below + 1, probabilities * upper)
        return target
