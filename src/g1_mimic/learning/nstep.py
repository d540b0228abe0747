"""n-step returns, gathered from the ring of an experience buffer when a batch is sampled."""

from __future__ import annotations

import torch
from torch import Tensor

from g1_mimic.errors import BadValue
from g1_mimic.learning.experience_buffer import ExperienceBuffer


def gather_nstep(
    buffer: ExperienceBuffer, indices: Tensor, n: int, gamma: float
) -> dict[str, Tensor]:
    """Return the n-step part of the transitions ``indices``.

    Each transition is stored once, with the fields ``reward`` (of any float type), ``terminated``
    and ``truncated`` (bool, all without further axes) and the true next observation, also where
    an episode was cut short. The window of a transition is itself and the rows after it of the
    same environment; it ends after ``n`` rows, at the end of the episode, or at the newest row.
    All rows must follow each other in time: after an interruption that resets the environments,
    mark the last row truncated.

    Args:
        buffer: the transitions.
        indices: flat indices [B] of stored transitions.
        n: the largest number of steps.
        gamma: discount per step.

    Returns:
        ``reward`` [B] = Σ_k γ^k r_k over the window, ``discount`` [B] = γ^steps, or 0 if the window
        ends in termination (a truncated one bootstraps), and ``next_obs`` [B, …] of its last row.

    Raises:
        G1MimicError: if ``n`` < 1 or a field is missing.
    """
    if n < 1:
        raise BadValue(f"n-step returns need n of at least 1, got {n}")
    offsets = torch.arange(n, device=indices.device)
    windows = (indices[:, None] + offsets * buffer.batch_size) % buffer.get_capacity()
    window = buffer.gather(windows.reshape(-1), ("reward", "terminated", "truncated"))
    reward, terminated, truncated = (part.reshape(windows.shape) for part in window.values())
    # Row k is in the window if it is not newer than the newest and no row before it was an end.
    ends = (terminated | truncated).long()
    inside = (ends.cumsum(1) - ends == 0) & (offsets <= buffer.newer_rows(indices)[:, None])
    steps = inside.sum(1)
    last = (steps - 1)[:, None]
    powers = gamma ** torch.arange(n + 1, device=indices.device, dtype=reward.dtype)
    return {
        # where, not a product: what is beyond the window may be anything, NaN included
        "reward": torch.where(inside, reward * powers[:n], 0.0).sum(1),
        "discount": powers[steps] * ~terminated.gather(1, last)[:, 0],
        **buffer.gather(windows.gather(1, last)[:, 0], ("next_obs",)),
    }
