"""Faults in real processes: what goes over the wire when something breaks, and how soon."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from deploy_processes import EVERY_ONE, WAIT, Watcher, running  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

from g1_mimic.nodes.shared.messages import stamp_to_ns  # noqa: E402

PERIOD = 0.002
"""Of states, s."""
SOON = 3 * PERIOD
"""Time within which the motors must be damped, s."""


def modes_of(targets: list[JointState]) -> set[str]:
    return {target.header.frame_id for target in targets}


def plan(folder: Path, fault: str) -> Path:
    path = folder / "faults.yaml"
    path.write_text(f"faults: [{fault}]\n")
    return path


PLANNED = {
    "dropout": ("{kind: dropout, at: 0.4, duration: 0.3}", "no state for 0.30", (0, 1)),
    "old states": ("{kind: delay, at: 0.4, seconds: 0.2}", "old", (0, 1)),
    "nan": ("{kind: nan, at: 0.4, joint: left_knee_joint}", "joint_pos is not finite", (0, 1)),
    "killed simulation": ("{kind: kill_sim, at: 0.4}", "", (-9, 1)),
    "killed policy": ("{kind: kill_policy, at: 0.4}", "", (1, -9)),
}


@pytest.mark.parametrize("case", PLANNED)
def test_planned_faults_break_what_they_name_and_nothing_hangs(
    case: str, balancing_policy: Path, tmp_path: Path
) -> None:
    """In lock-step both processes end by themselves, and the report tells the reason."""
    fault, words, status = PLANNED[case]
    report = tmp_path / "report.json"
    shared = {"policy": balancing_policy, "realtime_factor": 0.0, "duration": 1.0}
    shared["faults"] = plan(tmp_path, fault)
    choices = {"autostart": True, "odometry": True, "stand_time": 0.1, "report": report}
    with (
        running("mujoco_sim", **shared, answer_timeout=2.0) as sim,
        running("policy", **shared, **choices) as node,
    ):
        out = [process.communicate(timeout=WAIT) for process in (sim, node)]
    assert (sim.returncode, node.returncode) == status, out
    if words:
        assert words in json.loads(report.read_text())["fault"]


ELBOW = "right_elbow_joint"
WAVE = {"motion": "wave", "encoder_tolerance": 0.05}
DAMPED: dict[str, tuple[str, float, float, str, dict[str, Any]]] = {
    # fault, first and last time after its beginning at which it can be known, reason, parameters
    # What is repeated was measured one period before.
    "frozen joints": ("{kind: frozen, sensor: joints, at: 0.4}", 0.048, 0.048,
                      "joint_states is frozen", {}),
    "frozen imu": ("{kind: frozen, sensor: imu, at: 0.4}", 0.048, 0.048, "imu is frozen", {}),
    # The elbow turns at 1 to 1.7 rad/s then.
    "a frozen joint": (f"{{kind: frozen_joint, joint: {ELBOW}, at: 4.4}}", 0.028, 0.06,
                       f"angle and speed of {ELBOW} contradict", WAVE),
    "an exception": ("{kind: exception, at: 0.4}", 0.0, 0.0, "RuntimeError: broken on purpose", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMPED)
def test_damping_comes_in_the_state_in_which_a_fault_can_be_known(
    case: str, watcher: Watcher, balancing_policy: Path, tmp_path: Path
) -> None:
    """Every state up to it is answered with tracking, all from then on with damping."""
    fault, first, last, words, choices = DAMPED[case]
    at = float(fault.rpartition("at: ")[2].rstrip("}"))
    report = tmp_path / "report.json"
    shared = {"policy": balancing_policy, "realtime_factor": 0.0, "duration": at + 0.3}
    shared["faults"] = plan(tmp_path, fault)
    choices = {**choices, "autostart": True, "odometry": True, "stand_time": 0.1}
    with (
        running("mujoco_sim", **shared, wait_for="policy") as sim,
        running(
            "policy", **shared, **choices, wait_for="mujoco_sim,watcher", report=report
        ) as node,
    ):
        watcher.wait_for(lambda: None not in (sim.poll(), node.poll()), "end of both nodes")
        assert (sim.returncode, node.returncode) == (0, 1)
    watcher.spin(0.2)
    assert words in json.loads(report.read_text())["fault"]
    modes = {stamp_to_ns(t.header.stamp): t.header.frame_id for t in watcher.targets}
    stamps = np.array([stamp for stamp, mode in modes.items() if mode != "stand"])
    assert (np.diff(stamps) == 2_000_000).all()  # none is missing, none without an answer
    limp = np.array([modes[stamp] == "damping" for stamp in stamps])
    assert not limp[0] and limp[-1] and (np.diff(limp.astype(int)) >= 0).all()
    damped = (stamps[limp.argmax()] - stamps[0]) * 1e-9
    assert first - 1e-9 <= damped - at <= last + SOON


def test_a_slow_network_holds_the_last_target_and_then_means_damping(
    watcher: Watcher, balancing_policy: Path, tmp_path: Path
) -> None:
    """In real time: states are answered meanwhile, then damped; the node lives and ends at once."""
    actions: list[int] = []
    watcher.node.create_subscription(
        JointState,
        "reference/joint_states",
        lambda m: actions.append(stamp_to_ns(m.header.stamp)),
        EVERY_ONE,
    )
    shared = {"policy": balancing_policy}
    choices = {"autostart": True, "odometry": True, "stand_time": 0.3, "state_timeout": 2.0}
    slow = plan(tmp_path, "{kind: slow_inference, at: 0.2, seconds: 5.0}")
    with (
        running("mujoco_sim", **shared, wait_for="policy", watchdog_periods=25) as sim,
        running("policy", **shared, **choices, faults=slow, wait_for="mujoco_sim,watcher") as node,
    ):
        fault = "no new action for 3 policy periods"
        watcher.wait_for(lambda: watcher.said("policy") == fault, "fault")
        watcher.wait_for(lambda: watcher.targets[-1].header.frame_id == "damping", "damping")
        watcher.spin(0.1)
        assert watcher.modes == ["stand", "track", "damping"]
        heads = [(stamp_to_ns(t.header.stamp), t.header.frame_id) for t in watcher.targets]
        damped = next(stamp for stamp, mode in heads if mode == "damping")
        held = [stamp for stamp, mode in heads if mode == "track" and stamp > actions[-1]]
        # The action after the last one is missing at its own turn and at the three after it.
        # States that a busy machine left out are time in which nothing could be done.
        lost = float(sum(np.diff([actions[-1], *held, damped]) - 2_000_000)) * 1e-9
        assert 0.06 <= (damped - actions[-1]) * 1e-9 <= 0.08 + SOON + lost
        assert len(held) * PERIOD >= 0.06 - lost
        answered = len(watcher.targets)
        watcher.wait_for(lambda: len(watcher.targets) > answered + 50, "answers after the fault")
        assert not watcher.trigger("/policy/stand").success
        assert sim.poll() is None
        node.send_signal(signal.SIGINT)
        watcher.wait_for(lambda: node.poll() is not None, "end of the policy node")
        assert node.returncode == 0


BROKEN = {
    "message": "Driver._on_message",
    "timer": "Driver._watch_states",
    "diagnostics": "PolicyNode._state_status",
    "service": "PolicyNode._request",
    "parameter": "PolicyNode._apply",
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_exception_in_a_callback_is_a_latched_fault(
    case: str,
    watcher: Watcher,
    balancing_policy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The node lives, damps every state, names the error, and goes on once it is reset."""
    broken = tmp_path / "broken"
    monkeypatch.setenv("BROKEN_METHOD", BROKEN[case])
    monkeypatch.setenv("BROKEN_SINCE", str(broken))
    script = Path(__file__).parent / "broken_policy_node.py"
    shared = {"policy": balancing_policy}
    choices = {"autostart": True, "odometry": True, "start_mode": "stand", "stand_time": 0.3}
    patient = {"state_timeout": 5.0}
    with (
        running("mujoco_sim", **shared, watchdog_periods=25),
        running("policy", script, **shared, **choices, **patient) as node,
    ):
        watcher.wait_for(lambda: watcher.modes == ["stand"], "mode stand")
        words = "ValueError: a mistake in two lines"
        broken.touch()
        if case == "service":
            answer = watcher.trigger("/policy/track")
            assert not answer.success and answer.message == words
        if case == "parameter":
            answer = watcher.set("policy", "tilt_limit", 0.9)
            assert not answer.successful and answer.reason == words
        watcher.wait_for(lambda: watcher.modes[-1] == "damping", "mode damping")
        watcher.wait_for(lambda: watcher.said("policy") == words, "fault")
        broken.unlink()
        # Targets from before the fault may still be on their way.
        watcher.wait_for(lambda: modes_of(watcher.targets[-1:]) == {"damping"}, "a damping target")
        watcher.targets.clear()
        watcher.wait_for(lambda: len(watcher.targets) > 50, "answers after the fault")
        assert modes_of(watcher.targets) == {"damping"}
        assert not watcher.trigger("/policy/stand").success
        assert watcher.trigger("/policy/reset_fault").message.startswith(f"reset: {words}")
        watcher.wait_for(lambda: watcher.trigger("/policy/stand").success, "standing again")
        assert node.poll() is None
