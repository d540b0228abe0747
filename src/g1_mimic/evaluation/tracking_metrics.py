"""How well a motion is tracked and what it costs the motors, as pure functions of robot states.

The key body errors are those of mjlab's tracking evaluation (tasks/tracking/mdp/metrics.py) over
BeyondMimic's 14 bodies. All key bodies weigh the same, and so do all joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from g1_mimic.envs.rewards import BodyPoses, relative_reference
from g1_mimic.envs.tracking_env import ANCHOR, END_EFFECTORS, StepResult, TrackingEnv
from g1_mimic.robot.profile import RobotProfile
from g1_mimic.rotations import quat_error

AT_LIMIT = 0.999
"""Share of a torque limit from which on a motor counts as saturated."""

BLOCK = 32
"""Steps whose metrics are computed at once."""

METRICS: dict[str, str] = {
    "mpkpe_m": "mean per-keybody position error in the world, m",
    "root_relative_mpkpe_m": "the same after moving the reference to the robot's torso: its x, y "
    "and heading, m",
    "joint_error_rad": "mean absolute joint angle error, rad",
    "joint_velocity_error_rad_s": "mean absolute joint velocity error, rad/s",
    "joint_velocity_error_norm_rad_s": "Euclidean norm over the joints (mjlab's figure), rad/s",
    "end_effector_position_error_m": "mean over feet and hands, reference moved as above, m",
    "end_effector_orientation_error_rad": "mean angle over feet and hands, moved as above, rad",
    "torque_nm": "mean absolute torque per joint, N·m",
    "power_w": "mechanical power |torque · speed|, summed over the joints, W",
    "torque_limit_share": "share of time that a motor is at its torque limit, mean over all",
    "speed_limit_share": "share of time that a joint is faster than its limit, mean over all",
    "position_limit_share": "share of time that a joint is beyond its soft limits, mean over all",
}
"""What `tracking_metrics` computes."""


@dataclass(frozen=True)
class States:
    """M states of robots with what they should be, SI, world frame."""

    robot: BodyPoses
    """Tracked bodies [M, B, …]."""
    reference: BodyPoses
    """Their references, of the same time."""
    joint_pos: np.ndarray
    """[M, 29]."""
    joint_vel: np.ndarray
    ref_joint_pos: np.ndarray
    ref_joint_vel: np.ndarray
    torque: np.ndarray
    """What the motors applied in the physics steps before the state [M, S, 29]."""
    speed: np.ndarray
    """Joint velocities at the same times [M, S, 29]."""


def tracking_metrics(states: States, profile: RobotProfile) -> dict[str, np.ndarray]:
    """Return each of `METRICS` for each state [M]."""
    robot, reference = states.robot, states.reference
    relative = relative_reference(robot, reference, ANCHOR)
    hands_feet = END_EFFECTORS

    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(np.square(a - b).sum(-1))

    relative_error = distance(relative.pos, robot.pos)
    velocity_error = states.joint_vel - states.ref_joint_vel
    low, high = profile.soft_limits()
    angle, torque, speed = states.joint_pos, np.abs(states.torque), np.abs(states.speed)
    return {
        "mpkpe_m": distance(reference.pos, robot.pos).mean(-1),
        "root_relative_mpkpe_m": relative_error.mean(-1),
        "joint_error_rad": np.abs(angle - states.ref_joint_pos).mean(-1),
        "joint_velocity_error_rad_s": np.abs(velocity_error).mean(-1),
        "joint_velocity_error_norm_rad_s": np.sqrt(np.square(velocity_error).sum(-1)),
        "end_effector_position_error_m": relative_error[:, hands_feet].mean(-1),
        "end_effector_orientation_error_rad": quat_error(
            relative.quat[:, hands_feet], robot.quat[:, hands_feet]
        ).mean(-1),
        "torque_nm": torque.mean((-2, -1)),
        "power_w": (torque * speed).sum(-1).mean(-1),
        "torque_limit_share": (torque >= AT_LIMIT * profile.torque_limit).mean((-2, -1)),
        "speed_limit_share": (speed > profile.velocity_limit).mean((-2, -1)),
        "position_limit_share": ((angle < low) | (angle > high)).mean(-1),
    }


class MetricSums:
    """Sums of the metrics over the steps of each robot of ``env``.

    States are kept for `BLOCK` steps and measured together: step by step, the many small array
    operations would cost an evaluation a tenth of its time.
    """

    def __init__(self, env: TrackingEnv) -> None:
        self._env = env
        self._kept: list[tuple[np.ndarray, ...]] = []
        self._sums = {name: np.zeros(env.num_envs) for name in METRICS}

    def add(self, result: StepResult, counted: np.ndarray) -> None:
        """Take in the outcome of the step just done, for the robots ``counted`` [N] bool."""
        env, info = self._env, result.info
        robot, torque, speed = env.sensors.bodies(), *env.sensors.motors()
        parts = (robot.pos, robot.quat, robot.lin_vel, robot.ang_vel, torque, speed)
        valid = counted & ~info["broken"]
        kept = (valid, info["frame"], info["qpos"], info["qvel"], *(part.copy() for part in parts))
        self._kept.append(kept)
        if len(self._kept) == BLOCK:
            self._measure()

    def take(self) -> dict[str, np.ndarray]:
        """Return the sums by metric [N]."""
        self._measure()
        return self._sums

    def _measure(self) -> None:
        if not self._kept:
            return
        columns: list[Any] = [np.stack(column) for column in zip(*self._kept, strict=True)]
        self._kept.clear()
        valid = columns[0]
        step, robot = np.nonzero(valid)
        frame, qpos, qvel, *bodies, torque, speed = (part[step, robot] for part in columns[1:])
        reference = self._env.reference
        states = States(
            BodyPoses(*bodies),
            reference.lagged_bodies(frame),
            qpos[:, 7:],
            qvel[:, 6:],
            reference.qpos[frame, 7:],
            reference.qvel[frame, 6:],
            torque,
            speed,
        )
        for name, values in tracking_metrics(states, self._env.profile).items():
            self._sums[name] += np.bincount(robot, values, len(self._sums[name]))
