"""Reading recordings of the robot's topics, also those that a crash has cut short. Needs no ROS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mcap.records import Channel, Message, Metadata, Schema, Statistics
from mcap.stream_reader import StreamReader
from mcap_ros2.decoder import DecoderFactory

from g1_mimic.errors import BadValue, G1MimicError, read_error
from g1_mimic.recording.bag_writer import METADATA
from g1_mimic.recording.facts import RecordingFacts, read_facts
from g1_mimic.robot.names import NUM_JOINTS, joint_order

_JOINT_TOPICS = ("joint_states", "joint_targets", "reference/joint_states")
_SCALARS = "std_msgs/msg/Float64"
_WARNING = 30
"""Level of rcl_interfaces/Log."""


@dataclass(frozen=True)
class JointSeries:
    """Joint messages of one topic in the order of their stamps, each stamp once.

    Attributes:
        stamp: [N] ns.
        sent: [N] ns of wall time.
        mode: [N] mode of each target; empty strings elsewhere.
        position: [N, 29] rad.
        velocity: [N, 29] rad/s; NaN where a message had none.
        effort: [N, 29] N·m; NaN where a message had none.
    """

    stamp: np.ndarray
    sent: np.ndarray
    mode: np.ndarray
    position: np.ndarray
    velocity: np.ndarray
    effort: np.ndarray

    def __len__(self) -> int:
        return len(self.stamp)


@dataclass(frozen=True)
class Recording:
    """What a recording tells about the robot.

    Attributes:
        path: of the file.
        facts: limits of the robot, and what was run; None in a file of others.
        joints: series by topic (without leading slash), empty ones included.
        scalars: log times [N] (ns) and values [N] by topic.
        modes: log times (ns) and modes.
        warnings: log times (ns) and texts of warnings and errors.
        complete: the file has its end: recording was not cut short.
    """

    path: Path
    facts: RecordingFacts | None
    joints: dict[str, JointSeries]
    scalars: dict[str, tuple[np.ndarray, np.ndarray]]
    modes: list[tuple[int, str]]
    warnings: list[tuple[int, str]]
    complete: bool


def read_recording(path: str | Path) -> Recording:
    """Read an MCAP file that `ros2 bag record` or the node ``recorder`` wrote.

    Raises:
        G1MimicError: if it is missing, no MCAP file, or has no joint states.
    """
    collector = _Collector()
    complete = False
    try:
        for record in _records(Path(path)):
            complete |= isinstance(record, Statistics)
            try:
                collector.add(record)
            except G1MimicError:
                raise
            except Exception as error:  # the decoder has no exception of its own
                detail = " ".join(str(error).split())
                raise BadValue(f"{path}: a message cannot be decoded: {detail}") from error
    except OSError as error:
        raise read_error(path, error) from error
    joints = {topic: _series(rows) for topic, rows in collector.joints.items()}
    if not len(joints["joint_states"]):
        raise BadValue(f"{path} is no recording of a robot: it has no joint_states")
    facts = read_facts(collector.metadata) if collector.metadata else None
    scalars = {name: _columns(rows) for name, rows in collector.scalars.items()}
    modes, warnings = collector.modes, collector.warnings
    return Recording(Path(path), facts, joints, scalars, modes, warnings, complete)


def _records(path: Path) -> Iterator[Any]:
    """Yield the records of a file, as far as they are whole."""
    with path.open("rb") as stream:
        records = StreamReader(stream).records
        first = True
        while True:
            try:
                record = next(records)
            except StopIteration:
                return
            except OSError:
                raise
            except Exception as error:  # a record that was cut short can fail in many ways
                if first:
                    raise BadValue(f"{path} is no MCAP file") from error
                return
            first = False
            yield record


class _Collector:
    """Sorts the messages that matter by topic."""

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {}
        self.joints: dict[str, list[Any]] = {topic: [] for topic in _JOINT_TOPICS}
        self.scalars: dict[str, list[tuple[int, float]]] = {}
        self.modes: list[tuple[int, str]] = []
        self.warnings: list[tuple[int, str]] = []
        self._decoders = DecoderFactory()
        self._schemas: dict[int, Schema] = {}
        self._takers: dict[int, tuple[Callable[[bytes], Any], Callable[..., None]]] = {}
        self._order = _JointOrder()

    def add(self, record: Any) -> None:
        """Take one record of the file."""
        if isinstance(record, Message):
            if record.channel_id in self._takers:
                decode, take = self._takers[record.channel_id]
                take(record, decode(record.data))
        elif isinstance(record, Schema):
            self._schemas[record.id] = record
        elif isinstance(record, Channel):
            self._open(record)
        elif isinstance(record, Metadata) and record.name == METADATA:
            self.metadata = record.metadata

    def _open(self, channel: Channel) -> None:
        schema = self._schemas.get(channel.schema_id)
        if schema is None:
            return
        topic = channel.topic.lstrip("/")
        take: Callable[..., None]
        if topic in self.joints:
            rows = self.joints[topic]

            def take(record: Message, message: Any) -> None:
                rows.append(self._order.row(record, message))

        elif schema.name == _SCALARS:
            values = self.scalars.setdefault(topic, [])

            def take(record: Message, message: Any) -> None:
                values.append((record.log_time, message.data))

        elif topic == "policy/mode":

            def take(record: Message, message: Any) -> None:
                self.modes.append((record.log_time, message.data))

        elif topic == "rosout":

            def take(record: Message, message: Any) -> None:
                if message.level >= _WARNING:
                    self.warnings.append((record.log_time, f"{message.name}: {message.msg}"))

        else:
            return
        decode = self._decoders.decoder_for(channel.message_encoding, schema)
        if decode is not None:
            self._takers[channel.id] = decode, take


class _JointOrder:
    """Puts joint messages into the order of ``JOINT_NAMES``."""

    def __init__(self) -> None:
        self._orders: dict[tuple[str, ...], list[int]] = {}

    def row(self, record: Message, message: Any) -> tuple[Any, ...]:
        names = tuple(message.name)
        order = self._orders.get(names)
        if order is None:
            order = self._orders[names] = joint_order(names, "a joint message of the recording")
        stamp = message.header.stamp
        fields = (message.position, message.velocity, message.effort)
        values = [[v[i] for i in order] if len(v) else [np.nan] * NUM_JOINTS for v in fields]
        at = stamp.sec * 1_000_000_000 + stamp.nanosec
        return at, record.publish_time, message.header.frame_id, *values


def _series(rows: list[Any]) -> JointSeries:
    """Sort rows by stamp; of those with the same stamp (repeated states) the first one counts."""
    first: dict[int, Any] = {}
    for row in rows:
        first.setdefault(row[0], row)
    ordered = [first[stamp] for stamp in sorted(first)]
    columns = list(zip(*ordered, strict=True)) if ordered else [()] * 6
    return JointSeries(
        np.array(columns[0], np.int64),
        np.array(columns[1], np.int64),
        np.array(columns[2], str),
        *(np.array(column, float).reshape(-1, NUM_JOINTS) for column in columns[3:]),
    )


def _columns(rows: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    times, values = zip(*rows, strict=True) if rows else ((), ())
    return np.array(times, np.int64), np.array(values, float)
