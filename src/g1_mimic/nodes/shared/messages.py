"""Between ROS messages and arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from builtin_interfaces.msg import Time
from std_msgs.msg import Float64MultiArray, MultiArrayDimension

from g1_mimic.control.state import JointCommand
from g1_mimic.errors import BadValue
from g1_mimic.robot.names import NUM_JOINTS, joint_order

if TYPE_CHECKING:
    from sensor_msgs.msg import JointState

    from g1_mimic.nodes.shared.wire import JointData

PELVIS_FRAME = "pelvis"
WORLD_FRAME = "odom"
"""The fixed frame of the odometry (REP-105)."""


def stamp_to_ns(stamp: Time) -> int:
    """Return a stamp as nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def set_stamp(stamp: Time, ns: int) -> None:
    """Write nanoseconds into a stamp."""
    stamp.sec, stamp.nanosec = divmod(ns, 1_000_000_000)


class JointReader:
    """Reads the values of JointState messages by joint name, whatever their order.

    Args:
        topic: named in errors.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._names: list[str] = []
        self._order = np.zeros(NUM_JOINTS, int)
        self._sorted = False

    def read(
        self, message: JointState | JointData, field: str, default: float | None = None
    ) -> np.ndarray:
        """Return ``field`` [29] in ``JOINT_NAMES`` order; ``default`` fills an empty one.

        Raises:
            G1MimicError: if a joint is missing or named twice, or the field has another length.
        """
        if message.name != self._names:
            order = joint_order(message.name, self._topic)
            self._order, self._names = np.array(order), list(message.name)
            self._sorted = order == list(range(len(self._names)))
        values = np.frombuffer(getattr(message, field))
        if len(values) == 0 and default is not None:
            return np.full(NUM_JOINTS, default)
        if len(values) != len(self._names):
            raise BadValue(
                f"{self._topic}: {len(values)} values of {field} for {len(self._names)} joints"
            )
        return values.copy() if self._sorted else values[self._order]


def gains_message(command: JointCommand) -> Float64MultiArray:
    """Return stiffness and damping [2, 29] of a command, labelled with its mode.

    Topics have no common order. The label lets the receiver pair a target (whose ``frame_id`` is
    its mode) with the gains of the same mode, never with those of the one before.
    """
    message = Float64MultiArray(data=np.stack([command.stiffness, command.damping]).ravel())
    message.layout.dim = [
        MultiArrayDimension(label=command.mode.value, size=2, stride=2 * NUM_JOINTS),
        MultiArrayDimension(label="joint", size=NUM_JOINTS, stride=NUM_JOINTS),
    ]
    return message


def read_gains(message: Float64MultiArray) -> tuple[str, np.ndarray, np.ndarray]:
    """Return mode label, stiffness [29] and damping [29].

    Raises:
        G1MimicError: if there are not 2 x 29 numbers.
    """
    data = np.array(message.data, dtype=np.float64)
    if data.size != 2 * NUM_JOINTS:
        raise BadValue(f"joint_gains: {data.size} numbers, expected 2 x {NUM_JOINTS}")
    label = message.layout.dim[0].label if message.layout.dim else ""
    stiffness, damping = data.reshape(2, NUM_JOINTS)
    return label, stiffness, damping


def vector3(value: Any) -> np.ndarray:
    """Return a Vector3 or Point as [3]."""
    return np.array([value.x, value.y, value.z])


def set_vector3(target: Any, value: np.ndarray) -> None:
    """Write [3] into a Vector3 or Point."""
    target.x, target.y, target.z = value.tolist()


def quaternion(value: Any) -> np.ndarray:
    """Return a message's quaternion as w x y z [4]."""
    return np.array([value.w, value.x, value.y, value.z])


def set_quaternion(target: Any, value: np.ndarray) -> None:
    """Write w x y z [4] into a message's quaternion."""
    target.w, target.x, target.y, target.z = value.tolist()
