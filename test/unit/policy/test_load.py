"""Which robot belongs to a policy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from g1_mimic.errors import G1MimicError
from g1_mimic.policy.load import load_policy, profile_of, trained_profile
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.profile import load_profile


@pytest.fixture
def changed() -> OnnxPolicy:
    """A policy whose file says twice the stiffness, and another profile than there is now."""
    policy = load_policy("stand")
    meta = policy.metadata
    stiffness = tuple(2.0 * value for value in meta.joint_stiffness)
    policy.metadata = replace(meta, joint_stiffness=stiffness, robot_profile_hash="0123abcd")
    return policy


def test_a_profile_that_has_changed_is_refused_unless_it_is_named(changed: OnnxPolicy) -> None:
    """Deployment holds a robot to its own limits: that they are others now is not overlooked."""
    with pytest.raises(G1MimicError, match=r"'g1_29dof' has changed since .* 0123abcd then"):
        profile_of(changed)
    assert profile_of(changed, "g1_29dof").hash == load_profile().hash
    assert profile_of(load_policy("stand_guide")).name == "g1_guide"


def test_training_s_robot_has_the_gains_of_the_file(changed: OnnxPolicy) -> None:
    """Targets are then what the file's own scale makes of an action, whatever the profile says."""
    for robot in ("", "g1_guide"):
        profile, meta = trained_profile(changed, robot), changed.metadata
        np.testing.assert_array_equal(profile.stiffness, meta.joint_stiffness)
        np.testing.assert_allclose(profile.action_scale, meta.action_scale, rtol=1e-12)
        named = load_profile(robot or "g1_29dof")
        np.testing.assert_array_equal(profile.torque_limit, named.torque_limit)
