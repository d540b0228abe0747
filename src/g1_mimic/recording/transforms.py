"""Transforms of the robot's links as a ``tf2_msgs/TFMessage``, without tf2_msgs.

ROS 2 from PyPI lacks the package tf2_msgs. A recording needs no more than the message's definition
and its bytes, and both are short.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import ArrayLike

from g1_mimic.robot.names import BODY_NAMES
from g1_mimic.robot.skeleton import load_skeleton
from g1_mimic.rotations import quat_from_axis_angle, quat_multiply

TF_KIND = "tf2_msgs/msg/TFMessage"
TF_FIELDS = "geometry_msgs/TransformStamped[] transforms\n"


def link_transforms(joint_pos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pose of each link but the pelvis in its parent's frame: [29, 3] m, [29, 4].

    Args:
        joint_pos: [29] rad.

    Raises:
        G1MimicError: if the model files are missing.
    """
    skeleton = load_skeleton()
    turns = quat_from_axis_angle(skeleton.axis[1:], joint_pos)
    return skeleton.pos[1:], quat_multiply(skeleton.quat[1:], turns)


def link_names() -> list[tuple[str, str]]:
    """Return parent and child of each of the 29 transforms of `link_transforms`."""
    parents = load_skeleton().parents
    return [(BODY_NAMES[parents[i]], BODY_NAMES[i]) for i in range(1, len(BODY_NAMES))]


class TransformsEncoder:
    """Writes messages of always the same frames as CDR (little endian, as ROS 2 does).

    Args:
        frames: parent and child of each transform.
    """

    def __init__(self, frames: list[tuple[str, str]]) -> None:
        body = bytearray(struct.pack("<I", len(frames)))
        self._stamps, self._poses = [], []
        for parent, child in frames:
            body += bytes(-len(body) % 4)
            self._stamps.append(len(body))
            body += bytes(8)
            for name in (parent, child):
                text = name.encode() + b"\0"
                body += bytes(-len(body) % 4) + struct.pack("<I", len(text)) + text
            body += bytes(-len(body) % 8)
            self._poses.append(len(body))
            body += bytes(7 * 8)
        # Alignment counts from behind the four bytes of the encapsulation header.
        self._bytes = bytearray(b"\x00\x01\x00\x00") + body

    def encode(self, stamp_ns: int, pos: ArrayLike, quat: ArrayLike) -> bytes:
        """Return the message.

        Args:
            stamp_ns: of all transforms.
            pos: [n, 3] m.
            quat: [n, 4] w x y z.
        """
        stamp = divmod(stamp_ns, 1_000_000_000)
        quat = np.asarray(quat)
        numbers = np.concatenate([pos, quat[:, 1:], quat[:, :1]], axis=1)  # ROS: x y z w
        for at, place, row in zip(self._stamps, self._poses, numbers.tolist(), strict=True):
            struct.pack_into("<iI", self._bytes, at + 4, *stamp)
            struct.pack_into("<7d", self._bytes, place + 4, *row)
        return bytes(self._bytes)
