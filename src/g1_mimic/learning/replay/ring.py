"""The ring that experience buffers keep their transitions in: rows and which of them are stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from g1_mimic.errors import BadState
from g1_mimic.learning.replay.fields import TransitionFields
from g1_mimic.learning.replay.inputs import existing_device, positive


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
        self._fields = TransitionFields(self._buffer_len, self._batch_size, self._device)
        self._head = 0
        self._filled_rows = 0
        self._total_samples = 0
        self._row_fields: set[str] = set()  # recorded in the row that is being written
        self._every_row_fields: set[str] = set()  # recorded in the rows before it

    # -- writing --------------------------------------------------------------------------------

    def add_buffer(self, name: str, data_shape: Sequence[int], dtype: torch.dtype) -> None:
        """Create the field ``name``, zeros of shape [buffer_len, batch_size, *data_shape].

        Raises:
            G1MimicError: if the field exists or the name is one that `sample` uses itself.
        """
        self._fields.add(name, data_shape, dtype)

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
            raise BadState(f"add_successor('{name}') comes before the first record()")
        self._fields.add_successor(name, source, ends, borrow)

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
        self._fields.write(self._head, {name: data}, self._filled_rows, self._row_fields)

    def inc(self) -> None:
        """Complete the current row: it can be sampled from now on.

        Raises:
            G1MimicError: if a field that earlier rows recorded was not recorded in this one; the
                slot would keep the value of an older transition.
        """
        if self._row_fields != self._every_row_fields:
            if missing := self._every_row_fields - self._row_fields:
                raise BadState(f"inc() before '{min(missing)}' was recorded for this row")
            self._every_row_fields |= self._row_fields
        self._complete_rows(1)

    def record_row(self, data: Mapping[str, Any]) -> None:
        """Record all fields of a row and complete it: `record` for each, and `inc`.

        Raises:
            G1MimicError: as `record` and `inc`; the row may be half recorded then.
        """
        self._fields.write(self._head, data, self._filled_rows, self._row_fields)
        self.inc()

    def push(self, data_dict: Mapping[str, Any]) -> None:
        """Append n whole rows: every field [n, batch_size, …], n ≤ buffer_len.

        Raises:
            G1MimicError: if fields or shapes do not fit, or a row is half recorded.
        """
        self._require_no_half_row("push()")
        self._complete_rows(self._fields.write_rows(self._head, data_dict))

    def set_data(self, name: str, data: Any) -> None:
        """Replace a whole field, [buffer_len, batch_size, …]; create it if it is new.

        Raises:
            G1MimicError: if the shape or dtype is not the field's.
        """
        self._fields.replace(name, data, flat=False)
        self._on_data_replaced()

    def set_data_flat(self, name: str, data: Any) -> None:
        """Replace a whole field, [capacity, …]; create it if it is new.

        Raises:
            G1MimicError: if the shape or dtype is not the field's.
        """
        self._fields.replace(name, data, flat=True)
        self._on_data_replaced()

    def reset(self) -> None:
        """Start over at the first row: nothing can be sampled until rows are completed again.

        Fields and the count of all samples ever stay.
        """
        self._head = 0
        self._filled_rows = 0
        self._row_fields.clear()
        self._fields.clear()
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
        self._fields.complete(start)  # fields that follow from others come row by row
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
        return self._fields.nbytes()

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
        return self._fields.memory(name, flat=False)

    def get_data_flat(self, name: str) -> Tensor:
        """Return the field's own memory, [capacity, …].

        Raises:
            G1MimicError: if there is no such field.
        """
        return self._fields.memory(name, flat=True)

    def gather(self, indices: Tensor, fields: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Return the ``fields`` (all by default) of the transitions ``indices`` [n].

        Raises:
            G1MimicError: if a field is unknown.
        """
        names = self._fields.names if fields is None else fields
        newest_row = (self._head - 1) % self._buffer_len
        return self._fields.gather(names, indices, newest_row)

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

    def _require_no_half_row(self, action: str) -> None:
        if self._row_fields:
            raise BadState(f"{action} while a row is half recorded; call inc() before")
