"""ros2 launch g1_mimic deploy_sim.launch.py from the outside."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from g1_mimic.recording.bag_reader import read_recording

pytestmark = pytest.mark.launch

LAUNCH = ("ros2", "launch", "g1_mimic", "deploy_sim.launch.py")
TIMEOUT = 120.0


def launch(
    arguments: list[str], environment: dict[str, str], cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Run the launch file to its end."""
    return subprocess.run(
        [*LAUNCH, *arguments],
        env=environment,
        cwd=cwd,
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
    )


def test_a_lockstep_run_ends_by_itself_with_a_report(
    balancing_policy: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Both nodes end after the duration, status 0, and the report holds what was asked for."""
    report = tmp_path / "report.json"
    done = launch(
        [
            f"policy:={balancing_policy}",
            "motion:=still",
            "realtime_factor:=0",
            "duration:=2",
            "seed:=3",
            f"report:={report}",
        ],
        environment,
        tmp_path,
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert text.count("process has finished cleanly") == 2, text
    figures = json.loads(report.read_text())
    assert figures["policy"] == str(balancing_policy) and figures["seed"] == 3
    assert figures["duration"] == 2.0 and figures["survived_s"] == 2.0 and not figures["fell"]


@pytest.mark.parametrize("composed", [False, True])
def test_a_lockstep_run_is_recorded_from_its_first_state_on(
    balancing_policy: Path, tmp_path: Path, environment: dict[str, str], composed: bool
) -> None:
    """record:= starts a recorder that misses nothing: each state of the run, and its target."""
    arguments = [f"policy:={balancing_policy}", "realtime_factor:=0", "duration:=1"]
    arguments.append(f"composed:={str(composed).lower()}")
    done = launch([*arguments, "record:=run.mcap"], environment, tmp_path)
    text = done.stdout + done.stderr
    assert done.returncode == 0 and text.count("process has finished cleanly") == 3 - composed, text
    recording = read_recording(tmp_path / "run.mcap")
    states = recording.joints["joint_states"].stamp
    assert states[0] == 0 and (np.diff(states) == 2_000_000).all()
    answered = recording.joints["joint_targets"].stamp
    # The last state ends the run: what still comes for it is the parting command to damp.
    assert np.isin(states[:-1], answered).all() and np.isin(answered, states).all()
    assert " 0 lost" in text
    modes = [mode for _, mode in recording.modes]
    assert modes[:2] == ["stand", "track"] and set(modes[2:]) <= {"damping"}
    assert recording.facts is not None and recording.facts.motion == "still"


def test_the_newest_policy_of_the_runs_is_the_default(
    balancing_policy: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Without policy:= the newest of the runs is taken."""
    for number, name in enumerate(("old", "new")):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        shutil.copy(balancing_policy, folder / "policy.onnx")
        os.utime(folder / "policy.onnx", (1e9 + number, 1e9 + number))
    done = launch(["realtime_factor:=0", "duration:=0.2", "report:=r.json"], environment, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "runs/new/policy.onnx" in json.loads((tmp_path / "r.json").read_text())["policy"]


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("policy:=/none.onnx", "policy '/none.onnx' not found"),
        ("motion:=nowhere", "motion 'nowhere' not found"),
        ("seed:=x", "seed:=x is not a whole number"),
        ("viewer:=maybe", "viewer:=maybe is neither true nor false"),
        ("params_file:=none.yaml", "params_file 'none.yaml' not found"),
    ],
)
def test_a_bad_argument_fails_the_launch_and_says_why(
    argument: str,
    words: str,
    balancing_policy: Path,
    tmp_path: Path,
    environment: dict[str, str],
) -> None:
    """Status 1, the reason in words, no traceback, and nothing left running."""
    done = launch([f"policy:={balancing_policy}", argument], environment, tmp_path)
    text = done.stdout + done.stderr
    assert done.returncode == 1, text
    assert words in text and "Traceback" not in text, text


def test_arguments_win_over_the_parameter_file(
    balancing_policy: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """A value given on the command line is taken, one left out comes from the file."""
    parameters = tmp_path / "mine.yaml"
    parameters.write_text(
        "/**/mujoco_sim: {ros__parameters: {realtime_factor: 0.0, duration: 50.0, seed: 8}}\n"
        "/**/policy: {ros__parameters: {realtime_factor: 0.0, duration: 50.0, seed: 8,"
        " autostart: true, odometry: true, stand_time: 0.2}}\n"
    )
    done = launch(
        [
            f"policy:={balancing_policy}",
            f"params_file:={parameters}",
            "duration:=0.4",
            "report:=r.json",
        ],
        environment,
        tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "r.json").read_text())
    assert figures["duration"] == 0.4 and figures["seed"] == 8
    assert figures["realtime_factor"] == 0.0


POLICY = "autostart: true, odometry: true, stand_time: 0.2, state_timeout: 2.0"
CLOCKS = {
    "not a word": f"/policy: {{ros__parameters: {{{POLICY}}}}}",
    "the system's clock": f"/policy: {{ros__parameters: {{{POLICY}, use_sim_time: false}}}}",
    "simulated time for all": f"/**: {{ros__parameters: {{use_sim_time: true}}}}\n"
    f"/**/policy: {{ros__parameters: {{{POLICY}}}}}",
}


@pytest.mark.parametrize("case", CLOCKS)
def test_a_parameter_file_need_not_and_cannot_choose_the_clock(
    case: str, balancing_policy: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Whatever the file says, the policy node's clock is that of the states' stamps.

    By the system's clock the first state would be decades old, which is a fault; a simulation
    that took its own clock would wait for itself.
    """
    parameters = tmp_path / "mine.yaml"
    parameters.write_text(CLOCKS[case])
    done = launch(
        [f"policy:={balancing_policy}", f"params_file:={parameters}", "duration:=0.4",
         "report:=r.json"],
        environment,
        tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "r.json").read_text())
    assert figures["fault"] == "" and figures["survived_s"] == 0.4


def test_ctrl_c_ends_everything_with_status_0(
    balancing_policy: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """An endless run in real time ends cleanly, the policy node with its report."""
    report = tmp_path / "report.json"
    process = subprocess.Popen(
        [*LAUNCH, f"policy:={balancing_policy}", f"report:={report}"],
        env=environment,
        cwd=tmp_path,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    text = ""
    try:
        deadline = time.monotonic() + TIMEOUT
        while "mode: " not in text:
            assert time.monotonic() < deadline and process.poll() is None, text
            text += process.stdout.readline()
        process.send_signal(signal.SIGINT)
        text += process.communicate(timeout=TIMEOUT)[0]
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 0, text
    assert text.count("process has finished cleanly") == 3 and "Traceback" not in text, text
    assert json.loads(report.read_text())["duration"] == 0.0


def test_the_arguments_are_documented(tmp_path: Path, environment: dict[str, str]) -> None:
    """--show-args lists every argument with a description."""
    done = launch(["--show-args"], environment, tmp_path)
    assert done.returncode == 0
    names = ("policy", "action_scale", "motion", "robot", "realtime_factor", "duration", "seed")
    for name in (*names, "viewer"):
        assert f"'{name}':" in done.stdout
    assert "lock-step" in done.stdout and "no description given" not in done.stdout.lower()
    assert "as in params_file (shipped: 1.0)" in done.stdout
