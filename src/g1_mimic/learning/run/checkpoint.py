"""Checkpoints: written whole or not at all, read without executing code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from g1_mimic.errors import BadValue, G1MimicError, MissingFile, WriteError, read_error
from g1_mimic.files import atomic_write
from g1_mimic.learning.config import TrainConfig
from g1_mimic.settings import validate

PATTERN = "step_*.pt"


def _to_plain(value: Any) -> Any:
    """Replace numpy arrays and scalars by tensors and plain numbers."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: _to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to_plain(item) for item in value)
    return value


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, arrays, numbers, strings and containers of them) to ``path``.

    Raises:
        WriteError: if the disk does not take it; an older file of the name is kept.
    """
    try:
        # To a stream: its error tells of a full disk, that of torch's own writer does not.
        with atomic_write(path) as temporary, temporary.open("wb") as stream:
            torch.save(_to_plain(state), stream)
    except RuntimeError as error:
        hidden = error.__context__
        detail = hidden.strerror if isinstance(hidden, OSError) else error
        raise WriteError(f"cannot write {path}: {detail}") from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        G1MimicError: if the file is missing, damaged or not a checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise read_error(f"checkpoint {path}", error) from error
    except Exception as error:  # of bytes that are no checkpoint, the unpickler raises anything
        detail = str(error).strip().splitlines() or ["unknown error"]
        raise BadValue(f"cannot read checkpoint {path}: {detail[0][:120]}") from error
    if not isinstance(state, dict):
        raise BadValue(f"cannot read checkpoint {path}: it does not hold a mapping")
    return state


class Learned(NamedTuple):
    """What a training run has learned: in all of its checkpoints."""

    config: TrainConfig
    weights: dict[str, Any]
    """`Learner.state_dict`."""
    env_steps: int

    def state_dict(self) -> dict[str, Any]:
        """Return it as checkpoints hold it; `learned_in` reads it."""
        return {
            "config": self.config.model_dump_json(),
            "learner": self.weights,
            "env_steps": self.env_steps,
        }


def learned_in(state: dict[str, Any], source: str) -> Learned:
    """Return what a checkpoint says of its run's settings and networks.

    Args:
        state: the checkpoint.
        source: what it is called in errors.

    Raises:
        G1MimicError: if it is not one of a training run, or of a version with other settings.
    """
    try:
        settings = json.loads(state["config"])
        weights, env_steps = state["learner"], int(state["env_steps"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadValue(f"{source} is no checkpoint of a training run") from error
    return Learned(validate(TrainConfig, settings, source), weights, env_steps)


def step_file(folder: Path, env_steps: int) -> Path:
    """Return the path of the numbered checkpoint after so many environment steps."""
    return folder / f"step_{env_steps:010d}.pt"


def numbered(folder: Path) -> list[Path]:
    """Return the numbered checkpoints in ``folder``, oldest first."""
    return sorted(folder.glob(PATTERN))


def newest_checkpoint(folder: Path) -> dict[str, Any]:
    """Read the newest checkpoint that can be read.

    Raises:
        G1MimicError: if there is none; the message gives the reason for the newest.
    """
    failures = []
    for path in reversed(numbered(folder)):
        try:
            return load_checkpoint(path)
        except G1MimicError as error:
            failures.append(error)
    if failures:
        raise failures[0]
    raise MissingFile(f"no checkpoint in {folder}: nothing to resume")


def prune(folder: Path, keep: int) -> None:
    """Delete all but the newest ``keep`` numbered checkpoints, and what a killed run half wrote."""
    for path in (*numbered(folder)[:-keep], *folder.glob(".*.tmp.pt")):
        path.unlink(missing_ok=True)
