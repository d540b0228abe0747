"""Sums over priorities: draw indices in proportion to them, and change them.

`PriorityTree` is written in torch's operations: it runs on any device and never waits for one.
`backends.make_priority_tree` gives the CPU its compiled twin, which keeps the same sums.
"""

from __future__ import annotations

import torch
from torch import Tensor

from g1_mimic.learning.replay.checks import UpdateCheck

FAN_OUT = 16
"""Leaves per line, one cache line of 64 bytes."""

RANGE = (1e-30, 1e30)
"""Bounds on |error| + ε: their powers and sums stay normal float32 and float64 numbers."""


class PriorityTree:
    """Non-negative priorities of ``capacity`` slots, all 0 at first.

    Two levels: one float32 leaf per slot and one float64 sum per line of 16 leaves. A draw searches
    the running total of the sums, then the leaves of one line; a change sums the touched lines
    anew, so that nothing drifts. Every result stays on the device.

    Args:
        capacity: number of slots.
        device: where the priorities live.
        multiple: the number of lines is rounded up to a multiple of this.
        deferred: as of `UpdateCheck`.
    """

    def __init__(
        self,
        capacity: int,
        device: torch.device,
        multiple: int = 1,
        deferred: bool | None = None,
    ) -> None:
        lines = -(-capacity // (FAN_OUT * multiple)) * multiple
        self._leaves = torch.zeros(lines * FAN_OUT, device=device)
        self._lines = self._leaves.view(lines, FAN_OUT)
        self._sums = torch.zeros(lines, dtype=torch.float64, device=device)
        self.leaves = self._leaves[:capacity]
        """The priorities [capacity], float32; change them by `fill`, `assign`, `learn` only."""
        self.highest = torch.ones((), device=device)
        """The highest priority that `learn` ever set, or 1 if that is higher, 0-dim."""
        self._check = UpdateCheck(device, deferred)

    def nbytes(self) -> int:
        """Return the memory that the priorities and their sums take."""
        return self._leaves.nbytes + self._sums.nbytes

    def fill(self, start: int, stop: int, value: Tensor | float) -> None:
        """Give the slots ``start`` … ``stop - 1`` one priority."""
        self.leaves[start:stop] = value
        lines = slice(start // FAN_OUT, -(-stop // FAN_OUT))
        self._sums[lines] = self._lines[lines].sum(1, dtype=torch.float64)

    def renew(self, start: int, stop: int) -> None:
        """Give the slots ``start`` … ``stop - 1`` the highest priority so far."""
        self.fill(start, stop, self.highest)

    def assign(self, values: Tensor) -> None:
        """Set every priority [capacity]."""
        self.leaves.copy_(values)
        torch.sum(self._lines, 1, dtype=torch.float64, out=self._sums)

    def learn(
        self, indices: Tensor, errors: Tensor, stored: int, epsilon: float, alpha: float
    ) -> None:
        """Set positive priorities of ``indices`` [n] to (|errors [n]| + ε)^α; n is at least 1.

        Of duplicates the last counts. Slots of a row that is being replaced have no priority, and
        get none.

        Raises:
            G1MimicError: if an error is not finite or an index outside 0 … ``stored - 1``. On the
                CPU nothing is changed then; on a GPU the good entries are taken over and a later
                call of `sample` or this raises.
        """
        self._check.poll()
        outside = (indices < 0) | (indices >= stored)
        bad = outside | ~torch.isfinite(errors)
        self._check.report(bad, indices, errors)
        indices = indices.masked_fill(outside, 0)
        old = self.leaves.index_select(0, indices)
        # float64 before the power: the same on every device.
        new = errors.double().abs().add_(epsilon).clamp_(*RANGE).pow_(alpha).float()
        self._set(indices, torch.where(bad | (old <= 0.0), old, new))

    def _set(self, indices: Tensor, values: Tensor) -> None:
        """Set the priorities of ``indices`` [n] to ``values`` [n]; of duplicates the last counts.

        Writing one place twice in a call is undefined in torch. So every duplicate is given the
        value of the last one first; then their order does not matter.
        """
        torch.maximum(self.highest, values.max(), out=self.highest)
        # A stable sort puts duplicates side by side in their order; a run's end is its last.
        ascending, order = indices.sort(stable=True)
        last = order.index_select(0, torch.searchsorted(ascending, ascending, right=True) - 1)
        self.leaves.index_copy_(0, ascending, values.index_select(0, last))
        lines = ascending // FAN_OUT
        sums = self._lines.index_select(0, lines).sum(1, dtype=torch.float64)
        self._sums.index_copy_(0, lines, sums)

    def sample(self, n: int, generator: torch.Generator, fallback: int) -> Tensor:
        """Draw ``n`` indices with probability leaf / total each, stratified and ascending.

        Stratified (Schaul et al. 2016, B.2.1): the total is cut into ``n`` equal parts and one
        index is drawn from each.

        Args:
            n: how many.
            generator: source of randomness, on the tree's device.
            fallback: a slot with a positive priority, see `find`.

        Raises:
            G1MimicError: if (on a GPU) an earlier update was bad.
        """
        self._check.poll()
        jitter = torch.rand(n, dtype=torch.float64, device=self._leaves.device, generator=generator)
        return self.find(jitter, fallback)

    def find(self, jitter: Tensor, fallback: int) -> Tensor:
        """Return the slots [n] whose parts of the total the stratified masses fall into.

        Stratum i of n gives the mass (i + jitter_i) / n of the total. The sums are float64: in
        float32 a million leaves would leave slots that no draw can reach.

        Args:
            jitter: [n], float64, at least 0 and below 1.
            fallback: a slot with a positive priority. It is returned where rounding at the edge
                of a line would end in an empty slot (about once in 1e13 draws).
        """
        n = jitter.numel()
        ends = self._sums.cumsum(0)
        strata = torch.arange(n, dtype=torch.float64, device=jitter.device)
        mass = (strata + jitter) * (ends[-1] / n)
        line = torch.searchsorted(ends, mass, right=True).clamp_(max=ends.numel() - 1)
        residual = mass - (ends.index_select(0, line) - self._sums.index_select(0, line))
        inner = self._lines.index_select(0, line).cumsum(1, dtype=torch.float64)
        place = (inner <= residual[:, None]).sum(1).clamp_(max=FAN_OUT - 1)
        index = line * FAN_OUT + place
        return torch.where(self._leaves.index_select(0, index) > 0.0, index, fallback)

    def weights(self, indices: Tensor, beta: float) -> Tensor:
        """Return (lowest priority of ``indices`` [n] / that of each)^beta, float32 [n]."""
        # float64: rounded after, a power is the same on every device.
        priorities = self.leaves.index_select(0, indices).double()
        return (priorities.min() / priorities).pow_(beta).float()
