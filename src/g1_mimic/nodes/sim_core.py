"""The simulated robot behind the node ``mujoco_sim``: MuJoCo and numpy, no ROS."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from g1_mimic.control.state import RobotState
from g1_mimic.robot.model import HOIST, Feet, build_model, home_qpos
from g1_mimic.robot.profile import RobotProfile
from g1_mimic.rotations import (
    quat_apply,
    quat_apply_inverse,
    quat_conjugate,
    quat_multiply,
)

STATE_PERIOD_NS = 2_000_000
"""Time between states: 500 Hz, the rate of the robot's own state messages."""

SENSOR_NOISE = {"joint_pos": 0.01, "joint_vel": 0.5, "base_ang_vel": 0.2}
"""Half widths (rad, rad/s, rad/s) of BeyondMimic's uniform observation noise (scale 1)."""


@dataclass(frozen=True)
class MotorTarget:
    """What the motors are told; the torque is that of `JointCommand` plus feed-forward terms.

    Attributes:
        position: [29] rad.
        stiffness: [29] N·m/rad.
        damping: [29] N·m·s/rad.
        velocity: [29] rad/s.
        effort: [29] feed-forward torque, N·m.
    """

    position: np.ndarray
    stiffness: np.ndarray
    damping: np.ndarray
    velocity: np.ndarray
    effort: np.ndarray

    def problem(self) -> str:
        """Say why no motor may get this, or return an empty string."""
        for name in ("position", "stiffness", "damping", "velocity", "effort"):
            value = getattr(self, name)
            if not np.isfinite(value).all():
                return f"{name} is not finite"
            if np.abs(value).max() > 1e6:
                return f"{name} is absurdly large"
        if (self.stiffness < 0).any() or (self.damping < 0).any():
            return "a gain is negative"
        return ""


class Simulator:
    """One robot on a floor, with a hoist, a motor watchdog and an emergency stop.

    The robot starts in ``start_qpos`` with its pelvis held by the hoist (a weld to the world),
    as a robot hangs in its gantry until a controller has taken over; ``release`` lets it go.
    The motors hold the last target for at most ``watchdog_periods`` state periods; after that,
    and after ``e_stop``, they only damp. Torques are bounded by the profile in any case.

    Args:
        profile: gains, limits and default pose.
        start_qpos: [36] start, MuJoCo order; None takes the default pose.
        seed: of start and sensor noise.
        start_noise: half width of the uniform noise on the joint angles of a start, rad.
        sensor_noise: scale on ``SENSOR_NOISE``.
        substeps: physics steps (with PD and saturation) per state period.
        watchdog_periods: state periods without a fresh target until the motors damp.
        feet: collision geometry of the feet.
        self_collision: let the robot's bodies touch one another.
    """

    def __init__(
        self,
        profile: RobotProfile,
        *,
        start_qpos: np.ndarray | None = None,
        seed: int = 0,
        start_noise: float = 0.0,
        sensor_noise: float = 0.0,
        substeps: int = 1,
        watchdog_periods: int = 3,
        feet: Feet = "capsules",
        self_collision: bool = True,
    ) -> None:
        timestep = STATE_PERIOD_NS * 1e-9 / substeps
        self.model = build_model(
            profile, timestep=timestep, feet=feet, self_collision=self_collision, hoist=True
        )
        self.data = mujoco.MjData(self.model)
        self.time_ns = 0
        """Simulated time; a reset does not turn it back, so that stamps always grow."""
        self.stopped = False
        """True after ``e_stop`` until ``reset``."""
        self.rejected = 0
        """Targets that no motor may get."""
        self.watchdog_trips = 0
        """How often the motors began to damp because no fresh target came."""
        self._profile = profile
        self._start = home_qpos(profile) if start_qpos is None else start_qpos
        self._rng = np.random.default_rng(seed)
        self._start_noise, self._sensor_noise = start_noise, sensor_noise
        self._substeps, self._watchdog_periods = substeps, watchdog_periods
        self._acceleration = self.model.sensor("imu_acc").adr[0]
        self._hoist = self.model.equality(HOIST).id
        self._damping_target = MotorTarget(
            position=np.zeros(self.model.nu),
            stiffness=np.zeros(self.model.nu),
            damping=profile.damping,
            velocity=np.zeros(self.model.nu),
            effort=np.zeros(self.model.nu),
        )
        self.reset()

    def reset(self) -> None:
        """Put the robot back to its start, hoisted and damped, and clear the emergency stop."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = self._start
        noise = self._rng.uniform(-self._start_noise, self._start_noise, self.model.nu)
        self.data.qpos[7:] = np.clip(
            self._start[7:] + noise, self._profile.position_lower, self._profile.position_upper
        )
        # Weld data: anchor 3, position 3 and orientation 4 of the pelvis in the world, scale.
        weld = self.model.eq_data[self._hoist]
        weld[:] = 0.0
        weld[3:10], weld[10] = self._start[:7], 1.0
        self.data.eq_active[self._hoist] = 1
        self.stopped = False
        self._periods_since_target: int | None = None
        self._apply(self._damping_target)
        mujoco.mj_forward(self.model, self.data)

    @property
    def hoisted(self) -> bool:
        """True while the pelvis is held."""
        return bool(self.data.eq_active[self._hoist])

    @property
    def damped(self) -> bool:
        """True while the motors only damp: no target yet, a stale one, or an emergency stop."""
        return self._applied is self._damping_target

    def release(self) -> None:
        """Let the pelvis go."""
        self.data.eq_active[self._hoist] = 0

    def e_stop(self) -> None:
        """Damp until ``reset``, whatever is asked for."""
        self.stopped = True
        self._apply(self._damping_target)

    def push(self, speed: float, direction: float) -> None:
        """Add ``speed`` (m/s) to the whole robot, horizontally, at ``direction`` (rad from x)."""
        self.data.qvel[:2] += speed * np.array([np.cos(direction), np.sin(direction)])

    def set_target(self, target: MotorTarget) -> str:
        """Hand a fresh target to the motors; return why it was refused, or an empty string."""
        if problem := target.problem():
            self.rejected += 1
            return problem
        self._periods_since_target = 0
        if not self.stopped:
            self._apply(target)
        return ""

    def step(self) -> None:
        """Advance by one state period."""
        stale = self._periods_since_target
        if stale is None or stale >= self._watchdog_periods:
            self.watchdog_trips += stale is not None and not self.damped
            self._apply(self._damping_target)
        else:
            self._periods_since_target = stale + 1
        mujoco.mj_step(self.model, self.data, self._substeps)
        self.time_ns += STATE_PERIOD_NS

    def state(self) -> RobotState:
        """Measure the robot (with sensor noise on joints and gyroscope)."""
        qpos, qvel = self.data.qpos, self.data.qvel
        return RobotState(
            stamp=self.time_ns,
            joint_pos=self._noisy("joint_pos", qpos[7:]),
            joint_vel=self._noisy("joint_vel", qvel[6:]),
            base_quat=qpos[3:7].copy(),
            base_ang_vel=self._noisy("base_ang_vel", qvel[3:6]),
            base_pos=qpos[:3].copy(),
            base_lin_vel=quat_apply_inverse(qpos[3:7], qvel[:3]),
        )

    def joint_torque(self) -> np.ndarray:
        """Return the motor torques of the last physics step [29], N·m."""
        return self.data.actuator_force

    def acceleration(self) -> np.ndarray:
        """Return the accelerometer's reading [3] of the last physics step, m/s²."""
        return self.data.sensordata[self._acceleration : self._acceleration + 3]

    def _noisy(self, name: str, value: np.ndarray) -> np.ndarray:
        width = self._sensor_noise * SENSOR_NOISE[name]
        return value + self._rng.uniform(-width, width, value.shape) if width else value.copy()

    def _apply(self, target: MotorTarget) -> None:
        """Write gains and target into the actuators: force = gain·ctrl + bias, then clipped."""
        model = self.model
        model.actuator_gainprm[:, 0] = target.stiffness
        model.actuator_biasprm[:, 0] = target.damping * target.velocity + target.effort
        model.actuator_biasprm[:, 1] = -target.stiffness
        model.actuator_biasprm[:, 2] = -target.damping
        self.data.ctrl[:] = target.position
        self._applied = target


