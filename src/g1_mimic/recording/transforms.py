"""Transforms of the robot's links as a ``tf2_msgs/TFMessage``, without tf2_msgs.

ROS 2 from PyPI lacks the package tf2_msgs. A recording needs no more than the message's definition
and its bytes, and both are short.
"""

from __future__ import annotations

import struct

import numpy as np

from g1_mimic import cdr
from g1_mimic.robot.names import BODY_NAMES
from g1_mimic.robot.skeleton import load_skeleton
from g1_mimic.rotations import quat_from_axis_angle, quat_multiply

TF_KIND = "tf2_msgs/msg/TFMessage"
TF_FIELDS = "geometry_msgs/TransformStamped[] transforms\n"
_POSE = struct.Struct("<7d")


class RobotTransforms:
    """Writes messages with the pose of the pelvis in the world and of each link in its parent.

    Args:
        world: frame of the pelvis' pose.
        links: False leaves out all but the pelvis.

    Raises:
        G1MimicError: if the model files are missing.
    """

    def __init__(self, world: str, links: bool = True) -> None:
        self._skeleton = skeleton = load_skeleton()
        self._links = links
        frames = [(world, BODY_NAMES[0])]
        if links:
            frames += zip(
                (BODY_NAMES[i] for i in skeleton.parents[1:]), BODY_NAMES[1:], strict=True
            )
        message = cdr.Message()
        message.add_count(len(frames))
        self._places = []
        """Of stamp and pose of each transform."""
        for parent, child in frames:
            stamp = message.add_room(8, 4)
            message.add_text(parent)
            message.add_text(child)
            self._places.append((stamp, message.add_room(_POSE.size, 8)))
        self._bytes = message.data

    def encode(
        self, stamp_ns: int, pelvis_pos: np.ndarray, pelvis_quat: np.ndarray, joint_pos: np.ndarray
    ) -> bytes:
        """Return the message.

        Args:
            stamp_ns: of all transforms.
            pelvis_pos: [3] m, world.
            pelvis_quat: [4] w x y z, world.
            joint_pos: [29] rad.
        """
        pos, quat = pelvis_pos[None], pelvis_quat[None]
        if self._links:
            skeleton = self._skeleton
            turns = quat_from_axis_angle(skeleton.axis[1:], joint_pos)
            pos = np.concatenate([pos, skeleton.pos[1:]])
            quat = np.concatenate([quat, quat_multiply(skeleton.quat[1:], turns)])
        numbers = np.concatenate([pos, quat[:, 1:], quat[:, :1]], axis=1)  # ROS: x y z w
        for (stamp, pose), row in zip(self._places, numbers.tolist(), strict=True):
            cdr.write_stamp(self._bytes, stamp_ns, stamp)
            _POSE.pack_into(self._bytes, pose, *row)
        return bytes(self._bytes)
