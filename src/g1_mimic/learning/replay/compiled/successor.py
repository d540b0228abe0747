"""The successor field of the CPU: `SuccessorField` with loops that numba compiles.

Values come to the loops as rows of words, whatever their type, and are copied bit by bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from g1_mimic.learning.replay.compiled.compilation import compiled
from g1_mimic.learning.replay.inputs import as_array
from g1_mimic.learning.replay.successor_field import SuccessorField

WORDS = ("u1[:, ::1]", "f4[:, ::1]")
"""Types of rows of words: one loop serves all types of values."""


@compiled(*(f"i8(b1[::1], {words}, {words}, i8[::1], i8, i8, i8)" for words in WORDS))
def queue_ends(
    ended: Any, newest: Any, finals: Any, numbers: Any, start: int, first: int, number: int
) -> int:
    """Queue what followed the ends in a row; return how many there are.

    Nothing is changed if the queue has no room for them.

    Args:
        ended: whether an episode ended [environments].
        newest: what followed the row [environments, words].
        finals: what followed ends [size, words]; number k is in slot k % size.
        numbers: of each slot's end, -1 where none is [capacity]; those of the row are set.
        start: the row's first slot.
        first: number of the oldest end in the queue.
        number: of the next one.
    """
    count = 0
    for i in range(len(ended)):
        count += ended[i]
    if number + count - first > len(finals):
        return count
    for i in range(len(ended)):
        numbers[start + i] = -1
        if ended[i]:
            slot = number % len(finals)
            for j in range(newest.shape[1]):
                finals[slot, j] = newest[i, j]
            numbers[start + i] = number
            number += 1
    return count


@compiled(
    *(f"b1({words}, {words}, {words}, i8[::1], i8, i8[::1], {words}, {words})" for words in WORDS)
)
def follow(
    source: Any, finals: Any, newest: Any, numbers: Any, start: int, indices: Any, own: Any,
    out: Any,
) -> bool:  # fmt: skip
    """Write what followed the transitions ``indices``; return whether there are such transitions.

    Their own values are written on the way if they are asked for: with ascending indices many of
    those have just been read as what followed another.

    Args:
        source: the source field of all slots [capacity, words].
        finals: what followed ends [size, words]; number k is in slot k % size.
        newest: what followed the newest row [environments, words].
        numbers: of the end of each slot's transition, -1 where none ended [capacity].
        start: the newest row's first slot.
        indices: flat indices [n].
        own: result, the source field of the transitions [n, words], or nothing [0, words].
        out: result, what followed them [n, words].
    """
    capacity, environments, words = len(source), len(newest), out.shape[1]
    for i in range(len(indices)):
        k = indices[i]
        if k < 0 or k >= capacity:
            return False
        if len(own):
            for j in range(words):
                own[i, j] = source[k, j]
        if start <= k < start + environments:
            for j in range(words):
                out[i, j] = newest[k - start, j]
        elif numbers[k] >= 0:
            slot = numbers[k] % len(finals)
            for j in range(words):
                out[i, j] = finals[slot, j]
        else:
            k += environments
            if k >= capacity:
                k -= capacity
            for j in range(words):
                out[i, j] = source[k, j]
    return True


class CompiledSuccessorField(SuccessorField):
    """A `SuccessorField` on the CPU that records and gathers several times faster.

    Most of all with arrays: right after a batch was gathered, all other code has to come from
    memory, and that of torch's tensors takes longer than the copying.

    Args:
        source: as of `SuccessorField`.
        ends: as of `SuccessorField`.
        borrow: as of `SuccessorField`.
    """

    def __init__(self, source: Tensor, ends: list[Tensor], borrow: bool = False) -> None:
        # Kernels take rows of plain words, so that one of them serves all types. Words of 4 bytes
        # are float32: what is usually recorded needs no view then. Copied, they keep every bit.
        self._word = np.float32 if source.element_size() % 4 == 0 else np.uint8
        self._width = source[0, 0].nbytes // np.dtype(self._word).itemsize
        super().__init__(source, ends, borrow)
        self._source_words = self._kept(self._flat)
        self._number_array = self._numbers.numpy()  # the same memory
        self._ends = [flags.numpy() for flags in ends]
        # numpy has no bfloat16: no array is of its type.
        self._dtype = np.dtype("V2") if source.dtype == torch.bfloat16 else source.numpy().dtype
        # Asked once: comparing types in each row takes longer than copying it.
        self._rows_are_words = self._dtype == self._word and len(self._shape) == 2
        self._ends_are_bool = all(flags.dtype == bool for flags in self._ends)

    def _kept(self, row: Tensor) -> np.ndarray:
        bits = row.view(torch.uint8) if self._word is np.uint8 else row
        return bits.numpy().view(self._word).reshape(len(row), self._width)

    def _tensor(self, kept: np.ndarray) -> Tensor:
        return torch.from_numpy(kept).view(self._source.dtype).view(self._source.shape[1:])

    def _keep_finals_in(self, finals: Tensor) -> None:
        super()._keep_finals_in(finals)
        self._final_words = self._kept(finals)

    def write(self, row: int, data: Any) -> None:
        array = as_array(data, self._dtype, self._shape)
        if array is None or not array.flags.carray:
            super().write(row, data)
            return
        words = array
        if not self._rows_are_words:
            words = array.view(self._word).reshape(self._envs, self._width)
        if self._borrow:
            self._staged = words
        else:
            self._staged[...] = words

    def _queue(self, row: int) -> int:
        ended = self._ended(row)
        if not self._ends_are_bool:
            ended = ended != 0
        where = self._number_array, row * self._envs, self._first, self._next
        return queue_ends(ended, self._newest, self._final_words, *where)

    def gather(self, indices: Tensor, newest_row: int) -> Tensor:
        return self._follow(indices, newest_row, own=False)[1]

    def gather_with_source(self, indices: Tensor, newest_row: int) -> tuple[Tensor, Tensor]:
        return self._follow(indices, newest_row, own=True)

    def _follow(self, indices: Tensor, newest_row: int, own: bool) -> tuple[Tensor, Tensor]:
        """Return the source field, or nothing of it, and what followed."""
        index = indices.contiguous().numpy()
        if indices.dtype != torch.long:
            index = index.astype(np.int64)
        n, shape = len(index), self._flat.shape[1:]
        both = self._flat.new_empty((n * own, *shape)), self._flat.new_empty((n, *shape))
        parts = self._source_words, self._final_words, self._newest
        where = self._number_array, newest_row * self._envs, index
        if not follow(*parts, *where, *map(self._kept, both)):
            raise IndexError(f"an index is out of range: the buffer has {len(self._flat)} slots")
        return both
