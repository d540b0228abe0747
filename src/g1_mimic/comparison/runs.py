"""Training the runs of a comparison in processes of their own, some at a time, resumable."""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml

from g1_mimic.comparison.arms import Arm
from g1_mimic.comparison.results import RESULT_FILE, RunResult
from g1_mimic.errors import BadValue, WriteError
from g1_mimic.files import atomic_write_text
from g1_mimic.learning.config import TrainConfig
from g1_mimic.learning.run.folder import RunFolder
from g1_mimic.learning.run.progress import steps_told
from g1_mimic.settings import merge, read_mapping, validate

SETTINGS_FILE = "settings.yaml"
LOG_FILE = "log.txt"
_POLL_S = 0.5
_REPORT_S = 15.0


@dataclass(frozen=True)
class Comparison:
    """What is compared, and where it lies.

    Attributes:
        folder: of the comparison; runs are in ARM/seed_N under it.
        base: the settings that all runs share.
        arms: the arms, the baseline first.
        seeds: the seeds that every arm is run with.
    """

    folder: Path
    base: TrainConfig
    arms: list[Arm]
    seeds: list[int]

    def run_folder(self, arm: Arm, seed: int) -> Path:
        """Return the folder of one run."""
        return self.folder / arm.name / f"seed_{seed}"

    def finished(self, arm: Arm, seed: int) -> bool:
        """Return whether a run has left its result."""
        return (self.run_folder(arm, seed) / RESULT_FILE).exists()

    def settings(self, arm: Arm) -> TrainConfig:
        """Return the settings of ``arm``.

        Raises:
            G1MimicError: if the arm's do not fit.
        """
        data = self.base.model_dump(mode="json")
        return validate(TrainConfig, merge(data, arm.settings), f"arm {arm.name}")

    def prepare(self) -> None:
        """Check all arms and write their settings; those of earlier runs must be the same.

        Raises:
            G1MimicError: if an arm does not fit, or the folder holds the comparison of something
                else.
        """
        for arm in self.arms:
            path = self.folder / arm.name / SETTINGS_FILE
            wanted = self.settings(arm).model_dump(mode="json", exclude={"seed", "run_dir"})
            if not path.exists():
                atomic_write_text(path, yaml.safe_dump(wanted, sort_keys=False))
            elif (found := read_mapping(path)) != wanted:
                key = _first_difference(found, wanted)
                raise BadValue(
                    f"{path} is of runs with other settings ({key}): take another folder for this "
                    "comparison"
                )

    def results(self) -> dict[str, dict[int, RunResult]]:
        """Return the finished runs by arm and seed.

        Raises:
            G1MimicError: if a result cannot be read.
        """
        return {
            arm.name: {
                seed: RunResult.read(self.run_folder(arm, seed))
                for seed in self.seeds
                if self.finished(arm, seed)
            }
            for arm in self.arms
        }


def _first_difference(a: Any, b: Any, place: str = "") -> str:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *b]:
            if a.get(key) != b.get(key):
                return _first_difference(a.get(key), b.get(key), f"{place}.{key}".lstrip("."))
    return f"{place}: {a} there, {b} asked for"


