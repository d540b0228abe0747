"""The floor under any pair of ROS nodes: the deployment's messages, echoed without any work.

`python ros_echo.py` is the far end; `round_trip` starts it and plays the near end.
"""

from __future__ import annotations

import subprocess
import sys
import time
from array import array
from typing import Any

import rclpy
from nav_msgs.msg import Odometry
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.task import Future
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import Empty

from g1_mimic.nodes.shared.common import STREAM_QOS
from g1_mimic.nodes.shared.messages import set_stamp, stamp_to_ns
from g1_mimic.robot.names import JOINT_NAMES

STATE = {"odom": Odometry, "imu": Imu, "joint_states": JointState}
WARM_UP = 200


def joint_state() -> JointState:
    """Return a message of the 29 joints to be used again and again."""
    message = JointState(name=list(JOINT_NAMES))
    for field in ("position", "velocity", "effort"):
        setattr(message, field, array("d", bytes(8 * len(JOINT_NAMES))))
    return message


def far_end() -> None:
    """Answer each complete state with joint targets of its stamp, until told to end."""
    node, finished = rclpy.create_node("echo_far"), Future()
    seen: dict[int, int] = {}
    answer = joint_state()
    out = node.create_publisher(JointState, "echo/joint_targets", STREAM_QOS)

    def take(message: Any) -> None:
        stamp = stamp_to_ns(message.header.stamp)
        seen[stamp] = seen.get(stamp, 0) + 1
        if seen[stamp] == len(STATE):
            del seen[stamp]
            set_stamp(answer.header.stamp, stamp)
            out.publish(answer)

    for name, kind in STATE.items():
        node.create_subscription(kind, f"echo/{name}", take, STREAM_QOS)
    node.create_subscription(Empty, "echo/end", lambda _: finished.set_result(None), STREAM_QOS)
    _spin(node, finished)


def round_trip(count: int) -> float:
    """Return the mean time from publishing a state to its answer, over ``count`` in a row, s."""
    node, finished = rclpy.create_node("echo_near"), Future()
    messages: dict[str, Any] = {"odom": Odometry(), "imu": Imu()}
    messages["joint_states"] = joint_state()
    clock = node.create_publisher(Clock, "echo/clock", STREAM_QOS)
    out = {k: node.create_publisher(v, f"echo/{k}", STREAM_QOS) for k, v in STATE.items()}
    end = node.create_publisher(Empty, "echo/end", STREAM_QOS)
    sent, begun = 0, 0.0

    def send() -> None:
        nonlocal sent
        sent += 1
        clock.publish(Clock())
        for name, message in messages.items():
            set_stamp(message.header.stamp, sent)
            out[name].publish(message)

    def take(message: JointState) -> None:
        nonlocal begun
        if stamp_to_ns(message.header.stamp) != sent:
            return
        if sent == WARM_UP:
            begun = time.perf_counter()
        if sent == WARM_UP + count:
            finished.set_result(time.perf_counter() - begun)
        else:
            send()

    def begin() -> None:
        if sent < WARM_UP and not answered():
            send()

    last = 0

    def answered() -> bool:
        nonlocal last
        last, before = sent, last
        return sent > before

    node.create_subscription(JointState, "echo/joint_targets", take, STREAM_QOS)
    node.create_timer(0.2, begin)
    with subprocess.Popen([sys.executable, __file__]) as process:
        try:
            _spin(node, finished)
            end.publish(Empty())
            process.wait(5.0)
        finally:
            process.kill()
            node.destroy_node()
    return float(finished.result()) / count


def _spin(node: Any, finished: Future) -> None:
    executor = EventsExecutor()
    executor.add_node(node)
    executor.spin_until_future_complete(finished, timeout_sec=600.0)
    executor.remove_node(node)


if __name__ == "__main__":
    rclpy.init()
    far_end()
    rclpy.try_shutdown()
