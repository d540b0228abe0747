"""What a long run must survive: kill -9, a full disk, simulations and losses that break down."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import config

from g1_mimic.comparison.curves import read_curves
from g1_mimic.errors import G1MimicError, WriteError
from g1_mimic.learning.config import TrainConfig
from g1_mimic.learning.learner import Learner, LearnerConfig, NotFiniteError
from g1_mimic.learning.run.checkpoint import numbered
from g1_mimic.learning.run.contained_faults import MOST_SKIPPED
from g1_mimic.learning.run.metrics_log import EventFiles
from g1_mimic.learning.run.progress import Progress
from g1_mimic.learning.session import open_trainer
from g1_mimic.learning.trainer import Trainer


@contextmanager
def full_disk(largest: int = 2000) -> Iterator[None]:
    """Writing more than ``largest`` bytes to any file fails inside."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def state(trainer: Trainer) -> list[torch.Tensor]:
    """Return all networks and the replay of a run."""
    learner, buffer = trainer.learner, trainer.replay.buffer.state_dict()
    networks = (learner.actor, learner.critic, learner.target_critic, learner.average_actor)
    values = [value for network in networks for value in network.state_dict().values()]
    return [*values, learner.log_alpha.detach(), *buffer["fields"].values(), buffer["priorities"]]


# -- killed ---------------------------------------------------------------------------------------


def test_a_run_that_is_killed_again_and_again_ends_like_an_uninterrupted_one(
    tmp_path: Path,
) -> None:
    """After kill -9 at random moments, often amid a write, the end is the same to the bit."""
    total = 8000
    whole = open_trainer(config(tmp_path / "whole", total_env_steps=total))
    whole.run()
    run = tmp_path / "killed"
    moments = np.random.default_rng().uniform(0.0, 0.4, 3)
    open_trainer(
        config(run, total_env_steps=total, checkpoint={"interval_s": 0.01})
    ).folder.unlock()
    command = [sys.executable, "-m", "g1_mimic", "train", "--resume", "--run-dir", str(run)]
    for moment in moments:
        before = numbered(run / "checkpoints")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            deadline = time.monotonic() + 120
            while numbered(run / "checkpoints") == before:
                assert process.poll() is None, process.stderr.read().decode()  # type: ignore[union-attr]
                assert time.monotonic() < deadline
                time.sleep(0.002)
            with pytest.raises(G1MimicError, match=f"trained by another process .{process.pid}."):
                open_trainer(TrainConfig(run_dir=str(run), resume=True))
            time.sleep(moment)
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    last = open_trainer(TrainConfig(run_dir=str(run), resume=True))
    assert last.env_steps > 0
    last.run()
    assert last.env_steps == whole.env_steps == total
    for a, b in zip(state(whole), state(last), strict=True):
        assert torch.equal(a, b), f"killed {moments} s after a checkpoint"
    assert last.files.best_score == whole.files.best_score
    assert not list(run.rglob(".*.tmp*"))
    curves = [read_curves(each.folder.path).scalars["eval/score"] for each in (whole, last)]
    np.testing.assert_array_equal(*curves)


def test_two_may_not_train_in_one_folder(tmp_path: Path) -> None:
    """The second is refused in one line, new or resumed; once the first is over, it may."""
    first = open_trainer(config(tmp_path / "run", total_env_steps=80))
    for settings in (
        config(tmp_path / "run"),
        TrainConfig(run_dir=str(tmp_path / "run"), resume=True),
    ):
        with pytest.raises(G1MimicError, match="is being trained by another process") as error:
            open_trainer(settings)
        assert "\n" not in str(error.value)
    first.run()
    more = TrainConfig(run_dir=str(tmp_path / "run"), resume=True, total_env_steps=160)
    open_trainer(more).run()


def test_what_a_killed_run_half_wrote_is_deleted_by_the_next(tmp_path: Path) -> None:
    """Policies, phases, configuration and checkpoints; whole ones and other files stay."""
    open_trainer(config(tmp_path / "run")).save()
    halves = (".policy_latest.x1.tmp.onnx", ".phases.x2.tmp.npz", ".config.x3.tmp.yaml")
    for name in (*halves, "checkpoints/.best.x4.tmp.pt", "notes.tmp.onnx"):
        (tmp_path / "run" / name).write_bytes(b"half")
    open_trainer(TrainConfig(run_dir=str(tmp_path / "run"), resume=True))
    left = {str(path.relative_to(tmp_path / "run")) for path in tmp_path.rglob("*.tmp*")}
    assert left == {"notes.tmp.onnx"}
    assert len(numbered(tmp_path / "run" / "checkpoints")) == 1


# -- a full disk ----------------------------------------------------------------------------------


def test_a_disk_that_is_full_for_a_while_does_not_end_a_run(tmp_path: Path) -> None:
    """It is counted and shown; when there is room again, checkpoints and curves go on."""
    settings = config(tmp_path / "run", checkpoint={"interval_s": 1e-3}, log_interval_s=1e-3)
    trainer = open_trainer(settings)
    lines: list[str] = []
    steps: list[int] = []

    def see(progress: Progress) -> None:
        lines.append(str(progress))
        steps.append(progress.env_steps)
        limit = 2000 if 240 <= progress.env_steps < 480 else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    trainer.log.on_progress = see
    try:
        metrics = trainer.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert trainer.env_steps == 800 and metrics["train/failed_writes"] > 30
    shown = [line for line in lines if "File too large" in line]
    assert shown and all("failed write" in line and "cannot write" in line for line in shown)
    assert "failed write" in lines[-1] and "File too large" not in lines[-1]
    assert [path.name for path in numbered(trainer.folder.checkpoints)][-1] == "step_0000000800.pt"
    assert not list(trainer.folder.path.rglob(".*.tmp*"))
    curve = read_curves(trainer.folder.path).scalars["train/env_steps_per_s"][0]
    assert set(curve[curve < 240]) | set(curve[curve > 480]) == {
        step for step in steps if step < 240 or step > 480
    }
    resumed = open_trainer(
        TrainConfig(run_dir=str(tmp_path / "run"), resume=True, total_env_steps=808)
    )
    assert resumed.faults.failed_writes == metrics["train/failed_writes"]


