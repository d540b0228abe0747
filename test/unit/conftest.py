"""Small policies for the tests that need a policy file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import torch
from torch import nn

from g1_mimic.envs.config import EnvConfig
from g1_mimic.envs.observations import observation_size
from g1_mimic.envs.reference import clip_action_base
from g1_mimic.learning.networks import Actor
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.kinematics import complete_clip
from g1_mimic.policy.export import export_tracking_policy
from g1_mimic.robot.profile import RobotProfile, load_profile
from g1_mimic.rotations import quat_from_yaw


def swaying_clip(profile: RobotProfile, frames: int = 25, looped: bool = True) -> MotionClip:
    """Every joint swings by another amount about the default pose while the robot moves on."""
    phase = 2.0 * np.pi * np.arange(frames) / (frames - 1)
    swing = np.sin(phase)[:, None] * np.linspace(0.05, 0.2, 29)
    root = np.stack([np.linspace(0.0, 0.4, frames), 0.02 * np.sin(phase), 0.76 + 0 * phase], 1)
    quat = quat_from_yaw(np.linspace(0.0, 0.3, frames))
    return complete_clip("sway", 50.0, root, quat, profile.default_position + swing, looped)


@dataclass
class Policy:
    """A policy file and what it was made from."""

    path: Path
    actor: nn.Module
    clip: MotionClip
    profile: RobotProfile
    config: EnvConfig
    base: np.ndarray
    """[T, 29] rad."""

    def raw(self, obs: np.ndarray) -> np.ndarray:
        """Return the actor's own action [29] for an observation [n]."""
        with torch.no_grad():
            action = self.actor(torch.from_numpy(obs[None].astype(np.float32)))
        result: np.ndarray = action[0].double().numpy()
        return result


class MakePolicy(Protocol):
    """Signature of the fixture ``make_policy``."""

    def __call__(
        self, path: Path, looped: bool = True, actor: nn.Module | None = None, **config: Any
    ) -> Policy: ...


@pytest.fixture(scope="session")
def make_policy() -> MakePolicy:
    """Export an actor, by default one with random weights and a normaliser that has seen data."""

    def make(
        path: Path, looped: bool = True, actor: nn.Module | None = None, **config: Any
    ) -> Policy:
        torch.manual_seed(0)
        profile = load_profile("g1_29dof")
        clip = swaying_clip(profile, looped=looped)
        env_config = EnvConfig(**config)
        if actor is None:
            width = observation_size(env_config.policy_observation)
            actor = Actor(width, 29, (32, 16), 1.0)
            nn.init.normal_(actor.mean.weight, std=0.5)
            actor.normalizer.update(0.3 + 2.0 * torch.randn(500, width))
        export_tracking_policy(
            path, actor, motions=clip, profile=profile, env_config=env_config, run="test@1"
        )
        base = clip_action_base(clip, profile, env_config.action_base)
        return Policy(path, actor, clip, profile, env_config, base)

    return make
