"""What a training run is about: settings turned into robot, clips, environment and device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from g1_mimic.envs.observations import observation_size
from g1_mimic.envs.task import Task
from g1_mimic.envs.tracking_env import TrackingEnv
from g1_mimic.errors import BadState, BadValue
from g1_mimic.learning.config import TrainConfig
from g1_mimic.learning.learner import Learner
from g1_mimic.motion.dynamics import with_base_torque
from g1_mimic.motion.library import MotionLibrary, load_motions
from g1_mimic.robot.names import NUM_JOINTS
from g1_mimic.robot.profile import RobotProfile, load_profile


@dataclass(frozen=True)
class Experiment:
    """Everything that a run's settings name, read and checked."""

    config: TrainConfig
    """The settings after the task file."""
    profile: RobotProfile
    motions: MotionLibrary

    def training_env(self) -> TrackingEnv:
        """Return the robots that are learned from."""
        c = self.config
        return TrackingEnv(self.motions, self.profile, c.env, c.num_envs, c.seed, c.phase)

    def evaluation_env(self) -> TrackingEnv:
        """Return robots for evaluations, one for each episode.

        Their starts have no strategy: evaluations of all strategies draw the same noise.
        """
        episodes = max(self.config.evaluation.episodes, len(self.motions.clips))
        return TrackingEnv(self.motions, self.profile, self.config.env, episodes)

    def learner(self, device: torch.device | str = "cpu") -> Learner:
        """Return a new learner."""
        env = self.config.env
        sizes = observation_size(env.policy_observation), observation_size(env.critic_terms)
        return Learner(self.config.learner, *sizes, NUM_JOINTS, env.action_bound, device)


def resolve(config: TrainConfig) -> Experiment:
    """Read the robot and the clips, and apply the task file if there is one.

    Raises:
        G1MimicError: if a file is missing or does not fit.
    """
    if config.task:
        task = Task(config.task)
        config = _after_task(config, task)
        profile, motions = task.profile(), MotionLibrary.of(task.clip())
    else:
        profile, motions = load_profile(config.robot), load_motions(config.motion)
    # The torques take a while to compute, and are asked for more than once.
    base = config.env.action_base
    motions = motions.map(lambda clip: with_base_torque(clip, profile, base))
    return Experiment(config, profile, motions)


def _after_task(config: TrainConfig, task: Task) -> TrainConfig:
    changes: dict[str, Any] = {"env": task.env_config(config.env)}
    if (adaptive := task.config.adaptive_sampling) is not None:
        replay = {k: getattr(adaptive, k) for k in ("alpha", "beta", "beta_increment", "epsilon")}
        changes["sampling"] = "per" if adaptive.enabled else "uniform"
        changes["replay"] = config.replay.model_copy(update=replay)
    return config.model_copy(update=changes)


def choose_device(name: str) -> torch.device:
    """Return the device: ``auto`` is the first CUDA device, else the CPU.

    Raises:
        G1MimicError: if the device does not exist.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BadValue(f"device '{name}' is not one: use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BadState(f"device '{name}' asked for, but CUDA is not available; use cpu")
    return device
