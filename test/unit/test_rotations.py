"""Quaternion algebra against scipy-free references: matrices and finite rotations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from g1_mimic import rotations as r


@pytest.fixture
def quats() -> np.ndarray:
    rng = np.random.default_rng(0)
    return r.quat_normalize(rng.standard_normal((100, 4)))


def matrix_from_mujoco(quats: np.ndarray) -> np.ndarray:
    mujoco = pytest.importorskip("mujoco")
    result = np.empty((len(quats), 9))
    for row, quat in zip(result, quats, strict=True):
        mujoco.mju_quat2Mat(row, quat)
    return result.reshape(-1, 3, 3)


def test_matrices_equal_mujocos(quats: np.ndarray) -> None:
    """Rotation matrices are those of MuJoCo, and applying a quaternion is the matrix product."""
    expected = matrix_from_mujoco(quats)
    np.testing.assert_allclose(r.quat_to_matrix(quats), expected, atol=1e-12)
    vectors = np.random.default_rng(1).standard_normal((100, 3))
    np.testing.assert_allclose(
        r.quat_apply(quats, vectors), np.einsum("nij,nj->ni", expected, vectors), atol=1e-12
    )
    np.testing.assert_allclose(
        r.quat_apply_inverse(quats, r.quat_apply(quats, vectors)), vectors, atol=1e-12
    )


def test_product_is_the_composition(quats: np.ndarray) -> None:
    """The matrix of a product is the product of the matrices."""
    a, b = quats[:50], quats[50:]
    product = r.quat_to_matrix(r.quat_multiply(a, b))
    np.testing.assert_allclose(product, r.quat_to_matrix(a) @ r.quat_to_matrix(b), atol=1e-12)


def test_six_numbers_are_two_columns_row_by_row(quats: np.ndarray) -> None:
    """The 6-D orientation is r00 r01 r10 r11 r20 r21, not column after column."""
    matrix = r.quat_to_matrix(quats)
    six = r.quat_to_6d(quats)
    np.testing.assert_array_equal(six[:, 1], matrix[:, 0, 1])
    np.testing.assert_array_equal(six[:, 2], matrix[:, 1, 0])


def test_roll_pitch_yaw_are_about_fixed_axes() -> None:
    """quat_from_rpy turns about x, then y, then z of the fixed frame, and quat_yaw reads z."""
    roll, pitch, yaw = np.array([0.3]), np.array([-0.4]), np.array([2.0])
    x, y, z = np.eye(3)[:, None]
    expected = r.quat_multiply(
        r.quat_from_axis_angle(z, yaw),
        r.quat_multiply(r.quat_from_axis_angle(y, pitch), r.quat_from_axis_angle(x, roll)),
    )
    result = r.quat_from_rpy(roll, pitch, yaw)
    np.testing.assert_allclose(result, expected, atol=1e-12)
    np.testing.assert_allclose(r.quat_yaw(result), yaw, atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-10, 1e-3, 1.0, np.pi - 1e-6])
def test_rotation_vector_inverts_axis_angle(angle: float) -> None:
    """Axis times angle comes back, also for tiny and half turns, and whatever the sign of q."""
    axis = np.array([[1.0, 2.0, -2.0]]) / 3.0
    quat = r.quat_from_axis_angle(axis, np.array([angle]))
    for sign in (1.0, -1.0):
        np.testing.assert_allclose(r.rotation_vector(sign * quat), axis * angle, atol=1e-9)
    identity = np.array([[1.0, 0, 0, 0]])
    np.testing.assert_allclose(r.quat_error(identity, quat), [angle], atol=1e-9)


def test_slerp_moves_at_constant_speed(quats: np.ndarray) -> None:
    """A third of the way has a third of the angle, and the ends are met."""
    a, b = quats[:50], quats[50:]
    whole = r.quat_error(a, b)
    part = r.quat_slerp(a, b, np.full(50, 1 / 3))
    np.testing.assert_allclose(r.quat_error(a, part), whole / 3, atol=1e-9)
    np.testing.assert_allclose(r.quat_error(r.quat_slerp(a, b, np.ones(50)), b), 0, atol=1e-7)


@pytest.mark.parametrize(
    "name",
    ["quat_to_6d", "quat_yaw", "rotation_vector", "quat_conjugate", "quat_normalize",
     "down_in_body"],
)  # fmt: skip
def test_numpy_and_torch_agree(name: str, quats: np.ndarray) -> None:
    """Training (torch) and deployment (numpy) compute the same."""
    function = getattr(r, name)
    np.testing.assert_allclose(
        function(torch.from_numpy(quats)).numpy(), function(quats), atol=1e-14
    )


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_one_is_the_same_as_one_of_many(quats: np.ndarray, kind: type) -> None:
    """A single quaternion goes another way, to the same last digit and the same type."""
    quats = quats.astype(kind)
    others = np.roll(quats, 1, axis=0)
    for name in ("quat_multiply", "quat_error"):
        function = getattr(r, name)
        single = np.stack([function(a, b) for a, b in zip(quats, others, strict=True)])
        assert np.array_equal(single, function(quats, others)) and single.dtype == kind, name
    for name in ("quat_conjugate", "quat_to_matrix", "quat_yaw", "down_in_body"):
        function = getattr(r, name)
        single = np.stack([function(q) for q in quats])
        assert np.array_equal(single, function(quats)) and single.dtype == kind, name
    for name in ("quat_apply", "quat_apply_inverse"):
        function = getattr(r, name)
        single = np.stack([function(q, v) for q, v in zip(quats, others[:, :3], strict=True)])
        assert np.array_equal(single, function(quats, others[:, :3])), name


def test_down_is_where_gravity_pulls(quats: np.ndarray) -> None:
    """The downward direction is that of the rotated world, and unit."""
    expected = r.quat_apply_inverse(quats, np.array([0.0, 0.0, -1.0]))
    np.testing.assert_allclose(r.down_in_body(quats), expected, atol=1e-14)
