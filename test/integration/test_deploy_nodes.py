"""The nodes mujoco_sim and policy as processes of their own, watched by a third one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from deploy_processes import EVERY_ONE, WAIT, Inquirer, Watcher, lockstep, running  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from nav_msgs.msg import Odometry  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import Imu, JointState  # noqa: E402
from std_msgs.msg import Empty, Float64MultiArray, String  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402

from g1_mimic.nodes.shared.common import LATCHED_QOS, STREAM_QOS  # noqa: E402
from g1_mimic.nodes.shared.messages import WORLD_FRAME, quaternion, stamp_to_ns, vector3  # noqa: E402
from g1_mimic.robot.names import ANCHOR_BODY_NAME, JOINT_NAMES  # noqa: E402


def test_lockstep_runs_are_equal_to_the_last_digit(balancing_policy: Path, tmp_path: Path) -> None:
    """Two runs of two processes each give the same numbers, and both end by themselves."""
    first, second = (lockstep(balancing_policy, tmp_path / f"{n}.json") for n in "ab")
    for report in (first, second):
        latency = report.pop("latency_ms")
        assert 0.0 < latency["p50"] <= latency["p99"] <= latency["max"]
    assert first == second
    assert first["survived_s"] == 2.0 and not first["fell"] and first["fault"] == ""
    assert first["motion"] == "still" and first["seed"] == 5
    assert set(first["joint_error_rad"]) == set(JOINT_NAMES)
    assert 0.0 < first["joint_error_mean_rad"] < 0.1
    assert 0.0 < first["anchor_position_error_m"] < 0.2


def test_the_reference_is_where_the_robot_stands(watcher: Watcher, pair: Any) -> None:
    """reference/odom has the pose of the anchor, aligned to the robot; every part has a status."""
    poses: dict[str, Odometry] = {}
    for topic in ("odom", "reference/odom"):
        watcher.node.create_subscription(
            Odometry, topic, lambda m, topic=topic: poses.update({topic: m}), STREAM_QOS
        )
    watcher.wait_for(lambda: watcher.trigger("/policy/track").success, "tracking")
    watcher.wait_for(lambda: len(poses) == 2, "poses")
    robot, reference = poses["odom"], poses["reference/odom"]
    assert reference.header.frame_id == robot.header.frame_id == WORLD_FRAME
    assert reference.child_frame_id == ANCHOR_BODY_NAME
    away = vector3(reference.pose.pose.position) - vector3(robot.pose.pose.position)
    assert np.linalg.norm(away) < 0.3
    assert np.linalg.norm(quaternion(reference.pose.pose.orientation)) == pytest.approx(1.0)
    parts = {"policy", *(f"policy/{part}" for part in ("state", "limits", "timing"))}
    parts |= {"mujoco_sim", "mujoco_sim/timing"}
    watcher.wait_for(lambda: parts <= set(watcher.status), "status of every part")
    watcher.wait_for(lambda: watcher.said("policy") == "track", "mode in the status")


def test_a_killed_policy_node_leaves_a_damped_robot(watcher: Watcher, pair: Any) -> None:
    """Without fresh targets the motors damp by themselves."""
    sim, policy = pair
    policy.kill()
    watcher.wait_for(
        lambda: watcher.said("mujoco_sim") == "damping: no fresh target", "damped robot"
    )
    assert sim.poll() is None


def test_a_state_stream_that_stops_is_a_latched_fault(watcher: Watcher, pair: Any) -> None:
    """A frozen simulation puts the policy node into damping, where it stays when it thaws."""
    sim, _ = pair
    os.kill(sim.pid, signal.SIGSTOP)
    watcher.wait_for(lambda: watcher.modes[-1] == "damping", "mode damping")
    watcher.wait_for(lambda: "no state for" in watcher.said("policy"), "fault")
    watcher.wait_for(lambda: "no state for" in watcher.said("policy/state"), "silence")
    os.kill(sim.pid, signal.SIGCONT)
    watcher.wait_for(lambda: "no state for" not in watcher.said("policy/state"), "fresh states")
    watcher.targets.clear()
    watcher.wait_for(lambda: len(watcher.targets) > 100, "answers to the thawed robot")
    assert {target.header.frame_id for target in watcher.targets} == {"damping"}
    answer = watcher.trigger("/policy/stand")
    assert not answer.success and "reset_fault" in answer.message
    # Reactivation does not clear the fault, the service does.
    assert watcher.transition(Transition.TRANSITION_DEACTIVATE)
    assert not watcher.transition(Transition.TRANSITION_ACTIVATE)
    assert watcher.trigger("/policy/reset_fault").message.startswith("reset: no state for")
    assert watcher.transition(Transition.TRANSITION_ACTIVATE)
    watcher.wait_for(lambda: watcher.modes[-1] == "stand", "mode stand")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_signals_end_with_damping_and_status_0(watcher: Watcher, pair: Any, number: int) -> None:
    """The last words of an interrupted policy node are damping: no stiffness, gains of its own."""
    _, policy = pair
    policy.send_signal(number)
    watcher.wait_for(lambda: policy.poll() is not None, "end of the policy node")
    watcher.spin(0.2)
    assert policy.returncode == 0
    assert "Traceback" not in policy.stderr.read()
    assert watcher.targets[-1].header.frame_id == "damping"
    gains = watcher.gains[-1]
    assert gains.layout.dim[0].label == "damping"
    assert not any(gains.data[:29]) and all(d > 0 for d in gains.data[29:])


def test_a_deactivated_node_damps_until_somebody_else_takes_over(
    watcher: Watcher, pair: Any
) -> None:
    """Every state is answered with damping while the process lives and nobody else publishes."""
    assert watcher.transition(Transition.TRANSITION_DEACTIVATE)
    watcher.targets.clear()
    watcher.wait_for(lambda: len(watcher.targets) > 100, "answers of the inactive node")
    assert {target.header.frame_id for target in watcher.targets} == {"damping"}
    watcher.node.create_publisher(JointState, "joint_targets", STREAM_QOS)
    watcher.spin(1.0)
    watcher.targets.clear()
    watcher.spin(0.5)
    assert not watcher.targets


def test_a_killed_simulation_leaves_a_latched_fault(watcher: Watcher, pair: Any) -> None:
    """Without states the policy node damps, stays, and ends at once when told to."""
    sim, policy = pair
    sim.kill()
    watcher.wait_for(lambda: watcher.modes[-1] == "damping", "mode damping")
    assert policy.poll() is None
    policy.send_signal(signal.SIGINT)
    watcher.wait_for(lambda: policy.poll() is not None, "end of the policy node")
    assert policy.returncode == 0


def test_the_emergency_stop_stops_both_sides(watcher: Watcher, pair: Any) -> None:
    """One message on e_stop: the policy node's fault is latched, the robot damps until reset."""
    publisher = watcher.node.create_publisher(Empty, "e_stop", STREAM_QOS)
    watcher.wait_for(lambda: publisher.get_subscription_count() == 2, "listeners on e_stop")
    publisher.publish(Empty())
    watcher.wait_for(lambda: watcher.said("policy") == "emergency stop", "fault")
    watcher.wait_for(lambda: watcher.said("mujoco_sim") == "emergency stop", "stopped robot")
    assert watcher.modes[-1] == "damping"
    assert watcher.trigger("/mujoco_sim/reset").success
    watcher.wait_for(lambda: watcher.said("mujoco_sim") == "in the hoist", "hoisted robot")


