"""BeyondMimic's C++ controller can run our policy files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import motion_tracking_controller as theirs
import mujoco
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shipped import LEANING_ON_LIMITS, POLICIES, largest_error

from g1_mimic.control.pd_target import TargetLimits, limit_target
from g1_mimic.policy.contract import PolicyContract
from g1_mimic.policy.metadata import write_metadata
from g1_mimic.policy.readers import TORQUE_OUTPUT
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.model import build_model
from g1_mimic.robot.names import ANCHOR_BODY_NAME
from g1_mimic.robot.profile import load_profile
from g1_mimic.simulation.simulator import start_on_floor

PROFILE = load_profile("g1_29dof")
# What BeyondMimic's exporter writes.
KEYS = {"run_path", "joint_names", "joint_stiffness", "joint_damping", "default_joint_pos"}
KEYS |= {"command_names", "observation_names", "observation_history_lengths", "action_scale"}
KEYS |= {"anchor_body_name", "body_names"}
OUTPUTS = ["actions", "joint_pos", "joint_vel", "body_pos_w", "body_quat_w"]
OUTPUTS += ["body_lin_vel_w", "body_ang_vel_w"]


@pytest.fixture(scope="module", params=POLICIES, ids=lambda path: path.stem)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shipped policy with its metadata as they are written today."""
    file = onnx.load(request.param)
    del file.metadata_props[:]
    props = write_metadata(OnnxPolicy.load(request.param).metadata)
    onnx.helper.set_model_props(file, props)
    path = tmp_path_factory.mktemp("policy") / request.param.name
    onnx.save(file, path)
    return path


@pytest.fixture(scope="module")
def contract() -> PolicyContract:
    """Of a shipped policy."""
    return OnnxPolicy.load(POLICIES[0]).metadata


def test_it_reads_our_metadata(written: Path) -> None:
    """All its keys are there, in its encoding, and to the last bit."""
    file, contract = onnx.load(written), OnnxPolicy.load(written).metadata
    assert {prop.key for prop in file.metadata_props} >= KEYS
    outputs = [value.name for value in file.graph.output]
    # It asks for them by name: one more does no harm.
    assert outputs[: len(OUTPUTS)] == OUTPUTS and outputs[len(OUTPUTS) :] in ([], [TORQUE_OUTPUT])
    policy = theirs.MotionOnnxPolicy(written)
    assert tuple(policy.joint_names) == contract.joint_names
    assert tuple(policy.body_names) == contract.body_names
    assert policy.histories == [1] * len(contract.observation_names)
    for numbers, exact in (
        (policy.stiffness, contract.joint_stiffness),
        (policy.damping, contract.joint_damping),
        (policy.default, contract.default_joint_pos),
        (policy.scale, contract.action_scale),
    ):
        np.testing.assert_array_equal(numbers, exact)


@given(numbers=st.lists(st.floats(1e-12, 1e12), min_size=29, max_size=29))
def test_any_number_is_written_without_an_exponent(
    contract: PolicyContract, numbers: list[float]
) -> None:
    """Plain decimal fractions with at least three decimals, like "%.3f", but exact."""
    text = write_metadata(replace(contract, joint_stiffness=tuple(numbers)))["joint_stiffness"]
    assert theirs.parse_numbers(text) == numbers
    assert all(len(token.partition(".")[2]) >= 3 for token in text.split(","))


def test_it_keeps_the_robot_up_with_our_policy(written: Path) -> None:
    """Its loop around our file, tracks the clip.

    Its targets go to the motors as they are, but for a policy that leans on our limits.
    """
    policy = OnnxPolicy.load(written)
    profile = load_profile(policy.metadata.robot_profile)
    model = build_model(profile, timestep=0.002, feet="capsules")
    data = mujoco.MjData(model)
    frame = policy.reference(0)
    data.qpos[:] = start_on_floor(
        profile, frame.joint_pos, ANCHOR_BODY_NAME, frame.anchor_pos, frame.anchor_quat
    )
    mujoco.mj_forward(model, data)
    controller = theirs.MotionTrackingController(written, model)
    controller.activate(data)
    limits, slewed, errors = TargetLimits.from_profile(profile), data.qpos[7:].copy(), []
    for step in range(min(policy.num_frames - 1, 500)):
        mujoco.mj_forward(model, data)
        data.ctrl[:] = desired = controller.update(data)
        for _ in range(10):
            if written.stem in LEANING_ON_LIMITS:
                limited = limit_target(
                    desired, slewed, data.qpos[7:], data.qvel[6:], model.opt.timestep, limits
                )
                data.ctrl[:], slewed = limited.target, limited.slewed
            mujoco.mj_step(model, data)
        errors.append(np.abs(data.qpos[7:] - policy.reference(step + 1).joint_pos).mean())
        assert data.body(ANCHOR_BODY_NAME).xpos[2] > 0.5, f"down after {step / 50.0} s"
    assert np.mean(errors) < largest_error(written.stem)


def test_it_refuses_terms_that_only_we_have(balancing_policy: Path) -> None:
    """The stand-in is as strict as the controller: an unknown term is an error there."""
    model: Any = build_model(PROFILE)
    with pytest.raises(ValueError, match="unknown observation term joint_pos_error"):
        theirs.MotionTrackingController(balancing_policy, model)
