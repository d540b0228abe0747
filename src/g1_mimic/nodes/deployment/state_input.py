"""Putting a robot state together from its messages."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from g1_mimic.control.state import RobotState
from g1_mimic.errors import G1MimicError
from g1_mimic.nodes.shared.messages import JointReader
from g1_mimic.nodes.shared.wire import JointStateReader, read_imu, read_odometry

_KEPT = 16
"""States of which not all messages have come yet."""


@dataclass
class _Parts:
    """What the messages of one stamp say by topic, and the wall time of the first one's arrival."""

    messages: dict[str, Any] = field(default_factory=dict)
    arrived: float = field(default_factory=time.perf_counter)


class StateCollector:
    """Collects the messages of equal stamps: topics have no common order.

    A state that comes again with the stamp of the last one is given again (whoever sends it is
    alive, but paused or without an answer). Within a topic, stamps never go back.

    Args:
        odometry: wait for ``odom`` with every state.
    """

    def __init__(self, odometry: bool) -> None:
        self.topics = ("joint_states", "imu", "odom") if odometry else ("joint_states", "imu")
        self._reader = JointReader("joint_states")
        self._decoders: dict[str, Callable[[bytes], Any]] = {
            "joint_states": JointStateReader().read,
            "imu": read_imu,
            "odom": read_odometry,
        }
        self._parts: dict[int, _Parts] = {}
        self._newest: dict[str, int] = {}
        """Stamp of the newest message by topic."""
        self._last_stamp: int | None = None

    def add(self, topic: str, data: bytes) -> tuple[RobotState, float] | None:
        """Add the bytes of a message; return the state that it completes.

        With it comes the time of its first message.

        Raises:
            G1MimicError: if the completed state lacks a joint or a value, or the topic's time has
                gone back: its sender, or its clock, is not the one it was.
        """
        message = self._decoders[topic](data)
        stamp = message.stamp
        newest = self._newest.setdefault(topic, stamp)
        if stamp < newest:
            raise G1MimicError(f"{topic}: time went back by {(newest - stamp) * 1e-9:.3f} s")
        self._newest[topic] = stamp
        if self._last_stamp is not None and stamp < self._last_stamp:
            return None
        if stamp not in self._parts and len(self._parts) >= _KEPT:
            del self._parts[min(self._parts)]
        parts = self._parts.setdefault(stamp, _Parts())
        parts.messages[topic] = message
        if len(parts.messages) < len(self.topics):
            return None
        self._last_stamp = stamp
        self._parts = {other: p for other, p in self._parts.items() if other > stamp}
        return self._read(stamp, parts.messages), parts.arrived

    def _read(self, stamp: int, messages: dict[str, Any]) -> RobotState:
        joints, imu, odom = messages["joint_states"], messages["imu"], messages.get("odom")
        return RobotState(
            stamp=stamp,
            joint_pos=self._reader.read(joints, "position"),
            joint_vel=self._reader.read(joints, "velocity"),
            base_quat=imu.orientation,
            base_ang_vel=imu.angular_velocity,
            base_pos=None if odom is None else odom.position,
            base_lin_vel=None if odom is None else odom.linear_velocity,
        )