def test_pause_is_no_fault_and_services_change_the_mode(watcher: Watcher, pair: Any) -> None:
    """A paused simulation may be looked at for longer than the state time-out."""
    assert watcher.call(SetBool, "/mujoco_sim/pause", SetBool.Request(data=True)).success
    watcher.spin(2.5)
    assert watcher.modes[-1] == "stand"
    assert watcher.call(SetBool, "/mujoco_sim/pause", SetBool.Request(data=False)).success
    watcher.spin(0.3)
    assert watcher.modes[-1] == "stand"
    assert watcher.trigger("/mujoco_sim/push").success
    assert watcher.trigger("/policy/stop").message == "mode: damping"
    watcher.wait_for(lambda: watcher.modes[-1] == "damping", "mode damping")
    assert watcher.trigger("/mujoco_sim/reset").success
    assert watcher.trigger("/policy/stand").success
    watcher.wait_for(lambda: watcher.trigger("/policy/track").success, "end of stand")
    watcher.wait_for(lambda: "track" in watcher.modes, "mode track")


def test_a_state_without_a_joint_is_a_fault(watcher: Watcher, balancing_policy: Path) -> None:
    """Joints are read by name: a missing one is named, means damping, and fails a limited run."""
    clock = {"use_sim_time": False, "state_clock": "none"}
    with running(
        "policy", policy=balancing_policy, autostart=True, duration=5.0, **clock
    ) as policy:
        joints_out = watcher.node.create_publisher(JointState, "joint_states", STREAM_QOS)
        imu_out = watcher.node.create_publisher(Imu, "imu", STREAM_QOS)
        watcher.wait_for(lambda: imu_out.get_subscription_count() == 1, "policy node")
        imu = Imu()
        imu.orientation.w = 1.0
        joints = JointState(name=list(JOINT_NAMES), position=[0.0] * 29, velocity=[0.0] * 29)

        def send(stamp: int) -> None:
            for message, publisher in ((imu, imu_out), (joints, joints_out)):
                message.header.stamp.nanosec = stamp
                publisher.publish(message)

        clock = iter(range(0, 999_000_000, 2_000_000))

        def standing() -> bool:
            send(next(clock))
            watcher.spin(0.002)
            return watcher.modes == ["stand"]

        watcher.wait_for(standing, "mode stand")
        joints.name[7] = "right_hip_rol_joint"
        send(next(clock))
        watcher.wait_for(
            lambda: "'right_hip_roll_joint' is missing" in watcher.said("policy"), "fault"
        )
        assert watcher.modes[-1] == "damping"
        watcher.wait_for(lambda: policy.poll() is not None, "end of the policy node")
        assert policy.returncode == 1


