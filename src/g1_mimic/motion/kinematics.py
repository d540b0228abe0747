"""From root poses and joint angles to a complete clip: forward kinematics and velocities."""

from __future__ import annotations

import numpy as np

from g1_mimic.motion.clip import MotionClip, lap_transforms
from g1_mimic.motion.trajectory import Trajectory, continuous_quat
from g1_mimic.robot.names import BODY_NAMES, JOINT_NAMES
from g1_mimic.robot.skeleton import Skeleton, load_skeleton
from g1_mimic.rotations import (
    quat_apply,
    quat_apply_inverse,
    quat_conjugate,
    quat_from_axis_angle,
    quat_multiply,
    quat_normalize,
    rotation_vector,
)


def forward_kinematics(
    root_pos: np.ndarray,
    root_quat: np.ndarray,
    joint_pos: np.ndarray,
    skeleton: Skeleton | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the poses of all bodies, all frames at once.

    The loop runs over the 30 bodies, each step over all frames at once: clips of ten minutes are
    completed in about a second.

    Args:
        root_pos: [T, 3] m, pelvis in the world.
        root_quat: [T, 4] unit quaternions w x y z.
        joint_pos: [T, 29] rad in ``JOINT_NAMES`` order.
        skeleton: the robot; the G1 by default.

    Returns:
        Positions [T, 30, 3] m and orientations [T, 30, 4] in ``BODY_NAMES`` order.
    """
    skeleton = skeleton or load_skeleton()
    frames, bodies = len(joint_pos), len(skeleton.parents)
    pos, quat = np.empty((bodies, frames, 3)), np.empty((bodies, frames, 4))
    pos[0], quat[0] = root_pos, root_quat
    for body in range(1, bodies):
        parent = skeleton.parents[body]
        pos[body] = pos[parent] + quat_apply(quat[parent], skeleton.pos[body])
        turn = quat_from_axis_angle(skeleton.axis[body], joint_pos[:, body - 1])
        quat[body] = quat_multiply(quat[parent], quat_multiply(skeleton.quat[body], turn))
    # Products of unit quaternions drift by rounding only; one division at the end removes it.
    return np.ascontiguousarray(pos.swapaxes(0, 1)), quat_normalize(quat.swapaxes(0, 1))


def linear_velocity(
    values: np.ndarray, fps: float, before: np.ndarray, after: np.ndarray
) -> np.ndarray:
    """Return d(values)/dt [T, …] by central differences, one-sided at an open end.

    Args:
        values: [T, …] samples, 1 / fps seconds apart.
        fps: samples per second.
        before: [1, …] the sample before the first, or [0, …] if there is none.
        after: [1, …] the sample after the last, or [0, …].
    """
    padded = _padded(values, before, after)
    span = _spans(len(values), len(before), len(after)) / fps
    difference = padded[2:] - padded[:-2]
    return np.asarray(difference / span.reshape(-1, *[1] * (values.ndim - 1)))


def angular_velocity(
    quat: np.ndarray, fps: float, before: np.ndarray, after: np.ndarray
) -> np.ndarray:
    """Return the world-frame angular velocity [T, …, 3] rad/s of orientations ``quat`` [T, …, 4].

    Central differences on SO(3): the rotation vector of q[t+1] ⊗ q[t-1]⁻¹ over the time between
    them, exact for a constant angular velocity below π rad per two frames. Arguments as in
    ``linear_velocity``.
    """
    padded = _padded(quat, before, after)
    span = _spans(len(quat), len(before), len(after)) / fps
    difference = rotation_vector(quat_multiply(padded[2:], quat_conjugate(padded[:-2])))
    return np.asarray(difference / span.reshape(-1, *[1] * (quat.ndim - 1)))


def _padded(values: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return [T + 2, …]: a missing neighbour is the end itself, over half the span."""
    first = before if len(before) else values[:1]
    last = after if len(after) else values[-1:]
    return np.concatenate([first, values, last])


def _spans(count: int, before: int, after: int) -> np.ndarray:
    """Return [count] how many frames lie between the two neighbours of each frame."""
    span = np.full(count, 2.0)
    span[0] -= 1 - before
    span[-1] -= 1 - after
    return span


def complete_clip(
    name: str,
    fps: float,
    root_pos: np.ndarray,
    root_quat: np.ndarray,
    joint_pos: np.ndarray,
    looped: bool,
    *,
    notes: tuple[str, ...] = (),
) -> MotionClip:
    """Return the clip that follows from root poses and joint angles.

    Velocities are central differences, one-sided at the two ends; in a looped clip the neighbours
    across the seam are those of the lap before and after.

    Args:
        name: the clip's name.
        fps: frames per second.
        root_pos: [T, 3] m, pelvis in the world.
        root_quat: [T, 4] w x y z.
        joint_pos: [T, 29] rad in ``JOINT_NAMES`` order.
        looped: whether the last frame is the first one, moved in the plane.
        notes: carried along in the clip.

    Raises:
        G1MimicError: if a shape, a value or the frame rate is wrong (see ``Trajectory``).
    """
    given = Trajectory(name, fps, root_pos, root_quat, joint_pos, looped, notes)
    return complete_trajectory(given)


def complete_trajectory(trajectory: Trajectory) -> MotionClip:
    """Return the clip that follows from a trajectory; see ``complete_clip``."""
    fps, joint_pos = trajectory.fps, trajectory.joint_pos
    pos, quat = forward_kinematics(trajectory.root_pos, trajectory.root_quat, joint_pos)
    quat = continuous_quat(quat)
    if trajectory.looped:
        turn, shift = lap_transforms(trajectory.root_pos, trajectory.root_quat, 2)
        # The frame before the first is the last but one of the lap before, and so on.
        joints = joint_pos[-2:-1], joint_pos[1:2]
        positions = (
            quat_apply_inverse(turn[1], pos[-2:-1] - shift[1]),
            quat_apply(turn[1], pos[1:2]) + shift[1],
        )
        orientations = (
            quat_multiply(quat_conjugate(turn[1]), quat[-2:-1]),
            quat_multiply(turn[1], quat[1:2]),
        )
    else:
        joints = joint_pos[:0], joint_pos[:0]
        positions = pos[:0], pos[:0]
        orientations = quat[:0], quat[:0]
    return MotionClip(
        name=trajectory.name,
        fps=fps,
        joint_names=JOINT_NAMES,
        joint_pos=joint_pos,
        joint_vel=linear_velocity(joint_pos, fps, *joints),
        body_names=BODY_NAMES,
        body_pos_w=pos,
        body_quat_w=quat,
        body_lin_vel_w=linear_velocity(pos, fps, *positions),
        body_ang_vel_w=angular_velocity(quat, fps, *orientations),
        looped=trajectory.looped,
        notes=trajectory.notes,
    )
