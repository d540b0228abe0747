"""The parameters of the node ``policy``."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from g1_mimic.deployment.safety import ControllerSettings
from g1_mimic.settings import LIVE


class PolicyNodeSettings(ControllerSettings):
    """Parameters of ``policy``."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    policy: str = ""
    """Policy file: a path, or the name of one of the package's own."""
    action_scale: str = ""
    """For a policy without one: rad per unit action, or 'effort' for 0.25·effort/stiffness."""
    motion: str = ""
    """What it tracks: names of clips that the policy carries, or other motions (names, files,
    folders), comma-separated, the first one to begin with; empty: all that it carries."""
    robot: str = ""
    """Robot profile (name or path) whose limits hold; empty: the one of the policy."""
    autostart: bool = False
    """Configure and activate without a lifecycle manager."""
    odometry: bool = False
    """Wait for the topic odom with every state: tracking errors in position, judging falls."""
    faults: str = ""
    """File of faults on purpose (YAML), of which inference and process concern this node."""
    report: str = ""
    """Where to write the JSON report at the end; empty: none."""
    duration: float = Field(0.0, ge=0.0)
    """Seconds of tracking, by the states' stamps, after which the node ends; 0: for ever."""
    realtime_factor: float = Field(1.0, ge=0.0, le=20.0)
    """That of the simulation, 1 on a robot; 0 (lock-step) needs no watchdog on arrival times."""
    seed: int = Field(0, ge=0)
    """That of the simulation, for the report."""
    first_state_timeout: float = Field(60.0, gt=0.0, le=600.0)
    """Wall time from activation to the first state after which there is a fault, s."""
    wait_for: str = ""
    """Nodes, comma-separated, that must listen to joint_targets before a state is answered."""
    state_age_warn: float = Field(0.02, gt=0.0, le=10.0, json_schema_extra=LIVE)
    """Age of the newest state from which on diagnostics warn, s."""
    state_clock: Literal["ros", "none"] = "ros"
    """Clock of the states' stamps: this node's (system or use_sim_time), or an unknown one."""
    inference_wait: float = Field(0.002, ge=0.0, le=0.02)
    """Real time: what a state waits for the action that it asks for before it holds the last, s."""
