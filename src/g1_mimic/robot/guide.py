"""The action scale of the G1 configuration guide, by name (its section 4.3).

The profile ``g1_guide`` holds all of the guide's tables, the default profile ``g1_29dof`` the
hardware's values instead: the guide's torque limits at knees and ankles carry the robot neither in
a half squat nor on one foot.
"""

from __future__ import annotations

import numpy as np

GUIDE_CLASSES: tuple[str, ...] = (
    "5020",
    "7520_14",
    "7520_16",
    "left_hip_roll",
    "right_hip_roll",
)
"""Actuator classes in the order of the guide's tables and of ``G1_ACTION_SCALE``."""

G1_ACTION_SCALE: np.ndarray = np.array([8.0, 14.0, 16.0, 139.0, 139.0])
"""Torque per unit action, N·m, one entry per class of ``GUIDE_CLASSES``."""
G1_ACTION_SCALE.setflags(write=False)
