"""The guide's task file: one JSON that says which robot imitates what, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from g1_mimic.envs.config import EnvConfig
from g1_mimic.envs.rewards import DeepMimicReward
from g1_mimic.files import find_file
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.files import load_motion
from g1_mimic.robot.names import DEFAULT_ROBOT
from g1_mimic.robot.profile import RobotProfile, load_profile
from g1_mimic.settings import Settings, merge, read_mapping, validate


class ControlConfig(Settings):
    """PD gains that replace the robot profile's, for all joints alike."""

    type: Literal["pd"] = "pd"
    """The only kind there is."""
    stiffness: float | None = Field(None, gt=0)
    """Of every joint, N·m/rad; null: the profile's."""
    damping: float | None = Field(None, gt=0)
    """Of every joint, N·m·s/rad; null: the profile's."""


class AdaptiveSamplingConfig(Settings):
    """Prioritized experience replay, or uniform replay where it is not enabled."""

    enabled: bool = True
    alpha: float = Field(0.6, ge=0)
    beta: float = Field(0.4, ge=0, le=1)
    beta_increment: float = Field(0.001, ge=0)
    epsilon: float = Field(1e-6, gt=0)


class TaskConfig(Settings):
    """The guide's keys, all but ``robot`` and ``motion_file`` optional."""

    robot: str
    """``g1`` (the default profile), or the name or path of a robot profile."""
    motion_file: str
    """Clip to imitate: a file or the name of one that ships."""
    reward_weights: DeepMimicReward | None = None
    """Selects the DeepMimic reward with these weights."""
    control: ControlConfig = ControlConfig()
    adaptive_sampling: AdaptiveSamplingConfig | None = None
    """Prioritized replay (per), or uniform where it is not enabled; null: as in train.yaml."""
    env: dict[str, Any] = Field(default_factory=dict)
    """Further settings of the environment, as under ``env`` in train.yaml."""


class Task:
    """A task file, read and resolved.

    Args:
        path: the JSON; found as `files.find_file` describes, so that ``tasks/g1_task.json`` is
            the package's own where no other is.

    Raises:
        G1MimicError: if anything in it does not fit.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = find_file(
            path, subdirs=("config/tasks",), suffixes=(".json",), what="task file"
        )
        self.data = read_mapping(self.path)
        self.config = validate(TaskConfig, self.data, self.path)

    def profile(self) -> RobotProfile:
        """Return the robot with the task's gains."""
        name = DEFAULT_ROBOT if self.config.robot == "g1" else self.config.robot
        control = self.config.control
        return load_profile(name).with_control(control.stiffness, control.damping)

    def clip(self) -> MotionClip:
        """Return the motion at the control rate."""
        return load_motion(self.config.motion_file, beside=self.path.parent)

    def env_config(self, base: EnvConfig | None = None) -> EnvConfig:
        """Return the environment's settings: ``base`` with what the task overrides."""
        data = (base or EnvConfig()).model_dump()
        if self.config.reward_weights is not None:
            weights = self.config.reward_weights.model_dump()
            merge(data, {"reward": {"set": "deepmimic", "deepmimic": weights}})
        return validate(EnvConfig, merge(data, self.config.env), f"{self.path}: env")
