"""What a motion asks of the motors, and whether the robot's parts run into one another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import mujoco
import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import nnls

from g1_mimic.control.pd_target import needs_torque
from g1_mimic.motion.balance import (
    centre_of_pressure,
    floor_wrench,
    looped_zero_moment_point,
    sole_points,
    support_margin,
)
from g1_mimic.motion.clip import MotionClip
from g1_mimic.robot.model import build_model
from g1_mimic.robot.profile import RobotProfile
from g1_mimic.robot.skeleton import FOOT_BODY_NAMES

_FRICTION = 0.7
_PYRAMID = np.array(
    [[_FRICTION, 0, 1], [-_FRICTION, 0, 1], [0, _FRICTION, 1], [0, -_FRICTION, 1]]
) / np.hypot(1.0, _FRICTION)
"""Directions of the edges of a friction pyramid."""
_BALANCE = np.array([1.0, 1.0, 1.0, 10.0, 10.0, 10.0])
"""Weights of the base's force and moment: 1 N is as bad as 0.1 N·m."""
_PUSH_COST = 1e-3
"""Weight of a push of 1 N on the floor, beside `_BALANCE`."""
_CONTACT_HEIGHT = 0.01
_CONTACT_SPEED = 0.1
"""m, m/s: with every such step up or faster a push costs e times as much."""
_FURTHEST = 12.0
"""Steps after which there is no push at all; before, there is next to none."""
_SMOOTHING = 0.04
"""s: two frames. Half or one and a half times of it tracks as well."""


@dataclass(frozen=True)
class Effort:
    """The most that a looped clip asks for."""

    torque: float
    """Of a joint over its limit."""
    torque_joint: str
    """The joint."""
    speed: float
    """Of a joint over its limit."""
    margin: float
    """m from the zero-moment point to the edge of the support, at the least; see
    ``support_margin``."""
    friction: float
    """Horizontal over vertical force on the floor."""
    yaw_moment: float
    """N·m about the vertical through the zero-moment point. A single foot's friction can take about
    16 N·m at a coefficient of 1; with more, it turns a little on the floor."""

    def __str__(self) -> str:
        return (
            f"torque {self.torque:.0%} of the limit ({self.torque_joint}), joint speed "
            f"{self.speed:.0%}, balance margin {1e3 * self.margin:.0f} mm, friction "
            f"{self.friction:.2f}, yaw moment {self.yaw_moment:.0f} N·m"
        )


def effort(clip: MotionClip, profile: RobotProfile) -> Effort:
    """Return the most that a looped clip asks of motors and floor."""
    torque = (abs(joint_torques(clip, profile)) / profile.torque_limit).max(axis=0)
    wrench = floor_wrench(clip.unrolled(clip.num_frames + 2))
    force, point = wrench[:, :3], centre_of_pressure(wrench)
    yaw = wrench[:, 5] - (point[:, 0] * force[:, 1] - point[:, 1] * force[:, 0])
    margin = support_margin(looped_zero_moment_point(clip), sole_points(clip), 1e-3)
    return Effort(
        torque=float(torque.max()),
        torque_joint=clip.joint_names[int(torque.argmax())],
        speed=float((abs(clip.joint_vel) / profile.velocity_limit).max()),
        margin=float(margin.min()),
        friction=float((np.hypot(force[:, 0], force[:, 1]) / force[:, 2]).max()),
        yaw_moment=float(abs(yaw).max()),
    )


def with_torque(clip: MotionClip, profile: RobotProfile) -> MotionClip:
    """Return the clip with ``joint_torque``, smoothed and within the limits; computed only once.

    Args:
        clip: any clip.
        profile: the robot.
    """
    if clip.joint_torque is not None:
        return clip
    torque = joint_torques(clip, profile, smoothing=_SMOOTHING)
    limit = profile.torque_limit
    return replace(clip, joint_torque=np.clip(torque, -limit, limit))


