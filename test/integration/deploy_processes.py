"""The nodes mujoco_sim and policy as processes of their own, and a node that watches them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import Trigger

from g1_mimic.nodes.common import LATCHED_QOS, STREAM_QOS

WAIT = 60.0
"""Wall time that anything may take on a busy machine, s."""


def start(node: str, **parameters: Any) -> subprocess.Popen[str]:
    """Start a node with parameters."""
    command = [sys.executable, "-m", f"g1_mimic.nodes.{node}", "--ros-args"]
    if node == "policy":
        parameters = {"use_sim_time": True, **parameters}
    for name, value in parameters.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        command += ["-p", f"{name}:={text}"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    )


@contextmanager
def running(node: str, **parameters: Any) -> Iterator[subprocess.Popen[str]]:
    """A node that is gone at the end, whatever happens."""
    process = start(node, **parameters)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=WAIT)


class Watcher:
    """Keeps what the nodes say."""

    def __init__(self) -> None:
        rclpy.init()
        self.node = rclpy.create_node("watcher")
        self.modes: list[str] = []
        self.targets: list[JointState] = []
        self.gains: list[Float64MultiArray] = []
        self.status: dict[str, str] = {}
        subscribe = self.node.create_subscription
        subscribe(String, "policy/mode", lambda m: self.modes.append(m.data), LATCHED_QOS)
        subscribe(JointState, "joint_targets", self.targets.append, STREAM_QOS)
        subscribe(Float64MultiArray, "joint_gains", self.gains.append, LATCHED_QOS)
        subscribe(DiagnosticArray, "diagnostics", self._on_status, 10)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)

    def _on_status(self, message: DiagnosticArray) -> None:
        self.status.update({s.name: s.message for s in message.status})

    def said(self, node: str) -> str:
        """The last diagnostic message of a node."""
        return self.status.get(node, "")

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.01)

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + WAIT
        while not condition():
            assert time.monotonic() < deadline, f"no {what}; modes {self.modes}, {self.status}"
            self.executor.spin_once(timeout_sec=0.02)

    def call(self, kind: Any, service: str, request: Any) -> Any:
        client = self.node.create_client(kind, service)
        self.wait_for(client.service_is_ready, f"service {service}")
        future = client.call_async(request)
        self.wait_for(future.done, f"answer of {service}")
        return future.result()

    def trigger(self, service: str) -> Any:
        return self.call(Trigger, service, Trigger.Request())

    def transition(self, number: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=number))
        return bool(self.call(ChangeState, "/policy/change_state", request).success)


def lockstep(policy: Path, report: Path, **parameters: Any) -> dict[str, Any]:
    """Run both nodes in lock-step to their end and return the report."""
    shared = {"policy": policy, "realtime_factor": 0.0, "duration": 2.0, "seed": 5}
    noise = {"randomisation.preset": "none", "randomisation.joint_pos_noise": 0.002}
    with (
        running("mujoco_sim", **shared, start_noise=0.02, **noise) as sim,
        running(
            "policy",
            **{"autostart": True, "odometry": True, "stand_time": 0.3, "report": report},
            **{**shared, **parameters},
        ) as node,
    ):
        out = [process.communicate(timeout=60) for process in (sim, node)]
        assert (sim.returncode, node.returncode) == (0, 0), out
    result: dict[str, Any] = json.loads(report.read_text())
    return result
