"""What a deployed policy did at one control step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from g1_mimic.envs.observations import ObservationInputs, ReferenceFrame
from g1_mimic.rotations import quat_error


@dataclass(frozen=True)
class Tick:
    """One step of the policy: what it saw, wanted and missed."""

    step: int
    reference: ReferenceFrame
    seen: ObservationInputs
    """What its observation was made of."""
    action: np.ndarray
    """[29] raw."""
    inference_s: float
    """Wall time of the network, s."""

    # Made on demand: the command is not to wait for them.

    @property
    def joint_error(self) -> np.ndarray:
        """[29] measured minus reference, rad."""
        return np.asarray(self.seen.joint_pos - self.reference.joint_pos)

    @property
    def anchor_error(self) -> np.ndarray | None:
        """[3] measured minus reference position of the anchor, m; None without odometry."""
        position = self.seen.anchor_pos_w
        return None if position is None else np.asarray(position - self.reference.anchor_pos)

    @property
    def anchor_angle(self) -> float:
        """Angle between the measured and the reference anchor, rad."""
        return float(quat_error(self.seen.anchor_quat_w, self.reference.anchor_quat))
