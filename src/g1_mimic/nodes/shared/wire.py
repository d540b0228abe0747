"""The messages of every state as bytes: read and written where they lie.

Making Python objects of an Odometry, an Imu and a JointState takes rclpy longer than the controller
takes for its answer, mostly for covariances and names that nobody reads. Behind their header these
messages are nothing but texts and float64 numbers, which lie where `g1_mimic.cdr` finds them. What
comes in another encoding (big-endian, say) is converted by rclpy.

Readers take bytes of a subscription with ``raw=True``, writers make bytes for ``publish``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Imu, JointState

from g1_mimic import cdr
from g1_mimic.errors import BadState
from g1_mimic.robot.names import JOINT_NAMES, NUM_JOINTS

_IMU_NUMBERS, _ODOM_NUMBERS = 37, 85
"""Orientation, velocity, acceleration with their covariances; pose, twist with theirs."""
_WXYZ, _XYZW = (3, 0, 1, 2), (1, 2, 3, 0)
"""Messages have quaternions as x y z w."""


class ImuData(NamedTuple):
    """What an Imu says."""

    stamp: int
    """ns."""
    orientation: np.ndarray
    """[4] w x y z."""
    angular_velocity: np.ndarray
    """[3]"""


class OdometryData(NamedTuple):
    """What an Odometry says."""

    stamp: int
    """ns."""
    position: np.ndarray
    """[3]"""
    linear_velocity: np.ndarray
    """[3]"""


class JointData(NamedTuple):
    """What a JointState says; for `messages.JointReader`, which reads by joint name."""

    stamp: int
    """ns."""
    frame_id: str
    name: list[str]
    position: np.ndarray
    velocity: np.ndarray
    effort: np.ndarray


def read_imu(data: bytes) -> ImuData:
    """Read an Imu.

    Raises:
        struct.error, ValueError: if bytes are missing.
    """
    data = _plain(data, Imu)
    numbers = _numbers(data, cdr.header_end(data), _IMU_NUMBERS)
    return ImuData(cdr.read_stamp(data), numbers.take(_WXYZ), numbers[13:16])


def read_odometry(data: bytes) -> OdometryData:
    """Read an Odometry.

    Raises:
        struct.error, ValueError: if bytes are missing.
    """
    data = _plain(data, Odometry)
    numbers = _numbers(data, cdr.text_end(data, cdr.header_end(data)), _ODOM_NUMBERS)
    return OdometryData(cdr.read_stamp(data), numbers[:3], numbers[43:46])


class JointStateReader:
    """Reads JointState messages; joint names are looked at only where they are not those before."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._block = b""
        """The bytes of the names in the last message."""

    def read(self, data: bytes) -> JointData:
        """Read a message.

        Raises:
            struct.error, ValueError: if bytes are missing.
        """
        data = _plain(data, JointState)
        header_end = cdr.header_end(data)
        start = cdr.aligned(header_end, 4)
        if not self._block or not data.startswith(self._block, start):
            self._names, end = cdr.read_texts(data, start)
            self._block = data[start:end]
        places = cdr.number_lists(data, start + len(self._block), 3)
        values = [np.frombuffer(data, "<f8", count, at).copy() for at, count in places]
        frame_id = cdr.read_frame_id(data, header_end)
        return JointData(cdr.read_stamp(data), frame_id, self._names, *values)


class _Writer:
    """A message that keeps its texts and sizes: numbers and stamp are written into its bytes.

    Args:
        message: begins with a header.

    Raises:
        G1MimicError: if the middleware encodes otherwise.
    """

    def __init__(self, message: Any) -> None:
        data = serialize_message(message)
        if not data.startswith(cdr.LITTLE_ENDIAN):
            raise BadState(f"the ROS middleware encodes messages as {data[:2].hex()}, not CDR")
        self._bytes = bytearray(data)

    def stamped(self, ns: int) -> bytes:
        """Set the stamp, ns, and return what can be published."""
        cdr.write_stamp(self._bytes, ns)
        return bytes(self._bytes)


class _TurnedWriter(_Writer):
    """A message with an orientation among its numbers."""

    _orientation: np.ndarray
    """Where it lies [4] x y z w."""

    def turn(self, quat: np.ndarray) -> None:
        """Set the orientation [4] w x y z."""
        self._orientation[:] = quat.take(_XYZW)


class JointStateWriter(_Writer):
    """A JointState of the 29 joints: write into ``position``, ``velocity`` and ``effort`` [29].

    Args:
        frame_id: of the header.
    """

    def __init__(self, frame_id: str = "") -> None:
        zeros = [0.0] * NUM_JOINTS
        message = JointState(name=list(JOINT_NAMES), position=zeros, velocity=zeros, effort=zeros)
        message.header.frame_id = frame_id
        super().__init__(message)
        data = self._bytes
        names_end = cdr.read_texts(data, cdr.aligned(cdr.header_end(data), 4))[1]
        places = cdr.number_lists(data, names_end, 3)
        self.position, self.velocity, self.effort = (cdr.numbers(data, *place) for place in places)


class ImuWriter(_TurnedWriter):
    """An Imu: write into ``angular_velocity`` and ``linear_acceleration`` [3].

    Args:
        frame_id: of the header.
    """

    def __init__(self, frame_id: str) -> None:
        message = Imu()
        message.header.frame_id = frame_id
        super().__init__(message)
        numbers = cdr.numbers(self._bytes, cdr.header_end(self._bytes), _IMU_NUMBERS)
        self._orientation = numbers[:4]
        self.angular_velocity, self.linear_acceleration = numbers[13:16], numbers[25:28]


class OdometryWriter(_TurnedWriter):
    """An Odometry: write into ``position``, ``linear_velocity`` and ``angular_velocity`` [3].

    Args:
        frame_id: of the header.
        child_frame_id: frame of the twist.
    """

    def __init__(self, frame_id: str, child_frame_id: str) -> None:
        message = Odometry(child_frame_id=child_frame_id)
        message.header.frame_id = frame_id
        super().__init__(message)
        texts_end = cdr.text_end(self._bytes, cdr.header_end(self._bytes))
        numbers = cdr.numbers(self._bytes, texts_end, _ODOM_NUMBERS)
        self.position, self._orientation = numbers[:3], numbers[3:7]
        self.linear_velocity, self.angular_velocity = numbers[43:46], numbers[46:49]


def _plain(data: bytes, kind: Any) -> bytes:
    """Return a message in the encoding that is read here."""
    if data.startswith(cdr.LITTLE_ENDIAN):
        return data
    return serialize_message(deserialize_message(data, kind))


def _numbers(data: bytes, at: int, count: int) -> np.ndarray:
    """Return ``count`` numbers behind ``at``: a copy, whose place in memory is a multiple of 8."""
    return cdr.numbers(data, at, count).copy()
