"""The tracking task: N robots imitate one or more clips, in lock-step, on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from g1_mimic.control.pd_target import action_to_target, slew_steps
from g1_mimic.control.state import RobotState
from g1_mimic.envs.config import EnvConfig
from g1_mimic.envs.disturbances import RandomisedRobots
from g1_mimic.envs.observations import (
    ObservationInputs,
    Observer,
    build_observation,
    observation_size,
)
from g1_mimic.envs.physics import RolloutPhysics, TrackingSensors
from g1_mimic.envs.reference import Reference
from g1_mimic.envs.rewards import (
    BodyPoses,
    Outcome,
    TrackingErrors,
    tracking_errors,
    weighted_reward,
)
from g1_mimic.envs.starts import StartSampler, StartsConfig
from g1_mimic.envs.terminations import tracking_failed
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.library import MotionLibrary
from g1_mimic.motion.trajectory import CONTROL_RATE
from g1_mimic.robot.model import build_model
from g1_mimic.robot.names import (
    ANCHOR_BODY_NAME,
    END_EFFECTOR_NAMES,
    NUM_JOINTS,
    TRACKED_BODY_NAMES,
)
from g1_mimic.robot.profile import RobotProfile

ANCHOR = TRACKED_BODY_NAMES.index(ANCHOR_BODY_NAME)
END_EFFECTORS = [TRACKED_BODY_NAMES.index(name) for name in END_EFFECTOR_NAMES]


@dataclass
class Observations:
    """What policy and critic see: float32 [N, …]; the critic's is the policy's plus its own."""

    policy: np.ndarray
    critic: np.ndarray


@dataclass
class StepResult:
    """The outcome of one control step for N robots."""

    observations: Observations
    """Of the state to act on next: after the reset where an episode ended."""
    final_observations: Observations
    """Of the state that the step led to: the same, except where an episode ended."""
    reward: np.ndarray
    """[N] float32."""
    terminated: np.ndarray
    """[N] bool: tracking failed (or the simulation broke down)."""
    truncated: np.ndarray
    """[N] bool: out of time or at the end of the clip, and not failed."""
    info: dict[str, Any]
    """``terms``: reward terms [N]; ``errors``: tracking errors [N]; ``broken``: physics faults
    [N] bool; ``episode_length``: steps since the reset [N]; ``frame``: reference frame [N];
    ``qpos`` [N, 36], ``qvel`` [N, 35]: the state that the step led to."""


class TrackingEnv:
    """N simulated G1s tracking ``motions`` at 50 Hz.

    An episode starts at a sampled frame of a clip (reference state initialisation), and ends
    when tracking fails (terminated), or after `EnvConfig.episode_length_s` or at the end of a
    clip that does not loop (truncated). Robots are reset as they end, so that `step` always
    returns states to act on.

    Args:
        motions: the clip, or the clips and their shares, at the control rate.
        profile: the robot.
        config: the task.
        num_envs: N.
        seed: seeds start frames, reset noise and randomisation.
        starts: how start frames are drawn.

    Raises:
        G1MimicError: if the clip's rate is not the control rate.
    """

    def __init__(
        self,
        motions: MotionClip | MotionLibrary,
        profile: RobotProfile,
        config: EnvConfig,
        num_envs: int,
        seed: int = 0,
        starts: StartsConfig | None = None,
    ) -> None:
        self.motions, self.profile, self.config = MotionLibrary.of(motions), profile, config
        self.num_envs = num_envs
        self.rng = np.random.default_rng(seed)
        self.reference = Reference(self.motions, profile, config)
        clips = self.reference.clip_starts(self.motions.shares)
        self.starts = StartSampler(starts or StartsConfig(), clips, CONTROL_RATE)
        self.model: mujoco.MjModel = build_model(
            profile,
            timestep=config.physics_dt,
            feet=config.feet,
            self_collision=config.self_collision,
            tracking_sensors=True,
            visuals=False,
            motors="torque_speed" if config.torque_speed_line else "pd",
        )
        self.robots = RandomisedRobots(
            config.randomisation, self.model, profile, num_envs, config.decimation, seed
        )
        self.physics = RolloutPhysics(self.model, num_envs, config.threads, self.robots.models)
        self.sensors = TrackingSensors(self.physics)
        self.soft_limits = profile.soft_limits()
        self._observer = Observer(config.policy_observation, profile.default_position)
        self.policy_size = observation_size(config.policy_observation)
        self._privileged = config.privileged_terms
        self.critic_size = observation_size(config.critic_terms)
        self.frame = np.zeros(num_envs, dtype=np.int64)
        self.episode_length = np.zeros(num_envs, dtype=np.int64)
        self.last_action = np.zeros((num_envs, NUM_JOINTS))
        self.rest_action = np.zeros((len(self.reference.qpos), NUM_JOINTS))
        """What counts as the action before an episode that starts at each frame."""
        self._target = np.zeros((num_envs, NUM_JOINTS))
        steps = np.arange(1, config.decimation + 1)[:, None]
        self._ramp = profile.velocity_limit * config.physics_dt * steps

    # -- episodes -------------------------------------------------------------------------------

    def reset(self, seed: int | None = None) -> Observations:
        """Start all episodes anew and return their observations."""
        if seed is not None:
            self.rng = np.random.default_rng(seed)
            self.robots.reseed(seed)
        everyone = np.arange(self.num_envs)
        self.reset_to(everyone, self.starts.sample(self.num_envs, self.rng))
        return self.observe()

    def reset_to(self, envs: np.ndarray, frames: np.ndarray, noise: float | None = None) -> None:
        """Put the robots ``envs`` at the reference's ``frames``, plus noise.

        Args:
            envs: indices of robots [n].
            frames: frames of the reference [n].
            noise: scale on the reset ranges; None takes the configured one.
        """
        scale = self.config.reset.noise if noise is None else noise
        qpos, qvel = self.reference.start_states(frames, scale, self.rng)
        qpos[:, 7:] = np.clip(qpos[:, 7:], *self.soft_limits)
        self.physics.qpos[envs], self.physics.qvel[envs] = qpos, qvel
        self.frame[envs] = frames
        self.episode_length[envs] = 0
        self.last_action[envs] = self.rest_action[frames]
        self._target[envs] = np.clip(self.reference.qpos[frames, 7:], *self.soft_limits)
        self.robots.restart(envs, self._target[envs])

    def step(self, actions: np.ndarray) -> StepResult:
        """Apply raw actions [N, 29] for one control step.

        Raises:
            ValueError: if an action is not finite.
        """
        actions = np.asarray(actions, dtype=np.float64)
        if not np.isfinite(actions).all():
            raise ValueError("an action is not finite")
        targets = self._targets(actions)
        self.robots.push(self.physics.qpos, self.physics.qvel)
        broken = self.physics.step(self.robots.motor_targets(targets))
        self.robots.measure()
        self._target = targets[:, -1]
        self.frame += 1
        self.episode_length += 1
        robot, reference = self.sensors.bodies(), self.reference.lagged_bodies(self.frame)
        errors = tracking_errors(robot, reference, ANCHOR)
        reward, terms = weighted_reward(
            self.config.reward.weights, self._outcome(robot, reference, errors, actions)
        )
        terminated = broken | tracking_failed(
            self.config.termination,
            robot.pos[:, ANCHOR, 2] - reference.pos[:, ANCHOR, 2],
            robot.quat[:, ANCHOR],
            reference.quat[:, ANCHOR],
            errors.body_height[:, END_EFFECTORS],
        )
        truncated = ~terminated & (
            (self.episode_length >= self.config.max_steps)
            | (self.frame >= self.reference.last_frame[self.frame])
        )
        reward = np.where(broken, 0.0, reward * self.config.reward.scale)
        self.last_action = actions.copy()
        final = self.observe()
        metrics = self._error_metrics(errors)
        info = {
            "terms": terms,
            "errors": metrics,
            "broken": broken,
            "episode_length": self.episode_length.copy(),
            "frame": self.frame.copy(),
            "qpos": self.physics.qpos.copy(),
            "qvel": self.physics.qvel.copy(),
        }
        ended = np.flatnonzero(terminated | truncated)
        whole = ~broken
        self.starts.record(self.frame[whole], terminated[whole], metrics["body_pos"][whole])
        observations = final
        if len(ended):
            self.reset_to(ended, self.starts.sample(len(ended), self.rng))
            critic = final.critic.copy()
            critic[ended] = self.observe(ended).critic
            observations = Observations(critic[:, : self.policy_size], critic)
        return StepResult(
            observations, final, reward.astype(np.float32), terminated, truncated, info
        )

    def close(self) -> None:
        """End the physics threads."""
        self.physics.close()

    # -- pieces of a step -----------------------------------------------------------------------

    def _targets(self, actions: np.ndarray) -> np.ndarray:
        """Return the PD targets of each physics step [N, decimation, 29], slew-limited."""
        base = self.reference.base[self.frame]
        desired = action_to_target(actions, base, self.profile.action_scale)
        desired = self.robots.delayed(np.clip(desired, *self.soft_limits))
        return slew_steps(desired, self._target, self._ramp)

    def _outcome(
        self, robot: BodyPoses, lagged: BodyPoses, errors: TrackingErrors, actions: np.ndarray
    ) -> Outcome:
        return Outcome(
            robot=robot,
            reference=lagged,
            errors=errors,
            joint_pos=self.physics.qpos[:, 7:],
            joint_vel=self.physics.qvel[:, 6:],
            ref_joint_pos=self.reference.qpos[self.frame, 7:],
            ref_joint_vel=self.reference.qvel[self.frame, 6:],
            contacts=self.sensors.contacts(),
            ref_foot_contact=self.reference.foot_contact[self.frame],
            action=actions,
            last_action=self.last_action,
            target=self._target,
            profile=self.profile,
        )

    def _error_metrics(self, errors: TrackingErrors) -> dict[str, np.ndarray]:
        joints = self.physics.qpos[:, 7:] - self.reference.qpos[self.frame, 7:]
        return {
            "joint_pos": np.abs(joints).mean(-1),
            "anchor_pos": np.sqrt(errors.anchor_pos),
            "anchor_ori": np.sqrt(errors.anchor_ori),
            "body_pos": np.sqrt(errors.body_pos),
        }

    def observe(self, envs: np.ndarray | slice = slice(None)) -> Observations:
        """Return the observations of the present state of the robots ``envs``.

        The policy sees what the sensors say; the critic's own terms are true.
        """
        reference, last_action = self.reference.frame(self.frame[envs]), self.last_action[envs]

        def inputs(state: RobotState) -> ObservationInputs:
            return self._observer.inputs(state, reference, last_action)

        state = self.physics.states(envs)
        measured = self.robots.measured(state, envs)
        true = inputs(state)
        seen = true if measured is state else inputs(measured)
        parts = [build_observation(self.config.policy_observation, seen)]
        if self._privileged:
            parts.append(build_observation(self._privileged, true))
        critic = np.concatenate(parts, axis=1, dtype=np.float32)
        return Observations(critic[:, : self.policy_size], critic)

    # -- checkpoints ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        return {
            "qpos": self.physics.qpos.copy(),
            "qvel": self.physics.qvel.copy(),
            "frame": self.frame.copy(),
            "episode_length": self.episode_length.copy(),
            "last_action": self.last_action.copy(),
            "target": self._target.copy(),
            "rng": self.rng.bit_generator.state,
            "phase": self.starts.state_dict(),
            "robots": self.robots.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`'s result."""
        self.physics.qpos[:], self.physics.qvel[:] = state["qpos"], state["qvel"]
        self.frame[:], self.episode_length[:] = state["frame"], state["episode_length"]
        self.last_action[:] = state["last_action"]
        self._target = np.asarray(state["target"]).copy()
        self.rng.bit_generator.state = state["rng"]
        self.starts.load_state_dict(state["phase"])
        self.robots.load_state_dict(state["robots"], self._target)
