"""Joint and body names of the G1 in the order that every array of this package uses."""

from __future__ import annotations

from collections.abc import Sequence

from g1_mimic.errors import BadValue

DEFAULT_ROBOT = "g1_29dof"
"""The profile of the robot as it is built, where none is named."""

JOINT_NAMES: tuple[str, ...] = (
    "left_hip_pitch_joint",
    "left_hip_roll_joint",
    "left_hip_yaw_joint",
    "left_knee_joint",
    "left_ankle_pitch_joint",
    "left_ankle_roll_joint",
    "right_hip_pitch_joint",
    "right_hip_roll_joint",
    "right_hip_yaw_joint",
    "right_knee_joint",
    "right_ankle_pitch_joint",
    "right_ankle_roll_joint",
    "waist_yaw_joint",
    "waist_roll_joint",
    "waist_pitch_joint",
    "left_shoulder_pitch_joint",
    "left_shoulder_roll_joint",
    "left_shoulder_yaw_joint",
    "left_elbow_joint",
    "left_wrist_roll_joint",
    "left_wrist_pitch_joint",
    "left_wrist_yaw_joint",
    "right_shoulder_pitch_joint",
    "right_shoulder_roll_joint",
    "right_shoulder_yaw_joint",
    "right_elbow_joint",
    "right_wrist_roll_joint",
    "right_wrist_pitch_joint",
    "right_wrist_yaw_joint",
)
"""The 29 hinge joints in MJCF depth-first order, which is the order of Unitree's SDK."""

BODY_NAMES: tuple[str, ...] = (
    "pelvis",
    "left_hip_pitch_link",
    "left_hip_roll_link",
    "left_hip_yaw_link",
    "left_knee_link",
    "left_ankle_pitch_link",
    "left_ankle_roll_link",
    "right_hip_pitch_link",
    "right_hip_roll_link",
    "right_hip_yaw_link",
    "right_knee_link",
    "right_ankle_pitch_link",
    "right_ankle_roll_link",
    "waist_yaw_link",
    "waist_roll_link",
    "torso_link",
    "left_shoulder_pitch_link",
    "left_shoulder_roll_link",
    "left_shoulder_yaw_link",
    "left_elbow_link",
    "left_wrist_roll_link",
    "left_wrist_pitch_link",
    "left_wrist_yaw_link",
    "right_shoulder_pitch_link",
    "right_shoulder_roll_link",
    "right_shoulder_yaw_link",
    "right_elbow_link",
    "right_wrist_roll_link",
    "right_wrist_pitch_link",
    "right_wrist_yaw_link",
)
"""The 30 bodies in MJCF depth-first order, the world excluded."""

TRACKED_BODY_NAMES: tuple[str, ...] = (
    "pelvis",
    "left_hip_roll_link",
    "left_knee_link",
    "left_ankle_roll_link",
    "right_hip_roll_link",
    "right_knee_link",
    "right_ankle_roll_link",
    "torso_link",
    "left_shoulder_roll_link",
    "left_elbow_link",
    "left_wrist_yaw_link",
    "right_shoulder_roll_link",
    "right_elbow_link",
    "right_wrist_yaw_link",
)
"""The 14 bodies that tracking rewards compare (BeyondMimic, mjlab and holosoma alike)."""

ANCHOR_BODY_NAME = "torso_link"
"""The body whose pose anchors the reference to the robot."""

END_EFFECTOR_NAMES: tuple[str, ...] = (
    "left_ankle_roll_link",
    "right_ankle_roll_link",
    "left_wrist_yaw_link",
    "right_wrist_yaw_link",
)
"""Feet and hands: the bodies whose height error ends an episode."""

NUM_JOINTS = len(JOINT_NAMES)

WAIST_INDICES: tuple[int, ...] = tuple(
    JOINT_NAMES.index(f"waist_{axis}_joint") for axis in ("yaw", "roll", "pitch")
)
"""Where the joints between pelvis and torso are in ``JOINT_NAMES``, from the pelvis upwards."""


def joint_order(names: Sequence[str], source: str) -> list[int]:
    """Return where in ``names`` each joint of ``JOINT_NAMES`` is; others may be there too.

    Raises:
        G1MimicError: if a joint is missing or named twice; the message begins with ``source``.
    """
    if missing := [name for name in JOINT_NAMES if name not in names]:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise BadValue(f"{source}: joint '{missing[0]}'{others} is missing")
    if len(set(names)) != len(names):
        raise BadValue(f"{source}: a joint is named twice")
    return [names.index(name) for name in JOINT_NAMES]