@dataclass
class _Job:
    """A run under way."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def steps(self) -> int:
        """Return how many environment steps its newest progress line tells of."""
        with (self.folder / LOG_FILE).open("rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - 2000))
            return steps_told(stream.read())

    def last_line(self) -> str:
        """Return the last line of its log."""
        lines = (self.folder / LOG_FILE).read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "no message")


class Runner:
    """Trains what is not finished, at most ``jobs`` runs at a time.

    Runs go seed by seed, so that whenever it is interrupted the arms have about equally many. A
    finished run leaves a `RunResult`; its checkpoints, which hold the replay, are deleted.

    Args:
        comparison: what to run.
        jobs: processes at a time.
        say: takes progress lines.
    """

    def __init__(self, comparison: Comparison, jobs: int, say: Callable[[str], None]) -> None:
        self._comparison, self._jobs, self._say = comparison, jobs, say
        self._running: list[_Job] = []
        self._steps_before = 0

    def run(self) -> dict[str, str]:
        """Train all runs; return the last words of those that failed, by name.

        Ctrl-C stops them, each with a checkpoint from which the same call goes on.

        Raises:
            G1MimicError: if a folder or file cannot be written.
        """
        comparison = self._comparison
        todo = [
            (arm, seed)
            for seed in comparison.seeds
            for arm in comparison.arms
            if not comparison.finished(arm, seed)
        ]
        total = len(comparison.arms) * len(comparison.seeds)
        done, failures = total - len(todo), {}
        per_run = comparison.base.total_env_steps
        start, reported, finished_steps = time.monotonic(), 0.0, 0
        with self._children():
            while todo or self._running:
                while todo and len(self._running) < self._jobs:
                    self._start(*todo.pop(0))
                time.sleep(_POLL_S)
                for job in [job for job in self._running if job.process.poll() is not None]:
                    self._running.remove(job)
                    job.log.close()
                    if job.process.returncode == 0 and job.steps() >= per_run:
                        self._keep_result(job)
                        finished_steps += per_run
                    else:
                        failures[job.name] = job.last_line()
                        self._say(f"{job.name} failed: {job.last_line()}")
                    done += 1
                if time.monotonic() - reported >= _REPORT_S:
                    reported = time.monotonic()
                    steps = finished_steps + sum(job.steps() for job in self._running)
                    self._progress(done, total, steps, len(todo), reported - start)
        return failures

    def _progress(self, done: int, total: int, steps: int, waiting: int, elapsed: float) -> None:
        per_run = self._comparison.base.total_env_steps
        parts = [f"{done}/{total} runs"]
        parts += [f"{job.name} {100 * job.steps() // per_run}%" for job in self._running]
        left = (waiting + len(self._running)) * per_run - sum(job.steps() for job in self._running)
        rate = (steps - self._steps_before) / elapsed
        if rate > 0:
            minutes = max(left, 0) / rate / 60.0
            parts.append(f"{rate:.0f} steps/s | about {minutes:.0f} min left")
        self._say(" | ".join(parts))

    def _start(self, arm: Arm, seed: int) -> None:
        folder = self._comparison.run_folder(arm, seed)
        known = RunFolder(folder).config.exists()
        command = [sys.executable, "-m", "g1_mimic", "train", "--run-dir", str(folder)]
        if known:
            command += ["--resume"]
        else:
            settings = self._comparison.folder / arm.name / SETTINGS_FILE
            command += ["--config", str(settings), "--seed", str(seed)]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            log = (folder / LOG_FILE).open("ab")
        except OSError as error:
            raise WriteError(f"cannot write into {folder}: {error.strerror}") from error
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C reaches it once, through `_children`
            preexec_fn=_end_with_parent,
        )
        job = _Job(f"{arm.name} seed {seed}", folder, process, log)
        if known:
            self._steps_before += job.steps()
        self._running.append(job)

    def _keep_result(self, job: _Job) -> None:
        RunResult.of_run(job.folder).write(job.folder)
        shutil.rmtree(RunFolder(job.folder).checkpoints, ignore_errors=True)

    @contextlib.contextmanager
    def _children(self) -> Iterator[None]:
        """Whatever ends the block: no run goes on without it, and each has its checkpoint."""

        def interrupt(number: int, frame: Any) -> None:
            raise KeyboardInterrupt

        before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
        try:
            yield
        finally:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            if self._running:
                self._say("stopping: the runs write their checkpoints; the same command goes on")
            for job in self._running:
                job.process.send_signal(signal.SIGINT)
            for job in self._running:
                job.process.wait()
                job.log.close()
            for number, handler in before.items():
                signal.signal(number, handler)


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _end_with_parent() -> None:
    """Have Linux stop this process, with a checkpoint, when the one that started it is gone."""
    with contextlib.suppress(OSError, AttributeError):
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