def test_targets_are_paired_with_the_gains_of_their_mode(
    watcher: Watcher, balancing_policy: Path
) -> None:
    """A target waits for gains that carry its mode; foreign ones without a mode take the newest."""
    targets_out = watcher.node.create_publisher(JointState, "joint_targets", STREAM_QOS)
    gains_out = watcher.node.create_publisher(Float64MultiArray, "joint_gains", LATCHED_QOS)
    with running("mujoco_sim", watchdog_periods=100):
        watcher.wait_for(lambda: targets_out.get_subscription_count() == 2, "robot")
        target = JointState(name=list(JOINT_NAMES), position=[0.0] * 29)
        target.header.frame_id = "stand"

        def sending() -> Callable[[], bool]:
            def sent() -> bool:
                targets_out.publish(target)
                return watcher.said("mujoco_sim") == "in the hoist"

            return sent

        for _ in range(30):
            targets_out.publish(target)
            watcher.spin(0.05)
        assert watcher.said("mujoco_sim") == "damping: no fresh target"
        gains = Float64MultiArray(data=[10.0] * 58)
        gains_out.publish(gains)  # without a label: of no mode
        for _ in range(30):
            targets_out.publish(target)
            watcher.spin(0.05)
        assert watcher.said("mujoco_sim") == "damping: no fresh target"
        target.header.frame_id = ""
        watcher.wait_for(sending(), "driven robot")


