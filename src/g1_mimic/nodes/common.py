"""What the nodes share: quality of service, diagnostics, services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.service import Service
from std_srvs.srv import SetBool, Trigger

from g1_mimic.errors import G1MimicError

STREAM_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE
)
"""States, targets and plots: reliable, because lock-step waits for every single one."""

LATCHED_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""Modes and gains: who joins late still gets the newest."""

Level = int
OK: Level = 0
WARN: Level = 1
ERROR: Level = 2


class Diagnostics:
    """One status of a node on ``diagnostics`` and ``diagnostics_agg``: at 1 Hz and on change.

    rqt_robot_monitor reads the aggregated topic only, whose aggregator may not be installed, so
    both are published; there the names form a tree with the group ``/g1_mimic``.

    Args:
        node: publishes.
        read: returns level, one-line message and figures.
    """

    def __init__(
        self, node: Node, read: Callable[[], tuple[Level, str, Mapping[str, object]]]
    ) -> None:
        self._node, self._read = node, read
        self._last: tuple[Level, str] | None = None
        self._plain = node.create_publisher(DiagnosticArray, "diagnostics", 10)
        self._tree = node.create_publisher(DiagnosticArray, "diagnostics_agg", 10)
        self._timer = node.create_timer(1.0, self.publish)

    def publish_on_change(self) -> None:
        """Publish now if level or message differ from what was last told."""
        if self._read()[:2] != self._last:
            self.publish()

    def publish(self) -> None:
        """Publish the status."""
        level, message, figures = self._read()
        self._last = (level, message)
        values = [KeyValue(key=key, value=_text(value)) for key, value in figures.items()]
        name = self._node.get_name()
        status = DiagnosticStatus(
            level=bytes([level]), name=name, message=message, hardware_id="g1", values=values
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._plain.publish(array)
        group = DiagnosticStatus(
            level=bytes([level]), name="/g1_mimic", message=message, hardware_id="g1"
        )
        status.name = f"/g1_mimic/{name}"
        array.status = [group, status]
        self._tree.publish(array)


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def trigger_service(node: Node, name: str, action: Callable[[], str]) -> Service[Any, Any]:
    """Offer a Trigger service; ``action`` returns the message, a G1MimicError is a refusal."""

    def handle(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.message, response.success = action(), True
        except G1MimicError as error:
            response.message, response.success = str(error), False
        return response

    return node.create_service(Trigger, name, handle)


def switch_service(node: Node, name: str, action: Callable[[bool], str]) -> None:
    """Offer a SetBool service; ``action`` returns the message, a G1MimicError is a refusal."""

    def handle(request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        try:
            response.message, response.success = action(bool(request.data)), True
        except G1MimicError as error:
            response.message, response.success = str(error), False
        return response

    node.create_service(SetBool, name, handle)
