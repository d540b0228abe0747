"""The command line: what it prints, its status, and one line for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from g1_mimic.cli.main import main
from g1_mimic.errors import G1MimicError
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.settings import parse_assignments

SMALL = [
    "--num-envs", "8", "--device", "cpu", "--set", "env.threads=1",
    "--set", "env.episode_length_s=0.5", "--set", "replay.capacity=800",
    "--set", "replay.batch_size=32", "--set", "warmup_env_steps=160",
    "--set", "learner.actor_hidden=[16]", "--set", "learner.critic_hidden=[16]",
    "--set", "evaluation.episodes=4", "--set", "updates_per_step=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished run."""
    path = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", "--run-dir", str(path), "--total-env-steps", "400", *SMALL]) == 0
    return path


def test_train_shows_progress_and_the_policy(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training prints the run folder, progress lines and where the policy is; --resume goes on."""
    command = ["train", "--resume", "--run-dir", str(run), "--total-env-steps", "480"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert f"run folder: {run}" in out
    assert "480/480 steps (100%)" in out
    assert f"policy: {run / 'policy.onnx'}" in out


def test_evaluate_prints_a_table_and_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both show the same evaluation, and the same seed gives the same numbers."""
    command = ["evaluate", str(run), "--episodes", "4", "--seconds", "0.5"]
    assert main([*command, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["episodes"] == 4 and 0 <= first["survival"] <= 1
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert main(command) == 0
    assert "success_rate" in capsys.readouterr().out


def test_plot_draws_runs(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A picture with something in it comes out, of one run or several."""
    imageio = pytest.importorskip("imageio.v3")
    output = tmp_path / "plots.png"
    assert main(["plot", str(run), str(run), "-o", str(output)]) == 0
    assert capsys.readouterr().out == f"{output}: 2 runs\n"
    assert imageio.imread(output).std() > 10


def test_export_writes_the_chosen_actor(run: Path, tmp_path: Path) -> None:
    """Exporting the best checkpoint gives the run's best policy again, number for number."""
    assert main(["export", str(run), "-o", str(tmp_path / "again.onnx")]) == 0
    obs = np.random.default_rng(0).standard_normal(154)
    policies = [OnnxPolicy.load(path) for path in (run / "policy.onnx", tmp_path / "again.onnx")]
    np.testing.assert_array_equal(*(policy.act(obs, 7) for policy in policies))
    for actor in ("raw", "averaged"):
        output = tmp_path / f"{actor}.onnx"
        command = ["export", str(run), "-o", str(output), "--actor", actor]
        assert main([*command, "--checkpoint", "newest"]) == 0
        assert output.is_file()


def test_info_tells_what_a_policy_is(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The motion, the robot and the observation are named."""
    assert main(["info", str(run), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["motion"] == "stand" and info["robot_profile"] == "g1_29dof"
    assert info["observation_size"] == 154


@pytest.mark.rendering
def test_render_draws_policy_and_clip(opengl: None, run: Path, tmp_path: Path) -> None:
    """A contact sheet of a policy's episode and of a clip are pictures with something in them."""
    imageio = pytest.importorskip("imageio.v3")
    for source in (str(run), "stand"):
        output = tmp_path / "sheet.png"
        assert main(["render", source, "-o", str(output), "--seconds", "0.3"]) == 0
        assert imageio.imread(output).std() > 10
        output.unlink()


def test_assignments_become_nested_settings() -> None:
    """--set reads values as YAML and nests dotted keys."""
    given = parse_assignments(["learner.gamma=0.98", "learner.actor_hidden=[8, 4]", "seed=3"])
    assert given == {"learner": {"gamma": 0.98, "actor_hidden": [8, 4]}, "seed": 3}
    with pytest.raises(G1MimicError, match="KEY=VALUE"):
        parse_assignments(["learner.gamma"])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["train", "--motion", "moonwalk"], "motion 'moonwalk' not found"),
        (["train", "--set", "learner.gama=1"], "did you mean 'gamma'"),
        (["train", "--config", "nothing.yaml"], "parameter file 'nothing.yaml' not found"),
        (["train", "--resume", "--run-dir", "nowhere"], "nowhere is not a run folder"),
        (["evaluate", "nothing.onnx"], "policy 'nothing.onnx' not found"),
        (["info", "{truncated}"], "is not a whole ONNX file"),
        (["evaluate", "{folder}"], "has no policy.onnx"),
        (["export", "{folder}", "-o", "x.onnx"], "cannot read checkpoint"),
        (["render", "stand", "-o", "x.txt"], "pictures end in .png"),
        (["render", "stand", "-o", "x.png", "--motion", "walk"], "stand is a clip itself"),
        (["plot", "{folder}", "-o", "x.png"], "is not a run folder"),
        (["plot", "{folder}", "-o", "x.txt"], "plots end in .png"),
        (["motion", "info", "{truncated}"], "motion files are"),
    ],
)
def test_mistakes_are_one_line_and_status_two(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    words: str,
) -> None:
    """Every mistake names itself in one line on stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    truncated = tmp_path / "truncated.onnx"
    truncated.write_bytes((run / "policy.onnx").read_bytes()[:2000])
    places = {"truncated": str(truncated), "folder": str(tmp_path / "folder")}
    assert main([word.format(**places) for word in command]) == 2
    err = capsys.readouterr().err
    assert words in err and len(err.strip().splitlines()) == 1


def test_help_is_there_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """--help of each command ends with status 0 and says something."""
    for command in ("", "train", "evaluate", "plot", "export", "motion", "render", "info"):
        with pytest.raises(SystemExit) as end:
            main([*command.split(), "--help"])
        assert end.value.code == 0
        assert "usage: g1-mimic" in capsys.readouterr().out
