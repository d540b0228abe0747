"""How the simulated robot is set up: start pose, viewer."""

from __future__ import annotations

import os
import sys
from typing import Any

from g1_mimic.errors import BadState
from g1_mimic.policy.load import load_policy, profile_of
from g1_mimic.robot.names import DEFAULT_ROBOT
from g1_mimic.robot.profile import load_profile
from g1_mimic.simulation.settings import SimSettings
from g1_mimic.simulation.simulator import Simulator, start_on_floor


def make_simulator(settings: SimSettings) -> Simulator:
    """Build the simulated robot.

    Raises:
        G1MimicError: if policy or profile cannot be loaded.
    """
    profile = load_profile(settings.robot or DEFAULT_ROBOT)
    start = None
    if settings.policy:
        policy = load_policy(settings.policy, settings.action_scale, settings.robot)
        profile = profile_of(policy, settings.robot)
        frame = policy.reference(0)
        start = start_on_floor(
            profile,
            frame.joint_pos,
            policy.metadata.anchor_body_name,
            frame.anchor_pos,
            frame.anchor_quat,
        )
    return Simulator(
        profile,
        start_qpos=start,
        seed=settings.seed,
        start_noise=settings.start_noise,
        randomisation=settings.randomisation,
        joint_friction=settings.joint_friction,
        state_delay=settings.state_delay,
        state_dropout=settings.state_dropout,
        substeps=settings.substeps,
        watchdog_periods=settings.watchdog_periods,
        feet=settings.feet,
        self_collision=settings.self_collision,
    )


def open_viewer(sim: Simulator) -> Any:
    """Open MuJoCo's viewer beside the node.

    Raises:
        G1MimicError: if there is no display.
    """
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise BadState("viewer: no display (DISPLAY is not set); start with viewer:=false")
    try:
        import mujoco.viewer

        return mujoco.viewer.launch_passive(sim.model, sim.data)
    except (ImportError, RuntimeError) as error:
        raise BadState(f"viewer: {' '.join(str(error).split())}") from error
