"""From settings to a trainer: the same for the command line and the trainer node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from g1_mimic.errors import G1MimicError
from g1_mimic.learning.config import TrainConfig
from g1_mimic.learning.run_folder import RunFolder, new_run_path, newest_run
from g1_mimic.learning.trainer import Trainer
from g1_mimic.settings import merge, read_mapping, validate


def open_trainer(settings: dict[str, Any], source: str = "parameters") -> Trainer:
    """Start a new run, or continue one where ``settings`` say ``resume``.

    A continued run keeps its own configuration; ``settings`` then hold only what is to change
    (``total_env_steps``, say).

    Args:
        settings: keys of `TrainConfig`, nested.
        source: what to name in an error about them.

    Raises:
        G1MimicError: if a setting, a file or the run folder does not fit.
    """
    wanted = validate(TrainConfig, settings, source)
    if not wanted.resume:
        path = wanted.run_dir or new_run_path(
            wanted.runs_root, wanted.task or wanted.motion, wanted.seed
        )
        return Trainer(wanted, path)
    path = Path(wanted.run_dir) if wanted.run_dir else newest_run(wanted.runs_root)
    if path is None:
        raise G1MimicError(f"no run in '{wanted.runs_root}' to resume; name one with run_dir")
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise G1MimicError(f"{path} is not a run folder: it has no {folder.config.name}")
    stored = read_mapping(folder.config).get("config")
    if not isinstance(stored, dict):
        raise G1MimicError(f"{folder.config} has no 'config' section: not a run's configuration")
    config = validate(TrainConfig, merge(stored, settings), folder.config)
    return Trainer(config, path, resume=True)
