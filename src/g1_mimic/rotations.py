"""Quaternion algebra on numpy arrays and torch tensors alike.

Quaternions are ``w x y z`` in the last axis and of unit norm unless a function says otherwise;
every function broadcasts over the leading axes. ``quat_apply(q, v)`` turns a vector given in the
body frame into the world frame if ``q`` is the body's orientation in the world.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

Array = Any
"""A numpy array or a torch tensor."""


def array_module(array: Array) -> ModuleType:
    """Return the module (numpy or torch) that ``array`` belongs to."""
    if isinstance(array, np.ndarray | np.generic):
        return np
    import torch  # not needed where only numpy arrays are used (a robot's computer)

    return torch


def stack_last(parts: list[Array]) -> Array:
    """Return numbers or arrays of one shape side by side in a new last axis."""
    if isinstance(parts[0], float):  # or numpy's
        return np.array(parts)
    if array_module(parts[0]) is not np:
        return array_module(parts[0]).stack(parts, -1)
    # np.stack takes twice the time on the small arrays of a control step.
    first = np.asarray(parts[0])
    result = np.empty((*first.shape, len(parts)), np.result_type(*parts))
    for i, part in enumerate(parts):
        result[..., i] = part
    return result


def components(array: Array) -> list[Any]:
    """Return the parts of the last axis: of a single vector as numbers, else as arrays.

    Python reckons with a few numbers ten times faster than numpy, to the same last digit.
    """
    if isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype == np.float64:
        return array.tolist()
    return [array[..., i] for i in range(array.shape[-1])]


def quat_multiply(a: Array, b: Array) -> Array:
    """Return the product a ⊗ b: the rotation b followed by a, both in the world frame."""
    return stack_last(multiply_components(components(a), components(b)))


def multiply_components(a: list[Any], b: list[Any]) -> list[Any]:
    """Return the `components` of the product of two quaternions given by theirs."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return [
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    ]


def quat_conjugate(q: Array) -> Array:
    """Return the inverse rotation."""
    w, x, y, z = components(q)
    return stack_last([w, -x, -y, -z])


def cross(a: Array, b: Array) -> Array:
    """Return the cross product over the last axis (faster than ``np.cross`` on small arrays)."""
    ax, ay, az = components(a)
    bx, by, bz = components(b)
    return stack_last([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])


def quat_apply(q: Array, v: Array) -> Array:
    """Rotate the vectors ``v`` [..., 3] by ``q`` [..., 4]."""
    t = 2.0 * cross(q[..., 1:], v)
    return v + q[..., :1] * t + cross(q[..., 1:], t)


def quat_apply_inverse(q: Array, v: Array) -> Array:
    """Rotate the vectors ``v`` [..., 3] by the inverse of ``q`` [..., 4]."""
    t = 2.0 * cross(v, q[..., 1:])
    return v + q[..., :1] * t + cross(t, q[..., 1:])


def down_in_body(q: Array) -> Array:
    """Return the world's downward direction in the body frame [..., 3]."""
    w, x, y, z = components(q)
    return stack_last([2 * (w * y - x * z), -2 * (y * z + w * x), 2 * (x * x + y * y) - 1])


def quat_to_matrix(q: Array) -> Array:
    """Return the rotation matrices [..., 3, 3]."""
    w, x, y, z = components(q)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return stack_last(rows).reshape((*q.shape[:-1], 3, 3))


def quat_to_6d(q: Array) -> Array:
    """Return the first two columns of the rotation matrix, row by row [..., 6].

    The order is ``r00 r01 r10 r11 r20 r21``, as BeyondMimic, mjlab and holosoma have it.
    """
    return quat_to_matrix(q)[..., :2].reshape((*q.shape[:-1], 6))


def quat_normalize(q: Array) -> Array:
    """Scale to unit norm."""
    return q / ((q * q).sum(-1)[..., None]) ** 0.5


def quat_from_axis_angle(axis: Array, angle: Array) -> Array:
    """Return the rotation by ``angle`` [...] (rad) about the unit vectors ``axis`` [..., 3]."""
    module = array_module(angle)
    half = 0.5 * angle
    sine = module.sin(half)
    return stack_last(
        [module.cos(half), axis[..., 0] * sine, axis[..., 1] * sine, axis[..., 2] * sine]
    )


def quat_from_yaw(yaw: Array) -> Array:
    """Return the rotation by ``yaw`` [...] (rad) about the world's z axis."""
    module = array_module(yaw)
    zero = yaw * 0.0
    return stack_last([module.cos(0.5 * yaw), zero, zero, module.sin(0.5 * yaw)])


def quat_from_rpy(roll: Array, pitch: Array, yaw: Array) -> Array:
    """Return the rotation from extrinsic roll, pitch, yaw (REP-103: about fixed x, y, z)."""
    module = array_module(roll)
    cr, sr = module.cos(0.5 * roll), module.sin(0.5 * roll)
    cp, sp = module.cos(0.5 * pitch), module.sin(0.5 * pitch)
    cy, sy = module.cos(0.5 * yaw), module.sin(0.5 * yaw)
    return stack_last(
        [
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        ]
    )


def quat_yaw(q: Array) -> Array:
    """Return the heading [...] (rad): the yaw of the roll-pitch-yaw decomposition."""
    module = array_module(q)
    w, x, y, z = components(q)
    arctan2 = np.arctan2 if module is np else module.atan2
    return arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def quat_error(a: Array, b: Array) -> Array:
    """Return the angle [...] (rad, 0 to π) of the rotation between ``a`` and ``b``."""
    module = array_module(a)
    d = quat_multiply(quat_conjugate(a), b)
    sine = ((d[..., 1:] * d[..., 1:]).sum(-1)) ** 0.5
    arctan2 = np.arctan2 if module is np else module.atan2
    return 2.0 * arctan2(sine, abs(d[..., 0]))


def rotation_vector(q: Array) -> Array:
    """Return axis times angle [..., 3] (rad) of the shorter rotation."""
    module = array_module(q)
    where = np.where if module is np else module.where
    arctan2 = np.arctan2 if module is np else module.atan2
    q = where(q[..., :1] < 0, -q, q)
    sine = ((q[..., 1:] * q[..., 1:]).sum(-1)) ** 0.5
    angle = 2.0 * arctan2(sine, q[..., 0])
    small = sine < 1e-9
    # angle / sine → 2 as the rotation vanishes
    factor = where(small, 2.0 + sine * 0.0, angle / where(small, sine * 0.0 + 1.0, sine))
    return q[..., 1:] * factor[..., None]


def quat_from_rotation_vector(vector: Array) -> Array:
    """Return the rotation by |``vector``| [..., 3] (rad) about it; undoes ``rotation_vector``."""
    module = array_module(vector)
    where = np.where if module is np else module.where
    angle = ((vector * vector).sum(-1)) ** 0.5
    return quat_from_axis_angle(
        vector / where(angle < 1e-12, angle * 0.0 + 1.0, angle)[..., None], angle
    )


def quat_slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Interpolate from ``a`` to ``b`` [..., 4] at ``t`` [...] in [0, 1] along the shorter arc."""
    rotation = rotation_vector(quat_multiply(quat_conjugate(a), b)) * t[..., None]
    return quat_normalize(quat_multiply(a, quat_from_rotation_vector(rotation)))
