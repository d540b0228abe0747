"""The motors of the MuJoCo model against the definition of torque and speed in `control`."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from g1_mimic.control.pd_target import torque_range
from g1_mimic.robot.model import Motors, build_model
from g1_mimic.robot.profile import load_profile

PROFILE = load_profile("g1_29dof")
MODELS = {motors: build_model(PROFILE, motors=motors) for motors in ("pd", "torque_speed")}
MODELS["feed_forward"] = build_model(PROFILE, motors="feed_forward")
ANGLES = arrays(np.float64, 29, elements=st.floats(-4, 4))
SPEEDS = arrays(np.float64, 29, elements=st.floats(-80, 80))
TORQUES = arrays(np.float64, 29, elements=st.floats(-300, 300))


def torque(motors: Motors, speed: np.ndarray, ctrl: np.ndarray) -> np.ndarray:
    """What the motors give in the default pose [29]."""
    model = MODELS[motors]
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    data.qpos[2], data.qvel[6:], data.ctrl[:] = 3.0, speed, ctrl
    mujoco.mj_forward(model, data)
    return data.actuator_force.copy()


def bounded(torque: np.ndarray, speed: np.ndarray) -> np.ndarray:
    least, most = torque_range(
        speed, PROFILE.torque_limit, PROFILE.saturation_torque, PROFILE.no_load_speed
    )
    return np.clip(torque, least, most)


@settings(max_examples=100, deadline=None)
@given(ANGLES, SPEEDS)
def test_motors_give_the_pd_torque_within_the_torque_speed_line(
    away: np.ndarray, speed: np.ndarray
) -> None:
    """At any speed, on either side of the line, the torque is that of the deployment's limiter."""
    asked = PROFILE.stiffness * away - PROFILE.damping * speed
    given_torque = torque("torque_speed", speed, PROFILE.default_position + away)
    np.testing.assert_allclose(given_torque, bounded(asked, speed), atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(ANGLES, SPEEDS, SPEEDS, TORQUES)
def test_motors_add_target_velocity_and_feed_forward(
    away: np.ndarray, speed: np.ndarray, wanted: np.ndarray, effort: np.ndarray
) -> None:
    """Three inputs per motor: stiffness·Δq + damping·Δq̇ + torque, within the same line."""
    asked = PROFILE.stiffness * away + PROFILE.damping * (wanted - speed) + effort
    ctrl = np.stack([PROFILE.default_position + away, wanted, effort], axis=1).ravel()
    np.testing.assert_allclose(
        torque("feed_forward", speed, ctrl), bounded(asked, speed), atol=1e-9
    )


def test_below_the_corner_speed_the_line_changes_nothing() -> None:
    """Up to the corner speed motors with and without the line move the robot alike."""
    corner = PROFILE.no_load_speed * (1 - PROFILE.torque_limit / PROFILE.saturation_torque)
    ends = []
    for motors in ("pd", "torque_speed"):
        model = MODELS[motors]
        data = mujoco.MjData(model)
        mujoco.mj_resetDataKeyframe(model, data, 0)
        rng = np.random.default_rng(0)
        for _ in range(40):
            data.ctrl[:] = PROFILE.default_position + rng.uniform(-0.3, 0.3, 29)
            mujoco.mj_step(model, data, 4)
            assert (np.abs(data.qvel[6:]) < corner).all()
        ends.append(data.qpos.copy())
    np.testing.assert_allclose(*ends, atol=1e-9)


def test_the_line_holds_a_runaway_joint_at_its_no_load_speed() -> None:
    """A wrist driven by a target far away ends at the no-load speed, without the line beyond it."""
    ends = {}
    for motors in ("pd", "torque_speed"):
        model = build_model(PROFILE, timestep=0.001, motors=motors)
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_LIMIT
        model.opt.gravity[:] = 0.0
        wrist = model.joint("left_wrist_roll_joint")
        motor = model.actuator("left_wrist_roll_joint").id
        data = mujoco.MjData(model)
        mujoco.mj_resetDataKeyframe(model, data, 0)
        data.qpos[2] = 3.0
        data.ctrl[motor] = 1e4
        for _ in range(100):
            mujoco.mj_step(model, data)
        ends[motors] = data.qvel[wrist.dofadr[0]], PROFILE.no_load_speed[motor]
    speed, limit = ends["torque_speed"]
    assert speed == pytest.approx(limit, rel=0.05)
    assert ends["pd"][0] > 2.0 * limit
