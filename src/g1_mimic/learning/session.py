"""From settings to a trainer: the same for the command line and the trainer node."""

from __future__ import annotations

from pathlib import Path

from g1_mimic.errors import G1MimicError
from g1_mimic.learning.config import TrainConfig
from g1_mimic.learning.run_folder import RunFolder, new_run_path, newest_run
from g1_mimic.learning.trainer import Trainer
from g1_mimic.settings import merge, read_mapping, validate


def open_trainer(settings: TrainConfig) -> Trainer:
    """Start a new run, or continue one where ``settings`` say ``resume``.

    A continued run keeps its own configuration; of ``settings`` only what was set explicitly
    changes it (``total_env_steps``, say).

    Raises:
        G1MimicError: if a setting, a file or the run folder does not fit.
    """
    if not settings.resume:
        path = settings.run_dir or new_run_path(
            settings.runs_root, settings.task or settings.motion, settings.seed
        )
        return Trainer(settings, path)
    found = Path(settings.run_dir) if settings.run_dir else newest_run(settings.runs_root)
    if found is None:
        raise G1MimicError(f"no run in '{settings.runs_root}' to resume; name one with run_dir")
    folder = RunFolder(found)
    if not folder.config.is_file():
        raise G1MimicError(f"{found} is not a run folder: it has no {folder.config.name}")
    stored = read_mapping(folder.config).get("config")
    if not isinstance(stored, dict):
        raise G1MimicError(f"{folder.config} has no 'config' section: not a run's configuration")
    changes = settings.model_dump(mode="json", exclude_unset=True)
    config = validate(TrainConfig, merge(stored, changes), folder.config)
    return Trainer(config, found, resume=True)
