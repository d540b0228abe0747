"""Refusing bad priority updates without making the CPU wait for the GPU."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from g1_mimic.errors import BadValue, G1MimicError
from g1_mimic.learning.replay.inputs import one_axis


def priority_update(indices: Any, errors: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return what an update is given as int64 and errors of any type, [n] each, on the device.

    Raises:
        G1MimicError: if they differ in number, or indices are no whole numbers.
    """
    index, error = one_axis(indices, device), one_axis(errors, device)
    if index.numel() != error.numel():
        raise BadValue(f"update_priorities: {index.numel()} indices but {error.numel()} errors")
    if index.dtype == torch.long:
        return index, error
    if index.numel() and (index.dtype.is_floating_point or index.dtype == torch.bool):
        raise BadValue(f"update_priorities: indices must be integers, got {index.dtype}")
    return index.long(), error


def refusal(position: int, index: int, error: float) -> G1MimicError:
    """Return the error that names the bad entry of an update in one line."""
    where = f"update_priorities: entry {position} (index {index})"
    if not math.isfinite(error):
        return G1MimicError(f"{where} has the error {error}; errors must be finite")
    return G1MimicError(f"{where} is no stored sample; pass the indices that sample() returned")


class UpdateCheck:
    """Reports the first bad entry of a priority update.

    On the CPU `report` raises at once. On a GPU, reading a result back would stall the pipeline,
    so the finding is copied to the host in the background and the first later call that finds the
    copy complete raises.

    Args:
        device: where the updates are.
        deferred: report in the background; by default on every device but the CPU.
    """

    def __init__(self, device: torch.device, deferred: bool | None = None) -> None:
        self.deferred = device.type != "cpu" if deferred is None else deferred
        # (found, position, index, error) of the first bad entry so far
        self._finding = torch.zeros(4, dtype=torch.float64, device=device)
        cuda = device.type == "cuda"
        self._reported = False  # since the last finding was raised
        self._host = torch.zeros(4, dtype=torch.float64, pin_memory=cuda)
        self._copied = torch.cuda.Event() if cuda else None

    def report(self, bad: Tensor, indices: Tensor, errors: Tensor) -> None:
        """Take in which entries are bad [n], with the indices [n] and errors [n] themselves.

        Raises:
            G1MimicError: if one is bad and reports are not deferred.
        """
        if not self.deferred and not bool(bad.any()):
            return
        self._reported = True
        # index_select: with brackets, a tensor as the index would be read back.
        position = bad.to(torch.uint8).argmax().reshape(1)
        first = [values.index_select(0, position) for values in (bad, indices, errors)]
        finding = torch.cat([part.double() for part in (first[0], position, *first[1:])])
        self._finding = torch.where(self._finding[0] > 0.0, self._finding, finding)
        self._host.copy_(self._finding, non_blocking=True)
        if self._copied is not None:
            self._copied.record()
        if not self.deferred:
            self.poll()

    def poll(self) -> None:
        """Raise if an earlier update was found to be bad; never waits.

        Raises:
            G1MimicError: one line that names the entry.
        """
        if not self._reported or (self._copied is not None and not self._copied.query()):
            return
        found, position, index, error = self._host.tolist()
        if not found:
            return
        self._finding.zero_()
        self._host.zero_()
        self._reported = False
        raise refusal(int(position), int(index), error)
