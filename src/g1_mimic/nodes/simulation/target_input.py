"""Putting a motor target together from its messages."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from g1_mimic.control.state import MotorTarget
from g1_mimic.errors import G1MimicError
from g1_mimic.nodes.shared.common import LATCHED_QOS, STREAM_QOS
from g1_mimic.nodes.shared.messages import JointReader, read_gains
from g1_mimic.nodes.shared.wire import JointData, JointStateReader


class TargetInput:
    """Hears targets and gains, and pairs a target with the gains of its mode.

    Topics have no common order: a target waits for its gains. One without a mode takes the newest.

    Args:
        node: subscribes.
        use: called with a target, its mode and the stamp of the state that it answers, ns.
        complain: called with what is wrong with a message.
    """

    def __init__(
        self,
        node: Node,
        use: Callable[[MotorTarget, str, int], None],
        complain: Callable[[str], None],
    ) -> None:
        self._use, self._complain = use, complain
        self._gains: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._newest_gains: tuple[np.ndarray, np.ndarray] | None = None
        self._unpaired: JointData | None = None
        self._decoder, self._reader = JointStateReader(), JointReader("joint_targets")
        node.create_subscription(JointState, "joint_targets", self._on_bytes, STREAM_QOS, raw=True)
        node.create_subscription(Float64MultiArray, "joint_gains", self._on_gains, LATCHED_QOS)

    def _on_gains(self, message: Float64MultiArray) -> None:
        try:
            label, stiffness, damping = read_gains(message)
        except G1MimicError as error:
            self._complain(str(error))
            return
        self._newest_gains = self._gains[label] = (stiffness, damping)
        if self._unpaired is not None:
            waiting, self._unpaired = self._unpaired, None
            self._on_target(waiting)

    def _on_bytes(self, data: bytes) -> None:
        try:
            message = self._decoder.read(data)
        except (struct.error, ValueError) as error:
            self._complain(f"joint_targets: a message that is no JointState: {error}")
            return
        self._on_target(message)

    def _on_target(self, message: JointData) -> None:
        mode = message.frame_id
        gains = self._gains.get(mode) if mode else self._newest_gains
        if gains is None:
            self._unpaired = message
            return
        try:
            target = MotorTarget(
                self._reader.read(message, "position"),
                *gains,
                velocity=self._reader.read(message, "velocity", default=0.0),
                effort=self._reader.read(message, "effort", default=0.0),
            )
        except G1MimicError as error:
            self._complain(str(error))
            return
        self._use(target, mode, message.stamp)
