"""Writing MCAP files as rosbag2's MCAP storage does, so that its tools and Foxglove open them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcap.writer import CompressionType, Writer

import g1_mimic
from g1_mimic.errors import WriteError

PROFILE = "ros2"
METADATA = "g1_mimic"
"""Name of the MCAP metadata record that says what was recorded."""


@dataclass(frozen=True)
class Topic:
    """What a file says about one topic.

    Attributes:
        name: with its leading slash.
        kind: message type, such as ``sensor_msgs/msg/JointState``.
        definition: of the message, with all that it is made of (schema encoding ``ros2msg``).
        qos: offered quality of service, as rosbag2's YAML.
        type_hash: REP-2011 hash of the type, or an empty string.
    """

    name: str
    kind: str
    definition: str
    qos: str = ""
    type_hash: str = ""


class BagWriter:
    """One MCAP file with profile ``ros2``, written as it comes.

    What `flush` has written stays readable whatever happens to the process: a file without its
    end lacks the index only, which ``mcap recover`` and ``ros2 bag reindex`` make anew.

    Args:
        path: the file; its folder is made. An existing file is an error, never overwritten.
        metadata: about the recording, kept in the record ``METADATA``.

    Raises:
        G1MimicError: if the file exists or cannot be written.
    """

    def __init__(self, path: Path, metadata: Mapping[str, str]) -> None:
        self.path = path
        self.counts: dict[str, int] = {}
        """Messages by topic."""
        with self._writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("xb")
        # zstd at its default level costs a few percent of a core at 2000 messages per second.
        self._writer = Writer(self._stream, compression=CompressionType.ZSTD)
        self._writer.start(PROFILE, f"g1_mimic {g1_mimic.__version__}")
        self._writer.add_metadata(METADATA, dict(metadata))
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}

    def add_topic(self, topic: Topic) -> None:
        """Make ``topic`` known; messages of others cannot be written."""
        schema = self._schemas.get(topic.kind)
        if schema is None:
            data = topic.definition.encode()
            schema = self._writer.register_schema(topic.kind, "ros2msg", data)
            self._schemas[topic.kind] = schema
        about = {"offered_qos_profiles": topic.qos, "topic_type_hash": topic.type_hash}
        self._channels[topic.name] = self._writer.register_channel(topic.name, "cdr", schema, about)
        self.counts[topic.name] = 0

    def write(self, topic: str, data: bytes, received_ns: int, sent_ns: int) -> None:
        """Append one message.

        Args:
            topic: its name.
            data: CDR with its encapsulation header.
            received_ns: wall time at which it was received.
            sent_ns: wall time at which it was sent.

        Raises:
            G1MimicError: if the disk is full.
        """
        sequence = self.counts[topic] = self.counts[topic] + 1
        with self._writing():
            self._writer.add_message(self._channels[topic], received_ns, data, sent_ns, sequence)

    def flush(self) -> None:
        """Bring everything so far into the file.

        Raises:
            G1MimicError: if the disk is full.
        """
        with self._writing():
            self._writer.flush()

    def close(self) -> None:
        """Write index and summary, and close the file.

        Raises:
            G1MimicError: if the disk is full.
        """
        with self._writing():
            self._writer.finish()
            self._stream.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Tell errors of the file system in one line."""
        try:
            yield
        except FileExistsError:
            raise WriteError(
                f"{self.path} exists already: recordings are never overwritten"
            ) from None
        except OSError as error:
            raise WriteError(f"cannot write {self.path}: {error.strerror}") from error
