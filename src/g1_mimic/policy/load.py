"""Finding the policy file and the robot profile that belongs to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.policy.locate import find_policy
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.names import DEFAULT_ROBOT
from g1_mimic.robot.profile import RobotProfile, load_profile


def load_policy(name: str, action_scale: str = "", robot: str = "") -> OnnxPolicy:
    """Load a policy: a file, a run folder, or the name of one that ships with the package.

    Args:
        name: which policy.
        action_scale: for files of others without one: rad for all joints, or ``effort``.
        robot: profile (name or path) of the robot for what such files leave to it.

    Raises:
        G1MimicError: if there is none, or it is no valid policy.
    """
    return OnnxPolicy.load(find_policy(name), action_scale, load_profile(robot or DEFAULT_ROBOT))


def profile_of(policy: OnnxPolicy, robot: str = "") -> RobotProfile:
    """Return the robot whose limits hold where ``policy`` is deployed.

    Args:
        policy: the policy.
        robot: profile (name or path); empty: the one that the policy was trained with.

    Raises:
        G1MimicError: if there is no such profile, or the policy's own has changed since it was
            trained. Naming a profile says that the difference is meant.
    """
    meta, profile = policy.metadata, _chosen(policy, robot)
    if not robot and meta.robot_profile_hash and profile.hash != meta.robot_profile_hash:
        raise BadValue(
            f"robot profile '{profile.name}' has changed since the policy was trained "
            f"({profile.hash} now, {meta.robot_profile_hash} then); train anew, or give "
            f"robot:={profile.name} to use it as it is"
        )
    return profile


def trained_profile(policy: OnnxPolicy, robot: str = "") -> RobotProfile:
    """Return the robot as the training of ``policy`` simulated it, as far as the file tells.

    Gains, default pose and action scale are the file's, everything else the profile's, whether it
    has changed since or not.

    Args:
        policy: the policy.
        robot: as for `profile_of`.

    Raises:
        G1MimicError: if there is no such profile.
    """
    meta, profile = policy.metadata, _chosen(policy, robot)
    stiffness = np.asarray(meta.joint_stiffness)
    return replace(
        profile,
        stiffness=stiffness,
        damping=np.asarray(meta.joint_damping),
        default_position=np.asarray(meta.default_joint_pos),
        action_scale_nm=np.asarray(meta.action_scale) * stiffness / profile.action_gain,
    )


def _chosen(policy: OnnxPolicy, robot: str) -> RobotProfile:
    return load_profile(robot or policy.metadata.robot_profile or DEFAULT_ROBOT)
