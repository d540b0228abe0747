"""What the transitions of a replay ring consist of: named fields, and values that go in and out."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from g1_mimic.errors import G1MimicError
from g1_mimic.learning.replay.backends import make_successor_field
from g1_mimic.learning.replay.inputs import as_array, as_tensor, require_castable, zeros
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
        self._stored: dict[str, Tensor] = {}
        self._flat: dict[str, Tensor] = {}  # the same memory [rows · envs, …]
        self._arrays: dict[str, np.ndarray] = {}  # the same memory for numpy, on the CPU
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
        stored = sum(field.nbytes for field in self._stored.values())
        return stored + sum(field.nbytes() for field in self._successors.values())

    # -- making ---------------------------------------------------------------------------------

    def add(self, name: str, data_shape: Sequence[int], dtype: torch.dtype) -> None:
        """Create the field ``name``, zeros of shape [rows, envs, *data_shape].

        Raises:
            G1MimicError: if the field exists or the name is one that `sample` uses itself.
        """
        if name in RESERVED:
            raise G1MimicError(f"field '{name}' cannot be recorded: sample() returns its own")
        if name in self._stored:
            raise G1MimicError(f"field '{name}' exists already")
        field = zeros((self._rows, self._envs, *data_shape), dtype, self._device)
        self._stored[name], self._flat[name] = field, field.flatten(0, 1)
        if self._device.type == "cpu" and dtype != torch.bfloat16:
            self._arrays[name] = field.numpy()

    def add_successor(self, name: str, source: str, ends: Sequence[str], borrow: bool) -> None:
        """Have the field ``name`` follow from ``source``; see `SuccessorField`.

        Raises:
            G1MimicError: if the field exists or the name is one that `sample` uses itself.
        """
        if name in self.names or name in RESERVED:
            raise G1MimicError(f"field '{name}' exists already")
        self._pending[name] = (source, tuple(ends), borrow)

    def _successor(self, name: str) -> SuccessorField:
        """Return the field, made now if its sources have only come since it was added."""
        if name in self._pending:
            source, ends, borrow = self._pending[name]
            if missing := [field for field in (source, *ends) if field not in self._stored]:
                raise G1MimicError(f"record '{missing[0]}' before '{name}', which follows from it")
            flags = [self._stored[field] for field in ends]
            self._successors[name] = make_successor_field(self._stored[source], flags, borrow)
            self._sources[name] = source
            del self._pending[name]
        return self._successors[name]

    def require_no_successor(self, action: str) -> None:
        """Raise if a field follows from another: ``action`` needs them all stored."""
        if self._successors or self._pending:
            raise G1MimicError(f"{action} does not go with fields that follow from others")

    # -- writing --------------------------------------------------------------------------------

    def write(self, name: str, row: int, data: Any, filled_rows: int) -> None:
        """Write one field of a row; the first use creates it with shape and dtype.

        Args:
            name: the field.
            row: the row.
            data: tensor, array or number, [envs, …]; without the first axis it is for all of them.
            filled_rows: number of rows that are stored, in which a new field would be missing.

        Raises:
            G1MimicError: if the shape is not the field's, the dtype would lose values, or the
                field is new though rows are stored already.
        """
        if (field := self._arrays.get(name)) is not None:
            # Through numpy, in half the time for few environments, if nothing is to convert.
            target = field[row]
            array = as_array(data, target.dtype, target.shape)
            if array is not None:
                target[...] = array
                return
        if name in self._successors or name in self._pending:
            self._successor(name).record(data)
            return
        value = as_tensor(data)
        if name not in self._stored:
            if filled_rows:
                raise G1MimicError(
                    f"field '{name}' is first recorded when {filled_rows} rows are stored without "
                    "it; record it from the first row on, or call add_buffer before"
                )
            self._add_like(name, value)
        place = self._stored[name][row]
        if value.shape == place.shape[1:] != place.shape:
            self._warn_of_copies(name)
        elif value.shape != place.shape:
            raise G1MimicError(
                f"field '{name}' takes shape {tuple(place.shape)}, got {tuple(value.shape)}"
            )
        require_castable(name, value.dtype, place.dtype)
        place.copy_(value, non_blocking=True)

    def write_row(self, row: int, data: Mapping[str, Any]) -> bool:
        """Write several fields of a row, if none is to be made or converted.

        All in few calls: right after a batch was gathered, the code of each has to come from
        memory, which takes longer than the copying for few environments.

        Returns:
            Whether that was done; else nothing has changed.

        Raises:
            G1MimicError: if what follows a row is not as its source; nothing has changed then.
        """
        copies = []
        for name, value in data.items():
            if (field := self._arrays.get(name)) is not None:
                target = field[row]
                array = as_array(value, target.dtype, target.shape)
                if array is None:
                    return False
                copies.append((target, array))
            elif (successor := self._successors.get(name)) is not None:
                successor.record(value)
            else:
                return False
        for target, array in copies:
            target[...] = array
        return True

    def _add_like(self, name: str, value: Tensor) -> None:
        if value.ndim and value.shape[0] == self._envs:
            self.add(name, value.shape[1:], value.dtype)
        elif self._envs == 1 or value.ndim <= 1:
            self.add(name, value.shape, value.dtype)
        else:
            raise G1MimicError(
                f"field '{name}' takes one value for each of {self._envs} environments "
                f"(batch_size), got shape {tuple(value.shape)}; for a single environment use "
                "batch_size=1"
            )

    def _warn_of_copies(self, name: str) -> None:
        if self._envs > 1 and not self._warned_of_copies:
            self._warned_of_copies = True
            warnings.warn(
                f"field '{name}' was recorded for one environment, but the buffer is for "
                f"{self._envs} (batch_size): every row is filled with copies; "
                "make it with batch_size=1",
                RuntimeWarning,
                stacklevel=4,
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
            raise G1MimicError(f"push() takes exactly the buffer's fields; '{wrong}' differs")
        n = len(next(iter(values.values()))) if values else 0
        for name, value in values.items():
            shape = (n, *self._stored[name].shape[1:])
            if value.shape != shape or n > self._rows:
                raise G1MimicError(
                    f"push(): field '{name}' takes shape [n, {', '.join(map(str, shape[1:]))}] "
                    f"with one n up to {self._rows}, got {list(value.shape)}"
                )
            require_castable(name, value.dtype, self._stored[name].dtype)
        first = min(n, self._rows - start)
        for name, value in values.items():
            self._stored[name][start : start + first] = value[:first]
            self._stored[name][: n - first] = value[first:]
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
            raise G1MimicError(
                f"field '{name}' takes leading axes {leading}, got shape {tuple(value.shape)}"
            )
        if name not in self._stored:
            self.add(name, value.shape[len(leading) :], value.dtype)
        target = self._flat[name] if flat else self._stored[name]
        if value.shape != target.shape:
            raise G1MimicError(
                f"field '{name}' takes shape {tuple(target.shape)}, got {tuple(value.shape)}"
            )
        require_castable(name, value.dtype, target.dtype)
        target.copy_(value)

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
        if name in self._successors:
            raise G1MimicError(f"field '{name}' has no memory of its own: gather() it")
        if name not in self._stored:
            known = ", ".join(self.names) or "none yet"
            raise G1MimicError(f"the buffer has no field '{name}'; recorded: {known}")
        return self._flat[name] if flat else self._stored[name]

    def gather(self, names: Iterable[str], indices: Tensor, newest_row: int) -> dict[str, Tensor]:
        """Return fields of the transitions ``indices`` [n].

        Raises:
            G1MimicError: if there is no such field.
        """
        names = list(names)
        found: dict[str, Tensor] = {}
        for name, source in self._sources.items():
            if name in names and source in names and source not in found:
                # One pass takes eight to nine tenths of the time of two.
                successor = self._successors[name]
                found[source], found[name] = successor.gather_with_source(indices, newest_row)
        for name in names:
            if name in found:
                continue
            if name in self._successors:
                found[name] = self._successors[name].gather(indices, newest_row)
            else:
                # index_select is several times faster than brackets on large batches.
                found[name] = self.memory(name, flat=True).index_select(0, indices)
        return {name: found[name] for name in names}

    # -- checkpoints ----------------------------------------------------------------------------

    def state_dict(self, count: int) -> dict[str, Any]:
        """Return what `load_state_dict` needs of the first ``count`` slots."""
        successors: dict[str, Any] = dict.fromkeys(self._pending)  # None: not recorded yet
        successors |= {name: field.state_dict() for name, field in self._successors.items()}
        fields = {name: own(flat, count) for name, flat in self._flat.items()}
        return {"fields": fields, "successors": successors}

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raise `G1MimicError` if the state has other fields than there are here."""
        if set(self._successors) | set(self._pending) != set(state["successors"]):
            raise G1MimicError("the saved buffer has other fields that follow from others")
        if extra := set(self._stored) - set(state["fields"]):
            raise G1MimicError(f"the saved buffer has no field '{min(extra)}'")
        for name, data in state["fields"].items():
            flat = self._flat.get(name)
            if flat is not None and (flat.shape[1:], flat.dtype) != (data.shape[1:], data.dtype):
                raise G1MimicError(
                    f"field '{name}' of the saved buffer has {data.dtype} {list(data.shape[1:])}, "
                    f"this one {flat.dtype} {list(flat.shape[1:])}"
                )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; fields that are missing here are created."""
        for name, data in state["fields"].items():
            if name not in self._stored:
                self.add(name, data.shape[1:], data.dtype)
            self._flat[name][: len(data)] = data.to(self._device)
        for name, data in state["successors"].items():
            if data is not None:
                self._successor(name).load_state_dict(data)


def own(flat: Tensor, count: int) -> Tensor:
    """Return the first ``count`` entries; a part is copied: torch.save writes whole storages."""
    return flat if count == len(flat) else flat[:count].clone()
