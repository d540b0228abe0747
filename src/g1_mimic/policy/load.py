"""Finding the policy file and the robot profile that belongs to it."""

from __future__ import annotations

from g1_mimic.errors import G1MimicError
from g1_mimic.policy.locate import find_policy
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.profile import RobotProfile, load_profile

DEFAULT_PROFILE = "g1_29dof"


def load_policy(name: str, action_scale: str = "", robot: str = "") -> OnnxPolicy:
    """Load a policy: a file, a run folder, or the name of one that ships with the package.

    Args:
        name: which policy.
        action_scale: for files of others without one: rad for all joints, or ``effort``.
        robot: profile (name or path) of the robot for what such files leave to it.

    Raises:
        G1MimicError: if there is none, or it is no valid policy.
    """
    return OnnxPolicy.load(find_policy(name), action_scale, load_profile(robot or DEFAULT_PROFILE))


def profile_of(policy: OnnxPolicy, robot: str) -> RobotProfile:
    """Return the profile ``robot``, or, if that is empty, the one the policy was trained with.

    Raises:
        G1MimicError: if the policy's own profile has changed since it was trained. Naming a
            profile says that the difference is meant.
    """
    meta = policy.metadata
    profile = load_profile(robot or meta.robot_profile or DEFAULT_PROFILE)
    if not robot and meta.robot_profile_hash and profile.hash != meta.robot_profile_hash:
        raise G1MimicError(
            f"robot profile '{profile.name}' has changed since the policy was trained "
            f"({profile.hash} now, {meta.robot_profile_hash} then); train anew, or give "
            f"robot:={profile.name} to use it as it is"
        )
    return profile
