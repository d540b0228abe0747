"""What a policy file's graph folds into its actions, so that every policy is default-based outside.

A residual policy's own (raw) actions are added to the reference. Its file tells actions that are
added to the default pose: ``action = raw + offset`` with ``offset = (base - default) / scale`` of
the frame, and takes the offset of the frame before out of the previous action that it is shown.
"""

from __future__ import annotations

import numpy as np

from g1_mimic.control.pd_target import action_base
from g1_mimic.motion.clip import lap_and_frame
from g1_mimic.policy.contract import PolicyContract


def action_offset(
    contract: PolicyContract,
    joint_pos: np.ndarray,
    joint_vel: np.ndarray,
    joint_torque: np.ndarray | None,
) -> np.ndarray:
    """Return what is folded into ``actions`` at a reference [..., 29], in units of the action.

    Args:
        contract: of the policy, joints in ``JOINT_NAMES`` order.
        joint_pos: the reference's joint angles [..., 29], rad.
        joint_vel: their velocities [..., 29], rad/s.
        joint_torque: the torques of the reference [..., 29], N·m, where ``contract.needs_torque``.
    """
    default = np.array(contract.default_joint_pos)
    base = action_base(
        contract.action_base,
        joint_pos,
        joint_vel,
        joint_torque,
        default,
        np.array(contract.joint_stiffness),
        np.array(contract.joint_damping),
    )
    return np.asarray((base - default) / np.array(contract.action_scale))


def rest_actions(
    contract: PolicyContract,
    joint_pos: np.ndarray,
    joint_vel: np.ndarray,
    joint_torque: np.ndarray | None,
    looped: bool,
) -> np.ndarray:
    """Return the action before each frame of a clip that is a raw action of 0 to the policy.

    That is what a policy was shown in training when an episode began.

    Args:
        contract: of the policy.
        joint_pos: the clip's joint angles [T, 29], rad.
        joint_vel: their velocities [T, 29], rad/s.
        joint_torque: the torques of the clip [T, 29], N·m, where ``contract.needs_torque``.
        looped: whether the clip is.
    """
    if contract.action_base in ("", "default"):
        return np.zeros_like(joint_pos)
    return previous_offset(action_offset(contract, joint_pos, joint_vel, joint_torque), looped)


def previous_offset(offset: np.ndarray, looped: bool) -> np.ndarray:
    """Return the offset of the frame before each frame of a clip [T, 29]."""
    frames = len(offset)
    return offset[lap_and_frame(np.arange(frames) - 1, frames, looped)[1]]
