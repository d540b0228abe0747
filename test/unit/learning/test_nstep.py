"""n-step windows gathered from the ring against a slow reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from g1_mimic.errors import G1MimicError
from g1_mimic.learning.experience_buffer import ExperienceBuffer, PrioritizedExperienceBuffer
from g1_mimic.learning.nstep import gather_nstep


def slow_nstep(
    rows: list[dict[str, np.ndarray]], t: int, env: int, n: int, gamma: float
) -> tuple[float, float, int]:
    """Return return, discount and last time of the window that starts at time ``t``."""
    total, factor = 0.0, 1.0
    for k in range(t, min(t + n, len(rows))):
        total += factor * rows[k]["reward"][env]
        factor *= gamma
        if rows[k]["terminated"][env]:
            return total, 0.0, k
        if rows[k]["truncated"][env]:
            return total, factor, k
    return total, factor, min(t + n, len(rows)) - 1


@pytest.mark.parametrize("seed", range(12))
def test_windows_equal_the_slow_reference(seed: int) -> None:
    """For every stored transition: no window crosses an episode's end, the head or the ring."""
    rng = np.random.default_rng(seed)
    length, envs, n = int(rng.integers(1, 9)), int(rng.integers(1, 5)), int(rng.integers(1, 7))
    buffer = ExperienceBuffer(length, envs, seed=seed)
    rows: list[dict[str, np.ndarray]] = []
    for t in range(int(rng.integers(1, 30))):
        terminated = rng.random(envs) < 0.15
        row = {
            "reward": rng.standard_normal(envs),
            "terminated": terminated,
            "truncated": ~terminated & (rng.random(envs) < 0.15),
            "next_obs": np.stack([np.full(envs, t), np.arange(envs)], 1),
        }
        rows.append(row)
        for name, value in row.items():
            buffer.record(name, value)
        buffer.inc()
    oldest = max(0, len(rows) - length)
    places = [(t, env) for t in range(oldest, len(rows)) for env in range(envs)]
    indices = torch.tensor([t % length * envs + env for t, env in places])
    result = gather_nstep(buffer, indices, n, 0.9)
    expected = [slow_nstep(rows, t, env, n, 0.9) for t, env in places]
    np.testing.assert_allclose(result["reward"], [e[0] for e in expected], atol=1e-12)
    np.testing.assert_allclose(result["discount"], [e[1] for e in expected], atol=1e-12)
    last = [(e[2], env) for e, (_, env) in zip(expected, places, strict=True)]
    np.testing.assert_array_equal(result["next_obs"], last)


def test_values_beyond_the_window_do_not_matter() -> None:
    """A reward that is not finite in another episode does not spoil the return."""
    buffer = ExperienceBuffer(4, 1)
    for reward, end in ((1.0, True), (float("nan"), False)):
        buffer.record("reward", reward)
        buffer.record("terminated", end)
        buffer.record("truncated", False)
        buffer.record("next_obs", 0.0)
        buffer.inc()
    result = gather_nstep(buffer, torch.tensor([0]), 3, 0.5)
    assert result["reward"].tolist() == [1.0] and result["discount"].tolist() == [0.0]


def test_half_recorded_row_is_not_in_a_window() -> None:
    """A row counts only after inc(), also when it replaces the oldest one."""
    buffer = PrioritizedExperienceBuffer(3, 1)
    for t in range(5):
        buffer.record("reward", float(t))
        if t == 4:
            break  # rows 1, 2, 3 are stored at 1, 2, 0; time 4 is being written over 1
        buffer.record("terminated", False)
        buffer.record("truncated", False)
        buffer.record("next_obs", float(t))
        buffer.inc()
    result = gather_nstep(buffer, torch.tensor([2, 0]), 3, 1.0)
    assert result["reward"].tolist() == [5.0, 3.0]
    assert result["next_obs"].tolist() == [3.0, 3.0]


def test_bad_n_is_refused() -> None:
    """A window has at least one step."""
    with pytest.raises(G1MimicError, match="at least 1"):
        gather_nstep(ExperienceBuffer(2, 1), torch.tensor([0]), 0, 0.9)
