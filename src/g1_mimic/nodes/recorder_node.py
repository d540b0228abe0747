"""Node ``recorder``: writes what goes over the topics into an MCAP file, as `ros2 bag record` does.

It is a process of its own and takes messages as bytes, many at a time, so that the 500 Hz loop
of the others is not disturbed.
"""

from __future__ import annotations

import time
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from nav_msgs.msg import Odometry
from pydantic import Field
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.task import Future
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import JointState

from g1_mimic.cdr import read_stamp
from g1_mimic.deployment.settings import PolicyChoice
from g1_mimic.errors import G1MimicError
from g1_mimic.nodes.shared.common import ERROR, OK, WARN, Diagnostics, Reading, steady_timer
from g1_mimic.nodes.shared.message_types import (
    fitting_qos,
    is_stamped,
    message_class,
    message_definition,
    offered_qos,
    type_hash,
)
from g1_mimic.nodes.shared.messages import WORLD_FRAME, JointReader, quaternion, vector3
from g1_mimic.nodes.shared.parameters import Parameters
from g1_mimic.nodes.shared.taps import Taps
from g1_mimic.policy.load import load_policy, profile_of
from g1_mimic.recording.bag_writer import BagWriter, Topic
from g1_mimic.recording.facts import recording_facts
from g1_mimic.recording.log_times import LogTimes, Received
from g1_mimic.recording.transforms import TF_FIELDS, TF_KIND, RobotTransforms
from g1_mimic.robot.names import DEFAULT_ROBOT
from g1_mimic.robot.profile import load_profile

_DRAIN_PERIOD = 0.004
"""Wall period in which messages are taken: two states in real time, s."""
_DISCOVER_PERIOD = 0.1
"""Wall period in which new topics are looked for, s."""
_DEPTH = 4000
"""Messages per topic that may wait: 8 s of states in real time."""
_TF_PERIOD_NS = 20_000_000
_TAKEN_AT_ONCE = 500
"""Messages of one topic that are taken before the next topic has its turn."""
_FORESEEN = {"/e_stop": "std_msgs/msg/Empty"}
"""Topics whose publishers may be gone before they are discovered."""
_JOINT_STATES, _ODOM, _TF = "/joint_states", "/odom", "/tf"
_AWAITED = (_JOINT_STATES, "/joint_targets")
"""Topics on which simulation and policy node wait for the recorder (``wait_for``)."""


class RecorderSettings(PolicyChoice):
    """Parameters of ``recorder``; policy and robot are for the record, their limits go into it."""

    file: str = ""
    """MCAP file to write; empty: recordings/DATE-TIME.mcap in the working directory."""
    topics: list[str] = Field(["*"], min_length=1)
    """Names or patterns of the topics to record, with their leading slash."""
    exclude: list[str] = Field(["/clock", "/robot_markers"], min_length=1)
    """Names or patterns of topics to leave out: by default what is in the others anyway."""
    flush_period: float = Field(1.0, ge=0.05, le=60.0)
    """Wall time after which messages are in the file for good, whatever happens, s."""


