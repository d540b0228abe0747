"""Laws of the simulated robot behind the sim node."""

from __future__ import annotations

import dataclasses
from typing import Any

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from g1_mimic.control.pd_target import torque_range
from g1_mimic.control.state import MotorTarget
from g1_mimic.envs.randomisation import Randomisation
from g1_mimic.robot.names import ANCHOR_BODY_NAME
from g1_mimic.robot.profile import load_profile
from g1_mimic.rotations import quat_error, quat_from_rpy
from g1_mimic.simulation.simulator import Simulator, start_on_floor

PROFILE = load_profile("g1_29dof")
HOLD = MotorTarget(PROFILE.default_position, PROFILE.stiffness, PROFILE.damping)


@pytest.fixture(scope="module")
def sim() -> Simulator:
    return Simulator(PROFILE)


def test_the_motors_damp_until_the_first_target_and_after_the_last(sim: Simulator) -> None:
    """No fresh target within three periods means damping, a fresh one ends it."""
    sim.reset()
    sim.step()
    assert sim.damped
    sim.set_target(HOLD)
    for _ in range(3):
        sim.step()
        assert not sim.damped
    trips = sim.watchdog_trips
    sim.step()
    sim.step()
    assert sim.damped and sim.watchdog_trips == trips + 1
    sim.set_target(HOLD)
    sim.step()
    assert not sim.damped


def test_the_emergency_stop_is_latched_until_reset(sim: Simulator) -> None:
    """After e_stop no target reaches the motors."""
    sim.reset()
    sim.set_target(HOLD)
    sim.e_stop()
    for _ in range(5):
        sim.set_target(HOLD)
        sim.step()
        assert sim.damped and sim.stopped
    sim.reset()
    sim.set_target(HOLD)
    sim.step()
    assert not sim.damped


def test_the_hoist_holds_until_released(sim: Simulator) -> None:
    """Limp motors do not let a hoisted pelvis down; a released one falls."""
    sim.reset()
    start = sim.data.qpos[:3].copy()
    for _ in range(500):
        sim.step()
    assert np.abs(sim.data.qpos[:3] - start).max() < 0.01
    sim.release()
    for _ in range(750):
        sim.step()
    assert sim.data.qpos[2] < start[2] - 0.1
    sim.reset()
    assert sim.hoisted
    np.testing.assert_allclose(sim.data.qpos[:3], start)


@pytest.mark.parametrize("field", ["position", "stiffness", "damping", "velocity", "effort"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e9])
def test_impossible_targets_are_refused(sim: Simulator, field: str, bad: float) -> None:
    """A bad number anywhere in a target is named, counted and never applied."""
    sim.reset()
    value = getattr(HOLD, field).copy()
    value[5] = bad
    before = sim.rejected
    assert field in sim.set_target(dataclasses.replace(HOLD, **{field: value}))
    assert sim.rejected == before + 1
    sim.step()
    assert sim.damped


def test_negative_gains_are_refused(sim: Simulator) -> None:
    """Negative damping would drive the joints."""
    assert "negative" in sim.set_target(dataclasses.replace(HOLD, damping=-PROFILE.damping))


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.float64, 29, elements=st.floats(-10, 10)),
    arrays(np.float64, 29, elements=st.floats(-500, 500)),
)
def test_motors_saturate(sim: Simulator, position: np.ndarray, effort: np.ndarray) -> None:
    """Whatever the target, no motor gives more than its torque."""
    sim.reset()
    sim.set_target(dataclasses.replace(HOLD, position=position, effort=effort))
    for _ in range(3):
        sim.step()
        assert (np.abs(sim.joint_torque()) <= PROFILE.torque_limit + 1e-9).all()


def test_the_torque_is_pd_plus_feed_forward(sim: Simulator) -> None:
    """At rest the motors answer with stiffness·error + damping·velocity + effort."""
    sim.reset()
    target = dataclasses.replace(
        HOLD,
        position=PROFILE.default_position + 0.01,
        velocity=np.full(29, 0.1),
        effort=np.full(29, 0.2),
    )
    sim.set_target(target)
    sim.step()
    wanted = 0.01 * PROFILE.stiffness + 0.1 * PROFILE.damping + 0.2
    np.testing.assert_allclose(sim.joint_torque(), wanted, rtol=1e-6)


