"""Both nodes in one process: what comes out, faults, services and the end are as in two."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")

from deploy_processes import EVERY_ONE, Watcher, composed, running
from sensor_msgs.msg import JointState
from std_msgs.msg import Empty

from g1_mimic.nodes.shared.common import STREAM_QOS
from g1_mimic.nodes.shared.messages import stamp_to_ns

END = 120.0
"""Wall time after which a process should have ended long ago, s."""


def parameters(policy: Path, **shared: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return those of simulation and policy node."""
    common = {"policy": policy, "realtime_factor": 0.0, **shared}
    own = {"autostart": True, "odometry": True, "stand_time": 0.3}
    return common, {**common, **own}


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    client = Watcher()
    yield client
    client.close()


def faults(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "faults.yaml"
    path.write_text(f"faults: [{text}]\n")
    return path


def test_states_that_arrive_together_are_answered_as_in_two_processes(
    balancing_policy: Path, tmp_path: Path
) -> None:
    """Late states come in bunches, of which the last one alone is answered in time."""
    broken = faults(tmp_path, "{kind: jitter, at: 0.2, duration: 0.6, seconds: 0.009}")
    sim, policy = parameters(balancing_policy, duration=1.0, faults=broken)
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    with composed(sim, {**policy, "report": one}) as process:
        said = process.communicate(timeout=END)
        assert process.returncode == 0, said
    with (
        running("mujoco_sim", **sim) as first,
        running("policy", **policy, report=two) as second,
    ):
        said_too = [p.communicate(timeout=END) for p in (first, second)]
        assert (first.returncode, second.returncode) == (0, 0), said_too
    reports = [json.loads(path.read_text()) for path in (one, two)]
    for report in reports:
        del report["latency_ms"]
    assert reports[0] == reports[1] and not reports[0]["fell"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("{kind: nan, at: 0.5, joint: left_knee_joint}", "joint_pos is not finite"),
        ("{kind: delay, at: 0.5, seconds: 0.2}", "the state is 0.200 s old"),
        ("{kind: dropout, at: 0.5, duration: 0.3}", "no state for 0.30"),
        ("{kind: exception, at: 0.5}", "broken on purpose"),
    ],
)
def test_faults_are_found_and_latched(
    balancing_policy: Path, tmp_path: Path, fault: str, reason: str
) -> None:
    """By the simulated clock, and told by status and report."""
    report = tmp_path / "report.json"
    sim, policy = parameters(balancing_policy, duration=2.0, faults=faults(tmp_path, fault))
    with composed(sim, {**policy, "report": report}) as process:
        said = process.communicate(timeout=END)
    assert process.returncode == 1, said
    assert reason in json.loads(report.read_text())["fault"]


def test_services_topics_and_emergency_stop_work_between_the_states(
    balancing_policy: Path, watcher: Watcher
) -> None:
    """Stop, stand again, be stopped for good; observers get each state and its answer."""
    states: list[int] = []
    watcher.node.create_subscription(
        JointState, "joint_states", lambda m: states.append(stamp_to_ns(m.header.stamp)), EVERY_ONE
    )
    e_stop = watcher.node.create_publisher(Empty, "e_stop", STREAM_QOS)
    with composed(*parameters(balancing_policy, wait_for="watcher")) as process:
        watcher.wait_for(lambda: "track" in watcher.modes, "tracking")
        watcher.wait_for(lambda: len(states) > 600, "states")
        assert watcher.trigger("/policy/stop").success
        watcher.wait_for(lambda: watcher.modes[-1] == "damping", "damping")
        assert watcher.trigger("/mujoco_sim/reset").success
        assert watcher.trigger("/policy/stand").success
        watcher.wait_for(lambda: watcher.modes[-1] in ("stand", "track"), "stand")
        e_stop.publish(Empty())
        watcher.wait_for(lambda: watcher.said("policy") == "emergency stop", "fault")
        watcher.wait_for(lambda: watcher.said("mujoco_sim") == "emergency stop", "stop")
        assert not watcher.trigger("/policy/stand").success
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=END)
        assert process.returncode == 0 and "Traceback" not in "".join(said), said
    count = -1
    while count < len(states) + len(watcher.targets):  # what is still to be read
        count = len(states) + len(watcher.targets)
        watcher.spin(1.0)
    assert watcher.targets[-1].header.frame_id == "damping"
    answered = {stamp_to_ns(t.header.stamp) for t in watcher.targets}
    heard = [stamp for stamp in states if min(answered) <= stamp < max(answered)]
    assert len(heard) > 500 and answered.issuperset(heard)
    assert sorted(set(heard)) == list(range(heard[0], heard[-1] + 1, 2_000_000))


def test_real_time_is_refused(balancing_policy: Path) -> None:
    """One process holds up its own states: for real time there are two."""
    sim, policy = parameters(balancing_policy)
    for each in (sim, policy):
        each["realtime_factor"] = 1.0
    with composed(sim, policy) as process:
        _, errors = process.communicate(timeout=END)
    assert process.returncode == 2
    assert "error: both nodes in one process run in lock-step" in errors.splitlines()[-1]
