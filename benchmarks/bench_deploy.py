"""How fast the policy node answers, beside the floor: a bare echo of the same messages.

    ./g1 python benchmarks/bench_deploy.py --seconds 60
    ./g1 python benchmarks/bench_deploy.py --seconds 60 --busy     # with another core busy

A driver publishes joint_states, imu and odom at 500 Hz, as the simulation does, and measures the
wall time from the publication of a state to the arrival of the target with its stamp: by turns
from the policy node and from an echo, which does nothing but send a JointState of the same size
back. Both are processes of their own with the executor that the nodes use. Printed are p50, p99
and p99.9, the jitter of the 50 Hz tick (time between messages on policy/inference_ms), the states
without an answer within 6 ms (three periods: the motors' watchdog), and the ratio of the p99s.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import time
from typing import Any

os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

PERIOD = 0.002
WATCHDOG = 3 * PERIOD
WARM_UP = 3.0
NUMBERS = itertools.count()


def echo() -> None:
    """Answer every joint_states with a target of the same size."""
    import rclpy
    from rclpy.executors import ExternalShutdownException
    from rclpy.experimental.events_executor import EventsExecutor
    from ros_echo import joint_state
    from sensor_msgs.msg import Imu, JointState

    from g1_mimic.nodes.shared.common import STREAM_QOS

    rclpy.init()
    node = rclpy.create_node("echo")
    target = joint_state()
    out = node.create_publisher(JointState, "joint_targets", STREAM_QOS)

    def answer(message: JointState) -> None:
        target.header.stamp = message.header.stamp
        out.publish(target)

    node.create_subscription(JointState, "joint_states", answer, STREAM_QOS)
    node.create_subscription(Imu, "imu", lambda _: None, STREAM_QOS)
    executor = EventsExecutor()
    executor.add_node(node)
    with contextlib.suppress(ExternalShutdownException):  # told to end
        executor.spin_until_future_complete(rclpy.task.Future(), timeout_sec=1e6)


class Driver:
    """Stands for the robot: publishes a standing robot's states and takes the time of answers."""

    def __init__(self, policy: str) -> None:
        import numpy as np
        import rclpy
        from nav_msgs.msg import Odometry
        from rclpy.experimental.events_executor import EventsExecutor
        from ros_echo import joint_state
        from sensor_msgs.msg import Imu, JointState
        from std_msgs.msg import Float64

        from g1_mimic.nodes.shared.common import STREAM_QOS, steady_timer
        from g1_mimic.nodes.shared.messages import set_quaternion, set_stamp
        from g1_mimic.policy.load import load_policy

        self._set_stamp, self._rng = set_stamp, np.random.default_rng(0)
        frame = load_policy(policy).reference(0)
        self._pose, self._quat = frame.joint_pos, frame.anchor_quat
        self.node = rclpy.create_node(f"driver_{next(NUMBERS)}")
        self._joints, self._imu, self._odom = joint_state(), Imu(), Odometry()
        self._position = np.frombuffer(self._joints.position)
        self._velocity = np.frombuffer(self._joints.velocity)
        for message in (self._imu.orientation, self._odom.pose.pose.orientation):
            set_quaternion(message, self._quat)
        self._outs = [
            self.node.create_publisher(kind, topic, STREAM_QOS)
            for kind, topic in ((Odometry, "odom"), (Imu, "imu"), (JointState, "joint_states"))
        ]
        self.sent: dict[int, float] = {}
        self.latency: list[float] = []
        self.ticks: list[float] = []
        self.modes: set[str] = set()
        self.node.create_subscription(JointState, "joint_targets", self._on_target, STREAM_QOS)
        self.node.create_subscription(
            Float64, "policy/inference_ms", lambda _: self.ticks.append(time.perf_counter()), 10
        )
        steady_timer(self.node, PERIOD, self._publish)
        self._executor = EventsExecutor()
        self._executor.add_node(self.node)

    def _publish(self) -> None:
        stamp = time.time_ns()
        noise = self._rng.uniform(-1e-3, 1e-3, 58)
        self._position[:] = self._pose + noise[:29]
        self._velocity[:] = noise[29:]
        self._imu.angular_velocity.x = noise[0]
        self._set_stamp(self._joints.header.stamp, stamp)
        self._set_stamp(self._imu.header.stamp, stamp)
        self._set_stamp(self._odom.header.stamp, stamp)
        self.sent[stamp] = time.perf_counter()
        for out, message in zip(self._outs, (self._odom, self._imu, self._joints), strict=True):
            out.publish(message)

    def _on_target(self, message: Any) -> None:
        stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        began = self.sent.pop(stamp, None)
        if began is not None:
            self.latency.append(time.perf_counter() - began)
            self.modes.add(message.header.frame_id)

    def run(self, seconds: float) -> None:
        """Publish and listen."""
        import rclpy

        self._executor.spin_until_future_complete(rclpy.task.Future(), timeout_sec=seconds)

    def forget(self) -> None:
        """Begin to measure."""
        self.sent.clear()
        self.latency.clear()
        self.ticks.clear()
        self.modes.clear()


