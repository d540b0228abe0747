"""Which implementation of the replay's inner loops a device gets."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from g1_mimic.learning.replay.priority_tree import PriorityTree
from g1_mimic.learning.replay.successor_field import SuccessorField


def make_priority_tree(capacity: int, device: torch.device) -> PriorityTree:
    """Return the fastest tree for the device.

    Where numba does not run (it refuses versions of numpy that it does not know), the CPU gets the
    slower `PriorityTree`, and a warning says so: draws are the same.
    """
    if device.type == "cpu":
        try:
            # Here, not above: numba takes half a second to import, for nothing on a GPU.
            from g1_mimic.learning.replay.compiled.tree import CompiledPriorityTree

            return CompiledPriorityTree(capacity, device)
        except Exception as error:
            warnings.warn(
                f"prioritized sampling is slower than it could be: numba does not work ({error})",
                RuntimeWarning,
                stacklevel=4,
            )
    return PriorityTree(capacity, device)


def make_successor_field(source: Tensor, ends: list[Tensor], borrow: bool) -> SuccessorField:
    """Return the fastest field for the device of ``source``; arguments as of `SuccessorField`.

    Where numba does not run, the CPU gets the slower one, and a warning says so.
    """
    if source.device.type == "cpu":
        try:
            # Here, not above: numba takes half a second to import, for nothing on a GPU.
            from g1_mimic.learning.replay.compiled.successor import CompiledSuccessorField

            return CompiledSuccessorField(source, ends, borrow)
        except Exception as error:
            warnings.warn(
                f"replay is slower than it could be: numba does not work ({error})",
                RuntimeWarning,
                stacklevel=5,
            )
    return SuccessorField(source, ends, borrow)
