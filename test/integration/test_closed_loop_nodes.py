"""Without ROS, two nodes, or both in one process: the same deployment, to the last digit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from deploy_processes import composed, running

from g1_mimic.deployment.controller import ControllerSettings
from g1_mimic.simulation.closed_loop import ClosedLoop
from g1_mimic.simulation.settings import SimSettings

SECONDS = 2.0


def test_nodes_in_lockstep_do_what_is_done_without_ros(
    balancing_policy: Path, tmp_path: Path
) -> None:
    """Messages, calls change nothing: lost states, delays, noise, another robot, same figures."""
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
    shared = {"realtime_factor": 0.0, "duration": SECONDS}
    sim_only = {f"randomisation.{name}": value for name, value in ranges.items()}
    policy_only = {"autostart": True, "odometry": True, "stand_time": 0.3}
    files = {"two": tmp_path / "two.json", "one": tmp_path / "one.json"}
    sim_parameters = {**simulation, **shared, **sim_only}
    policy_parameters = {"policy": balancing_policy, **policy_only, **shared}
    with (
        running("mujoco_sim", **sim_parameters) as sim,
        running("policy", **policy_parameters, report=files["two"]) as node,
    ):
        said = [process.communicate(timeout=120) for process in (sim, node)]
        assert (sim.returncode, node.returncode) == (0, 0), said
    with composed(sim_parameters, {**policy_parameters, "report": files["one"]}) as process:
        heard = process.communicate(timeout=120)
        assert process.returncode == 0, heard
    own = loop.report.figures()
    del own["latency_ms"]
    for file in files.values():
        told = json.loads(file.read_text())
        assert {name: told[name] for name in own} == own
