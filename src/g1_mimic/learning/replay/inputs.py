"""What replay buffers are given: sizes, devices and values, checked and converted."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from g1_mimic.errors import BadValue


def positive(name: str, value: int) -> int:
    """Return ``value`` if it is a whole number of at least 1, else raise."""
    number = int(value)
    if number != value or number < 1:
        raise BadValue(f"{name} must be a whole number of at least 1, got {value}")
    return number


def existing_device(device: str | torch.device) -> torch.device:
    """Return the device; without a GPU 'cuda' is the CPU, with a warning.

    Raises:
        G1MimicError: if the device is unknown.
    """
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise BadValue(f"'{device}' is no device; use 'cpu' or 'cuda'") from error
    if found.type == "cuda" and not torch.cuda.is_available():
        # The guide's examples say 'cuda' throughout; they run on any machine.
        warnings.warn(
            f"device '{device}' was asked for but no GPU is there: the buffer is on the CPU",
            RuntimeWarning,
            stacklevel=5,
        )
        return torch.device("cpu")
    return found


def zeros(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return zeros to store rows in.

    On the CPU they are numpy's memory: unlike torch it asks Linux for huge pages, in which rows
    are written and gathered about 15 % faster.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    memory = np.zeros(math.prod(shape) * dtype.itemsize, np.uint8)
    return torch.from_numpy(memory).view(dtype).view(*shape)


def as_tensor(data: Any) -> Tensor:
    """Return a tensor, array, list or number as a tensor without gradient; no copy if possible."""
    if isinstance(data, Tensor):
        return data.detach() if data.requires_grad else data
    if isinstance(data, np.ndarray) and not (data.flags.writeable and data.flags.c_contiguous):
        data = data.copy()  # torch takes neither without a complaint
    return torch.as_tensor(data)


def one_axis(values: Any, device: torch.device) -> Tensor:
    """Return values of any shape as a tensor [n] on the device."""
    # Asked first: a call of torch's that changes nothing takes as long as one that does.
    tensor = as_tensor(values)
    if tensor.device != device:
        tensor = tensor.to(device)
    return tensor if tensor.ndim == 1 else tensor.reshape(-1)


def first_of(values: Tensor, count: int) -> Tensor:
    """Return the first ``count`` values; a part is copied: torch.save writes whole storages."""
    return values if count == len(values) else values[:count].clone()


def as_array(data: Any, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return a tensor or array for numpy if it has this type and shape, else None."""
    if not isinstance(data, np.ndarray):
        if not isinstance(data, Tensor):
            return None
        try:
            data = data.numpy()
        except (RuntimeError, TypeError):  # it has a gradient, is not on the CPU, …
            return None
    return data if data.dtype == dtype and data.shape == shape else None


def require_castable(name: str, given: torch.dtype, stored: torch.dtype) -> None:
    """Raise if the field ``name`` would lose values of the type that is given."""
    if not torch.can_cast(given, stored):
        raise BadValue(
            f"field '{name}' holds {stored}, which cannot take {given}; record that type from the "
            "first row on, or call add_buffer with it"
        )
