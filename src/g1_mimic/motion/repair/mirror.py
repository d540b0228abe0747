"""Left and right exchanged: the motion as a mirror in the x-z plane shows it."""

from __future__ import annotations

from dataclasses import replace

from g1_mimic.motion.trajectory import Trajectory
from g1_mimic.robot.symmetry import JOINTS, QUATERNION, VECTOR


def mirror(trajectory: Trajectory) -> Trajectory:
    """Return the trajectory mirrored in the plane y = 0; twice gives the same again.

    The two sides of the G1 mirror one another, so every body is where the mirror image of its
    counterpart is (to the tolerances of the model).
    """
    return replace(
        trajectory,
        root_pos=trajectory.root_pos * VECTOR.sign,
        root_quat=trajectory.root_quat * QUATERNION.sign,
        joint_pos=trajectory.joint_pos[:, JOINTS.source] * JOINTS.sign,
    )
