"""Sums over priorities against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from g1_mimic.learning.priority_tree import FAN_OUT, PriorityTree

CPU = torch.device("cpu")


@pytest.mark.parametrize("capacity", [1, FAN_OUT - 1, FAN_OUT, FAN_OUT + 1, 1000])
def test_sums_follow_every_change(capacity: int) -> None:
    """After any mix of fills and updates the total is that of the leaves, and nothing drifts."""
    rng = np.random.default_rng(capacity)
    tree, plain = PriorityTree(capacity, CPU), np.zeros(capacity, np.float32)
    for _ in range(300):
        if rng.random() < 0.3:
            start, stop = sorted(rng.integers(0, capacity + 1, 2))
            value = rng.random() * 10.0 ** rng.integers(-6, 6)
            tree.fill(int(start), int(stop), value)
            plain[start:stop] = value
        else:
            indices = rng.integers(0, capacity, rng.integers(1, 50))
            values = rng.random(len(indices)).astype(np.float32)
            tree.set(torch.from_numpy(indices), torch.from_numpy(values))
            plain[indices] = values  # numpy documents that the last of duplicates counts
        np.testing.assert_array_equal(tree.leaves.numpy(), plain)
        assert float(tree.total()) == pytest.approx(plain.sum(dtype=np.float64), rel=1e-12)


def test_draws_are_exact_inverses_of_the_cumulative_sum() -> None:
    """A draw is the slot whose part of the cumulative sum the stratum's mass falls into."""
    rng = np.random.default_rng(0)
    leaves = rng.random(5000).astype(np.float32) ** 8 * (rng.random(5000) < 0.3)
    tree = PriorityTree(5000, CPU)
    tree.assign(torch.from_numpy(leaves))
    drawn = tree.sample(2000, torch.Generator().manual_seed(1), 0)
    jitter = torch.rand(2000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ends = leaves.astype(np.float64).cumsum()
    mass = (np.arange(2000) + jitter.numpy()) * (ends[-1] / 2000)
    np.testing.assert_array_equal(drawn.numpy(), np.searchsorted(ends, mass, side="right"))


def test_every_slot_of_a_million_is_reached() -> None:
    """With equal leaves and one stratum for each, every slot is drawn exactly once.

    With float32 sums hundreds of thousands of slots would come twice or never.
    """
    capacity = 1 << 20
    tree = PriorityTree(capacity, CPU)
    tree.fill(0, capacity, 0.1)
    drawn = tree.sample(capacity, torch.Generator().manual_seed(0), 0)
    assert int((drawn != torch.arange(capacity)).sum()) <= 1  # a jitter of almost 0 or 1 may round


def test_single_positive_slot_is_always_drawn() -> None:
    """Empty slots around the only sample are never drawn, whatever its size."""
    for value in (1e-30, 1.0, 1e30):
        tree = PriorityTree(10_000, CPU)
        tree.fill(4321, 4322, value)
        drawn = tree.sample(5000, torch.Generator().manual_seed(0), 4321)
        assert (drawn == 4321).all()
