"""The parameters of the node ``policy``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from g1_mimic.deployment.safety import ControllerSettings
from g1_mimic.deployment.settings import RunSettings
from g1_mimic.settings import LIVE


class PolicyNodeSettings(RunSettings, ControllerSettings):
    """Parameters of ``policy``; on a robot, too, ``realtime_factor`` is 1."""

    motion: str = ""
    """What to track: clips that the policy carries, or other motions (names, files, folders),
    comma-separated; the first to begin with; empty: all that it carries."""
    autostart: bool = False
    """Configure and activate without a lifecycle manager."""
    odometry: bool = False
    """Wait for the topic odom with every state: tracking errors in position, judging falls."""
    report: str = ""
    """Where to write the JSON report at the end; empty: none."""
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
