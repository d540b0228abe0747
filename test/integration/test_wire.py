"""The bytes of messages say what rclpy says, whatever texts and sizes they have."""

from __future__ import annotations

import struct
from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("rclpy")

from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Imu, JointState

from g1_mimic.nodes.shared.messages import (
    quaternion,
    set_quaternion,
    set_stamp,
    set_vector3,
    stamp_to_ns,
    vector3,
)
from g1_mimic.nodes.shared.wire import (
    ImuWriter,
    JointStateReader,
    JointStateWriter,
    OdometryWriter,
    read_imu,
    read_odometry,
)
from g1_mimic.robot.names import JOINT_NAMES

TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=9)
STAMPS = st.integers(0, 2**31 * 10**9 - 1)
NUMBERS = st.floats(allow_nan=False)


def filled(message: Any, values: np.ndarray) -> Any:
    """Write numbers into all vectors, quaternions and covariances of a message, in their order."""
    rest = iter(values.tolist())

    def fill(part: Any) -> None:
        for name, kind in part.get_fields_and_field_types().items():
            inner = getattr(part, name)
            if kind == "double":
                setattr(part, name, next(rest))
            elif kind.startswith("double["):
                setattr(part, name, [next(rest) for _ in inner])
            elif hasattr(inner, "get_fields_and_field_types") and name != "header":
                fill(inner)

    fill(message)
    assert next(rest, None) is None
    return message


@given(TEXTS, STAMPS, arrays(float, 37, elements=NUMBERS))
def test_an_imu_is_read_as_rclpy_reads_it(frame: str, stamp: int, values: np.ndarray) -> None:
    message = filled(Imu(), values)
    message.header.frame_id = frame
    set_stamp(message.header.stamp, stamp)
    read = read_imu(serialize_message(message))
    assert read.stamp == stamp
    np.testing.assert_array_equal(read.orientation, quaternion(message.orientation))
    np.testing.assert_array_equal(read.angular_velocity, vector3(message.angular_velocity))


@given(TEXTS, TEXTS, STAMPS, arrays(float, 85, elements=NUMBERS))
def test_an_odometry_is_read_as_rclpy_reads_it(
    frame: str, child: str, stamp: int, values: np.ndarray
) -> None:
    message = filled(Odometry(child_frame_id=child), values)
    message.header.frame_id = frame
    set_stamp(message.header.stamp, stamp)
    read = read_odometry(serialize_message(message))
    assert read.stamp == stamp
    np.testing.assert_array_equal(read.position, vector3(message.pose.pose.position))
    np.testing.assert_array_equal(read.linear_velocity, vector3(message.twist.twist.linear))


@st.composite
def joint_states(draw: st.DrawFn) -> JointState:
    """Any JointState, also one whose fields do not fit one another."""
    fields = {
        name: array("d", draw(st.lists(NUMBERS, max_size=5)))
        for name in ("position", "velocity", "effort")
    }
    message = JointState(name=draw(st.lists(TEXTS, max_size=4)), **fields)
    message.header.frame_id = draw(TEXTS)
    set_stamp(message.header.stamp, draw(STAMPS))
    return message


@given(st.lists(joint_states(), min_size=1, max_size=4))
def test_joint_states_are_read_as_rclpy_reads_them(messages: list[JointState]) -> None:
    """One reader, messages with the same and with other names in turn."""
    reader = JointStateReader()
    for message in [*messages, *messages]:
        read = reader.read(serialize_message(message))
        assert read.stamp == stamp_to_ns(message.header.stamp)
        assert (read.frame_id, read.name) == (message.header.frame_id, list(message.name))
        for name in ("position", "velocity", "effort"):
            assert getattr(read, name).tolist() == getattr(message, name).tolist()


def big_endian(message: JointState) -> bytes:
    """Return a JointState without names as a big-endian machine sends it."""
    frame = message.header.frame_id.encode() + b"\0"
    stamp = message.header.stamp
    data = struct.pack(">iII", stamp.sec, stamp.nanosec, len(frame)) + frame
    data += b"\0" * (-len(data) % 4) + struct.pack(">I", 0)
    for values in (message.position, message.velocity, message.effort):
        data += struct.pack(">I", len(values))
        data += b"\0" * (-len(data) % 8 if values else 0)
        data += struct.pack(f">{len(values)}d", *values)
    return b"\0\0\0\0" + data


def test_another_encoding_is_converted() -> None:
    message = JointState(position=[1.0, 2.0], effort=[3.0])
    message.header.frame_id = "track"
    set_stamp(message.header.stamp, 5_000_000_001)
    data = big_endian(message)
    assert deserialize_message(data, JointState) == message
    read = JointStateReader().read(data)
    assert (read.stamp, read.frame_id) == (5_000_000_001, "track")
    assert (read.position.tolist(), read.effort.tolist()) == ([1.0, 2.0], [3.0])


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (read_imu, Imu()),
        (read_odometry, Odometry()),
        (JointStateReader().read, JointState(name=["a"], position=[1.0], effort=[1.0])),
    ],
)
def test_a_message_that_ends_early_is_an_error(read: Any, message: Any) -> None:
    """Never numbers that nobody sent."""
    data = serialize_message(message)
    for length in range(4, len(data) - 4):  # the encoder may pad the end
        with pytest.raises((struct.error, ValueError)):
            read(data[:length])


def test_joint_states_are_written_as_rclpy_writes_them() -> None:
    """Names, frame, stamp and all three arrays; what was published before does not change."""
    writer = JointStateWriter("track")
    values = np.arange(87.0).reshape(3, 29)
    writer.position[:], writer.velocity[:], writer.effort[:] = values
    data = writer.stamped(3_000_000_007)
    writer.position[:] = -1.0
    writer.stamped(4_000_000_000)
    position, velocity, effort = values.tolist()
    expected = JointState(
        name=list(JOINT_NAMES), position=position, velocity=velocity, effort=effort
    )
    expected.header.frame_id = "track"
    set_stamp(expected.header.stamp, 3_000_000_007)
    assert deserialize_message(data, JointState) == expected


@pytest.mark.parametrize("frame", ["", "a", "base", "pelvis"])
def test_imu_and_odometry_are_written_as_rclpy_writes_them(frame: str) -> None:
    """Wherever the texts before them end, the numbers are in their places."""
    quat, a, b, c = np.array([0.1, 0.2, 0.3, 0.4]), *np.arange(9.0).reshape(3, 3)
    imu, expected = ImuWriter(frame), Imu()
    imu.turn(quat)
    imu.angular_velocity[:], imu.linear_acceleration[:] = a, b
    expected.header.frame_id = frame
    set_quaternion(expected.orientation, quat)
    set_vector3(expected.angular_velocity, a)
    set_vector3(expected.linear_acceleration, b)
    set_stamp(expected.header.stamp, 7)
    assert deserialize_message(imu.stamped(7), Imu) == expected

    odom, wanted = OdometryWriter("odom", frame), Odometry(child_frame_id=frame)
    odom.turn(quat)
    odom.position[:], odom.linear_velocity[:], odom.angular_velocity[:] = a, b, c
    wanted.header.frame_id = "odom"
    set_quaternion(wanted.pose.pose.orientation, quat)
    set_vector3(wanted.pose.pose.position, a)
    set_vector3(wanted.twist.twist.linear, b)
    set_vector3(wanted.twist.twist.angular, c)
    set_stamp(wanted.header.stamp, 8)
    assert deserialize_message(odom.stamped(8), Odometry) == wanted
