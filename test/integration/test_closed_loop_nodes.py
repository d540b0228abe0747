"""One process or two nodes: the same deployment, to the last digit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from g1_mimic.nodes.closed_loop import ClosedLoop
from g1_mimic.nodes.sim_setup import SimSettings
from g1_mimic.policy.controller import ControllerSettings

SECONDS = 2.0


def test_two_nodes_in_lockstep_do_what_one_process_does(
    balancing_policy: Path, tmp_path: Path
) -> None:
    """Messages change nothing: with lost states, delays, noise and another robot, same figures."""
    simulation = {
        "policy": str(balancing_policy), "seed": 5, "start_noise": 0.01, "state_dropout": 0.05,
        "state_delay": 0.002,
    }  # fmt: skip
    ranges = {
        "link_mass": [0.95, 1.05], "encoder_bias": [-0.002, 0.002], "joint_pos_noise": 0.001,
        "action_delay_s": [0.002, 0.002],
    }  # fmt: skip
    loop = ClosedLoop(
        SimSettings(**simulation, randomisation=ranges), ControllerSettings(stand_time=0.3)
    )
    assert loop.track(SECONDS)
    report = tmp_path / "report.json"
    shared = {"realtime_factor": 0.0, "duration": SECONDS}
    parameters = {
        "mujoco_sim": simulation | shared | {f"randomisation.{k}": v for k, v in ranges.items()},
        "policy": {"policy": balancing_policy, "stand_time": 0.3, "report": report, **shared},
    }
    parameters["policy"] |= {"autostart": "true", "odometry": "true"}
    processes = []
    for node, values in parameters.items():
        command = [sys.executable, "-m", f"g1_mimic.nodes.{node}", "--ros-args"]
        for name, value in values.items():
            command += ["-p", f"{name}:={value}"]
        processes.append(subprocess.Popen(command))
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    told, own = json.loads(report.read_text()), loop.report.figures()
    del told["latency_ms"], own["latency_ms"]
    assert {name: told[name] for name in own} == own
