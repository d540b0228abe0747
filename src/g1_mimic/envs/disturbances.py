"""What happens to randomised robots as they move: sensor errors, delay, torque noise, pushes.

`RandomisedRobots` holds what N robots of the training environment need from step to step.
"""

from __future__ import annotations

import copy
from typing import Any

import mujoco
import numpy as np

from g1_mimic.control.state import RobotState
from g1_mimic.envs.drawn_robots import draw_noise, draw_robots, randomise_model, sense
from g1_mimic.envs.randomisation import Randomisation
from g1_mimic.robot.names import NUM_JOINTS
from g1_mimic.robot.profile import RobotProfile
from g1_mimic.rotations import quat_apply_inverse


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
        keys = set(type(ranges).model_fields) - {"every_episode"}
        self.active = any(map(self.ranges.changes, keys))
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
        self._false = r.falsifies_sensors()
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
            self.draw.put(envs, new.numbers)
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
        noise = {name: values[envs] for name, values in self._noise.items()}
        return sense(state, self.ranges, self.draw, envs, noise)

    # -- checkpoints ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        if not self.active:
            return {}
        return {
            "ranges": self.ranges.model_dump_json(),
            "rng": self._rng.bit_generator.state,
            "draw": self.draw.state_dict(),
            "noise": {name: values.copy() for name, values in self._noise.items()},
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
        self.draw.put(np.arange(self._count), state["draw"])
        self._write_models(np.arange(self._count))
        self._noise |= {name: np.asarray(v).copy() for name, v in state["noise"].items()}
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
        for name, values in new.items():
            self._noise[name][envs] = values

    def _delay_steps(self, delay: np.ndarray) -> np.ndarray:
        return np.rint(delay / self._dt).astype(np.int64)

    def _push_steps(self, count: int) -> np.ndarray:
        seconds = self._rng.uniform(*self.ranges.push_interval_s, count)
        return np.ceil(seconds / (self._dt * self._decimation)).astype(np.int64)
