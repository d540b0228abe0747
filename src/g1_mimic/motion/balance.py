"""Balance of a motion: centre of mass, zero-moment point, support, and the pendulum between them.

Zero-moment point and linear inverted pendulum after Kajita et al., "Introduction to Humanoid
Robotics" (2014), chapters 3 and 4.
"""

from __future__ import annotations

import numpy as np

from g1_mimic.motion.clip import MotionClip, lap_transforms
from g1_mimic.robot.skeleton import FOOT_BODY_NAMES, Skeleton, load_skeleton
from g1_mimic.rotations import cross, quat_apply, quat_apply_inverse, quat_multiply

GRAVITY = 9.81
"""m/s²."""
_DIRECTIONS = 144
"""Directions in which a support polygon is measured: within 0.1% of the exact distance."""


def body_centres(clip: MotionClip, skeleton: Skeleton | None = None) -> np.ndarray:
    """Return the centres of mass [T, 30, 3] m of the bodies."""
    skeleton = skeleton or load_skeleton()
    return np.asarray(clip.body_pos_w + quat_apply(clip.body_quat_w, skeleton.com))


def centre_of_mass(clip: MotionClip, skeleton: Skeleton | None = None) -> np.ndarray:
    """Return the robot's centre of mass [T, 3] m."""
    skeleton = skeleton or load_skeleton()
    return np.einsum("b,tbi->ti", skeleton.mass / skeleton.mass.sum(), body_centres(clip, skeleton))


def floor_wrench(clip: MotionClip, skeleton: Skeleton | None = None) -> np.ndarray:
    """Return what the floor must push with for the robot to move as the clip does.

    From the rate of linear and angular momentum of all bodies, with nothing neglected but the
    rotors; accelerations are differences of the clip's frames.

    Returns:
        [T - 2, 6] force (N) and moment about the world's origin (N·m), for the frames 1 to T - 2:
        the ends have no acceleration.
    """
    skeleton = skeleton or load_skeleton()
    centres = body_centres(clip, skeleton)
    acceleration = (centres[2:] - 2.0 * centres[1:-1] + centres[:-2]) * clip.fps**2
    acceleration[..., 2] += GRAVITY
    force = skeleton.mass[:, None] * acceleration
    axes = quat_multiply(clip.body_quat_w, skeleton.inertia_quat)
    spin = quat_apply(axes, skeleton.inertia * quat_apply_inverse(axes, clip.body_ang_vel_w))
    torque = (spin[2:] - spin[:-2]) * (0.5 * clip.fps)
    moment = (cross(centres[1:-1], force) + torque).sum(axis=1)
    return np.concatenate([force.sum(axis=1), moment], axis=1)


def zero_moment_point(clip: MotionClip, skeleton: Skeleton | None = None) -> np.ndarray:
    """Return where the floor must push for the robot to move as the clip does.

    Returns:
        [T - 2, 2] m, for the frames of ``floor_wrench``.
    """
    return centre_of_pressure(floor_wrench(clip, skeleton))


def centre_of_pressure(wrench: np.ndarray) -> np.ndarray:
    """Return the point [..., 2] m of the floor at which a wrench [..., 6] has no tilting moment."""
    return np.stack([-wrench[..., 4], wrench[..., 3]], axis=-1) / wrench[..., 2:3]


def looped_zero_moment_point(clip: MotionClip) -> np.ndarray:
    """Return the zero-moment point [T, 2] m of every frame of a looped clip, seam included."""
    frames = clip.num_frames
    inner = zero_moment_point(clip.unrolled(frames + 2))
    # inner[k] is frame k + 1; frame 0 is the last frame, one lap earlier.
    turn, shift = lap_transforms(clip.root_pos, clip.root_quat, 2)
    last = np.append(inner[frames - 2], 0.0)
    first = quat_apply_inverse(turn[1], last - shift[1])[:2]
    return np.concatenate([first[None], inner[: frames - 1]])


def sole_points(clip: MotionClip, skeleton: Skeleton | None = None) -> np.ndarray:
    """Return the lowest points [T, 2, P, 3] m of the spheres and capsules under both feet."""
    skeleton = skeleton or load_skeleton()
    points = []
    for side, name in enumerate(FOOT_BODY_NAMES):
        body = clip.body_index(name)
        centres = quat_apply(clip.body_quat_w[:, body, None], skeleton.foot_points[side])
        centres += clip.body_pos_w[:, body, None]
        centres[..., 2] -= skeleton.foot_radius[side]
        points.append(centres)
    return np.stack(points, axis=1)


def support_margin(points: np.ndarray, soles: np.ndarray, contact_height: float) -> np.ndarray:
    """Return how far points of the floor are inside the support polygon.

    Args:
        points: [T, 2] m, points of the floor.
        soles: [T, 2, P, 3] m, of ``sole_points``.
        contact_height: m; what is lower touches the floor.

    Returns:
        [T] m: distance to the nearest edge of the hull of what touches the floor, negative
        outside; minus infinity where nothing touches.
    """
    soles = soles.reshape(len(soles), -1, 3)
    angle = 2.0 * np.pi / _DIRECTIONS * np.arange(_DIRECTIONS)
    normals = np.stack([np.cos(angle), np.sin(angle)])
    reach = np.where(soles[..., 2:] < contact_height, soles[..., :2] @ normals, -np.inf).max(axis=1)
    return np.asarray((reach - points @ normals).min(axis=1))


def pendulum_path(
    zmp: np.ndarray, advance: np.ndarray, height: float, fps: float, *, turn: float = 0.0
) -> np.ndarray:
    """Return the path of a linear inverted pendulum's mass whose zero-moment point is ``zmp``.

    Solves c − (height / g) c̈ = p for the one path that goes on lap by lap as ``zmp`` does, with the
    difference for c̈ that ``zero_moment_point`` uses. Its solution is the mean of p over past and
    future, weighted less by a constant factor with every frame.

    Args:
        zmp: [T, 2] m, the last frame being the first one turned, then moved by ``advance``.
        advance: [2] m per period of T − 1 frames.
        height: m, of the mass above the floor.
        fps: frames per second.
        turn: rad about the origin per period.

    Returns:
        [T, 2] m.
    """
    stiffness = height / GRAVITY * fps**2
    root = np.sqrt(1.0 + 4.0 * stiffness)
    factor = (root - 1.0) / (root + 1.0)
    reach = int(np.ceil(np.log(1e-18) / np.log(factor)))
    # The plane as complex numbers: laps before and after, as far as they matter.
    period = len(zmp) - 1
    first, lap = zmp[:-1] @ [1.0, 1.0j], advance @ [1.0, 1.0j]
    before, after = [first], [first]
    for _ in range(-(-reach // period)):
        before.insert(0, (before[0] - lap) * np.exp(-1.0j * turn))
        after.append(after[-1] * np.exp(1.0j * turn) + lap)
    start = sum(map(len, before)) - period
    laps = np.concatenate([*before, *after[1:]])[start - reach : start + period + reach]
    window = factor ** abs(np.arange(-reach, reach + 1)) / root
    path = np.convolve(laps, window, mode="valid")
    path = np.append(path, path[0] * np.exp(1.0j * turn) + lap)
    return np.stack([path.real, path.imag], axis=1)
