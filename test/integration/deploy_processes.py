"""The nodes mujoco_sim and policy as processes of their own, and a node that watches them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory
from typing import Any

import ros_process
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.qos import QoSProfile
from ros_process import WAIT, Client
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String

from g1_mimic.nodes.shared.common import LATCHED_QOS

EVERY_ONE = QoSProfile(depth=100_000)
"""For a listener that is slower than lock-step and must not miss anything."""


def running(
    node: str, script: Path | None = None, **parameters: Any
) -> AbstractContextManager[Popen[str]]:
    """A node that is gone at the end; the policy node has the simulation's clock."""
    if node == "policy":
        parameters = {"use_sim_time": True, **parameters}
    return ros_process.running(node, script, **parameters)


@contextmanager
def composed(simulation: dict[str, Any], policy: dict[str, Any]) -> Iterator[Popen[str]]:
    """Both nodes in one process that is gone at the end, each with its parameters."""
    own = {"mujoco_sim": simulation, "policy": {"use_sim_time": True, **policy}}
    sections = {
        f"/{node}": {
            "ros__parameters": {
                name: str(value) if isinstance(value, Path) else value
                for name, value in parameters.items()
            }
        }
        for node, parameters in own.items()
    }
    with TemporaryDirectory() as folder:
        file = Path(folder, "parameters.yaml")
        file.write_text(yaml.safe_dump(sections))
        with ros_process.running("composed", options=["--params-file", str(file)]) as process:
            yield process


class Inquirer(Client):
    """Keeps what the nodes say of their state."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.status: dict[str, str] = {}
        self.node.create_subscription(DiagnosticArray, "diagnostics", self._on_status, 10)

    def _on_status(self, message: DiagnosticArray) -> None:
        self.status.update({s.name: s.message for s in message.status})

    def heard(self) -> str:
        return f"{self.status}"

    def said(self, node: str) -> str:
        """The last diagnostic message of a node."""
        return self.status.get(node, "")


class Watcher(Inquirer):
    """Keeps what the nodes say and do."""

    def __init__(self) -> None:
        super().__init__("watcher")
        self.modes: list[str] = []
        self.targets: list[JointState] = []
        self.gains: list[Float64MultiArray] = []
        subscribe = self.node.create_subscription
        subscribe(String, "policy/mode", lambda m: self.modes.append(m.data), LATCHED_QOS)
        subscribe(JointState, "joint_targets", self.targets.append, EVERY_ONE)
        subscribe(Float64MultiArray, "joint_gains", self.gains.append, LATCHED_QOS)

    def heard(self) -> str:
        return f"modes {self.modes}, {super().heard()}"

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
        out = [process.communicate(timeout=WAIT) for process in (sim, node)]
        assert (sim.returncode, node.returncode) == (0, 0), out
    result: dict[str, Any] = json.loads(report.read_text())
    return result
