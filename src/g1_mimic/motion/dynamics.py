"""What a motion asks of the motors, and whether the robot's parts run into one another."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from g1_mimic.motion.balance import (
    centre_of_pressure,
    floor_wrench,
    looped_zero_moment_point,
    sole_points,
    support_margin,
)
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.skeleton import FOOT_BODY_NAMES
from g1_mimic.robot.model import build_model
from g1_mimic.robot.profile import RobotProfile

_ARM = 0.05
"""m: about half a sole; a moment weighs as much as the force with this arm."""
_LEAST_SHARE = 1e-6
"""Of the load, so that a foot in the air carries nothing and the equations stay regular."""


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


def joint_torques(clip: MotionClip, profile: RobotProfile) -> np.ndarray:
    """Return the torques [T, 29] N·m that the joints need to move as a looped clip does.

    Inverse dynamics of the whole robot, rotors included; the floor's forces and moments on two
    standing feet are those of least weighted squares, each foot's weight being the share of the
    load that the zero-moment point gives it, so that they are continuous in lifting a foot.

    Args:
        clip: a looped clip with at least one foot on the floor.
        profile: the robot.
    """
    model = build_model(profile, scene=False)
    data = mujoco.MjData(model)
    long = clip.unrolled(clip.num_frames + 2)
    # Frame 0 has no frame before it: its neighbours are those of the lap's last frame.
    frames = [*range(1, clip.num_frames), clip.num_frames]
    qpos, qvel = long.qpos(), long.qvel()
    share = _load_shares(clip)
    feet = [model.body(name).id for name in FOOT_BODY_NAMES]
    torque = np.empty((clip.num_frames, model.nv - 6))
    jacobian = np.zeros((12, model.nv))
    scale = np.tile([1.0, 1.0, 1.0, _ARM**2, _ARM**2, _ARM**2], 2)
    for frame in frames:
        data.qpos[:], data.qvel[:] = qpos[frame], qvel[frame]
        data.qacc[:] = (qvel[frame + 1] - qvel[frame - 1]) * (0.5 * clip.fps)
        mujoco.mj_inverse(model, data)
        for side, body in enumerate(feet):
            rows = jacobian[6 * side : 6 * side + 6]
            mujoco.mj_jacBody(model, data, rows[:3], rows[3:], body)
        place = frame % (clip.num_frames - 1)
        weight = scale * np.repeat(share[place], 6)
        base = jacobian[:, :6]
        wrench = weight * (base @ np.linalg.solve((base.T * weight) @ base, data.qfrc_inverse[:6]))
        torque[place] = (data.qfrc_inverse - jacobian.T @ wrench)[6:]
    torque[-1] = torque[0]
    return torque


def _load_shares(clip: MotionClip) -> np.ndarray:
    """Return the part [T, 2] of the load that is on the left and on the right foot."""
    soles = sole_points(clip)
    centre = soles[..., :2].mean(axis=2)
    across = centre[:, 1] - centre[:, 0]
    way = ((looped_zero_moment_point(clip) - centre[:, 0]) * across).sum(axis=1)
    right = np.clip(way / (across**2).sum(axis=1), _LEAST_SHARE, 1.0 - _LEAST_SHARE)
    share = np.stack([1.0 - right, right], axis=1)
    lifted = soles[..., 2].min(axis=2) > 1e-3
    share[lifted] = _LEAST_SHARE
    return share


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
