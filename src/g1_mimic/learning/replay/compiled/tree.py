"""The priority tree of the CPU: `PriorityTree` with loops that numba compiles."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from g1_mimic.learning.replay.checks import refusal
from g1_mimic.learning.replay.compiled import tree_kernels as kernels
from g1_mimic.learning.replay.priority_tree import RANGE, PriorityTree


class CompiledPriorityTree(PriorityTree):
    """A `PriorityTree` on the CPU that changes and draws several times faster.

    It has a third level: float64 sums of 64 lines. Draws are those of `PriorityTree` with the same
    random numbers, but for rounding at the edge of a slot.

    Args:
        capacity: number of slots.
        device: the CPU.
    """

    def __init__(self, capacity: int, device: torch.device) -> None:
        super().__init__(capacity, device, multiple=kernels.LINES)
        blocks = self._sums.numel() // kernels.LINES
        self._levels = (self._leaves.numpy(), self._sums.numpy(), np.zeros(blocks))
        self._top = self.highest.reshape(1).numpy()  # the same memory
        self._touched = np.zeros(blocks, np.uint8)

    def nbytes(self) -> int:
        return super().nbytes() + self._levels[2].nbytes + self._touched.nbytes

    def fill(self, start: int, stop: int, value: Tensor | float) -> None:
        kernels.fill(*self._levels, start, stop, float(value))

    def renew(self, start: int, stop: int) -> None:
        kernels.fill(*self._levels, start, stop, self._top.item())  # a tensor takes longer to read

    def assign(self, values: Tensor) -> None:
        self.leaves.copy_(values)
        kernels.sum_slots(*self._levels, 0, self.leaves.numel())

    def learn(
        self, indices: Tensor, errors: Tensor, stored: int, epsilon: float, alpha: float
    ) -> None:
        if errors.dtype != torch.float32:  # which a learner's are
            errors = errors.double()
        index, error = indices.contiguous().numpy(), errors.contiguous().numpy()
        bad = kernels.learn(
            *self._levels, self._touched, self._top, index, error, stored, epsilon, *RANGE, alpha
        )
        if bad >= 0:
            raise refusal(bad, int(index[bad]), float(error[bad]))

    def find(self, jitter: Tensor, fallback: int) -> Tensor:
        found = np.empty(jitter.numel(), np.int64)
        kernels.find(*self._levels, jitter.numpy(), fallback, found, np.empty(found.size))
        return torch.from_numpy(found)

    def weights(self, indices: Tensor, beta: float) -> Tensor:
        weights = np.empty(indices.numel(), np.float32)
        kernels.weigh(self._levels[0], indices.numpy(), beta, weights)
        return torch.from_numpy(weights)
