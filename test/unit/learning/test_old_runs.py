"""Runs of earlier versions: the files in old_run can be read, and gone on with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from g1_mimic.comparison.curves import read_curves
from g1_mimic.comparison.plots import plot_runs
from g1_mimic.learning.config import TrainConfig
from g1_mimic.learning.run.checkpoint import load_checkpoint, newest_checkpoint
from g1_mimic.learning.run.export import export_run
from g1_mimic.learning.run.folder import RunFolder
from g1_mimic.learning.session import open_trainer
from g1_mimic.policy.runtime import OnnxPolicy


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A run of version 0.1.0, of two clips and two robots, stopped after 64 environment steps."""
    return Path(shutil.copytree(Path(__file__).parent / "old_run", tmp_path / "run"))


def plain(value: Any) -> Any:
    """Make tensors comparable."""
    if isinstance(value, torch.Tensor):
        return value.dtype, value.shape, value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def test_a_checkpoint_is_taken_up_to_the_bit_and_the_run_goes_on(old: Path) -> None:
    """What is saved after loading is what was stored; curves are one, whatever they were called."""
    stored = newest_checkpoint(old / "checkpoints")
    resumed = open_trainer(TrainConfig(run_dir=str(old), resume=True, total_env_steps=72))
    saved = load_checkpoint(resumed.save())
    for name in set(stored) - {"config"}:
        assert plain(saved[name]) == plain(stored[name]), name
    resumed.run()
    assert resumed.env_steps == 72
    curves = read_curves(old)
    for name in ("starts/entropy", "starts/clip_share/walk", "eval/score"):
        assert curves.scalars[name][0].tolist() == [32, 64, 72]
    assert curves.starts is not None and curves.starts.env_steps.tolist() == [32, 64, 72]


def test_curves_are_read_under_the_names_of_today(old: Path, tmp_path: Path) -> None:
    """The metrics of episode starts were called sampling/… once."""
    curves = read_curves(old)
    assert set(curves.per_clip("starts/clip_share/")) == {"walk", "squat"}
    assert {"starts/entropy", "starts/top_share", "starts/top_s"} <= set(curves.scalars)
    assert not any(name.startswith("sampling/") for name in curves.scalars)
    plot_runs([str(old)], tmp_path / "plot.png")


def test_its_networks_become_a_policy_and_begin_another_run(old: Path, tmp_path: Path) -> None:
    """Exported, and as a warm start."""
    export_run(old, tmp_path / "policy.onnx", "newest", "averaged")
    assert OnnxPolicy.load(tmp_path / "policy.onnx").metadata.clip_names == ("walk", "squat")
    checkpoint = old / "checkpoints" / "step_0000000064.pt"
    settings = RunFolder(old).read_config() | {"run_dir": str(tmp_path / "new")}
    settings |= {"warm_start": str(checkpoint), "motion": "stand"}
    warm = open_trainer(TrainConfig.model_validate(settings))
    expected = load_checkpoint(checkpoint)["learner"]
    assert plain(dict(warm.learner.actor.state_dict())) == plain(dict(expected["actor"]))
