"""Subscriptions that no executor serves: messages are taken, as bytes, when they are wanted."""

from __future__ import annotations

from typing import Any

import rclpy
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription


class Taps:
    """Topics of which one takes many messages at once, or now and then the newest.

    An executor would call back for every single one, which at some thousand messages per second
    takes a core. The middleware receives in threads of its own; taking costs microseconds.

    Args:
        name: of the node that subscribes; one that begins with an underscore is hidden.
    """

    def __init__(self, name: str) -> None:
        # The node's name stays, also when the command line renames the process's own node.
        self._node = rclpy.create_node(
            name, start_parameter_services=False, enable_rosout=False, use_global_arguments=False
        )
        self._subscriptions: dict[str, Subscription[Any]] = {}

    def __contains__(self, topic: str) -> bool:
        return topic in self._subscriptions

    def __len__(self) -> int:
        return len(self._subscriptions)

    def add(self, topic: str, kind: Any, qos: QoSProfile) -> None:
        """Subscribe to ``topic``; ``qos`` says how many messages may wait."""
        self._subscriptions[topic] = self._node.create_subscription(
            kind, topic, lambda _: None, qos, raw=True
        )

    def take(self, topic: str, most: int) -> list[tuple[bytes, dict[str, Any]]]:
        """Return up to ``most`` messages that wait, the oldest first, and rclpy's facts on each."""
        subscription = self._subscriptions[topic]
        taken: list[Any] = []
        with subscription.handle:
            while len(taken) < most:
                message: Any = subscription.handle.take_message(subscription.msg_type, True)
                if message is None:
                    break
                taken.append(message)
        return taken

    def newest(self, topic: str) -> bytes | None:
        """Return the newest message that waits, or None; older ones are dropped."""
        waiting = self.take(topic, 1000)
        return waiting[-1][0] if waiting else None

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_node()