def test_the_state_is_in_the_frames_of_the_robot(sim: Simulator) -> None:
    """Velocities of the pelvis are given in its own frame, stamps in nanoseconds."""
    sim.reset()
    yaw = quat_from_rpy(np.array(0.0), np.array(0.0), np.array(np.pi / 2))
    sim.data.qpos[3:7] = yaw
    sim.data.qvel[:3] = [0.0, 1.0, 0.0]
    sim.data.qvel[3:6] = [0.1, 0.2, 0.3]
    state = sim.true_state()
    assert state.base_lin_vel is not None
    np.testing.assert_allclose(state.base_lin_vel, [1.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(state.base_ang_vel, [0.1, 0.2, 0.3])
    stamp = sim.time_ns
    sim.step()
    assert sim.state().stamp == stamp + 2_000_000


def test_a_push_moves_the_whole_robot(sim: Simulator) -> None:
    """~/push changes the velocity of the centre of mass by the given amount."""
    sim.reset()
    sim.push(0.5, np.pi / 2)
    mujoco.mj_forward(sim.model, sim.data)
    mujoco.mj_subtreeVel(sim.model, sim.data)
    np.testing.assert_allclose(sim.data.subtree_linvel[1], [0.0, 0.5, 0.0], atol=1e-9)


def test_a_start_stands_on_the_floor_with_the_body_where_it_was_asked_for() -> None:
    """The anchor has the asked orientation and place, the lowest foot touches the floor."""
    quat = quat_from_rpy(np.array(0.05), np.array(0.1), np.array(0.7))
    joints = PROFILE.default_position + 0.05
    start = start_on_floor(PROFILE, joints, ANCHOR_BODY_NAME, np.array([1.0, 2.0, 9.0]), quat)
    sim = Simulator(PROFILE, start_qpos=start, feet="spheres")
    torso = sim.data.body(ANCHOR_BODY_NAME)
    np.testing.assert_allclose(torso.xpos[:2], [1.0, 2.0], atol=1e-9)
    assert quat_error(torso.xquat, quat) < 1e-6
    np.testing.assert_allclose(sim.data.qpos[7:], joints)
    spheres = sim.model.geom_type == mujoco.mjtGeom.mjGEOM_SPHERE
    bottom = (sim.data.geom_xpos[:, 2] - sim.model.geom_size[:, 0])[spheres]
    assert abs(bottom.min()) < 1e-9


def test_the_default_pose_stands_on_the_floor() -> None:
    """The start without a policy neither hangs in the air nor digs into the floor."""
    start = start_on_floor(
        PROFILE,
        PROFILE.default_position,
        "pelvis",
        np.zeros(3),
        np.array([1.0, 0.0, 0.0, 0.0]),
    )
    assert start[2] == pytest.approx(PROFILE.pelvis_height, abs=0.005)


def test_noise_follows_the_seed_and_its_scale() -> None:
    """Start and sensor noise stay inside their bounds and repeat with the seed."""
    noise = Randomisation(joint_pos_noise=0.01)
    states = [
        Simulator(PROFILE, seed=seed, start_noise=0.05, randomisation=noise).state()
        for seed in (3, 3, 4)
    ]
    np.testing.assert_array_equal(states[0].joint_pos, states[1].joint_pos)
    assert np.abs(states[0].joint_pos - states[2].joint_pos).max() > 1e-3
    assert np.abs(states[0].joint_pos - PROFILE.default_position).max() <= 0.06 + 1e-12


def fall(seed: int, **choices: Any) -> tuple[np.ndarray, list[int]]:
    """Let a robot stand by PD alone for a second; what was measured, and which states were lost."""
    sim = Simulator(PROFILE, seed=seed, **choices)
    sim.set_target(HOLD)
    sim.release()
    seen, lost = [], []
    for k in range(500):
        sim.step()
        lost += [k] if sim.lost else []
        sim.set_target(HOLD)
        state = sim.state()
        seen.append(np.concatenate([state.joint_pos, state.joint_vel, state.base_quat]))
    return np.array(seen), lost


def test_a_seed_gives_the_same_robot_sensors_and_pushes_again() -> None:
    """With everything randomised, two simulators of one seed do the same to the bit."""
    everything = Randomisation(
        preset="asap", restitution=(0.0, 0.5), encoder_bias=(-0.02, 0.02),
        push_interval_s=(0.1, 0.3),
    )  # fmt: skip
    choices = {"randomisation": everything, "state_dropout": 0.1, "start_noise": 0.02}
    first, same, other = (fall(seed, **choices) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], same[0])
    assert first[1] == same[1] != other[1]
    assert np.abs(first[0] - other[0]).max() > 1e-2


def test_a_reset_draws_another_robot_or_the_same() -> None:
    """Each start is another robot, unless robots are to stay what they are."""
    for every_episode in (True, False):
        ranges = Randomisation(preset="asap", every_episode=every_episode)
        sim = Simulator(PROFILE, randomisation=ranges)
        before = sim.model.body_mass.copy()
        sim.reset()
        assert (sim.model.body_mass == before).all() == (not every_episode)


def test_late_states_are_old_ones_with_new_stamps() -> None:
    """With a delay of 3 periods the sensors say what was true 6 ms before."""
    late, fresh = Simulator(PROFILE, state_delay=0.006), Simulator(PROFILE)
    states = []
    for _ in range(10):
        states.append(fresh.state())
        if len(states) > 3:
            np.testing.assert_array_equal(late.state().joint_pos, states[-4].joint_pos)
            np.testing.assert_array_equal(late.state().base_lin_vel, states[-4].base_lin_vel)
            assert late.state().stamp == fresh.state().stamp
        for sim in (late, fresh):
            sim.set_target(HOLD)
            sim.step()
    assert (states[-1].joint_vel != states[-4].joint_vel).all()


def test_states_are_lost_at_the_given_rate() -> None:
    """A fifth of the states are lost, by seed."""
    lost = fall(0, state_dropout=0.2)[1]
    assert 60 < len(lost) < 140
    assert fall(0)[1] == []


def test_motors_answer_late_with_an_action_delay() -> None:
    """With 6 ms from state to motor the third step is the first one with the new target."""
    sim = Simulator(PROFILE, randomisation=Randomisation(action_delay_s=(0.006, 0.006)))
    torque = []
    for _ in range(6):
        sim.set_target(HOLD)
        sim.step()
        torque.append(not sim.damped)
    assert torque == [False, False, False, True, True, True]
    sim.e_stop()
    sim.step()
    assert sim.damped


def test_motors_go_by_their_own_encoders() -> None:
    """The motor holds the measured angle at the target: the true one is off by the bias."""
    sim = Simulator(PROFILE, randomisation=Randomisation(encoder_bias=(0.02, 0.02)))
    np.testing.assert_allclose(sim.state().joint_pos, PROFILE.default_position + 0.02)
    sim.set_target(HOLD)
    sim.step()
    np.testing.assert_allclose(sim.joint_torque(), -0.02 * PROFILE.stiffness, rtol=1e-6)


def test_joints_have_the_profiles_friction() -> None:
    """Friction of motors and gears is in the model, times a factor."""
    for factor in (0.0, 1.0, 0.5):
        model = Simulator(PROFILE, joint_friction=factor).model
        np.testing.assert_allclose(model.dof_frictionloss[6:], factor * PROFILE.friction)
        np.testing.assert_allclose(model.dof_damping[6:], factor * PROFILE.viscous_friction)


def test_the_feet_carry_the_robots_weight() -> None:
    """Standing, the floor's forces on both feet add up to the weight; in the hoist, to less."""
    sim = Simulator(PROFILE)
    gravity = -sim.model.opt.gravity[2] * sim.model.body_subtreemass[0]
    sim.data.qpos[2] += 0.2
    sim.step()
    np.testing.assert_array_equal(sim.foot_forces(), 0.0)
    sim.reset()
    sim.release()
    forces = []
    for _ in range(150):  # settled, and not yet falling
        sim.set_target(HOLD)
        sim.step()
        forces.append(sim.foot_forces())
    mean = np.mean(forces[75:], axis=0)
    assert mean.sum() == pytest.approx(gravity, rel=0.05)
    assert mean[0] == pytest.approx(mean[1], rel=0.1)


def test_pushes_begin_with_the_release() -> None:
    """A robot in its hoist is not pushed; a released one is, when the interval is over."""
    ranges = Randomisation(push_interval_s=(0.1, 0.1), push_velocity=(1.0, 1.0, 0, 0, 0, 0))
    sim = Simulator(PROFILE, randomisation=ranges)
    for _ in range(100):
        sim.step()
    sim.data.qvel[:] = 0.0
    sim.release()
    speeds = []
    for _ in range(60):
        sim.set_target(HOLD)
        sim.step()
        speeds.append(np.linalg.norm(sim.data.qvel[:2]))
    assert max(speeds[:50]) < 0.05 < 0.2 < speeds[50]


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.float64, 29, elements=st.floats(-10, 10)),
    arrays(np.float64, 29, elements=st.floats(-60, 60)),
)
def test_no_motor_leaves_the_torque_speed_line(
    sim: Simulator, position: np.ndarray, speed: np.ndarray
) -> None:
    """At whatever speed the joints turn, the motors give what the line allows."""
    sim.reset()
    sim.data.qvel[6:] = speed
    sim.set_target(dataclasses.replace(HOLD, position=position))
    sim.step()
    least, most = torque_range(
        speed, PROFILE.torque_limit, PROFILE.saturation_torque, PROFILE.no_load_speed
    )
    torque = sim.joint_torque()
    assert (torque >= least - 1e-9).all() and (torque <= most + 1e-9).all()
