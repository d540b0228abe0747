"""From settings to a trainer: the same for the command line and the trainer node."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from g1_mimic.errors import BadValue, MissingFile
from g1_mimic.learning.config import TrainConfig
from g1_mimic.learning.run.folder import LOCK_FILE, RunFolder, make_run_path, newest_run
from g1_mimic.learning.trainer import Trainer
from g1_mimic.motion.library import parse_choices, whole_paths
from g1_mimic.settings import merge, validate

FILES = ("task", "motion", "robot")
"""Settings that name a file: what the run is about."""
_NAMED = 3
"""At most so many motions are in the name of a run's folder."""


def open_trainer(settings: TrainConfig) -> Trainer:
    """Start a new run, or continue one where ``settings`` say ``resume``.

    A continued run keeps its own configuration; of ``settings`` only what was set explicitly
    changes it (``total_env_steps``, say), and it stays a run of the same motion and robot. One that
    was killed before its first checkpoint begins again.

    Raises:
        G1MimicError: if a setting, a file or the run folder does not fit.
    """
    settings = with_whole_paths(settings)
    return _continued(settings) if settings.resume else _new(settings)


def _new(settings: TrainConfig) -> Trainer:
    if settings.run_dir:
        path = Path(settings.run_dir).expanduser()
        new = not path.exists()
    else:
        path = make_run_path(settings.runs_root, _subject(settings), settings.seed)
        new = True
    try:
        return Trainer(settings, path)
    except BaseException:
        if new:
            with suppress(OSError):  # what else is in it tells of what went wrong
                (path / LOCK_FILE).unlink()
                path.rmdir()
        raise


def _continued(settings: TrainConfig) -> Trainer:
    found = Path(settings.run_dir) if settings.run_dir else newest_run(settings.runs_root)
    if found is None:
        raise MissingFile(f"no run in '{settings.runs_root}' to resume; name one with run_dir")
    folder = RunFolder(found)
    stored = folder.read_config()
    changes = settings.model_dump(mode="json", exclude_unset=True)
    _require_same_files(stored, changes, found)
    if changes.get("warm_start", "") not in ("", stored.get("warm_start")):
        raise BadValue(f"{found} has networks already: warm_start is for a new run, without resume")
    config = validate(TrainConfig, merge(stored, changes), folder.config)
    return Trainer(config, found, resume=True)


def with_whole_paths(settings: TrainConfig) -> TrainConfig:
    """Name the user's own files by whole paths: a run may be continued from another folder."""
    given = settings.model_fields_set.intersection(FILES)
    paths = {name: Path(getattr(settings, name)).expanduser() for name in given}
    own = {name: str(path.resolve()) for name, path in paths.items() if path.is_file()}
    if "motion" in given:
        own["motion"] = whole_paths(settings.motion)
    if settings.warm_start:
        own["warm_start"] = str(Path(settings.warm_start).expanduser().resolve())
    return settings.model_copy(update=own)


def _subject(settings: TrainConfig) -> str:
    """Return what the run is about, for the name of its folder."""
    names = [Path(choice.motion).stem for choice in parse_choices(settings.motion)]
    if settings.task or len(names) == 1:
        return settings.task or settings.motion
    more = f"+{len(names) - _NAMED}" if len(names) > _NAMED else ""
    return "+".join(names[:_NAMED]) + more


def _require_same_files(stored: dict[str, Any], changes: dict[str, Any], run: Path) -> None:
    """Refuse to continue a run with another motion or robot, except a file's new place.

    Raises:
        G1MimicError: naming what differs.
    """
    for name in FILES:
        old = str(stored.get(name, TrainConfig.model_fields[name].default))
        files = [Path(choice.motion) for choice in parse_choices(old)] if old else []
        moved = any(file.is_absolute() and not file.exists() for file in files)
        if name in changes and changes[name] != old and not moved:
            raise BadValue(
                f"{run} is a run of {name} '{old}', not '{changes[name]}': resume it without "
                f"{name}, or start a new run"
            )
