"""The ring that experience buffers keep their transitions in: fields, rows and what is stored."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from g1_mimic.errors import G1MimicError
from g1_mimic.learning.replay_inputs import (
    as_array,
    as_tensor,
    existing_device,
    positive,
    require_castable,
    zeros,
)
from g1_mimic.learning.successor_field import SuccessorField, make_successor_field

RESERVED = ("indices", "weights")
"""Names that `sample` adds to the recorded fields."""


class TransitionRing:
    """A ring of ``buffer_len`` rows of one transition for each of ``batch_size`` environments.

    The flat index of a transition is ``row · batch_size + environment``. The row at the head is
    the one that `record` writes; `inc` completes it.

    Args:
        buffer_len: number of rows.
        batch_size: number of parallel environments; the capacity is their product.
        device: where the data lives; without a GPU 'cuda' is the CPU, with a warning.

    Raises:
        G1MimicError: if a size is not positive or the device unknown.
    """

    def __init__(self, buffer_len: int, batch_size: int, device: str | torch.device) -> None:
        self._buffer_len = positive("buffer_len", buffer_len)
        self._batch_size = positive("batch_size", batch_size)
        self._device = existing_device(device)
        self._buffers: dict[str, Tensor] = {}
        self._flat_buffers: dict[str, Tensor] = {}
        self._arrays: dict[str, np.ndarray] = {}  # the same memory for numpy, on the CPU
        self._successors: dict[str, SuccessorField] = {}
        self._pending: dict[str, tuple[str, tuple[str, ...], bool]] = {}  # without a source yet
        self._head = 0
        self._filled_rows = 0
        self._total_samples = 0
        self._warned_of_copies = False
        self._row_fields: set[str] = set()  # recorded in the row that is being written
        self._every_row_fields: set[str] = set()  # recorded in the rows before it

    # -- writing --------------------------------------------------------------------------------

    def add_buffer(self, name: str, data_shape: Sequence[int], dtype: torch.dtype) -> None:
        """Create the field ``name``, zeros of shape [buffer_len, batch_size, *data_shape].

        Raises:
            G1MimicError: if the field exists or the name is one that `sample` uses itself.
        """
        if name in RESERVED:
            raise G1MimicError(f"field '{name}' cannot be recorded: sample() returns its own")
        if name in self._buffers:
            raise G1MimicError(f"field '{name}' exists already")
        shape = (self._buffer_len, self._batch_size, *data_shape)
        self._buffers[name] = zeros(shape, dtype, self._device)
        self._flat_buffers[name] = self._buffers[name].flatten(0, 1)
        if self._device.type == "cpu" and dtype != torch.bfloat16:
            self._arrays[name] = self._buffers[name].numpy()

    def add_successor(
        self, name: str, source: str, ends: Sequence[str], borrow: bool = False
    ) -> None:
        """Have the field ``name`` follow from ``source``, which the next row holds.

        ``name`` is recorded and gathered like any field and takes almost no memory. What is
        recorded as ``source`` must be what was recorded as ``name`` one row before, except where
        one of the flags ``ends`` [batch_size] of that row is true: there an episode ended.
        Whole rows of such a buffer cannot be pushed or replaced.

        Args:
            name: the new field.
            source: the field that it follows from.
            ends: names of the flags.
            borrow: keep what is recorded as ``name`` itself, where it need not be converted,
                instead of a copy, which halves the time to record observations. Record another
                tensor or array for each row then, and leave it as it is until the row after it is
                complete.

        Raises:
            G1MimicError: if something is stored already, or the field exists.
        """
        if self._filled_rows or self._row_fields:
            raise G1MimicError(f"add_successor('{name}') comes before the first record()")
        if name in self._fields() or name in RESERVED:
            raise G1MimicError(f"field '{name}' exists already")
        self._pending[name] = (source, tuple(ends), borrow)

    def _fields(self) -> list[str]:
        return [*self._buffers, *self._successors]

    def _make_successor(self, name: str) -> SuccessorField:
        """Return the field, made now if its sources have only come since it was added."""
        if name in self._pending:
            source, ends, borrow = self._pending[name]
            if missing := [field for field in (source, *ends) if field not in self._buffers]:
                raise G1MimicError(f"record '{missing[0]}' before '{name}', which follows from it")
            flags = [self._buffers[field] for field in ends]
            self._successors[name] = make_successor_field(self._buffers[source], flags, borrow)
            del self._pending[name]
        return self._successors[name]

    def _successor_states(self) -> dict[str, Any]:
        """Return what a checkpoint holds of these fields; None for one not recorded yet."""
        states: dict[str, Any] = dict.fromkeys(self._pending)
        return states | {name: field.state_dict() for name, field in self._successors.items()}

    def _require_no_successor(self, action: str) -> None:
        if self._successors or self._pending:
            raise G1MimicError(f"{action} does not go with fields that follow from others")

    def record(self, name: str, data: Any) -> None:
        """Write one field of the current row; the first use creates it with shape and dtype.

        Args:
            name: the field.
            data: tensor, array or number, [batch_size, …]. Without the first axis it is one
                transition for all environments, which is what a single environment records; with
                batch_size above 1 that fills a row with copies, and a warning says so once.

        Raises:
            G1MimicError: if the shape is not the field's, the dtype would lose values (a float
                into an integer field), or the field is new though rows are stored already.
        """
        if self._record_array(name, data):
            return
        if name in self._successors or name in self._pending:
            self._make_successor(name).record(data)
            self._row_fields.add(name)
            return
        value = as_tensor(data)
        if name not in self._buffers:
            self._create_field(name, value)
        row = self._buffers[name][self._head]
        if value.shape == row.shape[1:] != row.shape:
            self._warn_of_copies(name)
        elif value.shape != row.shape:
            raise G1MimicError(
                f"field '{name}' takes shape {tuple(row.shape)}, got {tuple(value.shape)}"
            )
        require_castable(name, value.dtype, row.dtype)
        row.copy_(value, non_blocking=True)
        self._row_fields.add(name)

    def _record_array(self, name: str, data: Any) -> bool:
        """Record through numpy, in half the time for few environments, if nothing is to convert."""
        field = self._arrays.get(name)
        if field is None:
            return False
        row = field[self._head]
        value = as_array(data, row.dtype, row.shape)
        if value is None:
            return False
        row[...] = value
        self._row_fields.add(name)
        return True

    def _create_field(self, name: str, value: Tensor) -> None:
        if self._filled_rows:
            raise G1MimicError(
                f"field '{name}' is first recorded when {self._filled_rows} rows are stored "
                "without it; record it from the first row on, or call add_buffer before"
            )
        if value.ndim and value.shape[0] == self._batch_size:
            self.add_buffer(name, value.shape[1:], value.dtype)
        elif self._batch_size == 1 or value.ndim <= 1:
            self.add_buffer(name, value.shape, value.dtype)
        else:
            raise G1MimicError(
                f"field '{name}' takes one value for each of {self._batch_size} environments "
                f"(batch_size), got shape {tuple(value.shape)}; for a single environment use "
                "batch_size=1"
            )

    def _warn_of_copies(self, name: str) -> None:
        if self._batch_size > 1 and not self._warned_of_copies:
            self._warned_of_copies = True
            warnings.warn(
                f"field '{name}' was recorded for one environment, but the buffer is for "
                f"{self._batch_size} (batch_size): every row is filled with copies; "
                "make it with batch_size=1",
                RuntimeWarning,
                stacklevel=3,
            )

    def inc(self) -> None:
        """Complete the current row: it can be sampled from now on.

        Raises:
            G1MimicError: if a field that earlier rows recorded was not recorded in this one; the
                slot would keep the value of an older transition.
        """
        if missing := self._every_row_fields - self._row_fields:
            raise G1MimicError(f"inc() before '{min(missing)}' was recorded for this row")
        self._every_row_fields |= self._row_fields
        self._complete_rows(1)

    def push(self, data_dict: Mapping[str, Any]) -> None:
        """Append n whole rows: every field [n, batch_size, …], n ≤ buffer_len.

        Raises:
            G1MimicError: if fields or shapes do not fit, or a row is half recorded.
        """
        self._require_no_half_row("push()")
        self._require_no_successor("push()")
        values = {name: as_tensor(data) for name, data in data_dict.items()}
        if not self._buffers:
            for name, value in values.items():
                self.add_buffer(name, value.shape[2:], value.dtype)
        if set(values) != set(self._buffers):
            wrong = min(set(values) ^ set(self._buffers))
            raise G1MimicError(f"push() takes exactly the buffer's fields; '{wrong}' differs")
        n = len(next(iter(values.values()))) if values else 0
        for name, value in values.items():
            shape = (n, *self._buffers[name].shape[1:])
            if value.shape != shape or n > self._buffer_len:
                raise G1MimicError(
                    f"push(): field '{name}' takes shape [n, {', '.join(map(str, shape[1:]))}] "
                    f"with one n up to {self._buffer_len}, got {list(value.shape)}"
                )
            require_castable(name, value.dtype, self._buffers[name].dtype)
        first = min(n, self._buffer_len - self._head)
        for name, value in values.items():
            self._buffers[name][self._head : self._head + first] = value[:first]
            self._buffers[name][: n - first] = value[first:]
        self._complete_rows(n)

    def set_data(self, name: str, data: Any) -> None:
        """Replace a whole field, [buffer_len, batch_size, …]; create it if it is new.

        Raises:
            G1MimicError: if the shape or dtype is not the field's.
        """
        self._replace(name, as_tensor(data), (self._buffer_len, self._batch_size))

    def set_data_flat(self, name: str, data: Any) -> None:
        """Replace a whole field, [capacity, …]; create it if it is new.

        Raises:
            G1MimicError: if the shape or dtype is not the field's.
        """
        self._replace(name, as_tensor(data), (self.get_capacity(),))

    def _replace(self, name: str, value: Tensor, leading: tuple[int, ...]) -> None:
        self._require_no_successor("set_data()")
        if value.shape[: len(leading)] != leading:
            raise G1MimicError(
                f"field '{name}' takes leading axes {leading}, got shape {tuple(value.shape)}"
            )
        if name not in self._buffers:
            self.add_buffer(name, value.shape[len(leading) :], value.dtype)
        target = self._buffers[name] if len(leading) == 2 else self._flat_buffers[name]
        if value.shape != target.shape:
            raise G1MimicError(
                f"field '{name}' takes shape {tuple(target.shape)}, got {tuple(value.shape)}"
            )
        require_castable(name, value.dtype, target.dtype)
        target.copy_(value)
        self._on_data_replaced()

    def reset(self) -> None:
        """Start over at the first row: nothing can be sampled until rows are completed again.

        Fields and the count of all samples ever stay.
        """
        self._head = 0
        self._filled_rows = 0
        self._row_fields.clear()
        for successor in self._successors.values():
            successor.clear()
        self._on_emptied()

    def clear(self) -> None:
        """`reset`, and forget how many samples there ever were."""
        self.reset()
        self._total_samples = 0

    def _complete_rows(self, n: int) -> None:
        start = self._head
        self._head = (start + n) % self._buffer_len
        self._filled_rows = min(self._filled_rows + n, self._buffer_len)
        self._total_samples += n * self._batch_size
        self._row_fields.clear()
        for successor in self._successors.values():
            successor.complete(start)  # rows come one by one: push() is refused
        self._on_rows_completed(start, n)

    # For subclasses that keep something per transition.

    def _on_rows_completed(self, start: int, n: int) -> None:
        pass

    def _on_data_replaced(self) -> None:
        pass

    def _on_emptied(self) -> None:
        pass

    # -- reading --------------------------------------------------------------------------------

    def get_total_samples(self) -> int:
        """Return how many transitions were stored since the start or `clear`."""
        return self._total_samples

    def get_capacity(self) -> int:
        """Return ``buffer_len · batch_size``."""
        return self._buffer_len * self._batch_size

    def get_sample_count(self) -> int:
        """Return how many transitions can be sampled now.

        A row that is being recorded does not count, even if it replaces an older one.
        """
        return (self._filled_rows - self._overwriting()) * self._batch_size

    def nbytes(self) -> int:
        """Return the memory of the transitions, B."""
        stored = sum(field.nbytes for field in self._buffers.values())
        return stored + sum(field.nbytes() for field in self._successors.values())

    def priority_nbytes(self) -> int:
        """Return the memory that priorities take besides, B; 0 without any."""
        return 0

    def is_full(self) -> bool:
        """Return whether every row has been completed since the start, `reset` or `clear`."""
        return self._filled_rows == self._buffer_len

    def get_data(self, name: str) -> Tensor:
        """Return the field's own memory, [buffer_len, batch_size, …].

        Raises:
            G1MimicError: if there is no such field.
        """
        self._require_field(name)
        return self._buffers[name]

    def get_data_flat(self, name: str) -> Tensor:
        """Return the field's own memory, [capacity, …].

        Raises:
            G1MimicError: if there is no such field.
        """
        self._require_field(name)
        return self._flat_buffers[name]

    def gather(self, indices: Tensor, fields: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Return the ``fields`` (all by default) of the transitions ``indices`` [n].

        Raises:
            G1MimicError: if a field is unknown.
        """
        # index_select is several times faster than indexing with brackets on large batches.
        names = self._fields() if fields is None else fields
        return {name: self._gather(name, indices) for name in names}

    def _gather(self, name: str, indices: Tensor) -> Tensor:
        if name in self._successors:
            return self._successors[name].gather(indices, (self._head - 1) % self._buffer_len)
        return self.get_data_flat(name).index_select(0, indices)

    def newer_rows(self, indices: Tensor) -> Tensor:
        """Return, for flat ``indices``, how many completed rows follow each one's row."""
        return (self._head - 1 - indices // self._batch_size) % self._buffer_len

    @property
    def buffer_len(self) -> int:
        """Number of rows."""
        return self._buffer_len

    @property
    def batch_size(self) -> int:
        """Number of parallel environments."""
        return self._batch_size

    @property
    def device(self) -> torch.device:
        """Where the data lives."""
        return self._device

    def _overwriting(self) -> bool:
        """Whether the row at the head is a stored one that is being replaced piece by piece."""
        return bool(self._row_fields) and self.is_full()

    def _require_field(self, name: str) -> None:
        if name in self._successors:
            raise G1MimicError(f"field '{name}' has no memory of its own: gather() it")
        if name not in self._buffers:
            known = ", ".join(self._fields()) or "none yet"
            raise G1MimicError(f"the buffer has no field '{name}'; recorded: {known}")

    def _require_no_half_row(self, action: str) -> None:
        if self._row_fields:
            raise G1MimicError(f"{action} while a row is half recorded; call inc() before")