def test_a_run_whose_end_cannot_be_written_says_so(tmp_path: Path) -> None:
    """The last checkpoint or policy missing is an error of one line with the reason."""
    trainer = open_trainer(config(tmp_path / "run", total_env_steps=160))
    with full_disk(), pytest.raises(WriteError, match=r"cannot write .*: File too large"):
        trainer.run()
    open_trainer(TrainConfig(run_dir=str(tmp_path / "run"), resume=True))  # it is not held


def test_events_after_a_failure_can_be_read(tmp_path: Path) -> None:
    """Half a record at the end of a file hides nothing that is written later."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventFiles(tmp_path, 0)
    events.write(1, {"x": 1.0}, {})
    with full_disk(120), pytest.raises(WriteError, match="cannot write into"):
        events.write(2, {f"name{i}": 0.0 for i in range(20)}, {})
    for step in (3, 4):
        events.write(step, {"x": float(step)}, {"h": (np.array([0.0, 1.0, 2.0]), np.ones(2))})
    events.close()
    read = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in read.Scalars("x")] == [(1, 1), (3, 3), (4, 4)]
    assert read.Histograms("h")[0].histogram_value.bucket == [1.0, 1.0]


# -- what is not a number -------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e7])
def test_a_broken_simulation_is_reset_and_counted(tmp_path: Path, value: float) -> None:
    """One robot's velocity breaks down: the run goes on, and no such number is learned from."""
    trainer = open_trainer(config(tmp_path / "run", total_env_steps=400))
    lines: list[str] = []
    trainer.log.on_progress = lambda progress: lines.append(str(progress))

    def spoil() -> None:
        trainer.env.physics.qvel[3, 10] = value

    trainer.control.post(spoil)
    metrics = trainer.run()
    assert metrics["train/physics_faults"] == 1.0 and "1 physics fault" in lines[-1]
    for name, field in trainer.replay.buffer.state_dict()["fields"].items():
        assert torch.isfinite(field.float()).all() and field.float().abs().max() < 2e3, name
    normalizer = trainer.learner.critic.normalizer.state_dict()
    assert all(torch.isfinite(part.float()).all() for part in normalizer.values())


@pytest.mark.parametrize("sampling", ["uniform", "per", "lap", "per_critic", "recency"])
def test_an_update_without_a_gradient_is_skipped_and_counted(tmp_path: Path, sampling: str) -> None:
    """A transition that is no number is met again and again; the networks stay sound."""
    trainer = open_trainer(config(tmp_path / "run", sampling=sampling, total_env_steps=1600))
    lines: list[str] = []
    trainer.log.on_progress = lambda progress: lines.append(str(progress))

    train_step = trainer._train_step

    def spoil(pool: Any) -> None:
        if trainer.env_steps == 240:
            trainer.replay.buffer.get_data("reward")[5, 2] = float("nan")
        train_step(pool)

    trainer._train_step = spoil  # type: ignore[method-assign]
    metrics = trainer.run()
    skipped = metrics["train/skipped_updates"]
    assert 0 < skipped < 100 and f"{skipped:.0f} skipped update" in lines[-1]
    learner = trainer.learner
    for network in (learner.actor, learner.critic, learner.target_critic, learner.average_actor):
        assert all(torch.isfinite(value).all() for value in network.parameters())


def test_a_loss_that_stays_not_a_number_ends_the_run(tmp_path: Path) -> None:
    """After so many updates without a gradient it is divergence, in one line."""
    trainer = open_trainer(config(tmp_path / "run"))
    with torch.no_grad():
        next(trainer.learner.critic.parameters()).fill_(float("nan"))
    with pytest.raises(G1MimicError, match=r"training diverged at .* gradient of CriticEnsemble"):
        trainer.run()
    assert trainer.faults.skipped_in_a_row == MOST_SKIPPED


def test_nothing_changes_in_a_skipped_update() -> None:
    """Networks, optimisers and target are to the bit what they were."""
    torch.manual_seed(0)
    learner = Learner(LearnerConfig(actor_hidden=(8,), critic_hidden=(8,), atoms=11), 4, 6, 2, 1.0)
    batch = {
        "obs": torch.randn(16, 6), "next_obs": torch.randn(16, 6), "action": torch.randn(16, 2),
        "reward": torch.randn(16), "discount": torch.full((16,), 0.9), "weights": torch.ones(16),
    }  # fmt: skip
    for _ in range(4):
        learner.update(batch)

    def tensors(value: Any) -> list[torch.Tensor]:
        if isinstance(value, torch.Tensor):
            return [value.clone()]
        parts = value.values() if isinstance(value, dict) else value
        return [t for v in parts if isinstance(v, torch.Tensor | dict | list) for t in tensors(v)]

    before = tensors(learner.state_dict())
    for name in ("obs", "reward", "next_obs", "weights"):
        bad = {key: value.clone() for key, value in batch.items()}
        bad[name].view(-1)[3] = float("nan")
        with pytest.raises(NotFiniteError):
            learner.update(bad)
    for a, b in zip(before, tensors(learner.state_dict()), strict=True):
        assert torch.equal(a, b)
    learner.update(batch)
    assert all(torch.isfinite(value).all() for value in learner.critic.parameters())
