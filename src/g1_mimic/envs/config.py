"""Settings of the tracking task."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from g1_mimic.control.pd_target import ActionBase
from g1_mimic.envs.observations import DEFAULT_POLICY_TERMS, term_slices
from g1_mimic.envs.randomisation import Randomisation
from g1_mimic.envs.rewards import DeepMimicReward, TrackingReward
from g1_mimic.motion.trajectory import CONTROL_RATE
from g1_mimic.settings import Settings


class RewardConfig(Settings):
    """Which reward is used, and its weights."""

    set: Literal["tracking", "deepmimic"] = "tracking"
    """BeyondMimic's terms, or the guide's."""
    scale: float = Field(1.0 / CONTROL_RATE, gt=0)
    """Factor on the weighted sum: the control period makes the reward a rate, as upstream."""
    tracking: TrackingReward = TrackingReward()
    deepmimic: DeepMimicReward = DeepMimicReward()

    @property
    def weights(self) -> Settings:
        """The set that is used."""
        weights: Settings = getattr(self, self.set)
        return weights


class TerminationConfig(Settings):
    """Tracking errors that end an episode as failed (BeyondMimic's thresholds)."""

    anchor_height: float = Field(0.25, gt=0)
    """Height error of the torso, m."""
    anchor_gravity: float = Field(0.8, gt=0)
    """Difference of the z component of gravity seen by reference and robot torso."""
    end_effector_height: float = Field(0.25, gt=0)
    """Height error of a foot or hand, m."""


class ResetConfig(Settings):
    """Where episodes start, and how far from the reference."""

    noise: float = Field(0.25, ge=0)
    """Scale on BeyondMimic's reset ranges (position, orientation, velocities, joints)."""


class EnvConfig(Settings):
    """The tracking environment."""

    episode_length_s: float = Field(10.0, gt=0)
    """Longest episode, s."""
    physics_dt: float = Field(0.005, gt=0)
    """Physics step, s; it divides the control period of 0.02 s."""
    threads: int = Field(0, ge=0)
    """Physics threads; 0 takes all cores."""
    feet: Literal["spheres", "capsules"] = "spheres"
    """Collision geometry of the feet: spheres are fast, capsules as in the other G1 models."""
    self_collision: bool = False
    """Let the robot's bodies touch one another."""
    torque_speed_line: bool = True
    """Bound the motors' torque by the torque-speed line too, at each physics step."""
    policy_observation: tuple[str, ...] = DEFAULT_POLICY_TERMS
    """Terms that the policy sees, in this order."""
    critic_observation: tuple[str, ...] = (
        "motion_anchor_pos_b",
        "base_lin_vel",
        "anchor_height",
        "joint_pos_error",
    )
    """Terms that the critic sees on top of the policy's (privileged, not needed on a robot)."""
    action_base: ActionBase = "feedforward"
    """What an action is added to: the default pose; the reference; the reference plus
    damping/stiffness times its velocity, which takes the lag out of the motors' damping; or that
    and, over the stiffness, the torques that inverse dynamics finds for the reference."""
    action_bound: float = Field(1.0, gt=0)
    """Bound on the raw action, in units of the robot's action scale."""
    reward: RewardConfig = RewardConfig()
    termination: TerminationConfig = TerminationConfig()
    reset: ResetConfig = ResetConfig()
    randomisation: Randomisation = Randomisation()

    @field_validator("policy_observation", "critic_observation")
    @classmethod
    def _known_terms(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        term_slices(names)
        return names

    @field_validator("physics_dt")
    @classmethod
    def _divides_control_period(cls, dt: float) -> float:
        ratio = 1.0 / CONTROL_RATE / dt
        if abs(ratio - round(ratio)) > 1e-6 or round(ratio) < 1:
            raise ValueError(f"must divide the control period of {1 / CONTROL_RATE} s")
        return dt

    @property
    def privileged_terms(self) -> tuple[str, ...]:
        """Terms that only the critic sees."""
        return tuple(t for t in self.critic_observation if t not in self.policy_observation)

    @property
    def critic_terms(self) -> tuple[str, ...]:
        """All that the critic sees; the policy's terms come first."""
        return (*self.policy_observation, *self.privileged_terms)

    @property
    def decimation(self) -> int:
        """Physics steps per control step."""
        return round(1.0 / CONTROL_RATE / self.physics_dt)

    @property
    def max_steps(self) -> int:
        """Control steps in an episode."""
        return round(self.episode_length_s * CONTROL_RATE)
