"""What a training run is about: settings turned into robot, clips, environment and device."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from g1_mimic.envs.config import EnvConfig
from g1_mimic.envs.task import Task
from g1_mimic.errors import G1MimicError
from g1_mimic.learning.config import TrainConfig
from g1_mimic.motion.dynamics import with_base_torque
from g1_mimic.motion.library import MotionLibrary, load_motions
from g1_mimic.robot.profile import RobotProfile, load_profile


class Experiment(NamedTuple):
    """Everything that a run's settings name, read and checked."""

    config: TrainConfig
    """The settings after the task file."""
    profile: RobotProfile
    motions: MotionLibrary
    env_config: EnvConfig


def resolve(config: TrainConfig) -> Experiment:
    """Read the robot and the clips, and apply the task file if there is one.

    Raises:
        G1MimicError: if a file is missing or does not fit.
    """
    if not config.task:
        profile = load_profile(config.robot)
        motions = load_motions(config.motion)
        return Experiment(config, profile, _prepared(motions, profile, config.env), config.env)
    task = Task(config.task)
    changes: dict[str, Any] = {}
    if (adaptive := task.config.adaptive_sampling) is not None:
        replay = {k: getattr(adaptive, k) for k in ("alpha", "beta", "beta_increment", "epsilon")}
        changes["sampling"] = "per" if adaptive.enabled else "uniform"
        changes["replay"] = config.replay.model_copy(update=replay)
    profile, env_config = task.profile(), task.env_config(config.env)
    config = config.model_copy(update={**changes, "env": env_config})
    motions = _prepared(MotionLibrary.of(task.clip()), profile, env_config)
    return Experiment(config, profile, motions, env_config)


def _prepared(motions: MotionLibrary, profile: RobotProfile, config: EnvConfig) -> MotionLibrary:
    """Return the clips with what takes a while to compute and is asked for more than once."""
    return motions.map(lambda clip: with_base_torque(clip, profile, config.action_base))


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
        raise G1MimicError(f"device '{name}' is not one: use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise G1MimicError(f"device '{name}' asked for, but CUDA is not available; use cpu")
    return device
