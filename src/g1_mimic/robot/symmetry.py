"""The G1 in the mirror: left and right exchanged in its plane of symmetry, y = 0.

A mirror image keeps the x and z of a vector and turns y round; of a pseudovector (an angular
velocity, the axis of a rotation) it turns x and z round and keeps y.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from g1_mimic.robot.names import JOINT_NAMES


class Mirror(NamedTuple):
    """How the mirror image of numbers is made: ``values[..., source] * sign``."""

    source: np.ndarray
    """[n] index of the number that takes each place."""
    sign: np.ndarray
    """[n] 1 or −1."""


def _other_side(name: str) -> str:
    if name.startswith("left_"):
        return "right_" + name.removeprefix("left_")
    if name.startswith("right_"):
        return "left_" + name.removeprefix("right_")
    return name


def signs(*sign: float) -> Mirror:
    """Return the mirror of numbers that stay where they are."""
    return Mirror(np.arange(len(sign)), np.array(sign))


def joined(*parts: Mirror) -> Mirror:
    """Return the mirror of numbers that are made of ``parts``, one after the other."""
    starts = np.cumsum([0, *(len(part.source) for part in parts[:-1])])
    return Mirror(
        np.concatenate([part.source + start for part, start in zip(parts, starts, strict=True)]),
        np.concatenate([part.sign for part in parts]),
    )


SCALAR = signs(1.0)
VECTOR = signs(1.0, -1.0, 1.0)
PSEUDOVECTOR = signs(-1.0, 1.0, -1.0)
QUATERNION = signs(1.0, -1.0, 1.0, -1.0)
"""Of w x y z: the axis is a pseudovector."""
ROTATION_6D = signs(1.0, -1.0, -1.0, 1.0, 1.0, -1.0)
"""Of the first two columns of a rotation matrix, row by row: element ij changes sign where just one
of i and j is y."""
JOINTS = Mirror(
    np.array([JOINT_NAMES.index(_other_side(name)) for name in JOINT_NAMES]),
    # Joints turn about axes that point alike on both sides: roll (x) and yaw (z) change sign,
    # pitch, knee and elbow (y) do not.
    np.array([-1.0 if "_roll_" in name or "_yaw_" in name else 1.0 for name in JOINT_NAMES]),
)
"""Of one number per joint: angles, velocities, torques, actions."""
