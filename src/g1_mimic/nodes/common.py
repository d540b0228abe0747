"""What the nodes share: quality of service, diagnostics, services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
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


Reading = tuple[Level, str, Mapping[str, object]]
"""Level, one-line message and figures of a status."""


class Diagnostics:
    """The statuses of a node on ``diagnostics``: at 1 Hz and on change.

    The node ``monitor`` makes the tree on ``diagnostics_agg`` of them.

    Args:
        node: publishes; the status of the whole has its name.
        read: tells the status of the whole.
        parts: tell those of its parts, named ``NODE/PART``.
    """

    def __init__(
        self,
        node: Node,
        read: Callable[[], Reading],
        parts: Mapping[str, Callable[[], Reading]] | None = None,
    ) -> None:
        self._node = node
        name = node.get_name()
        self._readers = {name: read}
        self._readers |= {f"{name}/{part}": reader for part, reader in (parts or {}).items()}
        self._last: list[tuple[Level, str]] = []
        self._out = node.create_publisher(DiagnosticArray, "diagnostics", 10)
        steady_timer(node, 1.0, self.publish)

    def publish_on_change(self) -> None:
        """Publish now if a level or message differs from what was last told."""
        if [read()[:2] for read in self._readers.values()] != self._last:
            self.publish()

    def publish(self) -> None:
        """Publish all statuses."""
        readings = {name: read() for name, read in self._readers.items()}
        self._last = [reading[:2] for reading in readings.values()]
        array = DiagnosticArray(
            status=[
                DiagnosticStatus(
                    level=bytes([level]),
                    name=name,
                    message=message,
                    hardware_id="g1",
                    values=[
                        KeyValue(key=key, value=_text(value)) for key, value in figures.items()
                    ],
                )
                for name, (level, message, figures) in readings.items()
            ]
        )
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._out.publish(array)


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def steady_timer(node: Node, period: float, callback: Callable[[], None]) -> None:
    """Call back every ``period`` s of the wall clock, whatever simulated time does."""
    node.create_timer(period, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))


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
