"""A field that is stored: what was recorded, row by row.

`StoredField` is written in torch's operations, for any device; `backends.make_stored_field` gives
the CPU its faster twin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from g1_mimic.errors import BadValue
from g1_mimic.learning.replay.inputs import as_array, as_tensor, require_castable, zeros


class StoredField:
    """The values of one field of all transitions, zeros at first.

    Args:
        name: the field's, for errors.
        shape: of all its values [rows, envs, …].
        dtype: their type.
        device: where they live.
        on_copies: called with the name when one value is written for all environments of a row.
    """

    def __init__(
        self,
        name: str,
        shape: Sequence[int],
        dtype: torch.dtype,
        device: torch.device,
        on_copies: Callable[[str], None],
    ) -> None:
        self._name, self._on_copies = name, on_copies
        self.data = zeros(shape, dtype, device)
        """The values [rows, envs, …]."""
        self.flat = self.data.flatten(0, 1)
        """The same memory [rows · envs, …]."""

    def nbytes(self) -> int:
        """Return the memory it takes, B."""
        return self.data.nbytes

    def write(self, row: int, data: Any) -> None:
        """Write a row.

        Args:
            row: which one.
            data: tensor, array or number, [envs, …]; without the first axis it is for all of them.

        Raises:
            G1MimicError: if the shape is not the field's or its type would lose values.
        """
        place, value = self.data[row], as_tensor(data)
        if value.shape == place.shape[1:] != place.shape:
            self._on_copies(self._name)
            value = value.expand(place.shape)
        self.put(place, value)

    def put(self, place: Tensor, value: Tensor) -> None:
        """Copy ``value`` to ``place``, a part of the field's memory.

        Raises:
            G1MimicError: if the shape is not that of the place or its type would lose values.
        """
        if value.shape != place.shape:
            raise BadValue(
                f"field '{self._name}' takes shape {tuple(place.shape)}, got {tuple(value.shape)}"
            )
        require_castable(self._name, value.dtype, place.dtype)
        place.copy_(value, non_blocking=True)

    def gather(self, indices: Tensor, newest_row: int) -> Tensor:
        """Return the values [n, …] of the transitions ``indices`` [n]."""
        # index_select is several times faster than brackets on large batches.
        return self.flat.index_select(0, indices)

    def check_state(self, values: Tensor) -> None:
        """Raise `G1MimicError` if the values of a checkpoint have another shape or type."""
        if (values.shape[1:], values.dtype) != (self.flat.shape[1:], self.flat.dtype):
            raise BadValue(
                f"field '{self._name}' of the saved buffer has {values.dtype} "
                f"{list(values.shape[1:])}, this one {self.flat.dtype} {list(self.flat.shape[1:])}"
            )

    def load_state(self, values: Tensor) -> None:
        """Restore the first of the values [n, …]."""
        self.flat[: len(values)] = values.to(self.flat.device)


class ArrayField(StoredField):
    """A `StoredField` on the CPU whose rows are copied by numpy if nothing is to convert.

    It takes half the time for few environments, most of all right after a batch was gathered, when
    all code has to come from memory.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._array = self.data.numpy()  # the same memory
        self._type, self._shape = self._array.dtype, self._array.shape[1:]

    def write(self, row: int, data: Any) -> None:
        array = as_array(data, self._type, self._shape)
        if array is None:
            super().write(row, data)
        else:
            self._array[row] = array
