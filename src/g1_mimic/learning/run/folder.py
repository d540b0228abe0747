"""The folder of a training run: what is in it, how a new one is made, which one is the newest."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

import g1_mimic
from g1_mimic.errors import BadState, BadValue, MissingFile, WriteError
from g1_mimic.files import atomic_write_text
from g1_mimic.policy.locate import POLICY_FILE
from g1_mimic.settings import read_mapping

LATEST_POLICY_FILE = "policy_latest.onnx"
"""The policy of the newest evaluation."""
CONFIG_FILE = "config.yaml"
LOCK_FILE = ".lock"
"""Held by the process that trains; its content is that process' number."""
STARTS_FILE = "phases.npz"
"""Where in the clips episodes started and failed over the run (`StartsHistory`)."""


class RunFolder:
    """Paths inside one run folder."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().resolve()
        self.checkpoints = self.path / "checkpoints"
        self.events = self.path / "events"
        self.policy = self.path / POLICY_FILE
        self.latest_policy = self.path / LATEST_POLICY_FILE
        self.config = self.path / CONFIG_FILE
        self.starts = self.path / STARTS_FILE
        self.best = self.checkpoints / "best.pt"
        self._lock: int | None = None

    def lock(self) -> None:
        """Keep other processes from training in this folder until `unlock` or the process' end.

        The folder is made if it is not there; what a killed run half wrote into it is deleted.

        Raises:
            G1MimicError: if another process has it, or the folder cannot be written to.
        """
        path = self.path / LOCK_FILE
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise WriteError(f"cannot make run folder {self.path}: {error.strerror}") from error
        try:
            # The kernel lets go of it when the process ends, however it ends.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            if not isinstance(error, BlockingIOError):
                raise WriteError(f"cannot lock {path}: {error.strerror}") from error
            raise BadState(
                f"{self.path} is being trained by another process ({holder or 'just starting'}): "
                "stop that one first, or name another folder"
            ) from None
        with suppress(OSError):  # the number is only there to be shown
            os.truncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
        self._lock = descriptor
        for pattern in (".*.tmp.onnx", ".*.tmp.npz", ".*.tmp.yaml", "checkpoints/.*.tmp.pt"):
            for half in self.path.glob(pattern):
                half.unlink(missing_ok=True)

    def unlock(self) -> None:
        """Let others train in this folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __del__(self) -> None:
        """Do not hold a folder that nobody works in."""
        self.unlock()

    def create(self, config: dict[str, Any], again: bool = False) -> None:
        """Make the folder and write the run's configuration and origin.

        Args:
            config: the run's settings.
            again: begin a run anew that was killed before its first checkpoint.

        Raises:
            G1MimicError: if it already holds a run or cannot be made.
        """
        if self.config.exists() and not again:
            raise BadState(
                f"{self.path} already holds a run: continue it with resume, or name another folder"
            )
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"cannot make run folder {self.path}: {error.strerror}") from error
        origin = {
            "version": g1_mimic.__version__,
            "git_revision": git_revision(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        text = yaml.safe_dump({"config": config, "origin": origin}, sort_keys=False)
        atomic_write_text(self.config, text)

    def read_config(self) -> dict[str, Any]:
        """Return the run's settings as `create` wrote them.

        Raises:
            G1MimicError: if this is no run folder, or the file is damaged.
        """
        if not self.config.is_file():
            raise MissingFile(f"{self.path} is not a run folder: it has no {CONFIG_FILE}")
        config = read_mapping(self.config).get("config")
        if not isinstance(config, dict):
            raise BadValue(f"{self.config} has no 'config' section: not a run's configuration")
        return config


def make_run_path(root: str | Path, motion: str, seed: int) -> Path:
    """Make and return a new, empty folder for a run under ``root``.

    Making it is what keeps runs apart that start in the same second.

    Raises:
        G1MimicError: if it cannot be made.
    """
    root = Path(root).expanduser()
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{Path(motion).stem}-s{seed}"
    path, number = root / stem, 2
    try:
        root.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                path.mkdir()
                return path
            except FileExistsError:
                path, number = root / f"{stem}-{number}", number + 1
    except OSError as error:
        raise WriteError(f"cannot make run folder {path}: {error.strerror}") from error


def newest_run(root: str | Path) -> Path | None:
    """Return the run folder under ``root`` that was started last, or None."""
    configs = list(Path(root).expanduser().glob(f"*/{CONFIG_FILE}"))
    if not configs:
        return None
    return max(configs, key=lambda path: path.stat().st_mtime).parent


def git_revision() -> str:
    """Return the revision of the source checkout, or an empty string."""
    try:
        result = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
