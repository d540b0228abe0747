"""The tables of the G1 configuration guide, by name (its sections 4.1 to 4.3).

They are what the profile ``g1_guide`` is made of. The default profile ``g1_29dof`` holds the
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
"""Actuator classes in the order of the tables and of ``G1_ACTION_SCALE``."""

GUIDE_ARMATURE: dict[str, float] = {
    "5020": 0.003609725,
    "7520_14": 0.010177520,
    "7520_16": 0.010177520,
    "left_hip_roll": 0.025101925,
    "right_hip_roll": 0.025101925,
}
"""Reflected rotor inertia, kg·m² (section 4.1)."""

GUIDE_STIFFNESS: dict[str, float] = dict.fromkeys(GUIDE_CLASSES, 99.098427777)
"""Proportional gain, N·m/rad (section 4.1)."""

GUIDE_DAMPING: dict[str, float] = dict.fromkeys(GUIDE_CLASSES, 6.308801853)
"""Derivative gain, N·m·s/rad (section 4.1)."""

GUIDE_TORQUE_LIMIT: dict[str, float] = {
    "5020": 8.0,
    "7520_14": 14.0,
    "7520_16": 16.0,
    "left_hip_roll": 139.0,
    "right_hip_roll": 139.0,
}
"""Largest torque, N·m (section 4.1)."""

GUIDE_VELOCITY_LIMIT: dict[str, float] = dict.fromkeys(("5020", "7520_14", "7520_16"), 4.363323)
"""Largest speed, rad/s (section 4.2, which has no entry for the hip rolls)."""

G1_ACTION_SCALE: np.ndarray = np.array([8.0, 14.0, 16.0, 139.0, 139.0])
"""Torque per unit action, N·m, one entry per class of ``GUIDE_CLASSES`` (section 4.3)."""
G1_ACTION_SCALE.setflags(write=False)
