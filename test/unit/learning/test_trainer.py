"""Training runs: files, resuming to the bit, what a killed run leaves, clear errors."""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import SMALL, config

from g1_mimic.comparison.curves import read_curves
from g1_mimic.errors import G1MimicError
from g1_mimic.files import share_dir
from g1_mimic.learning.config import TrainConfig
from g1_mimic.learning.run.checkpoint import (
    load_checkpoint,
    newest_checkpoint,
    prune,
    save_checkpoint,
)
from g1_mimic.learning.run.folder import make_run_path
from g1_mimic.learning.run.starts_history import StartsHistory
from g1_mimic.learning.session import open_trainer
from g1_mimic.learning.trainer import Trainer
from g1_mimic.policy.runtime import OnnxPolicy


def parameters(trainer: Trainer) -> list[torch.Tensor]:
    networks = (trainer.learner.actor, trainer.learner.critic, trainer.learner.average_actor)
    return [value for network in networks for value in network.state_dict().values()]


@pytest.mark.parametrize(
    ("sampling", "strategy", "preset"),
    [
        ("uniform", "uniform", "asap"),
        ("per", "uniform", "none"),
        ("per", "failure_bins", "beyondmimic"),
        ("lap", "error_bins", "none"),
        ("per_critic", "uniform", "none"),
        ("recency", "uniform", "none"),
    ],
)
def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    tmp_path: Path, sampling: str, strategy: str, preset: str
) -> None:
    """Stopped in the middle and resumed, a run has the same weights and replay to the bit."""
    phase = {"strategy": strategy, "smoothing": 0.05, "lead_s": 0.2, "max_share": 0.3}
    changes = {"sampling": sampling, "phase": phase}
    env = {"action_base": "default", "randomisation": {"preset": preset}}  # soon falls
    changes["env"] = SMALL["env"] | env
    whole = open_trainer(config(tmp_path / "whole", **changes))
    whole.run()
    first = open_trainer(config(tmp_path / "parts", **changes))
    first.log.on_progress = lambda progress: first.control.stop()
    first.run()  # to the evaluation after 400 steps
    assert first.env_steps == 400
    second = open_trainer(TrainConfig(run_dir=str(tmp_path / "parts"), resume=True))
    assert second.env_steps == 400 and second.config.sampling == sampling
    second.run()
    assert second.env_steps == whole.env_steps == 800
    for a, b in zip(parameters(whole), parameters(second), strict=True):
        assert torch.equal(a, b)
    a, b = whole.replay.buffer.state_dict(), second.replay.buffer.state_dict()
    assert torch.equal(a["fields"]["obs"], b["fields"]["obs"])
    if sampling in ("per", "lap", "per_critic"):
        assert torch.equal(a["priorities"], b["priorities"])
        assert a["beta"] == b["beta"]
        assert (a["beta"] > 0.4) == (sampling != "lap")
    p = second.env.starts.probabilities()
    np.testing.assert_array_equal(whole.env.starts.probabilities(), p)
    assert (p.max() > 1 / len(p)) == (strategy != "uniform")
    curves = [read_curves(run.folder.path).scalars["eval/score"] for run in (whole, second)]
    np.testing.assert_array_equal(curves[0], curves[1])
    assert curves[1][0].tolist() == [400, 800]
    histories = [StartsHistory.read(run.folder.starts) for run in (whole, second)]
    assert histories[0].env_steps.tolist() == [400, 800]
    for name, array in histories[0].state_dict().items():
        np.testing.assert_array_equal(array, histories[1].state_dict()[name])


def test_a_run_leaves_its_files(tmp_path: Path) -> None:
    """Configuration, events, checkpoints (the newest few and the best) and policies are there."""
    trainer = open_trainer(config(tmp_path / "run", checkpoint={"interval_s": 1e-3, "keep": 2}))
    metrics = trainer.run()
    folder = tmp_path / "run"
    names = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert names == ["best.pt", "step_0000000792.pt", "step_0000000800.pt"]
    assert list((folder / "events").glob("events.out.tfevents.*"))
    assert not list(folder.rglob(".*.tmp*"))
    for name in ("policy.onnx", "policy_latest.onnx"):
        assert OnnxPolicy.load(folder / name).metadata.motion_name == "stand"
    assert {"eval/score", "train/return", "learner/critic_loss", "replay/entropy"} <= set(metrics)
    assert {f"replay/{name}" for name in ("age", "weight_ess")} <= set(metrics)