def start_on_floor(
    profile: RobotProfile,
    joint_pos: np.ndarray,
    body: str,
    body_pos: np.ndarray,
    body_quat: np.ndarray,
) -> np.ndarray:
    """Return the start [36] in which ``body`` has the given pose and the robot is on the floor.

    The height of ``body_pos`` is not used: the robot's lowest point is put at z = 0.

    Args:
        profile: of the robot.
        joint_pos: [29] rad.
        body: name of the body whose pose is known (a policy's anchor).
        body_pos: [3] m, world.
        body_quat: [4] w x y z, world.
    """
    model = build_model(profile)
    data = mujoco.MjData(model)
    data.qpos[:3], data.qpos[3:7], data.qpos[7:] = 0.0, [1.0, 0.0, 0.0, 0.0], joint_pos
    mujoco.mj_kinematics(model, data)
    quat = quat_multiply(body_quat, quat_conjugate(data.body(body).xquat))
    data.qpos[3:7] = quat
    data.qpos[:3] = body_pos - quat_apply(quat, data.body(body).xpos)
    mujoco.mj_kinematics(model, data)
    data.qpos[2] -= _lowest_point(model, data)
    return data.qpos.copy()


def _lowest_point(model: mujoco.MjModel, data: mujoco.MjData) -> float:
    """Return the height of the lowest sphere or capsule that may touch the floor, m."""
    floor = model.geom("floor").id
    touching = (model.geom_conaffinity & model.geom_contype[floor]) > 0
    touching &= np.isin(
        model.geom_type, (mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CAPSULE)
    )
    axis_z = np.abs(data.geom_xmat[:, 8])
    half = np.where(model.geom_type == mujoco.mjtGeom.mjGEOM_CAPSULE, model.geom_size[:, 1], 0.0)
    bottom = data.geom_xpos[:, 2] - model.geom_size[:, 0] - half * axis_z
    return float(bottom[touching].min())