def with_base_torque(clip: MotionClip, profile: RobotProfile, kind: str) -> MotionClip:
    """Return the clip with its torques if actions that are added to ``kind`` ask for them."""
    return with_torque(clip, profile) if needs_torque(kind) else clip


def joint_torques(clip: MotionClip, profile: RobotProfile, smoothing: float = 0.0) -> np.ndarray:
    """Return the torques [T, 29] N·m that the joints need to move as a clip does.

    Inverse dynamics of the whole robot, rotors included. Every point under the feet pushes within
    its friction pyramid, all of them such that the squares of what is wanting to the base's force
    and moment, and of the pushes, are least (non-negative least squares: Lawson and Hanson 1974,
    chapter 23). Pushes cost the more the higher a point is above the floor and the faster it
    moves, so that they are continuous in lifting a foot. What nothing on the floor can provide (a
    jump of a captured motion) is left out.

    Args:
        clip: any clip; a looped one goes on over its seam.
        profile: the robot.
        smoothing: standard deviation of the filter on velocities, s: differences of captured ones
            are noisy.
    """
    frames = np.arange(clip.num_frames)
    long, first = clip, 0
    if clip.looped:  # a lap before it and a lap after it
        lap = clip.num_frames - 1
        long, first = clip.unrolled(3 * lap + 1), lap
    velocity = long.qvel()
    if smoothing > 0.0:
        velocity = gaussian_filter1d(velocity, smoothing * clip.fps, axis=0, mode="nearest")
    acceleration = np.gradient(velocity, axis=0) * clip.fps
    qpos, points = long.qpos(), sole_points(long)
    model = build_model(profile, scene=False)
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONSTRAINT  # the joints' limits
    data = mujoco.MjData(model)
    feet = [model.body(name).id for name in FOOT_BODY_NAMES]
    torque = np.empty((clip.num_frames, model.nv - 6))
    for frame in frames:
        at = first + frame
        data.qpos[:], data.qvel[:], data.qacc[:] = qpos[at], velocity[at], acceleration[at]
        mujoco.mj_inverse(model, data)
        torque[frame] = data.qfrc_inverse[6:] - _floor_torques(model, data, feet, points[at])
    return torque


def _floor_torques(
    model: mujoco.MjModel, data: mujoco.MjData, feet: list[int], points: np.ndarray
) -> np.ndarray:
    """Return what the floor's pushes at ``points`` [2, P, 3] contribute to the joints [29]."""
    jacobian = np.zeros((3, model.nv))
    edges, costs = [np.empty((0, model.nv))], []
    for body, soles in zip(feet, points, strict=True):
        for point in soles:
            mujoco.mj_jac(model, data, jacobian, None, point, body)
            away = max(point[2], 0.0) / _CONTACT_HEIGHT
            away += np.linalg.norm(jacobian @ data.qvel) / _CONTACT_SPEED
            if away < _FURTHEST:
                edges.append(_PYRAMID @ jacobian)
                costs.append(_PUSH_COST * np.exp(away))
    if not costs:
        return np.zeros(model.nv - 6)
    edge = np.concatenate(edges)  # [edges, nv]
    cost = np.repeat(costs, len(_PYRAMID))
    wanted = _BALANCE * data.qfrc_inverse[:6]
    push, _ = nnls(
        np.concatenate([_BALANCE[:, None] * edge[:, :6].T, np.diag(cost)]),
        np.concatenate([wanted, np.zeros_like(cost)]),
        maxiter=100 * len(cost),
    )
    return np.asarray(push @ edge[:, 6:])


def first_self_contact(clip: MotionClip, profile: RobotProfile) -> tuple[int, str, str] | None:
    """Return the first frame in which two bodies touch, and their names; None if none do."""
    model = build_model(profile, scene=False, self_collision=True)
    data = mujoco.MjData(model)
    for frame, pose in enumerate(clip.qpos()):
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        mujoco.mj_collision(model, data)
        if data.ncon:
            first, second = (model.body(model.geom_bodyid[g]).name for g in data.contact[0].geom)
            return frame, first, second
    return None