def test_metrics_reach_tensorboard(tmp_path: Path) -> None:
    """What callbacks see is in the event file under the same step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = open_trainer(config(tmp_path / "run"))
    seen: dict[int, Mapping[str, float]] = {}
    trainer.log.on_progress = lambda p: seen.update({p.env_steps: p.metrics})
    trainer.run()
    events = EventAccumulator(str(tmp_path / "run" / "events"), {"histograms": 0})
    events.Reload()
    for event in events.Scalars("eval/score"):
        assert event.value == pytest.approx(seen[event.step]["eval/score"], rel=1e-5)
    assert [event.step for event in events.Scalars("eval/score")] == [400, 800]  # once each
    assert [event.step for event in events.Histograms("replay/priority_histogram")] == [400, 800]
    times = [event.value for event in events.Scalars("train/time_s")]
    assert 0 < times[0] < times[1] < 60


def test_exported_policy_acts_like_the_chosen_actor(tmp_path: Path) -> None:
    """The newest policy file scores in evaluation what the run says of it."""
    from g1_mimic.evaluation.conditions import conditions
    from g1_mimic.evaluation.suite import Options, assess
    from g1_mimic.policy.runtime import OnnxPolicy

    trainer = open_trainer(config(tmp_path / "run"))
    metrics = trainer.run()
    policy = OnnxPolicy.load(tmp_path / "run" / "policy_latest.onnx")
    options = Options(episodes=4, seconds=0.5, config={"reset": {"noise": 0.25}})
    result = assess(policy, "policy", conditions([]), options).nominal
    assert result.survival == metrics["eval/survival"]
    for name in ("joint_error_rad", "body_position_error_m", "anchor_orientation_error_rad"):
        assert getattr(result, name) == pytest.approx(metrics[f"eval/{name}"], rel=1e-3)


def test_an_existing_run_is_not_overwritten(tmp_path: Path) -> None:
    """A folder that holds a run is refused unless it is to be resumed."""
    open_trainer(config(tmp_path / "run"))
    with pytest.raises(G1MimicError, match="already holds a run"):
        open_trainer(config(tmp_path / "run"))


def test_runs_that_start_in_the_same_second_have_folders_of_their_own(tmp_path: Path) -> None:
    """Without a name given, every run gets a new, empty folder, which a failed start removes."""
    paths = [make_run_path(tmp_path / "runs", "clips/walk.json", 3) for _ in range(3)]
    assert len(set(paths)) == 3 and all("-walk-s3" in path.name for path in paths)
    with pytest.raises(G1MimicError, match="'moonwalk' not found"):
        open_trainer(TrainConfig(motion="moonwalk", runs_root=str(tmp_path / "runs")))
    assert sorted((tmp_path / "runs").iterdir()) == sorted(paths)
    (tmp_path / "file").write_text("")
    with pytest.raises(G1MimicError, match="cannot make run folder"):
        make_run_path(tmp_path / "file", "walk", 0)


def test_a_run_of_an_own_clip_is_resumed_from_anywhere_but_not_with_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative motion is found later too; another one is refused unless the file has moved."""
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir()
    other.mkdir()
    shutil.copy(share_dir() / "models" / "motions" / "stand.json", home / "mine.json")
    monkeypatch.chdir(home)
    open_trainer(config(tmp_path / "run", motion="mine.json")).save()
    monkeypatch.chdir(other)
    resume = TrainConfig(run_dir=str(tmp_path / "run"), resume=True)
    assert open_trainer(resume).config.motion == str(home / "mine.json")
    stand = TrainConfig(run_dir=str(tmp_path / "run"), resume=True, motion="stand")
    with pytest.raises(G1MimicError, match=r"run of motion '.*mine.json', not 'stand'"):
        open_trainer(stand)
    (home / "mine.json").rename(other / "mine.json")
    moved = TrainConfig(run_dir=str(tmp_path / "run"), resume=True, motion="mine.json")
    assert open_trainer(moved).config.motion == str(other / "mine.json")


