"""What the transitions of a replay ring consist of: named fields, and values that go in and out."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from g1_mimic.errors import BadState, BadValue
from g1_mimic.learning.replay.backends import make_stored_field, make_successor_field
from g1_mimic.learning.replay.inputs import as_tensor, first_of, require_castable
from g1_mimic.learning.replay.stored_field import StoredField
from g1_mimic.learning.replay.successor_field import SuccessorField

RESERVED = ("indices", "weights")
"""Names that `sample` adds to the recorded fields."""


class TransitionFields:
    """Fields [rows, envs, …], some of which follow from others instead of being stored.

    Which rows hold a transition is the ring's business, not theirs.

    Args:
        rows: number of rows.
        envs: number of parallel environments.
        device: where the data lives.
    """

    def __init__(self, rows: int, envs: int, device: torch.device) -> None:
        self._rows, self._envs, self._device = rows, envs, device
        self._stored: dict[str, StoredField] = {}
        self._successors: dict[str, SuccessorField] = {}
        self._sources: dict[str, str] = {}  # of the successors
        self._pending: dict[str, tuple[str, tuple[str, ...], bool]] = {}  # without a source yet
        self._warned_of_copies = False

    @property
    def names(self) -> list[str]:
        """All fields that hold something."""
        return [*self._stored, *self._successors]

    def nbytes(self) -> int:
        """Return the memory of all fields, B."""
        return sum(self._known(name).nbytes() for name in self.names)

    # -- making ---------------------------------------------------------------------------------

    def add(self, name: str, data_shape: Sequence[int], dtype: torch.dtype) -> None:
        """Create the field ``name``, zeros of shape [rows, envs, *data_shape].

        Raises:
            G1MimicError: if the field exists or the name is one that `sample` uses itself.
        """
        if name in RESERVED:
            raise BadValue(f"field '{name}' cannot be recorded: sample() returns its own")
        if name in self._stored:
            raise BadValue(f"field '{name}' exists already")
        shape = (self._rows, self._envs, *data_shape)
        field = make_stored_field(name, shape, dtype, self._device, self._warn_of_copies)
        self._stored[name] = field

    def add_successor(self, name: str, source: str, ends: Sequence[str], borrow: bool) -> None:
        """Have the field ``name`` follow from ``source``; see `SuccessorField`.

        Raises:
            G1MimicError: if the field exists or the name is one that `sample` uses itself.
        """
        if name in self.names or name in RESERVED:
            raise BadValue(f"field '{name}' exists already")
        self._pending[name] = (source, tuple(ends), borrow)

    def _make_successor(self, name: str) -> SuccessorField:
        """Make the field, whose sources have come since it was added."""
        source, ends, borrow = self._pending[name]
        if missing := [field for field in (source, *ends) if field not in self._stored]:
            raise BadValue(f"record '{missing[0]}' before '{name}', which follows from it")
        flags = [self._stored[field].data for field in ends]
        field = make_successor_field(self._stored[source].data, flags, borrow)
        self._successors[name] = field
        self._sources[name] = source
        del self._pending[name]
        return field

    def require_no_successor(self, action: str) -> None:
        """Raise if a field follows from another: ``action`` needs them all stored."""
        if self._successors or self._pending:
            raise BadValue(f"{action} does not go with fields that follow from others")

    # -- writing --------------------------------------------------------------------------------

    def write(self, row: int, data: Mapping[str, Any], filled_rows: int, written: set[str]) -> None:
        """Write fields of a row; the first use of one creates it with shape and dtype.

        Args:
            row: the row.
            data: of each field a tensor, array or number, [envs, …]; without the first axis it is
                for all of them.
            filled_rows: number of rows that are stored, in which a new field would be missing.
            written: gets the names of the fields that are written, also when another one fails.

        Raises:
            G1MimicError: if a shape is not the field's, the dtype would lose values, or a field is
                new though rows are stored already.
        """
        for name, value in data.items():
            field = self._stored.get(name) or self._successors.get(name)
            if field is None:
                field = self._make(name, value, filled_rows)
            field.write(row, value)
            written.add(name)

    def _make(self, name: str, data: Any, filled_rows: int) -> StoredField | SuccessorField:
        if name in self._pending:
            return self._make_successor(name)
        if filled_rows:
            raise BadValue(
                f"field '{name}' is first recorded when {filled_rows} rows are stored without "
                "it; record it from the first row on, or call add_buffer before"
            )
        value = as_tensor(data)
        self.add(name, shape_for_one(name, value, self._envs), value.dtype)
        return self._stored[name]

    def _warn_of_copies(self, name: str) -> None:
        if self._envs > 1 and not self._warned_of_copies:
            self._warned_of_copies = True
            warnings.warn(
                f"field '{name}' was recorded for one environment, but the buffer is for "
                f"{self._envs} (batch_size): every row is filled with copies; "
                "make it with batch_size=1",
                RuntimeWarning,
                stacklevel=6,
            )

    def complete(self, row: int) -> None:
        """Tell the fields that follow from others that all of ``row`` is written."""
        for successor in self._successors.values():
            successor.complete(row)

    def write_rows(self, start: int, data: Mapping[str, Any]) -> int:
        """Write n whole rows from ``start`` on, around the end too; return n.

        Args:
            start: the first row.
            data: every field [n, envs, …], n ≤ rows; the first use creates them.

        Raises:
            G1MimicError: if fields or shapes do not fit.
        """
        self.require_no_successor("push()")
        values = {name: as_tensor(value) for name, value in data.items()}
        if not self._stored:
            for name, value in values.items():
                self.add(name, value.shape[2:], value.dtype)
        if set(values) != set(self._stored):
            wrong = min(set(values) ^ set(self._stored))
            raise BadValue(f"push() takes exactly the buffer's fields; '{wrong}' differs")
        n = len(next(iter(values.values()))) if values else 0
        for name, value in values.items():
            field = self._stored[name].data
            shape = (n, *field.shape[1:])
            if value.shape != shape or n > self._rows:
                raise BadValue(
                    f"push(): field '{name}' takes shape [n, {', '.join(map(str, shape[1:]))}] "
                    f"with one n up to {self._rows}, got {list(value.shape)}"
                )
            require_castable(name, value.dtype, field.dtype)
        first = min(n, self._rows - start)
        for name, value in values.items():
            field = self._stored[name].data
            field[start : start + first] = value[:first]
            field[: n - first] = value[first:]
        return n

    def replace(self, name: str, data: Any, flat: bool) -> None:
        """Replace a whole field, [rows, envs, …] or flat [rows · envs, …]; create it if it is new.

        Raises:
            G1MimicError: if the shape or dtype is not the field's.
        """
        self.require_no_successor("set_data()")
        value = as_tensor(data)
        leading = (self._rows * self._envs,) if flat else (self._rows, self._envs)
        if value.shape[: len(leading)] != leading:
            raise BadValue(
                f"field '{name}' takes leading axes {leading}, got shape {tuple(value.shape)}"
            )
        if name not in self._stored:
            self.add(name, value.shape[len(leading) :], value.dtype)
        self._stored[name].put(self.memory(name, flat), value)

    def clear(self) -> None:
        """Forget what followed from what; stored values stay until they are written over."""
        for successor in self._successors.values():
            successor.clear()

    # -- reading --------------------------------------------------------------------------------

    def memory(self, name: str, flat: bool) -> Tensor:
        """Return the field's own memory, [rows, envs, …] or flat [rows · envs, …].

        Raises:
            G1MimicError: if there is no such field.
        """
        field = self._known(name)
        if isinstance(field, SuccessorField):
            raise BadState(f"field '{name}' has no memory of its own: gather() it")
        return field.flat if flat else field.data

    def _known(self, name: str) -> StoredField | SuccessorField:
        if field := self._stored.get(name) or self._successors.get(name):
            return field
        known = ", ".join(self.names) or "none yet"
        raise BadValue(f"the buffer has no field '{name}'; recorded: {known}")

    def gather(self, names: Iterable[str], indices: Tensor, newest_row: int) -> dict[str, Tensor]:
        """Return fields of the transitions ``indices`` [n].

        Raises:
            G1MimicError: if there is no such field, or these are no indices.
        """
        if indices.ndim != 1 or indices.dtype not in (torch.long, torch.int):
            kind = f"{indices.dtype} {list(indices.shape)}"
            raise BadValue(f"gather() takes flat indices [n] of int64, got {kind}")
        names = list(names)
        found: dict[str, Tensor] = {}
        for name, source in self._sources.items():
            if name in names and source in names and source not in found:
                # One pass takes eight to nine tenths of the time of two.
                successor = self._successors[name]
                found[source], found[name] = successor.gather_with_source(indices, newest_row)
        for name in names:
            if name not in found:
                found[name] = self._known(name).gather(indices, newest_row)
        return {name: found[name] for name in names}

    # -- checkpoints ----------------------------------------------------------------------------

    def state_dict(self, count: int) -> dict[str, Any]:
        """Return what `load_state_dict` needs of the first ``count`` slots."""
        successors: dict[str, Any] = dict.fromkeys(self._pending)  # None: not recorded yet
        successors |= {name: field.state_dict() for name, field in self._successors.items()}
        fields = {name: first_of(field.flat, count) for name, field in self._stored.items()}
        return {"fields": fields, "successors": successors}

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raise `G1MimicError` if the state has other fields than there are here."""
        if set(self._successors) | set(self._pending) != set(state["successors"]):
            raise BadValue("the saved buffer has other fields that follow from others")
        if extra := set(self._stored) - set(state["fields"]):
            raise BadValue(f"the saved buffer has no field '{min(extra)}'")
        for name, field in self._stored.items():
            field.check_state(state["fields"][name])

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; fields that are missing here are created."""
        for name, data in state["fields"].items():
            if name not in self._stored:
                self.add(name, data.shape[1:], data.dtype)
            self._stored[name].load_state(data)
        for name, data in state["successors"].items():
            if data is not None:
                field = self._successors.get(name) or self._make_successor(name)
                field.load_state_dict(data)


def shape_for_one(name: str, value: Tensor, envs: int) -> torch.Size:
    """Return the shape of one environment's part of what is first recorded for all of them.

    Raises:
        G1MimicError: if it is for another number of environments.
    """
    if value.ndim and value.shape[0] == envs:
        return value.shape[1:]
    if envs == 1 or value.ndim <= 1:
        return value.shape
    raise BadValue(
        f"field '{name}' takes one value for each of {envs} environments (batch_size), got shape "
        f"{tuple(value.shape)}; for a single environment use batch_size=1"
    )