class RecorderNode(Node):
    """Records all topics that there are, whoever publishes them, until it is told to end.

    Transforms are added as /tf where nobody publishes them (as on a machine without tf2_msgs).

    Raises:
        G1MimicError: for bad parameters, or if the file cannot be written.
    """

    def __init__(self) -> None:
        super().__init__("recorder", automatically_declare_parameters_from_overrides=True)
        self.finished: Any = Future()
        self._settings = Parameters(self, RecorderSettings).settings
        path = Path(self._settings.file or f"recordings/{datetime.now():%Y%m%d-%H%M%S}.mcap")
        self._bag = BagWriter(path, self._facts())
        self._times = LogTimes(_JOINT_STATES)
        self._taps = Taps("_recorder")
        self._stamped: dict[str, bool] = {}
        self._unknown: set[str] = set()
        self._sequences: dict[tuple[str, bytes], int] = {}
        self._lost = 0
        self._problem = ""
        self._closed = False
        self._transforms = RobotTransforms(WORLD_FRAME)
        self._reader = JointReader("joint_states")
        self._odom: bytes | None = None
        self._next_tf: int | None = None
        for topic, kind in _FORESEEN.items():
            self._tap(topic, kind, [])
        self._discover()
        steady_timer(self, _DRAIN_PERIOD, self._drain)
        steady_timer(self, _DISCOVER_PERIOD, self._discover)
        steady_timer(self, self._settings.flush_period, self._flush)
        self._diagnostics = Diagnostics(self, self._status)
        self.get_logger().info(f"recording to {path}")

    def close(self) -> None:
        """Take what is still there, and finish the file."""
        if not self._problem:
            # Messages under way when the others ended are worth a moment.
            time.sleep(0.05)
            self._drain()
        self._closed = True
        try:
            self._write(self._times.release())
            self._bag.close()
            total = sum(self._bag.counts.values())
            self.get_logger().info(f"{self._bag.path}: {total} messages, {self._lost} lost")
        except G1MimicError as error:
            self.get_logger().error(str(error))
        self._taps.close()

    def _facts(self) -> dict[str, str]:
        settings = self._settings
        profile = load_profile(settings.robot or DEFAULT_ROBOT)
        motion = ""
        if settings.policy:
            policy = load_policy(settings.policy, settings.action_scale, settings.robot)
            profile, motion = profile_of(policy, settings.robot), policy.metadata.motion_name
        return recording_facts(settings.policy, motion, profile)

    # Topics -------------------------------------------------------------------------------------

    def _discover(self) -> None:
        """Subscribe to topics that have come up, as their publishers offer them.

        Those of `_AWAITED` come last, so that who waits for us there is heard everywhere.
        """
        known = self.get_topic_names_and_types()
        for topic, kinds in sorted(known, key=lambda item: item[0] in _AWAITED):
            if topic in self._taps or topic in self._unknown or not self._wanted(topic):
                continue
            if endpoints := self.get_publishers_info_by_topic(topic):
                self._tap(topic, kinds[0], endpoints)

    def _tap(self, topic: str, kind: str, endpoints: list[TopicEndpointInfo]) -> None:
        """Subscribe to one topic; of a type that is not installed, say so once."""
        try:
            python_class, definition = message_class(kind), message_definition(kind)
            qos, known_hash = offered_qos(endpoints), type_hash(endpoints)
            self._bag.add_topic(Topic(topic, kind, definition, qos, known_hash))
        except G1MimicError as error:
            self._unknown.add(topic)
            self.get_logger().warning(f"{topic} is not recorded: {error}")
            return
        self._taps.add(topic, python_class, fitting_qos(endpoints, _DEPTH))
        self._stamped[topic] = is_stamped(python_class)

    def _wanted(self, topic: str) -> bool:
        settings = self._settings
        return any(fnmatchcase(topic, pattern) for pattern in settings.topics) and not any(
            fnmatchcase(topic, pattern) for pattern in settings.exclude
        )

    # Messages -----------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Take all messages that have arrived and write them."""
        if self._problem or self._closed:
            return
        messages: list[Received] = []
        for topic, stamped in self._stamped.items():
            for data, info in self._taps.take(topic, _TAKEN_AT_ONCE):
                sent, received = info["source_timestamp"], info["received_timestamp"]
                messages.append(Received(topic, data, sent, received, stamped))
                self._count_lost(topic, info)
        try:
            self._write(self._times.order(messages))
        except G1MimicError as error:
            self._fail(error)

    def _write(self, messages: Any) -> None:
        for log_time, message in messages:
            self._bag.write(message.topic, message.data, log_time, message.sent_ns)
            if message.topic == _ODOM:
                self._odom = message.data
            elif message.topic == _JOINT_STATES:
                self._add_transforms(message)

    def _count_lost(self, topic: str, info: dict[str, Any]) -> None:
        """Count the messages of a publisher that are missing between two others."""
        number, gid = info.get("publication_sequence_number"), info.get("publisher_gid")
        if number is None or gid is None:
            return
        key = topic, bytes(gid["data"])
        before = self._sequences.get(key)
        self._sequences[key] = number
        if before is not None and number > before + 1:
            self._lost += number - before - 1

    def _add_transforms(self, state: Received) -> None:
        """Write the transforms that belong to a state, at 50 Hz, unless somebody publishes them."""
        stamp = read_stamp(state.data)
        if _TF in self._taps or self._odom is None:
            return
        if self._next_tf is not None and self._next_tf - _TF_PERIOD_NS < stamp < self._next_tf:
            return
        self._next_tf = stamp + _TF_PERIOD_NS
        if _TF not in self._bag.counts:
            transform = message_definition("geometry_msgs/msg/TransformStamped", inner=True)
            self._bag.add_topic(Topic(_TF, TF_KIND, TF_FIELDS + transform))
        pose = deserialize_message(self._odom, Odometry).pose.pose
        joints = self._reader.read(deserialize_message(state.data, JointState), "position")
        pelvis_pos, pelvis_quat = vector3(pose.position), quaternion(pose.orientation)
        data = self._transforms.encode(stamp, pelvis_pos, pelvis_quat, joints)
        self._bag.write(_TF, data, stamp, state.sent_ns)

    def _flush(self) -> None:
        if self._problem:
            return
        try:
            self._bag.flush()
        except G1MimicError as error:
            self._fail(error)

    def _fail(self, error: G1MimicError) -> None:
        """Stop recording; the robot goes on."""
        self._problem = str(error)
        self.get_logger().error(f"{error}; recording has ended")
        self._diagnostics.publish_on_change()

    def _status(self) -> Reading:
        figures: dict[str, object] = {
            "file": str(self._bag.path),
            "topics": len(self._taps),
            "messages": sum(self._bag.counts.values()),
            "lost": self._lost,
        }
        if self._problem:
            return ERROR, self._problem, figures
        if self._lost:
            return WARN, f"{self._lost} messages lost: this machine is too busy", figures
        return OK, "recording", figures
