"""A field that follows from another: the next observation, which is the next row's observation.

Storing both takes twice the memory and the time to write it. Only at the end of an episode do they
differ: the row after it begins another one. Those, some per cent of all, are kept apart.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
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
        borrow: keep what is recorded itself instead of a copy, until the row after it is complete.
    """

    def __init__(self, source: Tensor, ends: list[Tensor], borrow: bool = False) -> None:
        self._source, self._ends, self._borrow = source, ends, borrow
        self._flat = source.flatten(0, 1)
        rows, envs = source.shape[:2]
        self._envs = envs
        # Of the newest row and of the one that is being recorded.
        self._newest = torch.zeros_like(source[0])
        self._staged = self._newest if borrow else torch.zeros_like(source[0])
        self._first, self._next = 0, 0  # numbers of the first end that is stored, and of the next
        self._counts = [0] * rows
        self._numbers = torch.full((rows * envs,), -1, dtype=torch.long, device=source.device)
        self._kernels = _load_kernels() if source.device.type == "cpu" else None
        # Kernels take rows of plain words, so that one of them serves all types.
        size = source.element_size()
        self._word = np.int32 if size % 4 == 0 else np.uint8
        self._width = source[0, 0].numel() * (size // 4 if size % 4 == 0 else size)
        if self._kernels is not None:
            self._source_words = self._words(self._flat)
            self._number_array = self._numbers.numpy()  # the same memory
            self._end_arrays = [flags.numpy() for flags in ends]
        self._keep_finals_in(self._flat.new_zeros((16, *source.shape[2:])))

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
        if self._borrow:
            self._staged = value if value.is_contiguous() else value.contiguous()
        else:
            self._staged.copy_(value, non_blocking=True)

    def complete(self, row: int) -> None:
        """Take over what was recorded: ``row``, which may replace an old one, is complete."""
        self._newest, self._staged = self._staged, self._newest
        replaced = self._counts[row]
        self._first += replaced
        place = slice(row * self._envs, (row + 1) * self._envs)
        if self._kernels is not None:
            # In numpy: between other work, each operation of torch's takes ten times as long.
            if replaced:
                self._number_array[place] = -1
            where = np.flatnonzero(_any([flags[row] for flags in self._end_arrays]))
            if count := self._make_room(row, len(where)):
                newest, mine = self._words(self._newest), self._number_array[place]
                self._kernels.keep(where, newest, self._final_words, mine, self._next)
        else:
            if replaced:
                self._numbers[place].fill_(-1)
            ends = _any([flags[row] for flags in self._ends]).nonzero()[:, 0]
            if count := self._make_room(row, len(ends)):
                numbers = torch.arange(self._next, self._next + count, device=ends.device)
                self._numbers[place].index_copy_(0, ends, numbers)
                finals = self._newest.index_select(0, ends)
                self._finals.index_copy_(0, numbers.remainder_(len(self._finals)), finals)
        self._next += count

    def _make_room(self, row: int, count: int) -> int:
        self._counts[row] = count
        if self._next - self._first + count > len(self._finals):
            self._grow(self._next - self._first + count)
        return count

    def _keep_finals_in(self, finals: Tensor) -> None:
        # A queue of what followed ends, in the order of the rows: number k is in slot k % size.
        self._finals = finals
        if self._kernels is not None:
            self._final_words = self._words(finals)

    def _words(self, values: Tensor) -> np.ndarray:
        bits = values.view(torch.uint8) if self._word is np.uint8 else values
        return bits.numpy().view(self._word).reshape(len(values), self._width)

    def _grow(self, needed: int) -> None:
        size = len(self._finals)
        while size < needed:
            size *= 2
        grown = self._finals.new_zeros((size, *self._finals.shape[1:]))
        numbers = torch.arange(self._first, self._next, device=grown.device)
        grown[numbers % size] = self._finals[numbers % len(self._finals)]
        self._keep_finals_in(grown)

    def gather(self, indices: Tensor, newest_row: int) -> Tensor:
        """Return what followed the transitions.

        Args:
            indices: their flat indices [n].
            newest_row: the row that was completed last.

        Returns:
            Values [n, …]; the host does not wait for the device.
        """
        if self._kernels is not None and indices.ndim == 1 and indices.dtype == torch.long:
            result = self._flat.new_empty((len(indices), *self._flat.shape[1:]))
            parts = self._source_words, self._final_words, self._words(self._newest)
            where = self._number_array, newest_row * self._envs, indices.contiguous().numpy()
            if self._kernels.follow(*parts, *where, self._words(result)):
                return result
            # An index is out of range: the way below says so.
        axes = (-1,) + (1,) * (self._flat.ndim - 1)
        following = self._flat.index_select(0, (indices + self._envs) % len(self._flat))
        number = self._numbers.index_select(0, indices)
        final = self._finals.index_select(0, number.clamp(min=0) % len(self._finals))
        latest = self._newest.index_select(0, indices % self._envs)
        result = torch.where((number >= 0).view(axes), final, following)
        newest = (indices // self._envs == newest_row).view(axes)
        return torch.where(newest, latest, result)

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
        self._newest = state["newest"].to(device, copy=True)
        if len(finals) > len(self._finals):
            first, self._first = self._first, self._next  # nothing to move while it grows
            self._grow(len(finals))
            self._first = first
        numbers = torch.arange(self._first, self._next, device=device)
        self._finals[numbers % len(self._finals)] = finals


def _any(flags: list[Any]) -> Any:
    """Return where any of the flags, tensors or arrays [n], is true."""
    result = flags[0]
    for other in flags[1:]:
        result = result | other
    return result


def _load_kernels() -> ModuleType | None:
    """Return the compiled loops of the CPU, or None where numba does not run."""
    try:
        # Here, not above: numba takes half a second to import, for nothing on a GPU.
        import g1_mimic.learning.successor_kernels as kernels

        kernels.prepare()
        return kernels
    except Exception as error:
        warnings.warn(
            f"replay is slower than it could be: numba does not work ({error})",
            RuntimeWarning,
            stacklevel=6,
        )
        return None