def test_a_full_disk_is_named_and_the_old_checkpoint_kept(tmp_path: Path) -> None:
    """The system's reason is in the one line, and no half-written file is left."""
    path = tmp_path / "step_0000000008.pt"
    save_checkpoint(path, {"env_steps": 8})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(G1MimicError, match=r"cannot write .*step_0000000008.pt: File too"):
            save_checkpoint(path, {"env_steps": 9, "data": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_checkpoint(path) == {"env_steps": 8} and list(tmp_path.iterdir()) == [path]


def test_what_a_killed_run_half_wrote_is_removed(tmp_path: Path) -> None:
    """With the next checkpoint, temporary ones are gone, and so are old ones."""
    for name in (".step_0000000008.abc.tmp.pt", "step_0000000008.pt", "step_0000000016.pt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "best.pt").write_bytes(b"")
    prune(tmp_path, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"step_0000000016.pt", "best.pt"}


@pytest.mark.parametrize("case", ["missing", "no config", "damaged", "other"])
def test_what_cannot_be_resumed_is_named(tmp_path: Path, case: str) -> None:
    """A missing, empty, damaged or foreign run folder is one line that says which."""
    run = tmp_path / "run"
    resume = TrainConfig(run_dir=str(run), resume=True)
    words = "is not a run folder"
    if case == "no config":
        run.mkdir()
    elif case != "missing":
        path = open_trainer(config(run)).save()
        words = "cannot read checkpoint"
        if case == "damaged":
            path.write_bytes(path.read_bytes()[:5000])
        else:
            words = "does not fit these settings"
            resume = TrainConfig(run_dir=str(run), resume=True, num_envs=4)
    with pytest.raises(G1MimicError, match=words) as error:
        open_trainer(resume)
    assert "\n" not in str(error.value)


def test_a_run_that_goes_on_in_another_environment_looks_for_its_best_anew(tmp_path: Path) -> None:
    """What scored better while nobody pushed is no longer the policy to keep."""
    run = tmp_path / "run"
    first = open_trainer(config(run, total_env_steps=400))
    first.run()
    same = open_trainer(TrainConfig(run_dir=str(run), resume=True, total_env_steps=800))
    assert same.files.best_score == first.files.best_score > 0.0
    same.folder.unlock()
    harder = {**SMALL["env"], "randomisation": {"preset": "mjlab"}}
    again = TrainConfig.model_validate(
        {"run_dir": str(run), "resume": True, "total_env_steps": 800, "env": harder}
    )
    assert open_trainer(again).files.best_score == -np.inf


def test_a_run_killed_before_its_first_checkpoint_begins_again(tmp_path: Path) -> None:
    """Resuming it starts over with its own settings, in the same folder."""
    run = tmp_path / "run"
    open_trainer(config(run, seed=3))
    again = open_trainer(TrainConfig(run_dir=str(run), resume=True, total_env_steps=160))
    assert again.env_steps == 0 and again.config.seed == 3
    again.run()
    assert again.env_steps == 160


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    """If the newest cannot be read, the one before it is taken."""
    save_checkpoint(tmp_path / "step_0000000001.pt", {"env_steps": 1})
    (tmp_path / "step_0000000002.pt").write_bytes(b"\x00" * 100)
    assert newest_checkpoint(tmp_path)["env_steps"] == 1


def test_checkpoints_run_no_code(tmp_path: Path) -> None:
    """A checkpoint that would call a function when unpickled is refused, and it is not called."""

    class Hostile:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'owned'}",)

    path = tmp_path / "step_0000000001.pt"
    torch.save({"env_steps": Hostile()}, path)
    with pytest.raises(G1MimicError, match="cannot read checkpoint"):
        load_checkpoint(path)
    assert not (tmp_path / "owned").exists()


def test_checkpoint_round_trips_plain_values(tmp_path: Path) -> None:
    """Arrays come back as tensors, the large integers of numpy's generators as they were."""
    state = {"a": np.arange(3.0), "n": np.int64(3), "rng": np.random.default_rng(0).bit_generator}
    state["rng"] = state["rng"].state
    path = tmp_path / "step_0000000001.pt"
    save_checkpoint(path, state)
    loaded = load_checkpoint(path)
    assert torch.equal(loaded["a"], torch.arange(3.0, dtype=torch.float64))
    assert loaded["n"] == 3 and loaded["rng"] == state["rng"]


@pytest.mark.parametrize("sampling", ["uniform", "per", "lap", "per_critic", "recency"])
def test_diverged_training_says_so(tmp_path: Path, sampling: str) -> None:
    """A loss that is not finite ends the run in one line, and no broken policy is written."""
    trainer = open_trainer(config(tmp_path / "run", sampling=sampling))
    with torch.no_grad():
        next(trainer.learner.critic.parameters()).fill_(float("nan"))
    with pytest.raises(G1MimicError, match=r"training diverged at \d+ steps"):
        trainer.run()
    assert not trainer.folder.policy.exists() or OnnxPolicy.load(trainer.folder.policy)


def test_live_settings_are_taken_over(tmp_path: Path) -> None:
    """A shorter run and a shorter log interval, set while it goes on, count from the next step."""
    trainer = open_trainer(config(tmp_path / "run", total_env_steps=100_000))
    logged: list[int] = []
    trainer.log.on_progress = lambda progress: logged.append(progress.env_steps)
    changes = {"total_env_steps": 160, "log_interval_s": 1e-6}
    trainer.control.post(lambda: trainer.apply(trainer.config.model_copy(update=changes)))
    trainer.run()
    assert trainer.env_steps == 160 and logged == [*range(8, 161, 8), 160]


def test_requests_run_between_steps(tmp_path: Path) -> None:
    """Another thread can pause, save and go on; the result of a call comes back."""
    import threading

    trainer = open_trainer(config(tmp_path / "run", total_env_steps=100_000))
    thread = threading.Thread(target=trainer.run)
    thread.start()
    try:
        trainer.control.pause()
        saved = trainer.control.call(trainer.save)
        steps = trainer.env_steps
        time.sleep(0.3)
        assert trainer.env_steps == steps
        assert int(load_checkpoint(saved)["env_steps"]) == steps
        with pytest.raises(ZeroDivisionError):
            trainer.control.call(lambda: 1 // 0)
        trainer.control.pause(False)
        deadline = time.monotonic() + 30
        while trainer.env_steps == steps and time.monotonic() < deadline:
            time.sleep(0.01)
        assert trainer.env_steps > steps
    finally:
        trainer.control.stop()
        thread.join(60)
    assert not thread.is_alive()
