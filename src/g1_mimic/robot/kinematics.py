"""The one piece of forward kinematics that a policy needs: from the pelvis to the torso."""

from __future__ import annotations

import numpy as np

from g1_mimic.rotations import (
    Array,
    array_module,
    quat_apply,
    quat_from_axis_angle,
    quat_multiply,
)

WAIST_ROLL_OFFSET = (-0.0039635, 0.0, 0.044)
"""Origin of waist_roll_link in waist_yaw_link, m; the other two joints have none."""


def torso_pose(pelvis_pos: Array, pelvis_quat: Array, waist: Array) -> tuple[Array, Array]:
    """Return position [..., 3] (m) and orientation [..., 4] of the torso in the world.

    Args:
        pelvis_pos: position of the pelvis in the world [..., 3], m.
        pelvis_quat: orientation of the pelvis in the world [..., 4].
        waist: angles of waist yaw, roll and pitch [..., 3], rad.
    """
    module = array_module(waist)
    constants = np.concatenate([np.eye(3), [WAIST_ROLL_OFFSET]])
    if module is not np:
        constants = module.as_tensor(constants, dtype=waist.dtype, device=waist.device)
    x, y, z, offset = constants
    quat = quat_multiply(pelvis_quat, quat_from_axis_angle(z, waist[..., 0]))
    pos = pelvis_pos + quat_apply(quat, offset + pelvis_pos * 0.0)
    quat = quat_multiply(quat, quat_from_axis_angle(x, waist[..., 1]))
    return pos, quat_multiply(quat, quat_from_axis_angle(y, waist[..., 2]))