def figures(driver: Driver) -> dict[str, float]:
    """Return percentiles in ms, late and lost answers."""
    import numpy as np

    latency = np.array(driver.latency) * 1e3
    # The states of the last moment cannot have been answered.
    lost = sum(time.perf_counter() - began > 0.1 for began in driver.sent.values())
    result = {f"p{q:g}_ms": float(np.percentile(latency, q)) for q in (50, 99, 99.9)}
    result |= {"answers": len(latency), "lost": lost}
    result["missed_deadlines"] = int((latency > WATCHDOG * 1e3).sum()) + lost
    if len(driver.ticks) > 2:
        steps = np.diff(driver.ticks) * 1e3
        result |= {"tick_mean_ms": float(steps.mean()), "tick_std_ms": float(steps.std())}
        result |= {"tick_p1_ms": float(np.percentile(steps, 1))}
        result |= {"tick_p99_ms": float(np.percentile(steps, 99))}
    return result


def measure(command: list[str], policy: str, seconds: float) -> dict[str, float]:
    """Run one answering process and the driver beside it."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        driver = Driver(policy)
        end = time.monotonic() + 120.0
        while not driver.latency:
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit("error: no answers")
            driver.run(0.5)
        driver.run(WARM_UP)
        driver.forget()
        driver.run(seconds)
        result = figures(driver)
        if "damping" in driver.modes:
            raise SystemExit("error: the policy node went to damping while it was measured")
        driver.node.destroy_node()
        return result
    finally:
        process.terminate()
        process.wait(timeout=20)


def burn() -> None:
    """Keep a core busy."""
    while True:
        sum(range(10_000))


def main() -> None:
    """Measure by turns and print the ratio."""
    import rclpy

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of each, in three turns")
    parser.add_argument("--policy", default="stand")
    parser.add_argument("--busy", action="store_true", help="keep another core busy")
    parser.add_argument("--echo", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.echo:
        echo()
        return
    rclpy.init()
    burner = multiprocessing.get_context("spawn").Process(target=burn, daemon=True)
    if arguments.busy:
        burner.start()
    # Limits on how the made-up robot moves would stop the measurement, not change its time.
    choices = {"policy": arguments.policy, "autostart": True, "odometry": True, "stand_time": 0.5}
    choices |= {"encoder_tolerance": 10.0, "following_error_time": 10.0, "state_timeout": 5.0}
    choices |= {"tilt_limit": 3.1, "max_missed_inferences": 50}
    node = [sys.executable, "-m", "g1_mimic.nodes.executables", "policy"]
    node += ["--ros-args", "--log-level", "error"]
    for name, value in choices.items():
        node += ["-p", f"{name}:={str(value).lower() if isinstance(value, bool) else value}"]
    commands = {"echo": [sys.executable, __file__, "--echo"], "policy": node}
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for _ in range(3):
        for name, command in commands.items():
            turns[name].append(measure(command, arguments.policy, arguments.seconds / 3))
            print(name, json.dumps(turns[name][-1]), flush=True)
    middle = {
        name: sorted(turn["p99_ms"] for turn in results)[1] for name, results in turns.items()
    }
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"p99 of the policy node / p99 of the echo: {middle['policy'] / middle['echo']:.2f}")
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
