"""Observation terms: widths, frames, order, and the same numbers in numpy and torch."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from g1_mimic.control.state import RobotState
from g1_mimic.envs.observations import (
    DEFAULT_POLICY_TERMS,
    OBSERVATION_TERMS,
    ObservationInputs,
    Observer,
    ReferenceFrame,
    build_observation,
    observation_size,
    term_slices,
)
from g1_mimic.errors import G1MimicError
from g1_mimic.rotations import quat_from_rpy, quat_multiply, quat_normalize


@pytest.fixture
def inputs() -> ObservationInputs:
    rng = np.random.default_rng(0)
    n = 5

    def quat() -> np.ndarray:
        return quat_normalize(rng.standard_normal((n, 4)))

    def vector(size: int) -> np.ndarray:
        return rng.standard_normal((n, size))

    return ObservationInputs(
        joint_pos=vector(29),
        joint_vel=vector(29),
        base_quat=quat(),
        base_ang_vel=vector(3),
        base_lin_vel=vector(3),
        anchor_pos_w=vector(3),
        anchor_quat_w=quat(),
        ref_joint_pos=vector(29),
        ref_joint_vel=vector(29),
        ref_anchor_pos_w=vector(3),
        ref_anchor_quat_w=quat(),
        last_action=vector(29),
        default_joint_pos=rng.standard_normal(29),
    )


def test_every_term_has_its_declared_width(inputs: ObservationInputs) -> None:
    """Each term returns [N, size]."""
    for name, term in OBSERVATION_TERMS.items():
        assert build_observation([name], inputs).shape == (5, term.size), name


def test_the_default_observation_is_beyond_mimics_154() -> None:
    """Without position and linear velocity BeyondMimic's observation is 154 wide, with them 160."""
    assert observation_size(DEFAULT_POLICY_TERMS) == 154
    full = (*DEFAULT_POLICY_TERMS, "motion_anchor_pos_b", "base_lin_vel")
    assert observation_size(full) == 160


def test_terms_stand_in_the_order_of_the_list(inputs: ObservationInputs) -> None:
    """term_slices says where each term is."""
    names = ("actions", "base_ang_vel", "command")
    obs = build_observation(names, inputs)
    slices = term_slices(names)
    np.testing.assert_array_equal(obs[:, slices["actions"]], inputs.last_action)
    np.testing.assert_array_equal(obs[:, slices["command"]][:, 29:], inputs.ref_joint_vel)


def test_anchor_terms_do_not_depend_on_the_worlds_frame(inputs: ObservationInputs) -> None:
    """Turning and moving robot and reference together changes nothing."""
    turn = quat_from_rpy(*np.array([[0.3], [-0.2], [1.1]]))
    names = ("motion_anchor_ori_b",)
    moved = replace(
        inputs,
        anchor_quat_w=quat_multiply(turn, inputs.anchor_quat_w),
        ref_anchor_quat_w=quat_multiply(turn, inputs.ref_anchor_quat_w),
    )
    np.testing.assert_allclose(
        build_observation(names, moved), build_observation(names, inputs), atol=1e-12
    )


def test_gravity_of_an_upright_and_a_lying_robot(inputs: ObservationInputs) -> None:
    """Upright gravity is −z; lying on the back (pitched by −90°) it is −x in the body frame."""
    upright = np.array([[1.0, 0, 0, 0]])
    on_back = quat_from_rpy(*np.array([[0.0], [-np.pi / 2], [0.0]]))
    base = np.concatenate([upright, on_back])
    obs = build_observation(["projected_gravity"], replace(inputs, base_quat=base))
    np.testing.assert_allclose(obs, [[0, 0, -1], [-1, 0, 0]], atol=1e-12)


def test_numpy_and_torch_give_the_same(inputs: ObservationInputs) -> None:
    """The one definition serves both."""
    tensors = ObservationInputs(
        **{f.name: torch.from_numpy(getattr(inputs, f.name)) for f in fields(inputs)}
    )
    names = tuple(OBSERVATION_TERMS)
    np.testing.assert_allclose(
        build_observation(names, tensors).numpy(), build_observation(names, inputs), atol=1e-14
    )


@pytest.mark.parametrize("anchor", ["torso_link", "pelvis"])
def test_a_batch_of_states_is_observed_as_each_by_itself(
    anchor: str, inputs: ObservationInputs
) -> None:
    """From state to observation, with the velocity of a point of the pelvis that turns."""
    rng, names = np.random.default_rng(1), tuple(OBSERVATION_TERMS)
    state = RobotState(
        0,
        inputs.joint_pos,
        inputs.joint_vel,
        inputs.base_quat,
        inputs.base_ang_vel,
        rng.standard_normal((5, 3)),
        inputs.base_lin_vel,
    )
    reference = ReferenceFrame(
        inputs.ref_joint_pos,
        inputs.ref_joint_vel,
        inputs.ref_anchor_pos_w,
        inputs.ref_anchor_quat_w,
    )
    observer = Observer(names, inputs.default_joint_pos, anchor, (0.1, -0.2, 0.3))
    seen = observer.inputs(state, reference, inputs.last_action)
    lever = np.cross(inputs.base_ang_vel, observer.lin_vel_point)
    np.testing.assert_allclose(seen.base_lin_vel, inputs.base_lin_vel + lever, atol=1e-14)
    batch = build_observation(names, seen)
    for i, row in enumerate(batch):
        values = (getattr(state, f.name) for f in fields(state)[1:])
        alone = RobotState(0, *(value[i] for value in values))
        frame = ReferenceFrame(*(part[i] for part in reference[:4]))
        one = observer.inputs(alone, frame, inputs.last_action[i])
        np.testing.assert_allclose(build_observation(names, one), row, atol=1e-12)


def test_without_odometry_the_anchor_has_an_orientation_only(inputs: ObservationInputs) -> None:
    """That of the state with odometry; a policy that needs the position says so."""
    known = RobotState(0, *(getattr(inputs, n)[0] for n in _STATE), inputs.anchor_pos_w[0])
    observer = Observer(DEFAULT_POLICY_TERMS, inputs.default_joint_pos)
    position, quat = observer.anchor(replace(known, base_pos=None))
    assert position is None and not observer.needs_odometry
    np.testing.assert_array_equal(quat, observer.anchor(known)[1])
    assert replace(observer, terms=("motion_anchor_pos_b",)).needs_odometry
    with pytest.raises(G1MimicError, match="anchor body 'left_knee_link' is neither"):
        replace(observer, anchor_body="left_knee_link")


_STATE = ("joint_pos", "joint_vel", "base_quat", "base_ang_vel")


@pytest.mark.parametrize(
    ("names", "words"),
    [(["smell"], "unknown observation term 'smell'"), (["actions", "actions"], "listed twice")],
)
def test_bad_lists_are_refused(names: list[str], words: str, inputs: ObservationInputs) -> None:
    """Unknown and repeated terms are errors that name them."""
    with pytest.raises(G1MimicError, match=words):
        build_observation(names, inputs)


def test_missing_inputs_are_named(inputs: ObservationInputs) -> None:
    """A term that needs what is not known says so instead of guessing."""
    with pytest.raises(G1MimicError, match="'base_lin_vel' needs base_lin_vel"):
        build_observation(["base_lin_vel"], replace(inputs, base_lin_vel=None))
