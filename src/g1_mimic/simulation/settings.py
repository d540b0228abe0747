"""The parameters of the node ``mujoco_sim``, and of every simulated robot."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from g1_mimic.deployment.settings import RunSettings
from g1_mimic.envs.randomisation import Randomisation
from g1_mimic.settings import LIVE


class SimSettings(RunSettings):
    """Parameters of ``mujoco_sim``, whose robot starts at the policy's first frame on the floor.

    Without a policy it starts in the default pose, by default as g1_29dof.
    """

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
    push_speed: float = Field(0.5, ge=0.0, le=5.0, json_schema_extra=LIVE)
    """Change of velocity by ~/push, m/s."""
    push_direction: float = Field(0.0, ge=-3.15, le=3.15, json_schema_extra=LIVE)
    """Direction of ~/push from the world's x axis, rad."""
    viewer: bool = False
    """Show the robot in MuJoCo's viewer (needs a display)."""
