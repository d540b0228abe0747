"""What the nodes share: quality of service, diagnostics, services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from rclpy.service import Service
from std_srvs.srv import SetBool, Trigger

from g1_mimic.errors import G1MimicError

STREAM_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE
)
"""How states, targets and plots are heard: every single one, which lock-step waits for; after a
pause only the newest are left."""

SENDING_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=1000, reliability=ReliabilityPolicy.RELIABLE
)
"""How they are sent: kept for two seconds of states until the slowest listener has them, so that
a recorder on a busy machine misses none."""

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


def names_in(text: str) -> set[str]:
    """Return the comma-separated names of ``text``."""
    return {name.strip() for name in text.split(",") if name.strip()}


def _compatible(offered: QoSProfile, asked: QoSProfile) -> bool:
    """False if a subscription asks for more than its publisher offers: they are never matched."""
    return qos_check_compatible(offered, asked)[0] is not QoSCompatibility.ERROR


def heard_by(node: Node, publisher: Publisher[Any], names: set[str]) -> bool:
    """True if all nodes of ``names`` get what ``publisher`` of ``node`` sends from now on.

    The graph tells who subscribes, but a message reaches only a subscription that has been matched
    to its publisher, which may be a moment later. Endpoints of one node are discovered in the order
    of their creation: whoever hears the last one created hears the others too.
    """
    if not names:
        return True
    topic, name = publisher.topic_name, node.get_name()
    # The graph's own words: the publisher itself tells its unlimited times as 0.
    own = [end for end in node.get_publishers_info_by_topic(topic) if end.node_name == name]
    listeners = [
        end
        for end in node.get_subscriptions_info_by_topic(topic)
        if own and _compatible(own[0].qos_profile, end.qos_profile)
    ]
    there = {end.node_name for end in listeners}
    return there >= names and publisher.get_subscription_count() >= len(listeners)


def is_heard(publisher: Publisher[Any]) -> bool:
    """True if somebody listens: making a message for nobody costs more than to ask."""
    return publisher.get_subscription_count() > 0


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
