"""What RViz and Foxglove show of the robot: description, transforms, markers with the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import ColorRGBA, String
from visualization_msgs.msg import Marker, MarkerArray

from g1_mimic.motion.kinematics import forward_kinematics
from g1_mimic.nodes.shared.common import LATCHED_QOS, STREAM_QOS
from g1_mimic.nodes.shared.messages import (
    WORLD_FRAME,
    JointReader,
    quaternion,
    set_quaternion,
    set_vector3,
    stamp_to_ns,
    vector3,
)
from g1_mimic.nodes.shared.taps import Taps
from g1_mimic.recording.transforms import RobotTransforms
from g1_mimic.robot.names import BODY_NAMES
from g1_mimic.robot.profile import RobotProfile
from g1_mimic.robot.render import GHOST_RGBA
from g1_mimic.robot.shapes import Shape, robot_shapes
from g1_mimic.robot.urdf import robot_urdf
from g1_mimic.rotations import quat_apply, quat_conjugate, quat_multiply

_MARKERS = {"box": Marker.CUBE, "sphere": Marker.SPHERE, "cylinder": Marker.CYLINDER,
            "ellipsoid": Marker.SPHERE}  # fmt: skip
_ROBOT = ("joint_states", "odom")
_REFERENCE = ("reference/joint_states", "reference/odom")


@dataclass(frozen=True)
class Pose:
    """Where the robot, or its reference, is.

    Attributes:
        stamp: ns.
        joint_pos: [29] rad.
        body: the body whose pose in the world is known.
        pos: [3] m.
        quat: [4] w x y z.
    """

    stamp: int
    joint_pos: np.ndarray
    body: str
    pos: np.ndarray
    quat: np.ndarray

    def links(self) -> tuple[np.ndarray, np.ndarray]:
        """Return positions [30, 3] and orientations [30, 4] of all links in the world."""
        origin, level = np.zeros((1, 3)), np.array([[1.0, 0.0, 0.0, 0.0]])
        pos, quat = forward_kinematics(origin, level, self.joint_pos[None])
        known = BODY_NAMES.index(self.body)
        turn = quat_multiply(self.quat, quat_conjugate(quat[0, known]))
        moved = self.pos + quat_apply(turn, pos[0] - pos[0, known])
        return moved, quat_multiply(np.broadcast_to(turn, quat[0].shape), quat[0])


class RobotView:
    """Publishes ``robot_description``, ``robot_markers`` and, where tf2_msgs is installed, ``tf``.

    Args:
        node: publishes.
        profile: whose limits the description has.
        link_transforms: publish the transforms of all links; False leaves them to ROS's
            robot_state_publisher and gives only that of the pelvis in the world.
    """

    def __init__(self, node: Node, profile: RobotProfile, link_transforms: bool) -> None:
        self._node = node
        self._taps = Taps("_robot_view")
        self._readers = {topic: JointReader(topic) for topic in (_ROBOT[0], _REFERENCE[0])}
        self._newest: dict[str, Any] = {}
        for topics in (_ROBOT, _REFERENCE):
            self._taps.add(topics[0], JointState, STREAM_QOS)
            self._taps.add(topics[1], Odometry, STREAM_QOS)
        self._description = node.create_publisher(String, "robot_description", LATCHED_QOS)
        self._description.publish(String(data=robot_urdf(profile)))
        self._markers_out = node.create_publisher(MarkerArray, "robot_markers", 1)
        self._robot = _Markers("robot", None)
        self._ghost = _Markers("reference", GHOST_RGBA)
        self._transforms = RobotTransforms(WORLD_FRAME, link_transforms)
        self._tf_out = self._open_tf()

    def _open_tf(self) -> Any:
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            self._node.get_logger().info(
                "tf2_msgs is not installed: no /tf; robot_markers shows the robot without it"
            )
            return None
        return self._node.create_publisher(TFMessage, "tf", 100)

    def publish(self) -> None:
        """Publish where robot and reference are now, to those who listen."""
        robot, reference = self._read(_ROBOT), self._read(_REFERENCE)
        if robot is not None and self._tf_out is not None:
            data = self._transforms.encode(robot.stamp, robot.pos, robot.quat, robot.joint_pos)
            self._tf_out.publish(data)  # the bytes of a message are published as they are
        if self._markers_out.get_subscription_count() == 0:
            return
        markers = []
        if robot is not None:
            markers += self._robot.at(robot)
        if reference is not None and robot is not None:
            markers += self._ghost.at(reference)
        if markers:
            self._markers_out.publish(MarkerArray(markers=markers))

    def _read(self, topics: tuple[str, str]) -> Pose | None:
        """Return the newest pose, or None before the first one."""
        for topic, kind in zip(topics, (JointState, Odometry), strict=True):
            if (data := self._taps.newest(topic)) is not None:
                self._newest[topic] = deserialize_message(data, kind)
        joints, odom = (self._newest.get(topic) for topic in topics)
        if joints is None or odom is None:
            return None
        return Pose(
            stamp_to_ns(joints.header.stamp),
            self._readers[topics[0]].read(joints, "position"),
            odom.child_frame_id,
            vector3(odom.pose.pose.position),
            quaternion(odom.pose.pose.orientation),
        )

    def close(self) -> None:
        """Unsubscribe."""
        self._taps.close()


class _Markers:
    """One marker per shape of the robot, moved with its link.

    Args:
        namespace: of the markers.
        rgba: one colour for all; None takes the shapes' own.
    """

    def __init__(self, namespace: str, rgba: tuple[float, ...] | None) -> None:
        shapes = robot_shapes(collision=False)
        self._links = np.array([BODY_NAMES.index(shape.link) for shape in shapes])
        self._pos = np.array([shape.pos for shape in shapes])
        self._quat = np.array([shape.quat for shape in shapes])
        self._markers = [
            _marker(namespace, i, shape, shape.rgba if rgba is None else np.array(rgba))
            for i, shape in enumerate(shapes)
        ]

    def at(self, pose: Pose) -> list[Marker]:
        """Return the markers of the robot in a pose."""
        link_pos, link_quat = pose.links()
        turn = link_quat[self._links]
        pos = link_pos[self._links] + quat_apply(turn, self._pos)
        quat = quat_multiply(turn, self._quat)
        for marker, at, orientation in zip(self._markers, pos, quat, strict=True):
            set_vector3(marker.pose.position, at)
            set_quaternion(marker.pose.orientation, orientation)
        return self._markers


def _marker(namespace: str, number: int, shape: Shape, rgba: np.ndarray) -> Marker:
    # No stamp: shown as soon as it comes, whatever clock the viewer has.
    marker = Marker(ns=namespace, id=number, type=_MARKERS[shape.kind], action=Marker.ADD)
    marker.header.frame_id = WORLD_FRAME
    set_vector3(marker.scale, shape.size)
    r, g, b, a = rgba.tolist()
    marker.color = ColorRGBA(r=r, g=g, b=b, a=a)
    return marker
