"""The node recorder as a process of its own: what it writes is what was sent."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")
rosbags = pytest.importorskip("rosbags.highlevel")

from rclpy.node import Node  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Empty, String  # noqa: E402

from g1_mimic.nodes.shared.common import LATCHED_QOS, SENDING_QOS, STREAM_QOS  # noqa: E402
from g1_mimic.nodes.shared.message_types import message_definition  # noqa: E402
from g1_mimic.nodes.shared.wire import JointStateWriter  # noqa: E402
from g1_mimic.recording.bag_reader import read_recording  # noqa: E402

WAIT = 20.0
STATES = 300


@pytest.fixture
def robot() -> Iterator[Node]:
    """A node that stands in for the robot."""
    rclpy.init()
    node = rclpy.create_node("robot")
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


def record_states(node: Node, path: Path, *, held_up: bool = False) -> subprocess.Popen[str]:
    """Start a recorder, and publish states, a mode and an emergency stop once it listens.

    ``held_up``: it does not run meanwhile, as on a busy machine.
    """
    modes = node.create_publisher(String, "policy/mode", LATCHED_QOS)
    modes.publish(String(data="track"))
    states = node.create_publisher(JointState, "joint_states", SENDING_QOS)
    stop = node.create_publisher(Empty, "e_stop", STREAM_QOS)
    command = [sys.executable, "-m", "g1_mimic.nodes.executables", "recorder", "--ros-args"]
    command += ["-p", f"file:={path}", "-p", "flush_period:=0.2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + WAIT
    publishers = (modes, states, stop)
    while any(publisher.get_subscription_count() < 1 for publisher in publishers):
        assert time.monotonic() < deadline and process.poll() is None, "the recorder never listens"
        time.sleep(0.05)
    message = JointStateWriter()
    if held_up:
        process.send_signal(signal.SIGSTOP)
    for i in range(STATES):
        message.position[:] = i
        states.publish(message.stamped(i * 2_000_000))
        time.sleep(0.001)
    stop.publish(Empty())
    if held_up:
        process.send_signal(signal.SIGCONT)
    return process


def test_a_recording_holds_every_message(robot: Node, tmp_path: Path) -> None:
    """States, latched modes and single events are there, and the file is finished at SIGINT."""
    path = tmp_path / "new" / "run.mcap"
    process = record_states(robot, path)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=WAIT)[0]
    assert process.returncode == 0 and "Traceback" not in output, output
    assert f"{path}: " in output and " 0 lost" in output
    recording = read_recording(path)
    assert recording.complete
    series = recording.joints["joint_states"]
    assert np.array_equal(series.position[:, 0], np.arange(STATES))
    assert (np.diff(series.sent) > 0).all()
    assert [mode for _, mode in recording.modes] == ["track"]
    assert recording.facts is not None and recording.facts.robot == "g1_29dof"
    with rosbags.AnyReader([path]) as reader:
        counts = {c.topic: c.msgcount for c in reader.connections}
        states = next(c for c in reader.connections if c.topic == "/joint_states")
        first = next(reader.messages([states]))
        assert reader.deserialize(first[2], states.msgtype).position.tolist() == [0.0] * 29
        assert states.ext.offered_qos_profiles[0].reliability.name == "RELIABLE"
    assert counts["/e_stop"] == 1 and counts["/joint_states"] == STATES


def test_a_recorder_that_is_held_up_loses_nothing(robot: Node, tmp_path: Path) -> None:
    """What was sent while the recorder did not run waits for it with the sender."""
    path = tmp_path / "run.mcap"
    process = record_states(robot, path, held_up=True)
    time.sleep(4.0)  # every three seconds, a sender says what it has
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=WAIT)[0]
    assert " 0 lost" in output
    series = read_recording(path).joints["joint_states"]
    assert np.array_equal(series.position[:, 0], np.arange(STATES))


def test_a_kill_leaves_all_but_the_last_moment(robot: Node, tmp_path: Path) -> None:
    """After SIGKILL what was flushed can be read, without an index."""
    path = tmp_path / "run.mcap"
    process = record_states(robot, path)
    time.sleep(1.0)
    process.kill()
    process.communicate(timeout=WAIT)
    recording = read_recording(path)
    assert not recording.complete
    assert len(recording.joints["joint_states"]) == STATES


def test_definitions_hold_all_types_inside() -> None:
    """Each type that a message is made of is there once, behind its separator."""
    text = message_definition("nav_msgs/msg/Odometry")
    for name in ("std_msgs/Header", "geometry_msgs/PoseWithCovariance", "geometry_msgs/Point"):
        assert text.count(f"MSG: {name}\n") == 1
    assert text.startswith("#") and "float64 x" in text
