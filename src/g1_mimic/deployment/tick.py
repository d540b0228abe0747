"""What a deployed policy did at one control step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from g1_mimic.deployment.alignment import ReferenceFrame


@dataclass(frozen=True)
class Tick:
    """One step of the policy: what it saw, wanted and missed."""

    step: int
    reference: ReferenceFrame
    action: np.ndarray
    """[29] raw."""
    joint_error: np.ndarray
    """[29] measured minus reference, rad."""
    anchor_error: np.ndarray | None
    """[3] measured minus reference position of the anchor, m; None without odometry."""
    anchor_angle: float
    """Angle between the measured and the reference anchor, rad."""
    anchor_quat: np.ndarray
    """[4] measured."""
    inference_s: float
    """Wall time of the network, s."""
