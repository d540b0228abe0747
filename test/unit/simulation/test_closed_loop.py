"""A deployment in one process: seeds, lost states, the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from g1_mimic.cli.main import main
from g1_mimic.control.modes import Mode
from g1_mimic.deployment.safety import ControllerSettings
from g1_mimic.files import share_dir
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.names import JOINT_NAMES
from g1_mimic.simulation.closed_loop import ClosedLoop
from g1_mimic.simulation.settings import SimSettings

QUICK = ControllerSettings(stand_time=0.2)
EVERYTHING = {
    "randomisation": {
        "friction": (0.6, 1.2), "link_mass": (0.95, 1.05), "stiffness": (0.95, 1.05),
        "encoder_bias": (-0.002, 0.002), "joint_pos_noise": 0.001, "gyro_noise": 0.01,
        "action_delay_s": (0.0, 0.004), "push_velocity": (0.05, 0.05, 0, 0, 0, 0),
        "push_interval_s": (0.5, 1.0),
    },
    "state_dropout": 0.05,
    "start_noise": 0.01,
}  # fmt: skip


def loop(policy: Path, **choices: Any) -> ClosedLoop:
    return ClosedLoop(SimSettings(policy=str(policy), **choices), QUICK)


def test_a_policy_stands_up_and_tracks(balancing_policy: Path) -> None:
    """The robot leaves the hoist when tracking begins, and is there at the end."""
    run = loop(balancing_policy)
    assert run.track(3.0)
    assert not run.sim.hoisted and run.sim.data.qpos[2] > 0.7
    figures = run.report.figures()
    assert figures["survived_s"] == pytest.approx(3.0) and not figures["fell"]
    assert run.sim.time_ns == pytest.approx(3.2e9, abs=4e6)


def test_the_torso_does_not_topple_while_the_robot_stands() -> None:
    """Gravity is stiffer than the waist of a policy (28.5 N·m/rad): stand has gains of its own."""
    policy = share_dir() / "models" / "policies" / "walk.onnx"
    own = np.array(OnnxPolicy.load(policy).metadata.joint_stiffness)
    waist = JOINT_NAMES.index("waist_pitch_joint")
    lean = {}
    for scale in (1.0, ControllerSettings().stand_stiffness_scale):
        settings = ControllerSettings(start_mode="stand", stand_stiffness_scale=scale)
        run = ClosedLoop(SimSettings(policy=str(policy)), settings)
        for _ in range(20 * 500):
            run.step()
        command = run.controller.step(run.sim.state())
        assert command.mode is Mode.STAND
        np.testing.assert_allclose(command.stiffness, scale * own)
        lean[scale] = abs(run.sim.data.qpos[7 + waist] - command.position[waist])
    assert lean[1.0] > 0.15 and min(lean.values()) < 0.05
    run.sim.step()
    run.controller.track()
    command = run.controller.step(run.sim.state())
    assert command.mode is Mode.TRACK
    np.testing.assert_allclose(command.stiffness, own)


def test_a_seed_gives_the_same_run_again(balancing_policy: Path) -> None:
    """Another robot, noise, delay, pushes and lost states: all of it follows the seed."""
    runs = [loop(balancing_policy, seed=seed, **EVERYTHING) for seed in (1, 1, 2)]
    for run in runs:
        assert run.track(2.0), run.controller.mode_state.fault
    first, same, other = (run.sim.data.qpos for run in runs)
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-4
    figures = [run.report.figures() | {"latency_ms": 0} for run in runs]
    assert figures[0] == figures[1] != figures[2]


def test_a_fall_ends_the_run(balancing_policy: Path) -> None:
    """On ice the robot falls: tracking stops, and the report says so."""
    run = loop(balancing_policy, randomisation={"push_velocity": (3.0,) * 2 + (0.0,) * 4})
    assert not run.track(20.0)
    assert run.report.fell and "tilted" in run.controller.mode_state.fault


def test_the_command_line_reports(
    balancing_policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`g1-mimic simulate` prints a line or JSON, and its status says whether the robot fell."""
    command = ["simulate", str(balancing_policy), "--seconds", "0.5"]
    assert main(command) == 0
    assert "tracked 0.5 s" in capsys.readouterr().out
    assert main([*command, "--json", "--set", "joint_friction=0.5", "--set", "seed=2"]) == 0
    assert json.loads(capsys.readouterr().out)["survived_s"] == 0.5
    assert main([*command, "--set", "randomisation.frictoin=[1,1]"]) == 2
    assert "did you mean 'friction'?" in capsys.readouterr().err
