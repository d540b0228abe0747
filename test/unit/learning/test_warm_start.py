"""Runs that begin with the networks of another one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import SMALL, config

from g1_mimic.errors import G1MimicError
from g1_mimic.learning.config import TrainConfig
from g1_mimic.learning.run.checkpoint import load_checkpoint, save_checkpoint
from g1_mimic.learning.session import open_trainer


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the stand clip."""
    path = tmp_path_factory.mktemp("warm") / "stand"
    open_trainer(config(path)).run()
    return path


@pytest.mark.parametrize("source", ["folder", "checkpoint"])
def test_a_run_of_another_clip_begins_with_the_networks(
    tmp_path: Path, learned: Path, source: str
) -> None:
    """Those of the best policy, or of the checkpoint named; not with its replay or step count."""
    newest = learned / "checkpoints" / "step_0000000800.pt"
    start = str(learned if source == "folder" else newest)
    trainer = open_trainer(config(tmp_path / "walk", motion="walk", warm_start=start))
    kept = learned / "checkpoints" / "best.pt" if source == "folder" else newest
    expected = load_checkpoint(kept)["learner"]
    for name in ("actor", "average_actor", "critic", "target_critic"):
        own = getattr(trainer.learner, name).state_dict()
        assert all(torch.equal(own[key], value) for key, value in expected[name].items())
    assert float(trainer.learner.actor.normalizer.count) > 0.0
    assert trainer.env_steps == 0 and trainer.replay.buffer.get_sample_count() == 0
    trainer.run()
    after = trainer.learner.actor.state_dict()
    assert not all(torch.equal(after[key], value) for key, value in expected["actor"].items())


def test_a_warm_started_run_is_resumed_without_its_source(tmp_path: Path, learned: Path) -> None:
    """What it has learned since is kept; another source is refused."""
    source, path = tmp_path / "source", tmp_path / "run"
    shutil.copytree(learned, source)
    first = open_trainer(config(path, warm_start=str(source)))
    first.log.on_progress = lambda progress: first.control.stop()
    first.run()
    shutil.rmtree(source)
    second = open_trainer(TrainConfig(run_dir=str(path), resume=True))
    assert second.env_steps == 400
    for a, b in zip(
        first.learner.actor.parameters(), second.learner.actor.parameters(), strict=True
    ):
        assert torch.equal(a, b)
    second.folder.unlock()
    other = TrainConfig(run_dir=str(path), resume=True, warm_start=str(learned))
    with pytest.raises(G1MimicError, match="has networks already: warm_start is for a new run"):
        open_trainer(other)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"learner": SMALL["learner"] | {"actor_hidden": [32]}}, r"learner\.actor_hidden 16, "),
        (
            {"learner": SMALL["learner"] | {"value_max": 20.0}},
            r"learner\.value_max 10\.0, .* 20\.0",
        ),
        ({"env": SMALL["env"] | {"action_base": "default"}}, r"env\.action_base feedforward, "),
        ({"task": "g1_task", "env": SMALL["env"] | {"action_bound": 2.0}}, r"env\.action_bound"),
        ({"env": SMALL["env"] | {"critic_observation": []}}, r"env\.critic_observation"),
    ],
)
def test_networks_that_mean_something_else_are_refused(
    tmp_path: Path, learned: Path, changes: dict[str, Any], said: str
) -> None:
    """The message names the setting; no run folder is left."""
    with pytest.raises(G1MimicError, match=said):
        open_trainer(config(tmp_path / "run", warm_start=str(learned), **changes))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "case", ["missing", "empty folder", "text", "opcodes", "tensors", "settings"]
)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, case: str) -> None:
    """One line with the path."""
    source = tmp_path / "source"
    if case == "empty folder":
        source.mkdir()
    elif case == "text":
        source.write_text("walk")
    elif case == "opcodes":  # text that an unpickler takes for instructions
        source.write_text("text")
    elif case == "tensors":
        save_checkpoint(source, {"weights": torch.zeros(3)})
    elif case == "settings":  # of another version
        save_checkpoint(source, {"config": '{"colour": "red"}', "learner": {}, "env_steps": 0})
    with pytest.raises(G1MimicError, match=str(source)) as error:
        open_trainer(config(tmp_path / "run", warm_start=str(source)))
    assert "\n" not in str(error.value)
