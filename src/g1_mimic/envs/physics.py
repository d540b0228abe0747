"""Many MuJoCo robots stepped at once on the CPU."""

from __future__ import annotations

import os
from collections.abc import Sequence

import mujoco
import numpy as np
from mujoco import rollout

from g1_mimic.control.state import RobotState
from g1_mimic.envs.rewards import BodyPoses
from g1_mimic.errors import BadValue
from g1_mimic.robot.model import contact_count_slice, motor_sensor_slice, tracking_sensor_slice
from g1_mimic.robot.names import NUM_JOINTS, TRACKED_BODY_NAMES
from g1_mimic.rotations import quat_apply_inverse

MOST_SPEED = 1000.0
"""A simulation with any faster velocity (m/s, rad/s) has broken down: a healthy robot stays below
a tenth, and one such number would spoil the statistics that observations are normalised with."""


class RolloutPhysics:
    """N robots, of one model or of one each, stepped by `mujoco.rollout` in C++ threads.

    The GIL is released while stepping. All arrays are float64 and owned by this object:
    ``qpos`` [N, nq] and ``qvel`` [N, nv] are views of the state and may be written to between
    steps; ``sensordata`` [N, nsensordata] is that of the last physics step's start, that is one
    physics step older than the state (MuJoCo evaluates sensors before it integrates), and
    ``substep_sensordata`` [N, steps, nsensordata] that of every physics step of the last `step`.

    Args:
        model: a compiled model without actuator or plugin state.
        num_envs: N.
        threads: worker threads; 0 takes all cores that this process may use.
        models: N models of the same sizes, where the robots differ; they may be changed between
            steps. (5 to 15% slower than one model, whose constants stay in the cache.)
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        num_envs: int,
        threads: int = 0,
        models: Sequence[mujoco.MjModel] | None = None,
    ) -> None:
        self.model = model
        self._models = model if models is None else list(models)
        self.num_envs = num_envs
        threads = threads or len(os.sched_getaffinity(0))
        self.threads = min(threads, num_envs)
        full = mujoco.mjtState.mjSTATE_FULLPHYSICS
        size = mujoco.mj_stateSize(model, full)
        if size != 1 + model.nq + model.nv:
            raise BadValue("models with actuator or plugin state are not supported here")
        self._data = [mujoco.MjData(model) for _ in range(self.threads)]
        self._pool = rollout.Rollout(nthread=self.threads if self.threads > 1 else 0)
        self._state = np.zeros((num_envs, size))
        self.qpos = self._state[:, 1 : 1 + model.nq]
        self.qvel = self._state[:, 1 + model.nq :]
        self.qpos[:] = model.qpos0
        self.sensordata = np.zeros((num_envs, model.nsensordata))
        self.substep_sensordata = self.sensordata[:, None]
        self._out: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def states(self, envs: np.ndarray | slice) -> RobotState:
        """Return the true states of the robots ``envs``, as perfect sensors would tell them."""
        qpos, qvel = self.qpos[envs], self.qvel[envs]
        return RobotState(
            stamp=0,
            joint_pos=qpos[:, 7:],
            joint_vel=qvel[:, 6:],
            base_quat=qpos[:, 3:7],
            base_ang_vel=qvel[:, 3:6],
            base_pos=qpos[:, :3],
            base_lin_vel=quat_apply_inverse(qpos[:, 3:7], qvel[:, :3]),
        )

    def step(self, control: np.ndarray) -> np.ndarray:
        """Advance all robots by ``control.shape[1]`` physics steps.

        Args:
            control: actuator controls [N, steps, nu].

        Returns:
            Boolean [N]: where the simulation broke down (non-finite or wildly large state). The
            state of those is that of before the step, or the model's initial one if that was not
            sound either; the caller must reset them.
        """
        steps = control.shape[1]
        if steps not in self._out:
            n, m = self.num_envs, self.model
            self._out[steps] = (
                np.zeros((n, steps, self._state.shape[1])),
                np.zeros((n, steps, m.nsensordata)),
            )
        state, sensordata = self._out[steps]
        self._pool.rollout(
            self._models,
            self._data,
            self._state,
            control,
            nstep=steps,
            state=state,
            sensordata=sensordata,
        )
        last = state[:, -1]
        # MuJoCo resets a diverged simulation by itself, which sets the clock back.
        expected = self._state[:, 0] + steps * self.model.opt.timestep
        broken = ~(np.abs(last[:, 0] - expected) < 0.5 * self.model.opt.timestep)
        broken |= ~self._sound(last)
        if broken.any():
            last[broken] = np.where(
                self._sound(self._state[broken])[:, None],
                self._state[broken],
                np.concatenate([[0.0], self.model.qpos0, np.zeros(self.model.nv)]),
            )
            sensordata[broken] = np.nan_to_num(sensordata[broken])
        self._state[:] = last
        self.sensordata[:] = sensordata[:, -1]
        self.substep_sensordata = sensordata
        return broken

    def _sound(self, state: np.ndarray) -> np.ndarray:
        """Return which states [N, 1 + nq + nv] are finite and not wildly fast [N] bool."""
        slow = (np.abs(state[:, 1 + self.model.nq :]) <= MOST_SPEED).all(1)
        return np.asarray(slow & np.isfinite(state).all(1))

    def close(self) -> None:
        """End the worker threads."""
        self._pool.close()


class TrackingSensors:
    """What the sensors of a model with ``tracking_sensors`` say of N robots.

    Args:
        physics: steps the robots; what is told is of its last step.
    """

    def __init__(self, physics: RolloutPhysics) -> None:
        self._physics, model = physics, physics.model
        self._bodies = tracking_sensor_slice(model)
        self._contacts = contact_count_slice(model)
        self._motors = motor_sensor_slice(model)

    def bodies(self) -> BodyPoses:
        """Return the tracked bodies, one physics step before the state."""
        values, b = self._physics.sensordata[:, self._bodies], len(TRACKED_BODY_NAMES)
        parts = np.split(values, [3 * b, 7 * b, 10 * b], axis=1)
        return BodyPoses(*(part.reshape(len(part), b, -1) for part in parts))

    def contacts(self) -> np.ndarray:
        """Return how many contacts with the floor there are [N, 3]: left foot, right foot, all."""
        return self._physics.sensordata[:, self._contacts]

    def motors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return torques (N·m) and speeds (rad/s) of every physics step [N, steps, 29]."""
        values = self._physics.substep_sensordata[:, :, self._motors]
        return values[..., :NUM_JOINTS], values[..., NUM_JOINTS:]