def test_a_target_of_too_few_bytes_is_told_and_the_simulation_goes_on() -> None:
    """Whoever sends bytes of their own cannot end the node."""
    client = Inquirer("sender")  # no watcher: rclpy itself fails at such a message
    out = client.node.create_publisher(JointState, "joint_targets", STREAM_QOS)
    data = serialize_message(JointState(name=list(JOINT_NAMES), position=[0.0] * 29))
    try:
        with running("mujoco_sim") as process:
            client.wait_for(lambda: out.get_subscription_count() == 1, "robot")

            def told() -> bool:
                out.publish(data[: len(data) // 2])
                return "a message that is no JointState" in client.said("mujoco_sim")

            client.wait_for(told, "complaint")
            assert client.said("mujoco_sim").startswith("damping: ") and process.poll() is None
    finally:
        client.close()


BAD_INPUTS = {
    "misspelled parameter": ("policy", {"polcy": "x"}, "unknown key; did you mean 'policy'?"),
    "no such file": ("policy", {"policy": "/none.onnx", "autostart": True}, "not found"),
    "no policy": ("policy", {"autostart": True}, "give the policy file"),
    "bad range": ("mujoco_sim", {"realtime_factor": -1.0}, "realtime_factor"),
    "bad choice": ("mujoco_sim", {"feet": "wheels"}, "'capsules' or 'spheres'"),
    "no faults": ("mujoco_sim", {"faults": "/none.yaml"}, "faults '/none.yaml' not found"),
    "bad profile": ("mujoco_sim", {"robot": "g2"}, "robot profile 'g2' not found"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_one_line_and_status_2(case: str) -> None:
    """A node that cannot start says so in one line."""
    node, parameters, words = BAD_INPUTS[case]
    with running(node, **parameters) as process:
        _, err = process.communicate(timeout=WAIT)
        lines = err.strip().splitlines()
        assert process.returncode == 2 and len(lines) == 1, err
        assert lines[0].startswith("error: ") and words in lines[0]


def test_a_truncated_policy_is_one_line_and_status_2(
    balancing_policy: Path, tmp_path: Path
) -> None:
    """Half a file is no policy, for either node."""
    half = tmp_path / "half.onnx"
    half.write_bytes(balancing_policy.read_bytes()[:3000])
    for node, extra in (("policy", {"autostart": True}), ("mujoco_sim", {})):
        with running(node, policy=half, **extra) as process:
            _, err = process.communicate(timeout=WAIT)
            assert process.returncode == 2, err
            assert len(err.strip().splitlines()) == 1 and "half.onnx" in err


def test_a_motion_that_is_not_there_is_refused(balancing_policy: Path) -> None:
    """One line names it; no node stays behind."""
    with running("policy", policy=balancing_policy, motion="moonwalk", autostart=True) as process:
        _, err = process.communicate(timeout=WAIT)
        assert process.returncode == 2
        assert "motion 'moonwalk' not found" in err


def test_no_state_is_answered_before_all_listeners_are_there(
    watcher: Watcher, balancing_policy: Path
) -> None:
    """Time stands still until those named in wait_for listen, and they hear the first answer."""
    late = rclpy.create_node("late")
    executor = SingleThreadedExecutor()
    executor.add_node(late)
    heard: list[int] = []
    shared = {"policy": balancing_policy, "realtime_factor": 0.0}
    choices = {"autostart": True, "odometry": True, "wait_for": "mujoco_sim, late"}
    with running("mujoco_sim", **shared, wait_for="policy"), running("policy", **shared, **choices):
        waiting = "waiting for mujoco_sim, late to listen to joint_targets"
        watcher.wait_for(lambda: watcher.said("policy") == waiting, "waiting node")
        assert not watcher.targets
        late.create_subscription(
            JointState,
            "joint_targets",
            lambda m: heard.append(stamp_to_ns(m.header.stamp)),
            EVERY_ONE,
        )
        deadline = time.monotonic() + WAIT
        while len(heard) < 200:
            assert time.monotonic() < deadline, "no answers"
            executor.spin_once(timeout_sec=0.02)
    # A state that is sent again, on a busy machine, is answered again.
    assert list(dict.fromkeys(heard))[:100] == list(range(0, 200_000_000, 2_000_000))
    executor.shutdown()
    late.destroy_node()


def test_motions_are_switched_by_service(watcher: Watcher, balancing_policy: Path) -> None:
    """Each motion has a service; while tracking, the robot goes over to it and keeps standing."""
    playing: list[str] = []
    watcher.node.create_subscription(
        String, "policy/motion", lambda m: playing.append(m.data), LATCHED_QOS
    )
    shared = {"policy": balancing_policy, "realtime_factor": 0.0}
    choices = {"autostart": True, "odometry": True, "stand_time": 0.3, "blend_time": 0.5}
    with (
        running("mujoco_sim", **shared),
        running("policy", **shared, **choices, motion="still,wave"),
    ):
        watcher.wait_for(lambda: watcher.modes[-1:] == ["track"], "mode track")
        watcher.wait_for(lambda: playing == ["still"], "motion still")
        answer = watcher.trigger("/policy/switch_to_wave")
        assert answer.success and answer.message == "motion: wave"
        watcher.wait_for(lambda: playing == ["still", "wave"], "motion wave")
        back = "/policy/switch_to_still"
        watcher.wait_for(lambda: watcher.trigger(back).success, "end of the first switch")
        watcher.spin(0.5)
        assert watcher.modes[-1] == "track" and playing[-1] == "still"


def test_a_lockstep_run_without_its_policy_node_fails(
    watcher: Watcher, balancing_policy: Path
) -> None:
    """When the answers stay away the simulation ends, and says what is missing."""
    with running(
        "mujoco_sim", policy=balancing_policy, realtime_factor=0.0, answer_timeout=1.0
    ) as sim:
        choices = {"realtime_factor": 0.0, "autostart": True, "stand_time": 0.1}
        with running("policy", policy=balancing_policy, **choices) as policy:
            watcher.wait_for(lambda: "track" in watcher.modes, "mode track")
            policy.kill()
        _, err = sim.communicate(timeout=WAIT)
        assert sim.returncode == 1 and "is the policy node running" in err


def test_activation_is_refused_while_somebody_else_commands(
    watcher: Watcher, balancing_policy: Path
) -> None:
    """Two writers on joint_targets would fight over the robot."""
    other = watcher.node.create_publisher(JointState, "joint_targets", STREAM_QOS)
    with running("policy", policy=balancing_policy):
        assert watcher.transition(Transition.TRANSITION_CONFIGURE)
        watcher.wait_for(lambda: watcher.said("policy") == "not active", "configured node")
        assert not watcher.transition(Transition.TRANSITION_ACTIVATE)
        watcher.node.destroy_publisher(other)
        watcher.wait_for(lambda: watcher.transition(Transition.TRANSITION_ACTIVATE), "activation")
        watcher.wait_for(lambda: watcher.said("policy").startswith("waiting for"), "waiting node")


def test_a_bad_policy_leaves_a_managed_node_unconfigured(watcher: Watcher) -> None:
    """Without autostart the node stays, and tells its manager that configuring failed."""
    with running("policy", policy="/none.onnx") as policy:
        assert not watcher.transition(Transition.TRANSITION_CONFIGURE)
        watcher.wait_for(lambda: "not found" in watcher.said("policy"), "reason")
        assert policy.poll() is None
