"""What a controller is told about the robot and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from g1_mimic.control.modes import Mode


@dataclass(frozen=True)
class RobotState:
    """One measurement of the whole robot; joints in ``JOINT_NAMES`` order.

    Attributes:
        stamp: time of the measurement, ns; the only clock a controller knows.
        joint_pos: [29] rad.
        joint_vel: [29] rad/s.
        base_quat: [4] orientation of the pelvis in the world, w x y z.
        base_ang_vel: [3] angular velocity of the pelvis in its own frame, rad/s.
        base_pos: [3] pelvis in the world, m; None without odometry.
        base_lin_vel: [3] velocity of the pelvis in its own frame, m/s; None without odometry.
    """

    stamp: int
    joint_pos: np.ndarray
    joint_vel: np.ndarray
    base_quat: np.ndarray
    base_ang_vel: np.ndarray
    base_pos: np.ndarray | None = None
    base_lin_vel: np.ndarray | None = None


@dataclass(frozen=True)
class JointCommand:
    """What the motors are asked for: torque = stiffness·(position − q) − damping·q̇.

    Attributes:
        stamp: stamp of the state that this command answers, ns.
        mode: mode in which the command was made.
        position: [29] target angles, rad.
        stiffness: [29] N·m/rad.
        damping: [29] N·m·s/rad.
    """

    stamp: int
    mode: Mode
    position: np.ndarray
    stiffness: np.ndarray
    damping: np.ndarray
