"""What happens to randomised robots as they move: sensor errors, delay, torque noise, pushes.

The functions are pure and work for one robot as for a batch; `RandomisedRobots` holds what N
robots of the training environment need from step to step.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields, replace
from typing import Any

import mujoco
import numpy as np

from g1_mimic.control.state import RobotState
from g1_mimic.envs.randomisation import Randomisation, RobotDraw, draw_robots, randomise_model
from g1_mimic.robot.names import NUM_JOINTS
from g1_mimic.robot.profile import RobotProfile
from g1_mimic.rotations import quat_apply_inverse, quat_from_rotation_vector, quat_multiply


@dataclass
class SensorNoise:
    """What one measurement is off by, besides the constant errors of a robot."""

    joint_pos: np.ndarray
    """[..., 29] rad."""
    joint_vel: np.ndarray
    """[..., 29] rad/s."""
    ang_vel: np.ndarray
    """[..., 3] rad/s, pelvis frame."""
    orientation: np.ndarray
    """[..., 3] rotation vector from the true to the measured pelvis, pelvis frame, rad."""
    position: np.ndarray
    """[..., 3] m, world."""
    lin_vel: np.ndarray
    """[..., 3] m/s, pelvis frame."""


NOISES = (
    "joint_pos_noise",
    "joint_vel_noise",
    "gyro_noise",
    "orientation_noise",
    "position_noise",
    "lin_vel_noise",
)
"""The ranges of `SensorNoise`, in its order."""


def has_sensor_errors(ranges: Randomisation) -> bool:
    """Whether sensors say anything but the truth (of resolved ranges)."""
    biases = (ranges.encoder_bias, ranges.default_pose, ranges.gyro_bias)
    return any(map(any, biases)) or any(getattr(ranges, name) for name in NOISES)


def draw_noise(
    ranges: Randomisation, rng: np.random.Generator, batch: tuple[int, ...] = ()
) -> SensorNoise:
    """Draw the noise of one measurement of each robot of a batch."""

    sizes = (NUM_JOINTS, NUM_JOINTS, 3, 3, 3, 3)
    widths = [getattr(ranges, name) for name in NOISES]
    parts = (
        rng.uniform(-width, width, (*batch, size))
        for width, size in zip(widths, sizes, strict=True)
    )
    return SensorNoise(*parts)


def sense(
    state: RobotState, encoder_offset: np.ndarray, gyro_bias: np.ndarray, noise: SensorNoise
) -> RobotState:
    """Return what a robot's sensors say of its true ``state``.

    Args:
        state: true; its arrays may start with batch axes.
        encoder_offset: [..., 29] rad, added to the joint angles.
        gyro_bias: [..., 3] rad/s, added to the angular velocity.
        noise: of this measurement.
    """
    turn = quat_from_rotation_vector(noise.orientation)
    return replace(
        state,
        joint_pos=state.joint_pos + encoder_offset + noise.joint_pos,
        joint_vel=state.joint_vel + noise.joint_vel,
        base_quat=quat_multiply(state.base_quat, turn),
        base_ang_vel=state.base_ang_vel + gyro_bias + noise.ang_vel,
        base_pos=None if state.base_pos is None else state.base_pos + noise.position,
        base_lin_vel=None if state.base_lin_vel is None else state.base_lin_vel + noise.lin_vel,
    )


def add_base_velocity(qpos: np.ndarray, qvel: np.ndarray, velocity: np.ndarray) -> None:
    """Add ``velocity`` [..., 6] (m/s, then rad/s, both in the world) to the pelvis, in place."""
    qvel[..., :3] += velocity[..., :3]
    # MuJoCo's free joint has its angular velocity in the body frame
    qvel[..., 3:6] += quat_apply_inverse(qpos[..., 3:7], velocity[..., 3:])


def draw_push(ranges: Randomisation, rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw the velocities [count, 6] that pushes add (see `add_base_velocity`)."""
    width = np.array(ranges.push_velocity)
    return rng.uniform(-width, width, (count, 6))


