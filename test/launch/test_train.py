"""ros2 launch g1_mimic train.launch.py from the outside."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from g1_mimic.files import share_dir
from g1_mimic.learning.run.checkpoint import load_checkpoint, numbered
from g1_mimic.policy.runtime import OnnxPolicy

pytestmark = pytest.mark.launch

FILE = "train.launch.py"
TIMEOUT = 120.0
ARGUMENTS = (
    "task", "motion", "robot", "num_envs", "total_env_steps", "sampling", "seed", "device",
    "run_dir", "warm_start", "resume", "params_file",
)  # fmt: skip
SMALL: dict[str, Any] = {
    "num_envs": 8,
    "total_env_steps": 10_000_000,
    "warmup_env_steps": 160,
    "updates_per_step": 1,
    "device": "cpu",
    "log_interval_s": 0.2,
    "env": {"threads": 1, "episode_length_s": 0.5},
    "replay": {"capacity": 800, "batch_size": 32},
    "learner": {"actor_hidden": [16], "critic_hidden": [16]},
    "evaluation": {"episodes": 4},
}

Launch = Callable[..., subprocess.CompletedProcess[str]]


def write_parameters(path: Path, **changes: Any) -> Path:
    """Write a parameter file of a tiny run."""
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": {**SMALL, **changes}}}))
    return path


def error_lines(output: str) -> list[str]:
    """Return what the node says of errors, without the launch's prefix."""
    return re.findall(r"^\[trainer-1\] error: (.*?)\r?$", output, re.MULTILINE)


