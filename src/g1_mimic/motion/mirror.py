"""Left and right exchanged: the motion as a mirror in the x-z plane shows it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from g1_mimic.motion.trajectory import Trajectory
from g1_mimic.robot.names import JOINT_NAMES


def _other_side(name: str) -> str:
    if name.startswith("left_"):
        return "right_" + name.removeprefix("left_")
    if name.startswith("right_"):
        return "left_" + name.removeprefix("right_")
    return name


_SOURCE = np.array([JOINT_NAMES.index(_other_side(name)) for name in JOINT_NAMES])
# Joints turn about axes that point alike on both sides; a mirror turns rotations about x (roll) and
# z (yaw) round and keeps those about y (pitch, knee, elbow).
_SIGN = np.array([-1.0 if "_roll_" in name or "_yaw_" in name else 1.0 for name in JOINT_NAMES])


def mirror(trajectory: Trajectory) -> Trajectory:
    """Return the trajectory mirrored in the plane y = 0; twice gives the same again.

    The two sides of the G1 mirror one another, so every body is where the mirror image of its
    counterpart is (to the tolerances of the model).
    """
    return replace(
        trajectory,
        root_pos=trajectory.root_pos * [1.0, -1.0, 1.0],
        # The mirror image of a rotation: its axis is a pseudovector, x and z change sign.
        root_quat=trajectory.root_quat * [1.0, -1.0, 1.0, -1.0],
        joint_pos=trajectory.joint_pos[:, _SOURCE] * _SIGN,
    )
