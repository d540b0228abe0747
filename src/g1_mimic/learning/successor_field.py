"""A field that follows from another: the next observation, which is the next row's observation.

Storing both takes twice the memory and the time to write it. Only at the end of an episode do they
differ: the row after it begins another one. Those, some per cent of all, are kept apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from g1_mimic.errors import G1MimicError


class SuccessorField:
    """What followed each stored transition, told from what the rows after it hold.

    The successor of a transition is

    - what was recorded for it, if it is of the newest row or its episode ended there;
    - the source field of the next row and the same environment else.

    Args:
        source: the field that the next rows are asked for [buffer_len, batch_size, …].
        ends: flags [buffer_len, batch_size] of which any true one says that an episode ended.
    """

    def __init__(self, source: Tensor, ends: list[Tensor]) -> None:
        self._source, self._ends = source, ends
        self._flat = source.flatten(0, 1)
        rows, envs = source.shape[:2]
        self._envs = envs
        # Of the newest row and of the one that is being recorded.
        self._newest, self._staged = torch.zeros_like(source[0]), torch.zeros_like(source[0])
        # A queue of what followed ends, in the order of the rows: number k is in slot k % size.
        self._finals = torch.zeros_like(source[0, :1].expand(16, *source.shape[2:])).contiguous()
        self._first, self._next = 0, 0
        self._counts = [0] * rows
        self._numbers = torch.full((rows * envs,), -1, dtype=torch.long, device=source.device)

    def nbytes(self) -> int:
        """Return the memory it takes, B."""
        parts = (self._newest, self._staged, self._finals, self._numbers)
        return sum(part.nbytes for part in parts)

    def record(self, value: Tensor) -> None:
        """Take what follows the row that is being recorded [batch_size, …].

        Raises:
            G1MimicError: if shape or type are not the source's.
        """
        if value.shape != self._staged.shape or value.dtype != self._staged.dtype:
            raise G1MimicError(
                f"what follows a row has the source's shape {tuple(self._staged.shape)} and "
                f"{self._staged.dtype}, got {tuple(value.shape)} and {value.dtype}"
            )
        self._staged.copy_(value, non_blocking=True)

    def complete(self, row: int) -> None:
        """Take over what was recorded: ``row``, which may replace an old one, is complete."""
        self._first += self._counts[row]
        self._newest, self._staged = self._staged, self._newest
        ended = self._ends[0][row].clone()
        for flags in self._ends[1:]:
            ended |= flags[row]
        where = ended.nonzero()[:, 0]
        count = len(where)
        if self._next - self._first + count > len(self._finals):
            self._grow(self._next - self._first + count)
        numbers = torch.arange(self._next, self._next + count, device=where.device)
        mine = self._numbers[row * self._envs : (row + 1) * self._envs]
        mine.fill_(-1)
        mine[where] = numbers
        self._finals[numbers % len(self._finals)] = self._newest[where]
        self._next += count
        self._counts[row] = count

    def _grow(self, needed: int) -> None:
        size = len(self._finals)
        while size < needed:
            size *= 2
        grown = self._finals.new_zeros((size, *self._finals.shape[1:]))
        numbers = torch.arange(self._first, self._next, device=grown.device)
        grown[numbers % size] = self._finals[numbers % len(self._finals)]
        self._finals = grown

    def gather(self, indices: Tensor, newer_rows: Tensor) -> Tensor:
        """Return what followed the transitions.

        Args:
            indices: their flat indices [n].
            newer_rows: how many rows are newer than each one's [n].

        Returns:
            Values [n, …]; the host does not wait for the device.
        """
        following = self._flat.index_select(0, (indices + self._envs) % len(self._flat))
        number, newest = self._numbers.index_select(0, indices), newer_rows == 0
        if following.device.type == "cpu":  # where counting is free, the few others are patched in
            here = (number >= 0).nonzero()[:, 0]
            following[here] = self._finals[number[here] % len(self._finals)]
            here = newest.nonzero()[:, 0]
            following[here] = self._newest[indices[here] % self._envs]
            return following
        axes = (-1,) + (1,) * (self._flat.ndim - 1)
        final = self._finals.index_select(0, number.clamp(min=0) % len(self._finals))
        latest = self._newest.index_select(0, indices % self._envs)
        result = torch.where((number >= 0).view(axes), final, following)
        return torch.where(newest.view(axes), latest, result)

    def clear(self) -> None:
        """Forget everything."""
        self._first = self._next = 0
        self._counts = [0] * len(self._counts)
        self._numbers.fill_(-1)

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain numbers from which `load_state_dict` goes on."""
        kept = torch.arange(self._first, self._next, device=self._finals.device)
        return {
            "newest": self._newest.clone(),
            "finals": self._finals[kept % len(self._finals)],
            "first": self._first,
            "counts": list(self._counts),
            "numbers": self._numbers.clone(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state_dict`'s result."""
        device = self._finals.device
        finals = state["finals"].to(device)
        self._first = int(state["first"])
        self._next = self._first + len(finals)
        self._counts = [int(count) for count in state["counts"]]
        self._numbers.copy_(state["numbers"])
        self._newest.copy_(state["newest"])
        self._finals = self._finals[:16].contiguous()
        if len(finals) > len(self._finals):
            first, self._first = self._first, self._next  # nothing to move while it grows
            self._grow(len(finals))
            self._first = first
        numbers = torch.arange(self._first, self._next, device=device)
        self._finals[numbers % len(self._finals)] = finals
