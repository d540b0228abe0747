"""Which implementation of the replay's inner loops a device gets."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from g1_mimic.learning.replay.priority_tree import PriorityTree
from g1_mimic.learning.replay.stored_field import ArrayField, StoredField
from g1_mimic.learning.replay.successor_field import SuccessorField

Part = TypeVar("Part")


def make_stored_field(
    name: str,
    shape: Sequence[int],
    dtype: torch.dtype,
    device: torch.device,
    on_copies: Callable[[str], None],
) -> StoredField:
    """Return the fastest field for the device; arguments as of `StoredField`."""
    # numpy has no bfloat16
    kind = ArrayField if device.type == "cpu" and dtype != torch.bfloat16 else StoredField
    return kind(name, shape, dtype, device, on_copies)


def make_priority_tree(capacity: int, device: torch.device) -> PriorityTree:
    """Return the fastest tree for the device; arguments as of `PriorityTree`."""

    def compiled() -> PriorityTree:
        from g1_mimic.learning.replay.compiled.tree import CompiledPriorityTree

        return CompiledPriorityTree(capacity, device)

    return _compiled_on_cpu(compiled, device) or PriorityTree(capacity, device)


def make_successor_field(source: Tensor, ends: list[Tensor], borrow: bool) -> SuccessorField:
    """Return the fastest field for the device of ``source``; arguments as of `SuccessorField`."""

    def compiled() -> SuccessorField:
        from g1_mimic.learning.replay.compiled.successor import CompiledSuccessorField

        return CompiledSuccessorField(source, ends, borrow)

    return _compiled_on_cpu(compiled, source.device) or SuccessorField(source, ends, borrow)


def _compiled_on_cpu(make: Callable[[], Part], device: torch.device) -> Part | None:
    """Return what ``make`` makes after importing numba, where that runs, and only for the CPU.

    Elsewhere it takes half a second to import for nothing. Where it does not run (it refuses
    versions of numpy that it does not know) a warning says so.
    """
    if device.type != "cpu":
        return None
    try:
        return make()
    except Exception as error:
        warnings.warn(
            f"replay is slower than it could be: numba does not work ({error})",
            RuntimeWarning,
            stacklevel=4,
        )
        return None
