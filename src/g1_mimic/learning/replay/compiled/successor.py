"""The successor field of the CPU: `SuccessorField` with loops that numba compiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from g1_mimic.learning.replay.compiled import successor_kernels as kernels
from g1_mimic.learning.replay.inputs import as_array
from g1_mimic.learning.replay.successor_field import SuccessorField


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
        kernels.prepare()
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

    def record(self, data: Any) -> None:
        array = as_array(data, self._dtype, self._shape)
        if array is None or not array.flags.carray:
            super().record(data)
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
        queue = self._final_words, self._number_array, row * self._envs, self._first, self._next
        return kernels.queue(ended, self._newest, *queue)

    def gather(self, indices: Tensor, newest_row: int) -> Tensor:
        both = self._follow(indices, newest_row, own=False)
        return both[1] if both else super().gather(indices, newest_row)

    def gather_with_source(self, indices: Tensor, newest_row: int) -> tuple[Tensor, Tensor]:
        both = self._follow(indices, newest_row, own=True)
        return both or super().gather_with_source(indices, newest_row)

    def _follow(self, indices: Tensor, newest_row: int, own: bool) -> tuple[Tensor, Tensor] | None:
        """Return the source field, or nothing of it, and what followed; None if that is not to be.

        An index is out of range then, or of another kind: torch's way does it or says so.
        """
        if indices.ndim != 1 or indices.dtype != torch.long:
            return None
        n, shape = len(indices), self._flat.shape[1:]
        both = self._flat.new_empty((n * own, *shape)), self._flat.new_empty((n, *shape))
        parts = self._source_words, self._final_words, self._newest
        where = self._number_array, newest_row * self._envs, indices.contiguous().numpy()
        return both if kernels.follow(*parts, *where, *map(self._kept, both)) else None
