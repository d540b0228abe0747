"""What everyone is told who has to do with a deployed policy: nodes, launch files, commands."""

from __future__ import annotations

from pydantic import Field

from g1_mimic.settings import Settings


class PolicyChoice(Settings):
    """Which policy runs, and on which robot."""

    policy: str = ""
    """Policy file (ONNX), run folder (its best policy), or name of a policy that ships."""
    action_scale: str = ""
    """Only for a policy that lacks it (holosoma's): rad per unit action, for all joints, or effort
    for 0.25·effort/stiffness."""
    robot: str = ""
    """Robot profile (name or file); empty: the one the policy was trained with."""


class RunSettings(PolicyChoice):
    """What simulation and controller must be told alike."""

    realtime_factor: float = Field(1.0, ge=0.0, le=20.0)
    """Simulated per wall second; 0: lock-step, as fast as possible and reproducible."""
    duration: float = Field(0.0, ge=0.0)
    """Seconds of tracking until everything ends; 0: for ever."""
    seed: int = Field(0, ge=0)
    """Seed of the start, the robot that is drawn, noise, pushes and lost states."""
    faults: str = ""
    """YAML file of what is to break on purpose, and when; empty: nothing."""
