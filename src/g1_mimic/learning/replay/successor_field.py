"""A field that follows from another: the next observation, which is the next row's observation.

`SuccessorField` is written in torch's operations, for any device; `backends.make_successor_field`
gives the CPU its compiled twin.

Storing both takes twice the memory and the time to write it. Only at the end of an episode do they
differ: the row after it begins another one. Those, some per cent of all, are kept apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from g1_mimic.errors import BadValue
from g1_mimic.learning.replay.inputs import as_tensor


class SuccessorField:
    """What followed each stored transition, told from what the rows after it hold.

    The successor of a transition is

    - what was recorded for it, if it is of the newest row or its episode ended there;
    - the source field of the next row and the same environment else.

    Args:
        source: the field that the next rows are asked for [buffer_len, batch_size, …].
        ends: flags [buffer_len, batch_size] of which any true one says that an episode ended.
        borrow: keep what is recorded itself instead of a copy, until the row after it is complete.
    """

    def __init__(self, source: Tensor, ends: list[Tensor], borrow: bool = False) -> None:
        self._source, self._borrow = source, borrow
        self._ends: list[Any] = ends
        self._flat, self._shape = source.flatten(0, 1), tuple(source.shape[1:])
        rows, self._envs = source.shape[:2]
        # Of the newest row and of the one that is being recorded.
        self._newest = self._kept(torch.zeros_like(source[0]))
        self._staged = self._newest if borrow else self._kept(torch.zeros_like(source[0]))
        self._first, self._next = 0, 0  # numbers of the first end that is stored, and of the next
        self._counts = [0] * rows
        self._numbers = torch.full((len(self._flat),), -1, dtype=torch.long, device=source.device)
        self._keep_finals_in(self._flat.new_zeros((16, *source.shape[2:])))

    def _kept(self, row: Tensor) -> Any:
        """Return the contiguous ``row`` in the form that it is kept in, sharing memory."""
        return row

    def _tensor(self, kept: Any) -> Tensor:
        """Undo `_kept`."""
        return kept

    def nbytes(self) -> int:
        """Return the memory it takes, B."""
        parts = (self._newest, self._staged, self._finals, self._numbers)
        return sum(part.nbytes for part in parts)

    def write(self, row: int, data: Any) -> None:
        """Take what follows the row that is being recorded.

        Args:
            row: which one it is; rows come in turn.
            data: [batch_size, …].

        Raises:
            G1MimicError: if shape or type are not the source's.
        """
        value = as_tensor(data).to(self._source.device)
        if value.shape != self._shape or value.dtype != self._source.dtype:
            raise BadValue(
                f"what follows a row has the source's shape {self._shape} and "
                f"{self._source.dtype}, got {tuple(value.shape)} and {value.dtype}"
            )
        if self._borrow:
            self._staged = self._kept(value.contiguous())
        else:
            self._tensor(self._staged).copy_(value, non_blocking=True)

    def complete(self, row: int) -> None:
        """Take over what was recorded: ``row``, which may replace an old one, is complete."""
        self._newest, self._staged = self._staged, self._newest
        self._first += self._counts[row]
        count = self._queue(row)
        if (needed := self._next - self._first + count) > self._size:
            self._grow(needed)
            self._queue(row)
        self._counts[row] = count
        self._next += count

    def _queue(self, row: int) -> int:
        """Queue what followed the ends in ``row`` if there is room; return how many there are."""
        ends = self._ended(row).nonzero()[:, 0]
        count = len(ends)
        if self._next - self._first + count <= self._size:
            mine = self._numbers[row * self._envs : (row + 1) * self._envs].fill_(-1)
            numbers = torch.arange(self._next, self._next + count, device=ends.device)
            mine.index_copy_(0, ends, numbers)
            finals = self._newest.index_select(0, ends)
            self._finals.index_copy_(0, numbers.remainder_(self._size), finals)
        return count

    def _ended(self, row: int) -> Any:
        """Return in which environments an episode ended [batch_size]."""
        ended = self._ends[0][row]
        for flags in self._ends[1:]:
            ended = ended | flags[row]
        return ended

    def _keep_finals_in(self, finals: Tensor) -> None:
        # A queue of what followed ends, in the order of the rows: number k is in slot k % size.
        self._finals, self._size = finals, len(finals)

    def _grow(self, needed: int) -> None:
        size = self._size
        while size < needed:
            size *= 2
        grown = self._finals.new_zeros((size, *self._finals.shape[1:]))
        numbers = torch.arange(self._first, self._next, device=grown.device)
        grown[numbers % size] = self._finals[numbers % self._size]
        self._keep_finals_in(grown)

    def gather(self, indices: Tensor, newest_row: int) -> Tensor:
        """Return what followed the transitions.

        Args:
            indices: their flat indices [n], int64 or int32.
            newest_row: the row that was completed last.

        Returns:
            Values [n, …]; the host does not wait for the device.
        """
        axes = (-1,) + (1,) * (self._flat.ndim - 1)
        following = self._flat.index_select(0, (indices + self._envs) % len(self._flat))
        number = self._numbers.index_select(0, indices)
        final = self._finals.index_select(0, number.clamp(min=0) % self._size)
        latest = self._tensor(self._newest).index_select(0, indices % self._envs)
        result = torch.where((number >= 0).view(axes), final, following)
        newest = (indices // self._envs == newest_row).view(axes)
        return torch.where(newest, latest, result)

    def gather_with_source(self, indices: Tensor, newest_row: int) -> tuple[Tensor, Tensor]:
        """Return the source field of the transitions and what followed them, [n, …] each.

        Arguments are those of `gather`.
        """
        return self._flat.index_select(0, indices), self.gather(indices, newest_row)

    def clear(self) -> None:
        """Forget everything."""
        self._first = self._next = 0
        self._counts = [0] * len(self._counts)
        self._numbers.fill_(-1)

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain numbers from which `load_state_dict` goes on."""
        kept = torch.arange(self._first, self._next, device=self._finals.device)
        return {
            "newest": self._tensor(self._newest).clone(),
            "finals": self._finals[kept % self._size],
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
        self._newest = self._kept(state["newest"].to(device, copy=True))
        if len(finals) > self._size:
            first, self._first = self._first, self._next  # nothing to move while it grows
            self._grow(len(finals))
            self._first = first
        numbers = torch.arange(self._first, self._next, device=device)
        self._finals[numbers % self._size] = finals
