"""The guide's environment and training loop, run as printed with only the package renamed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from g1_mimic.envs.deepmimic_env import DeepMimicEnv
from g1_mimic.envs.task import Task
from g1_mimic.errors import G1MimicError
from g1_mimic.files import share_dir
from g1_mimic.learning.config import TrainConfig
from g1_mimic.learning.experience_buffer import PrioritizedExperienceBuffer
from g1_mimic.learning.experiment import resolve

GUIDE = Path(__file__).resolve().parents[4] / "shared" / "GUIDE.md"


def guide_block(section: str, language: str) -> str:
    """Return the code of a section, with MimicKit's name replaced by this package's."""
    if not GUIDE.is_file():
        pytest.skip("the guide is not there")
    text = GUIDE.read_text(encoding="utf-8")
    match = re.search(rf"^### {re.escape(section)} .*?```{language}\n(.*?)```", text, re.M | re.S)
    assert match, section
    return match.group(1).replace("mimickit", "g1_mimic")


def test_the_shipped_task_is_the_guides() -> None:
    """config/tasks/g1_task.json is what the guide prints."""
    shipped = (share_dir() / "config" / "tasks" / "g1_task.json").read_text()
    assert json.loads(shipped) == json.loads(guide_block("5.1", "json"))


def test_the_printed_task_loads_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved as printed into an empty folder, the task finds its robot and its motion."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "g1_task.json").write_text(guide_block("5.1", "json"))
    task = Task("tasks/g1_task.json")
    assert task.path.samefile(tmp_path / "tasks" / "g1_task.json")
    assert task.clip().name == "walk"
    config = task.env_config()
    assert config.reward.set == "deepmimic"
    assert config.reward.deepmimic.model_dump() == {
        "pose": 1.0, "velocity": 0.1, "torque": 0.01, "contact": 0.1,
    }  # fmt: skip
    profile = task.profile()
    assert (profile.stiffness == 99.098427777).all()
    assert (profile.damping == 6.308801853).all()


def test_training_takes_over_what_the_task_says() -> None:
    """A training run with the task has its sampling, reward and gains."""
    experiment = resolve(TrainConfig(task="g1_task", sampling="uniform"))
    config = experiment.config
    assert config.sampling == "per"
    assert (config.replay.alpha, config.replay.beta) == (0.6, 0.4)
    assert config.replay.beta_increment == 0.001
    assert experiment.motions.names == ("walk",) and config.env.reward.set == "deepmimic"
    assert (experiment.profile.stiffness == 99.098427777).all()


class Agent:
    """A small agent: acts at random, and its error is that of a linear value estimate."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.weight: torch.Tensor | None = None
        self.batches = 0

    def select_action(self, state: Any) -> np.ndarray:
        assert np.asarray(state).shape == (154,)
        return self.rng.uniform(-0.1, 0.1, 29)

    def learn(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if self.weight is None:
            self.weight = torch.zeros(batch["s"].shape[1], dtype=batch["s"].dtype)
        alive = ~batch["d"].bool()
        target = batch["r"] + 0.99 * alive * (batch["s_"] @ self.weight)
        errors = target - batch["s"] @ self.weight
        step = (batch["weights"] * errors) @ batch["s"].to(errors.dtype)
        self.weight += 1e-5 * step.to(self.weight.dtype) / len(errors)
        self.batches += 1
        return errors


@pytest.mark.filterwarnings("ignore:device 'cuda'", "ignore:field 's' was recorded")
def test_sections_5_2_and_6_1_run_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The printed code makes environment and buffer, and trains in them, without any change."""
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {"num_episodes": 4, "batch_size": 32, "agent": Agent()}
    exec(guide_block("5.2", "python"), scope)
    buffer = scope["buffer"]
    assert isinstance(buffer, PrioritizedExperienceBuffer)
    exec(guide_block("6.1", "python"), scope)
    assert scope["agent"].batches > 10
    assert buffer.beta > 0.4
    assert scope["done"] is True or scope["done"] == 1


def test_one_robots_episode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """reset and step have the classic signature, and info tells a fall from a time-out."""
    monkeypatch.chdir(tmp_path)
    env = DeepMimicEnv("tasks/g1_task.json", seed=1)
    assert env.config["adaptive_sampling"]["alpha"] == 0.6
    state = env.reset()
    assert state.shape == (154,) and state.dtype == np.float32
    np.testing.assert_array_equal(state, env.reset(seed=1) * 0 + state)
    steps = 0
    done = False
    while not done:
        state, reward, done, info = env.step(np.zeros(29))
        assert isinstance(reward, float) and isinstance(done, bool)
        assert set(info["terms"]) == {"pose", "velocity", "torque", "contact"}
        steps += 1
    assert info["terminated"] != info["truncated"]
    assert 1 <= steps <= 500
    env.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"robot": "g2"}, "robot"),
        ({"motion_file": "data/motions/run.json"}, "motion 'data/motions/run.json' not found"),
        ({"reward_weights": {"posse": 1.0}}, "did you mean 'pose'"),
        ({"control": {"stiffness": -1.0}}, "control.stiffness"),
        ({"adaptive_samplin": {}}, "did you mean 'adaptive_sampling'"),
    ],
)
def test_mistakes_in_a_task_are_one_line(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    """Each mistake in the JSON names itself."""
    data = {"robot": "g1", "motion_file": "walk.json"} | change
    path = tmp_path / "task.json"
    path.write_text(json.dumps(data))
    with pytest.raises(G1MimicError) as error:
        DeepMimicEnv(path)
    assert words in str(error.value) and "\n" not in str(error.value)
