"""The simulated robot behind the node ``mujoco_sim``: MuJoCo and numpy, no ROS."""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import replace

import mujoco
import numpy as np

from g1_mimic.control.state import MotorTarget, RobotState
from g1_mimic.envs.disturbances import add_base_velocity, draw_push
from g1_mimic.envs.drawn_robots import (
    RobotDraw,
    draw_noise,
    draw_robots,
    randomise_model,
    sense,
)
from g1_mimic.envs.randomisation import Randomisation
from g1_mimic.robot.model import FLOOR_GEOM, HOIST, Feet, build_model, home_qpos, set_gains
from g1_mimic.robot.names import END_EFFECTOR_NAMES
from g1_mimic.robot.profile import RobotProfile
from g1_mimic.rotations import quat_apply, quat_conjugate, quat_multiply

STATE_PERIOD_NS = 2_000_000
"""Time between states: 500 Hz, the rate of the robot's own state messages."""

_NO_RANDOMISATION = Randomisation()


class Simulator:
    """One robot on a floor, with a hoist, a motor watchdog and an emergency stop.

    The robot starts in ``start_qpos`` with its pelvis held by the hoist (a weld to the world),
    as a robot hangs in its gantry until a controller has taken over; ``release`` lets it go.
    The motors hold the last target for at most ``watchdog_periods`` state periods; after that,
    and after ``e_stop``, they only damp. Torques are bounded at each physics step by the profile's
    limit and torque-speed line in any case. Pushes begin when the robot is released.

    Two simulators with the same arguments that are asked the same do the same, to the bit.

    Args:
        profile: gains, friction, limits and default pose.
        start_qpos: [36] start, MuJoCo order; None takes the default pose.
        seed: of everything that is drawn.
        start_noise: half width of the uniform noise on the joint angles of a start, rad.
        randomisation: which robot it is, its sensors' errors, pushes; drawn anew by ``reset``.
        joint_friction: factor on the profile's friction of motors and gears.
        state_delay: age of what the sensors say, s, in whole state periods.
        state_dropout: fraction of the states that are lost.
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
        randomisation: Randomisation = _NO_RANDOMISATION,
        joint_friction: float = 1.0,
        state_delay: float = 0.0,
        state_dropout: float = 0.0,
        substeps: int = 1,
        watchdog_periods: int = 3,
        feet: Feet = "capsules",
        self_collision: bool = True,
    ) -> None:
        self._nominal = build_model(
            profile,
            timestep=STATE_PERIOD_NS * 1e-9 / substeps,
            feet=feet,
            self_collision=self_collision,
            hoist=True,
            motors="feed_forward",
            joint_friction=joint_friction,
        )
        self.model = copy.copy(self._nominal)
        self.data = mujoco.MjData(self.model)
        self._scratch = mujoco.MjData(self.model)
        self._control = self.data.ctrl.reshape(-1, 3)  # angle, velocity, torque of each motor
        self.time_ns = 0
        """Simulated time; a reset does not turn it back, so that stamps always grow."""
        self.stopped = False
        """True after ``e_stop`` until ``reset``."""
        self.rejected = 0
        """Targets that no motor may get."""
        self.watchdog_trips = 0
        """How often the motors began to damp because no fresh target came."""
        self.lost = False
        """True if the newest state is one of those that are lost on the way."""
        self._profile = profile
        self._start = home_qpos(profile) if start_qpos is None else start_qpos
        self._rng = np.random.default_rng(seed)
        self._start_noise = start_noise
        self._ranges = ranges = randomisation.resolved()
        self._sensors_err = ranges.falsifies_sensors()
        self._torques_err, self._pushes = any(ranges.torque_noise), any(ranges.push_velocity)
        self._delay_periods = round(state_delay / (STATE_PERIOD_NS * 1e-9))
        self._dropout = state_dropout
        self._substeps, self._watchdog_periods = substeps, watchdog_periods
        self._acceleration = self.model.sensor("imu_acc").adr[0]
        self._hoist = self.model.equality(HOIST).id
        self._floor = self.model.geom(FLOOR_GEOM).id
        self._feet = [self.model.body(name).id for name in END_EFFECTOR_NAMES[:2]]
        zero = np.zeros(len(profile.damping))
        self._damping_target = MotorTarget(zero, zero, profile.damping)
        self._draw: RobotDraw | None = None
        self.reset()

    def reset(self) -> None:
        """Put the robot back to its start, hoisted and damped, and clear the emergency stop."""
        if self._draw is None or self._ranges.every_episode:
            self._draw = draw_robots(self._ranges, 1, self.model.nbody, self._rng)
            randomise_model(self.model, self._nominal, self._draw, 0, self._scratch)
        self._offset = self._draw.encoder_offset[0]
        self._target_delay_ns = round(float(self._draw.action_delay[0]) * 1e9)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = self._start
        noise = self._rng.uniform(-self._start_noise, self._start_noise, self.model.nactuator)
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
        self._coming: deque[tuple[int, MotorTarget]] = deque()
        self._past: deque[RobotState] = deque(maxlen=self._delay_periods + 1)
        self._apply(self._damping_target)
        mujoco.mj_forward(self.model, self.data)
        self._measure()

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
        if self.hoisted:
            self.data.eq_active[self._hoist] = 0
            self._schedule_push()

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
        self._coming.append((self.time_ns + self._target_delay_ns, target))
        self._take_targets()
        return ""

    def step(self) -> None:
        """Advance by one state period."""
        self._take_targets()
        stale = self._periods_since_target
        if stale is None or stale >= self._watchdog_periods:
            self.watchdog_trips += stale is not None and not self.damped
            self._apply(self._damping_target)
        else:
            self._periods_since_target = stale + 1
        self._disturb()
        mujoco.mj_step(self.model, self.data, self._substeps)
        self.time_ns += STATE_PERIOD_NS
        self._measure()

    def state(self) -> RobotState:
        """Return the newest measurement of the robot."""
        return self._state

    def true_state(self) -> RobotState:
        """Return what no sensor of a robot can tell without error."""
        qpos, qvel = self.data.qpos.copy(), self.data.qvel.copy()
        velocity, turned_back = np.empty(3), np.empty(4)
        mujoco.mju_negQuat(turned_back, qpos[3:7])
        mujoco.mju_rotVecQuat(velocity, qvel[:3], turned_back)
        return RobotState(
            stamp=self.time_ns,
            joint_pos=qpos[7:],
            joint_vel=qvel[6:],
            base_quat=qpos[3:7],
            base_ang_vel=qvel[3:6],
            base_pos=qpos[:3],
            base_lin_vel=velocity,
        )

    def joint_torque(self) -> np.ndarray:
        """Return the motor torques of the last physics step [29], N·m."""
        return self.data.actuator_force

    def foot_forces(self) -> np.ndarray:
        """Return the floor's normal forces on left and right foot [2] in the last step, N."""
        model, data, forces = self.model, self.data, np.zeros(2)
        if not data.ncon:
            return forces
        geoms = data.contact.geom
        on_floor = (geoms == self._floor).any(axis=1)
        force = np.empty(6)
        for foot, body in enumerate(self._feet):
            of_foot = (model.geom_bodyid[geoms] == body).any(axis=1)
            for contact in np.flatnonzero(on_floor & of_foot):
                mujoco.mj_contactForce(model, data, int(contact), force)
                forces[foot] += force[0]
        return forces

    def acceleration(self) -> np.ndarray:
        """Return the accelerometer's reading [3] of the last physics step, m/s²."""
        return self.data.sensordata[self._acceleration : self._acceleration + 3]

    def _measure(self) -> None:
        """Let the sensors speak, and decide whether it is heard."""
        self._past.append(self.true_state())
        state = self._past[0]
        if self._delay_periods:
            state = replace(state, stamp=self.time_ns)
        if self._sensors_err:
            assert self._draw is not None
            noise = draw_noise(self._ranges, self._rng)
            state = sense(state, self._ranges, self._draw, 0, noise)
        self._state = state
        self.lost = self._dropout > 0.0 and self._rng.random() < self._dropout

    def _take_targets(self) -> None:
        while self._coming and self._coming[0][0] <= self.time_ns:
            target = self._coming.popleft()[1]
            self._periods_since_target = 0
            if not self.stopped:
                self._apply(target)

    def _disturb(self) -> None:
        """Torque noise of this period, and a push if its time has come."""
        if self._torques_err and not self.damped:
            assert self._draw is not None
            width = self._draw.torque_noise[0] * self._profile.torque_limit
            self._control[:, 2] = self._applied.effort + self._rng.uniform(-width, width)
        if self._pushes and not self.hoisted and self.time_ns >= self._next_push_ns:
            push = draw_push(self._ranges, self._rng, 1)[0]
            add_base_velocity(self.data.qpos, self.data.qvel, push)
            self._schedule_push()

    def _schedule_push(self) -> None:
        seconds = self._rng.uniform(*self._ranges.push_interval_s)
        self._next_push_ns = self.time_ns + round(seconds * 1e9)

    def _apply(self, target: MotorTarget) -> None:
        """Write gains and target into the motors."""
        assert self._draw is not None
        set_gains(
            self.model,
            target.stiffness * self._draw.stiffness[0],
            target.damping * self._draw.damping[0],
        )
        self._control[:, 0] = target.position - self._offset
        self._control[:, 1] = target.velocity
        self._control[:, 2] = target.effort
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
