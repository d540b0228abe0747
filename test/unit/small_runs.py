"""Trainings that are over in seconds, for the tests of what surrounds the learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from g1_mimic.learning.config import TrainConfig

SMALL: dict[str, Any] = {
    "num_envs": 8,
    "total_env_steps": 800,
    "warmup_env_steps": 160,
    "updates_per_step": 1,
    "device": "cpu",
    "log_interval_s": 1000.0,
    "env": {"threads": 1, "episode_length_s": 0.5},
    "replay": {"capacity": 800, "batch_size": 32},
    "learner": {"actor_hidden": [16], "critic_hidden": [16], "atoms": 21},
    "evaluation": {"interval_env_steps": 400, "episodes": 4},
}


def config(run_dir: Path, **changes: Any) -> TrainConfig:
    """Return the settings of a small run in ``run_dir``; ``changes`` replace whole sections."""
    return TrainConfig.model_validate({**SMALL, "run_dir": str(run_dir), **changes})
