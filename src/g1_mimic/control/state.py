"""What a controller is told about the robot and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from g1_mimic.control.modes import Mode
from g1_mimic.robot.names import NUM_JOINTS

_NOTHING = np.zeros(NUM_JOINTS)
_NOTHING.setflags(write=False)
_ABSURD = 1e6
"""Beyond this no number in a target can be meant."""


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
class MotorTarget:
    """What the motors are asked for.

    torque = stiffness·(position − q) + damping·(velocity − q̇) + effort.

    Attributes:
        position: [29] target angles, rad.
        stiffness: [29] N·m/rad.
        damping: [29] N·m·s/rad.
        velocity: [29] target velocities, rad/s.
        effort: [29] feed-forward torque, N·m.
    """

    position: np.ndarray
    stiffness: np.ndarray
    damping: np.ndarray
    velocity: np.ndarray = field(default_factory=lambda: _NOTHING, kw_only=True)
    effort: np.ndarray = field(default_factory=lambda: _NOTHING, kw_only=True)

    def problem(self) -> str:
        """Say why no motor may get this, or return an empty string."""
        named = {
            "position": self.position,
            "stiffness": self.stiffness,
            "damping": self.damping,
            "velocity": self.velocity,
            "effort": self.effort,
        }
        with np.errstate(over="ignore"):
            squares = sum(float(value.dot(value)) for value in named.values())
        if not squares <= _ABSURD**2:  # else each number is small; true for NaN
            for name, value in named.items():
                if not np.isfinite(value).all():
                    return f"{name} is not finite"
                if np.abs(value).max() > _ABSURD:
                    return f"{name} is absurdly large"
        if self.stiffness.min() < 0.0 or self.damping.min() < 0.0:
            return "a gain is negative"
        return ""


@dataclass(frozen=True)
class JointCommand(MotorTarget):
    """What a controller answers to a state.

    Attributes:
        stamp: stamp of the state, ns.
        mode: mode in which the command was made.
    """

    stamp: int
    mode: Mode
