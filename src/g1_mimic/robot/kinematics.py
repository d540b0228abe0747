"""The torso's pose from the pelvis' pose and the waist angles, without MuJoCo.

The IMU sits in the pelvis and the anchor of the reference is the torso, three joints above it.
"""

from __future__ import annotations

from typing import Any

from g1_mimic.rotations import (
    array_module,
    components,
    multiply_components,
    quat_apply,
    quat_conjugate,
    quat_multiply,
    stack_last,
)

Array = Any
"""A numpy array or a torch tensor."""

WAIST_ROLL_OFFSET: tuple[float, float, float] = (-0.0039635, 0.0, 0.044)
"""Origin of the waist roll joint in the frame of the waist yaw link, m.

The other two waist joints lie at the origins of their parents' frames. The model file is the
source of these numbers; a test holds this chain to MuJoCo's forward kinematics.
"""

PELVIS_CENTER_OF_MASS: tuple[float, float, float] = (0.0, 0.0, -0.07605)
PELVIS_IMU: tuple[float, float, float] = (0.04525, 0.0, -0.08339)
"""Points of the pelvis whose velocity other trainers observe, m, in its frame; from the model file
as well."""


def torso_pose(pelvis_pos: Array, pelvis_quat: Array, waist: Array) -> tuple[Array, Array]:
    """Return position [..., 3] (m) and orientation [..., 4] of the torso link in the world.

    Args:
        pelvis_pos: [..., 3] m.
        pelvis_quat: [..., 4] w x y z.
        waist: [..., 3] yaw, roll, pitch (rad), as joints 12 to 14 of ``JOINT_NAMES``.
    """
    yaw_link, torso = _above_the_waist(pelvis_quat, waist)
    zero = yaw_link[0] * 0.0
    offset = stack_last([zero + value for value in WAIST_ROLL_OFFSET])
    return pelvis_pos + quat_apply(stack_last(yaw_link), offset), stack_last(torso)


def torso_quat(pelvis_quat: Array, waist: Array) -> Array:
    """Return the orientation alone of `torso_pose` [..., 4]."""
    return stack_last(_above_the_waist(pelvis_quat, waist)[1])


def _above_the_waist(pelvis_quat: Array, waist: Array) -> tuple[list[Any], list[Any]]:
    """Return the orientations of the waist yaw link and of the torso.

    Both as `components`: between products, numbers need not become arrays.
    """
    module = array_module(waist)
    half = 0.5 * waist
    cosine, sine = components(module.cos(half)), components(module.sin(half))
    zero = cosine[0] * 0.0
    yaw = [cosine[0], zero, zero, sine[0]]
    roll = [cosine[1], sine[1], zero, zero]
    pitch = [cosine[2], zero, sine[2], zero]
    yaw_link = multiply_components(components(pelvis_quat), yaw)
    return yaw_link, multiply_components(multiply_components(yaw_link, roll), pitch)


def pelvis_pose(torso_pos: Array, torso_quat: Array, waist: Array) -> tuple[Array, Array]:
    """Return position [..., 3] (m) and orientation [..., 4] of the pelvis; undoes `torso_pose`."""
    origin = waist * 0.0
    upright = torso_quat * 0.0
    upright[..., 0] = 1.0
    position, quat = torso_pose(origin, upright, waist)
    pelvis_quat = quat_multiply(torso_quat, quat_conjugate(quat))
    return torso_pos - quat_apply(pelvis_quat, position), pelvis_quat
