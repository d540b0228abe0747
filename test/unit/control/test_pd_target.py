"""Laws of the limiter between a policy and the motors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from g1_mimic.control.pd_target import (
    NonFiniteError,
    TargetLimits,
    action_to_target,
    limit_target,
    slew,
    slew_steps,
    torque_range,
)
from g1_mimic.robot.names import JOINT_NAMES
from g1_mimic.robot.profile import load_profile

LIMITS = TargetLimits.from_profile(load_profile("g1_29dof"))
WIDE = dataclasses.replace(
    LIMITS,
    position_lower=np.full(29, -1e9),
    position_upper=np.full(29, 1e9),
    velocity_limit=np.full(29, 1e12),
)
ANY = st.floats(allow_nan=True, allow_infinity=True, width=64)
FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)
SENSIBLE = st.floats(-20.0, 20.0)


def vectors(elements: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, 29, elements=elements)


def torque(target: np.ndarray, q: np.ndarray, qd: np.ndarray) -> np.ndarray:
    return LIMITS.stiffness * (target - q) - LIMITS.damping * qd


def motor(qd: np.ndarray, limits: TargetLimits = LIMITS) -> tuple[np.ndarray, np.ndarray]:
    return torque_range(qd, limits.torque_limit, limits.saturation_torque, limits.no_load_speed)


@settings(max_examples=300, deadline=None)
@given(vectors(ANY), vectors(ANY), vectors(ANY), vectors(ANY), FINITE)
def test_whatever_the_input_the_torque_is_bounded_or_it_raises(
    desired: np.ndarray, previous: np.ndarray, q: np.ndarray, qd: np.ndarray, dt: float
) -> None:
    """No input at all gives a target whose PD torque exceeds the limit."""
    try:
        answer = limit_target(desired, previous, q, qd, dt, LIMITS)
    except NonFiniteError:
        return
    assert np.isfinite(answer.target).all()
    lower, upper = motor(qd)
    slack = 1e-8 * LIMITS.torque_limit
    assert (torque(answer.target, q, qd) >= lower - slack).all()
    assert (torque(answer.target, q, qd) <= upper + slack).all()


@settings(max_examples=200, deadline=None)
@given(vectors(FINITE), vectors(SENSIBLE), vectors(SENSIBLE), vectors(SENSIBLE))
def test_sensible_states_never_raise(
    desired: np.ndarray, previous: np.ndarray, q: np.ndarray, qd: np.ndarray
) -> None:
    """With a plausible state every finite wish is answered, inside all three limits in turn."""
    answer = limit_target(desired, previous, q, qd, 0.002, LIMITS)
    step = LIMITS.velocity_limit * 0.002
    assert (np.abs(answer.slewed - previous) <= step + 1e-12).all()
    within = (previous >= LIMITS.position_lower) & (previous <= LIMITS.position_upper)
    assert (answer.slewed[within] >= LIMITS.position_lower[within]).all()
    assert (answer.slewed[within] <= LIMITS.position_upper[within]).all()


@settings(max_examples=200, deadline=None)
@given(vectors(SENSIBLE), vectors(st.floats(-3, 3)), vectors(SENSIBLE))
def test_the_torque_rule_equals_motor_saturation(
    desired: np.ndarray, q: np.ndarray, qd: np.ndarray
) -> None:
    """Where the other limits are idle, the torque is the clipped torque of the desired target."""
    answer = limit_target(desired, q, q, qd, 0.002, WIDE)
    saturated = np.clip(torque(desired, q, qd), *motor(qd, WIDE))
    np.testing.assert_allclose(torque(answer.target, q, qd), saturated, rtol=1e-9, atol=1e-9)


def test_saturation_leaves_no_memory() -> None:
    """After any number of saturated steps the next target is the one without that history."""
    desired, q = np.full(29, 3.0), np.zeros(29)
    previous = q
    for _ in range(500):
        previous = limit_target(desired, previous, q, np.zeros(29), 0.002, LIMITS).slewed
    near = previous - 0.01
    fresh = limit_target(desired, previous, near, np.zeros(29), 0.002, LIMITS)
    np.testing.assert_allclose(fresh.target, np.minimum(desired, LIMITS.position_upper))


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_single_bad_number_raises(place: int, bad: float) -> None:
    """One NaN or infinity in any argument never passes."""
    arguments = [np.zeros(29) for _ in range(4)]
    arguments[place][17] = bad
    with pytest.raises(NonFiniteError):
        limit_target(*arguments, 0.002, LIMITS)
    with pytest.raises(NonFiniteError):
        limit_target(*[np.zeros(29)] * 4, bad, LIMITS)


def test_hits_name_the_limit_and_the_joint() -> None:
    """Each limit reports exactly the joints whose target it moved."""
    desired = LIMITS.position_upper.copy()
    desired[3] += 1.0
    answer = limit_target(desired, LIMITS.position_upper, desired * 0, desired * 0, 0.0, LIMITS)
    assert np.flatnonzero(answer.hits.position).tolist() == [3]
    assert not answer.hits.velocity.any()
    slow = limit_target(np.full(29, 0.1), np.zeros(29), np.zeros(29), np.zeros(29), 1e-3, LIMITS)
    assert slow.hits.velocity.all() and not slow.hits.torque.any()
    hard = limit_target(desired, desired, desired - 10.0, desired * 0, 0.002, LIMITS)
    assert hard.hits.torque.all()


def test_batches_equal_single_rows() -> None:
    """A batch gives row by row what single calls give."""
    rng = np.random.default_rng(0)
    desired, previous, q, qd = rng.normal(size=(4, 8, 29))
    batch = limit_target(desired, previous, q, qd, 0.002, LIMITS)
    for row in range(8):
        single = limit_target(desired[row], previous[row], q[row], qd[row], 0.002, LIMITS)
        np.testing.assert_array_equal(batch.target[row], single.target)


def test_action_scale_and_base() -> None:
    """An action of zero asks for the base, a unit action for one scale more."""
    base, scale = np.arange(29.0), np.full(29, 0.5)
    np.testing.assert_array_equal(action_to_target(np.zeros(29), base, scale), base)
    np.testing.assert_array_equal(action_to_target(np.ones(29), base, scale), base + 0.5)


def test_slew_reaches_a_near_target_and_no_further() -> None:
    """A target within reach is taken as it is."""
    assert slew(np.array([0.1, 5.0, -5.0]), np.zeros(3), np.ones(3)).tolist() == [0.1, 1.0, -1.0]


def test_the_torque_speed_line_has_its_corner_and_its_ends() -> None:
    """Full torque up to the corner, half way down half of it, none at the no-load speed."""
    limit, stall, top = np.array([35.0]), np.array([140.0]), np.array([40.0])
    corner = 30.0  # where 140·(1 − v/40) is 35
    for speed, most in ((0.0, 35.0), (corner, 35.0), (35.0, 17.5), (40.0, 0.0), (45.0, -17.5)):
        lower, upper = torque_range(np.array([speed]), limit, stall, top)
        assert upper[0] == pytest.approx(most) and lower[0] == -35.0
        mirrored = torque_range(np.array([-speed]), limit, stall, top)
        assert mirrored[0][0] == pytest.approx(-most) and mirrored[1][0] == 35.0


@given(vectors(st.floats(-1e6, 1e6)))
def test_braking_is_never_reduced_and_driving_never_grows_with_speed(qd: np.ndarray) -> None:
    """At any speed the range is inside the limits, and whole on the braking side."""
    lower, upper = motor(qd)
    assert (lower <= upper).all() and (upper <= LIMITS.torque_limit).all()
    assert (lower >= -LIMITS.torque_limit).all()
    assert (lower[qd >= 0] == -LIMITS.torque_limit[qd >= 0]).all()
    assert (upper[qd <= 0] == LIMITS.torque_limit[qd <= 0]).all()
    faster = motor(qd + np.abs(qd))[1]
    assert (faster <= upper + 1e-9 * LIMITS.torque_limit).all()


def test_a_published_point_lies_on_the_line() -> None:
    """A single motor gives the published torque at the published corner speed (0.1 %)."""
    published = {"knee": (111.0, 14.5), "hip_yaw": (71.0, 22.63), "wrist_yaw": (4.8, 15.3)}
    free = dataclasses.replace(LIMITS, torque_limit=LIMITS.saturation_torque)
    for name, (newton_metres, speed) in published.items():
        i = JOINT_NAMES.index(f"left_{name}_joint")
        assert motor(np.full(29, speed), free)[1][i] == pytest.approx(newton_metres, rel=1e-3)


@pytest.mark.parametrize("aims", [1, 4], ids=["one aim", "an aim for each step"])
def test_steps_at_once_are_slew_again_and_again(aims: int) -> None:
    """For one aim and for several, each target is as far from the last one as a slew allows."""
    rng = np.random.default_rng(0)
    desired, previous = rng.normal(size=(8, aims, 29)), rng.normal(size=(8, 29))
    step = rng.uniform(0.05, 2.0, 29)
    targets = slew_steps(desired, previous, step * np.arange(1, 5)[:, None])
    for k in range(4):
        previous = slew(desired[:, min(k, aims - 1)], previous, step)
        np.testing.assert_allclose(targets[:, k], previous, atol=1e-12)
