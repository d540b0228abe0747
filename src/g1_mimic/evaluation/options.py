"""What one evaluation of a policy has in common under all conditions."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from g1_mimic.settings import Settings


class Options(Settings):
    """Which episodes are run."""

    robot: str = ""
    """Profile whose limits and armature replace those the policy was trained with; empty: none."""
    episodes: int = Field(64, ge=1)
    """Episodes per condition."""
    seconds: float = Field(10.0, gt=0)
    """Longest episode."""
    seed: int = Field(0, ge=0)
    """Seed of starts and of all that is drawn."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Keys of `EnvConfig` for all conditions."""