@pytest.fixture(scope="module")
def parameters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parameter file of a tiny run without end."""
    return write_parameters(tmp_path_factory.mktemp("parameters") / "small.yaml")


@pytest.fixture(scope="module")
def finished(
    launch: Launch, parameters: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """The folder in which a tiny run was started and has ended, and what was shown."""
    folder = tmp_path_factory.mktemp("home")
    done = launch(
        FILE, f"params_file:={parameters}", "total_env_steps:=400", "sampling:=uniform",
        "seed:=5", "motion:=walk", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return folder, done.stdout


def test_a_run_ends_by_itself_and_leaves_everything(finished: tuple[Path, str]) -> None:
    """Status 0, and a new folder under ./runs with settings, events, checkpoints and policy."""
    folder, output = finished
    assert "process has finished cleanly" in output and "Traceback" not in output
    (run,) = (folder / "runs").iterdir()
    assert run.name.endswith("-walk-s5") and str(run) in output
    config = yaml.safe_load((run / "config.yaml").read_text())["config"]
    # Arguments win over the file, what is not given comes from it.
    assert (config["motion"], config["sampling"], config["seed"]) == ("walk", "uniform", 5)
    assert (config["num_envs"], config["total_env_steps"]) == (8, 400)
    assert config["env"]["episode_length_s"] == 0.5 and config["learner"]["actor_hidden"] == [16]
    assert [path.name for path in numbered(run / "checkpoints")] == ["step_0000000400.pt"]
    events = list((run / "events").glob("events.out.tfevents.*"))
    assert events and all(path.stat().st_size > 1000 for path in events)
    assert OnnxPolicy.load(run / "policy.onnx").metadata.motion_name == "walk"


def test_resuming_needs_only_the_new_length(launch: Launch, finished: tuple[Path, str]) -> None:
    """The newest run goes on with settings of its own, not with those of the shipped file."""
    folder, _ = finished
    done = launch(FILE, "resume:=true", "total_env_steps:=480", cwd=folder)
    assert done.returncode == 0 and "Traceback" not in done.stdout, done.stdout
    (run,) = (folder / "runs").iterdir()
    newest = numbered(run / "checkpoints")[-1]
    assert newest.name == "step_0000000480.pt"
    stored = json.loads(load_checkpoint(newest)["config"])
    first = yaml.safe_load((run / "config.yaml").read_text())["config"]
    expected = {**first, "total_env_steps": 480, "resume": True}
    assert stored == json.loads(json.dumps(expected))


@pytest.mark.parametrize("whole_group", [False, True], ids=["launch-alone", "group"])
def test_ctrl_c_writes_a_checkpoint_to_go_on_from(
    whole_group: bool,
    launch: Launch,
    environment: dict[str, str],
    parameters: Path,
    tmp_path: Path,
) -> None:
    """Status 0 whether the signal comes to ros2 launch alone or, as by a terminal, to all."""
    run = tmp_path / "my run"
    process = subprocess.Popen(
        ["ros2", "launch", "g1_mimic", FILE, f"params_file:={parameters}", f"run_dir:={run}"],
        env=environment,
        cwd=tmp_path,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    output = ""
    # Reading waits for ever on a launch that is stuck.
    watchdog = threading.Timer(TIMEOUT, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    try:
        while " steps/s" not in output:
            line = process.stdout.readline()
            assert line, output
            output += line
        if whole_group:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        output += process.stdout.read()
        process.wait()
    finally:
        watchdog.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()
    assert process.returncode == 0, output
    assert "process has finished cleanly" in output and "Traceback" not in output, output
    assert not error_lines(output)
    (checkpoint,) = numbered(run / "checkpoints")
    steps = load_checkpoint(checkpoint)["env_steps"]
    assert 0 < steps < SMALL["total_env_steps"]
    if whole_group:
        done = launch(
            FILE, "resume:=true", f"run_dir:={run}", f"total_env_steps:={steps + 16}", cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout
        assert numbered(run / "checkpoints")[-1].stem == f"step_{steps + 16:010d}"


def nan_motion(folder: Path) -> str:
    """A clip one number of which is not one."""
    data = json.loads((share_dir() / "models/motions/stand.json").read_text())
    data["frames"][3][10] = float("nan")
    del data["name"]  # the file's name is taken
    path = folder / "holes.json"
    path.write_text(json.dumps(data))
    return f"motion:={path}"


def motion_without_joints(folder: Path) -> str:
    """A clip of a robot with fewer joints."""
    data = json.loads((share_dir() / "models/motions/stand.json").read_text())
    data["joint_names"] = data["joint_names"][:23]
    data["frames"] = [row[: 7 + 23] for row in data["frames"]]
    path = folder / "small_robot.json"
    path.write_text(json.dumps(data))
    return f"motion:={path}"


def misspelled_parameter(folder: Path) -> str:
    """A parameter file with a setting that does not exist."""
    path = write_parameters(folder / "typo.yaml", learner={"actor_hiden": [16]})
    return f"params_file:={path}"


def unknown_joint(folder: Path) -> str:
    """A robot profile that speaks of a joint which the robot has not."""
    text = (share_dir() / "config/robots/g1_29dof.yaml").read_text()
    path = folder / "robot.yaml"
    knee = next(line for line in text.splitlines() if '"*_knee_joint"' in line)
    path.write_text(text.replace(knee, f"{knee}\n{knee.replace('_knee', '_kneecap')}"))
    return f"robot:={path}"


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (lambda folder: "motion:=moonwalk", ("motion 'moonwalk' not found", "offers: ", "stand")),
        (nan_motion, ("holes", "frame 3", "left_knee_joint is nan")),
        (motion_without_joints, ("small_robot.json", "right_wrist_yaw_joint", "missing")),
        (misspelled_parameter, ("learner.actor_hiden", "did you mean 'actor_hidden'")),
        (unknown_joint, ("robot.yaml", "'*_kneecap_joint' matches no joint")),
    ],
    ids=["motion", "nan", "joints", "params-file", "robot"],
)
def test_a_mistake_that_the_node_finds_fails_the_launch(
    mistake: Callable[[Path], str],
    words: tuple[str, ...],
    launch: Launch,
    parameters: Path,
    tmp_path: Path,
) -> None:
    """One line says what is wrong and where; status 1, no traceback, no folder left behind."""
    run = tmp_path / "run"
    arguments = [f"params_file:={parameters}", "total_env_steps:=16", f"run_dir:={run}"]
    done = launch(FILE, *arguments, mistake(tmp_path), cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    (error,) = error_lines(done.stdout)
    assert all(word in error for word in words), error
    assert "Traceback" not in done.stdout, done.stdout
    assert not run.exists()


def test_a_damaged_run_is_not_resumed(launch: Launch, tmp_path: Path) -> None:
    """A run whose checkpoints cannot be read fails the launch in one line and stays as it is."""
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump({"config": SMALL, "origin": {}}))
    (run / "checkpoints" / "step_0000000400.pt").write_bytes(b"PK\x03\x04 cut off")
    before = sorted(run.rglob("*"))
    done = launch(FILE, "resume:=true", f"run_dir:={run}", cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    (error,) = error_lines(done.stdout)
    assert "cannot read checkpoint" in error and "step_0000000400.pt" in error, error
    assert "Traceback" not in done.stdout, done.stdout
    # The lock that keeps two processes from one run is a file of its own, and empty when free.
    assert sorted(path for path in run.rglob("*") if path.name != ".lock") == before


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("num_envs:=many", "num_envs:=many is not a whole number"),
        ("total_env_steps:=1e6", "total_env_steps:=1e6 is not a whole number"),
        ("resume:=maybe", "resume:=maybe is neither true nor false"),
        ("sampling:=best", "\"best\" is not valid. Valid options are: ['', 'uniform', 'per'"),
        ("params_file:=none", "params_file 'none' not found; the package offers: "),
        ("params_file:=deploy_sim", "no section for node '/trainer'"),
    ],
)
def test_a_mistake_that_the_launch_file_finds_starts_nothing(
    argument: str, words: str, launch: Launch, tmp_path: Path
) -> None:
    """ros2 launch shows the launch file's one line; status 1 and no process was started."""
    done = launch(FILE, argument, cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    (line,) = re.findall(r"Caught exception in launch \(see .*?\): (.*)", done.stdout)
    assert words in line
    assert "process started" not in done.stdout and "Traceback" not in done.stdout, done.stdout


def test_the_arguments_are_documented(launch: Launch, tmp_path: Path) -> None:
    """--show-args lists all arguments, each with a description and what it is by default."""
    done = launch(FILE, "--show-args", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    shown = dict(re.findall(r"^ +'(\w+)':\n +(\S.*)$", done.stdout, re.MULTILINE))
    assert tuple(shown) == ARGUMENTS
    assert all(len(text) > 10 and "no description" not in text.lower() for text in shown.values())
    assert "(shipped: 300000)" in shown["total_env_steps"]
    assert "(shipped: lap). Valid choices are: ['', 'uniform'" in shown["sampling"]