class RandomisedRobots:
    """N robots that differ, and what each needs to remember. With preset none it does nothing.

    All draws come from a generator of its own, so that everything else in the environment is as it
    would be without it.

    Args:
        ranges: what is randomised.
        model: the nominal robot; not changed.
        profile: of the robot.
        num_envs: N.
        decimation: physics steps per control step.
        seed: of all draws.
    """

    def __init__(
        self,
        ranges: Randomisation,
        model: mujoco.MjModel,
        profile: RobotProfile,
        num_envs: int,
        decimation: int,
        seed: int,
    ) -> None:
        self.ranges = ranges.resolved()
        self.active = self.ranges != Randomisation(every_episode=self.ranges.every_episode)
        self._nominal, self._profile, self._count = model, profile, num_envs
        self._dt, self._decimation = model.opt.timestep, decimation
        self.models: list[mujoco.MjModel] | None = None
        """A model per robot, where they differ."""
        if not self.active:
            return
        r = self.ranges
        if r.alters_models():
            self.models = [copy.copy(model) for _ in range(num_envs)]
            self._scratch = mujoco.MjData(model)
        self._pushes = any(r.push_velocity)
        self._false = has_sensor_errors(r)
        self._steps_back = -(-self._delay_steps(np.array(r.action_delay_s[1])) // decimation)
        self._history = np.zeros((num_envs, int(self._steps_back) + 1, NUM_JOINTS))
        self._until_push = np.zeros(num_envs, dtype=np.int64)
        self.reseed(seed)

    # -- episodes -------------------------------------------------------------------------------

    def reseed(self, seed: int) -> None:
        """Start all draws anew from ``seed``."""
        if not self.active:
            return
        self._rng = np.random.default_rng([seed, 1])  # not the environment's own sequence
        self.draw = draw_robots(self.ranges, self._count, self._nominal.nbody, self._rng)
        self._write_models(np.arange(self._count))
        self._noise = draw_noise(self.ranges, self._rng, (self._count,))

    def restart(self, envs: np.ndarray, target: np.ndarray) -> None:
        """Begin an episode in the robots ``envs``, whose motors hold ``target`` [n, 29]."""
        if not self.active:
            return
        if self.ranges.every_episode:
            new = draw_robots(self.ranges, len(envs), self._nominal.nbody, self._rng)
            self.draw.put(envs, new)
            self._write_models(envs)
        self._history[envs] = target[:, None]
        self._until_push[envs] = self._push_steps(len(envs))
        self._measure(envs)

    # -- a control step ---------------------------------------------------------------------------

    def push(self, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Push the robots whose time has come: changes ``qvel`` [N, 35] in place."""
        if not self.active or not self._pushes:
            return
        self._until_push -= 1
        due = np.flatnonzero(self._until_push <= 0)
        if len(due):
            pushed = qvel[due]
            add_base_velocity(qpos[due], pushed, draw_push(self.ranges, self._rng, len(due)))
            qvel[due] = pushed
            self._until_push[due] = self._push_steps(len(due))

    def delayed(self, desired: np.ndarray) -> np.ndarray:
        """Return the desired targets that count in each physics step [N, 1 or decimation, 29].

        Args:
            desired: [N, 29] of this control step's actions.
        """
        if not self.active or not self._steps_back:
            return desired[:, None]
        self._history[:, 1:] = self._history[:, :-1].copy()
        self._history[:, 0] = desired
        steps = self._delay_steps(self.draw.action_delay)
        age = np.maximum(0, steps[:, None] - np.arange(self._decimation) + self._decimation - 1)
        return self._history[np.arange(self._count)[:, None], age // self._decimation]

    def motor_targets(self, target: np.ndarray) -> np.ndarray:
        """Return what the motors do with targets [N, steps, 29]: encoder offset, torque noise."""
        if not self.active:
            return target
        if any(self.ranges.encoder_bias) or any(self.ranges.default_pose):
            target = target - self.draw.encoder_offset[:, None]
        if any(self.ranges.torque_noise):
            width = self.draw.torque_noise * self._profile.torque_limit
            reach = width / (self._profile.stiffness * self.draw.stiffness)
            target = target + reach[:, None] * self._rng.uniform(-1.0, 1.0, target.shape)
        return target

    def measure(self) -> None:
        """Draw the noise of the measurement that follows a step."""
        self._measure(np.arange(self._count))

    def measured(self, state: RobotState, envs: np.ndarray | slice) -> RobotState:
        """Return what the sensors of the robots ``envs`` say of their true state (batched)."""
        if not self.active or not self._false:
            return state
        parts = {f.name: getattr(self._noise, f.name)[envs] for f in fields(SensorNoise)}
        draw = self.draw
        return sense(state, draw.encoder_offset[envs], draw.gyro_bias[envs], SensorNoise(**parts))

    # -- checkpoints ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        if not self.active:
            return {}
        return {
            "ranges": self.ranges.model_dump_json(),
            "rng": self._rng.bit_generator.state,
            "draw": self.draw.state_dict(),
            "noise": {f.name: getattr(self._noise, f.name).copy() for f in fields(SensorNoise)},
            "history": self._history.copy(),
            "until_push": self._until_push.copy(),
        }

    def load_state_dict(self, state: dict[str, Any], target: np.ndarray) -> None:
        """Restore `state_dict`'s result; draw anew if it is of other ranges.

        Args:
            state: of `state_dict`.
            target: what the motors hold [N, 29], rad.
        """
        if not self.active:
            return
        if state.get("ranges") != self.ranges.model_dump_json():
            self.restart(np.arange(self._count), target)
            return
        self._rng.bit_generator.state = state["rng"]
        self.draw.put(np.arange(self._count), RobotDraw(**state["draw"]))
        self._write_models(np.arange(self._count))
        self._noise = SensorNoise(**{k: np.asarray(v).copy() for k, v in state["noise"].items()})
        self._history[:], self._until_push[:] = state["history"], state["until_push"]

    # -- pieces -----------------------------------------------------------------------------------

    def _write_models(self, envs: np.ndarray) -> None:
        if self.models is not None:
            for i in envs:
                randomise_model(self.models[i], self._nominal, self.draw, int(i), self._scratch)

    def _measure(self, envs: np.ndarray) -> None:
        if not self.active or not self._false:
            return
        new = draw_noise(self.ranges, self._rng, (len(envs),))
        for field in fields(SensorNoise):
            getattr(self._noise, field.name)[envs] = getattr(new, field.name)

    def _delay_steps(self, delay: np.ndarray) -> np.ndarray:
        return np.rint(delay / self._dt).astype(np.int64)

    def _push_steps(self, count: int) -> np.ndarray:
        seconds = self._rng.uniform(*self.ranges.push_interval_s, count)
        return np.ceil(seconds / (self._dt * self._decimation)).astype(np.int64)
