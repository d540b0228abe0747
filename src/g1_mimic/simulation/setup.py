"""How the node ``mujoco_sim`` is set up: parameters, start pose, viewer."""

from __future__ import annotations

import os
import sys
from typing import Any, Literal

from pydantic import ConfigDict, Field

from g1_mimic.envs.randomisation import Randomisation
from g1_mimic.errors import G1MimicError
from g1_mimic.policy.load import DEFAULT_PROFILE, load_policy, profile_of
from g1_mimic.robot.profile import load_profile
from g1_mimic.settings import LIVE, Settings
from g1_mimic.simulation.simulator import Simulator, start_on_floor


class SimSettings(Settings):
    """Parameters of ``mujoco_sim``."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    policy: str = ""
    """Policy file whose first frame is the start, on the floor; empty: the default pose."""
    action_scale: str = ""
    """That of the policy node: a policy file without one is refused."""
    robot: str = ""
    """Robot profile (name or path); empty: that of the policy, else g1_29dof."""
    realtime_factor: float = Field(1.0, ge=0.0, le=20.0)
    """Simulated per wall second; 0: lock-step, as fast as the policy node answers."""
    duration: float = Field(0.0, ge=0.0)
    """Simulated seconds from the first target of mode track to the end; 0: for ever."""
    seed: int = Field(0, ge=0)
    """Of the start, of the robot that is drawn, of noise, pushes and lost states."""
    start_noise: float = Field(0.0, ge=0.0, le=1.0)
    """Half width of the noise on the joint angles of a start, rad."""
    randomisation: Randomisation = Randomisation()
    joint_friction: float = Field(1.0, ge=0.0, le=10.0)
    """Factor on the robot profile's friction of motors and gears."""
    state_delay: float = Field(0.0, ge=0.0, le=0.5)
    """Age of what the sensors say, s, in whole state periods (2 ms)."""
    state_dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Fraction of the states that are lost on the way."""
    feet: Literal["capsules", "spheres"] = "capsules"
    """Collision geometry of the feet."""
    self_collision: bool = True
    """Let the robot's bodies touch one another."""
    substeps: int = Field(1, ge=1, le=20)
    """Physics steps per state (2 ms), each with its own PD torque."""
    watchdog_periods: int = Field(3, ge=1, le=100)
    """State periods (2 ms) without a fresh target after which the motors damp."""
    wait_for: str = ""
    """Nodes, comma-separated, that must listen to joint_states before time begins."""
    answer_timeout: float = Field(10.0, gt=0.0)
    """Lock-step: wall time that an answer may take once there was one, s."""
    faults: str = ""
    """File of faults on purpose (YAML): sensors, robot, process."""
    push_speed: float = Field(0.5, ge=0.0, le=5.0, json_schema_extra=LIVE)
    """Change of velocity by ~/push, m/s."""
    push_direction: float = Field(0.0, ge=-3.15, le=3.15, json_schema_extra=LIVE)
    """Direction of ~/push from the world's x axis, rad."""
    viewer: bool = False
    """Show the robot in MuJoCo's viewer (needs a display)."""


def make_simulator(settings: SimSettings) -> Simulator:
    """Build the simulated robot.

    Raises:
        G1MimicError: if policy or profile cannot be loaded.
    """
    profile = load_profile(settings.robot or DEFAULT_PROFILE)
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
        raise G1MimicError("viewer: no display (DISPLAY is not set); start with viewer:=false")
    try:
        import mujoco.viewer

        return mujoco.viewer.launch_passive(sim.model, sim.data)
    except (ImportError, RuntimeError) as error:
        raise G1MimicError(f"viewer: {' '.join(str(error).split())}") from error
