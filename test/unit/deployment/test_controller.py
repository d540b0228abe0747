"""The deployed controller in closed loop with the simulated robot, without ROS."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from g1_mimic.control.modes import Mode
from g1_mimic.control.state import JointCommand, RobotState
from g1_mimic.deployment.controller import PolicyController
from g1_mimic.deployment.safety import ControllerSettings
from g1_mimic.deployment.tracking_report import TrackingReport
from g1_mimic.envs.randomisation import Randomisation
from g1_mimic.errors import G1MimicError
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.names import ANCHOR_BODY_NAME, JOINT_NAMES
from g1_mimic.robot.profile import load_profile
from g1_mimic.simulation.simulator import STATE_PERIOD_NS, Simulator, start_on_floor

PROFILE = load_profile("g1_29dof")
ZERO = np.zeros(29)
NOISE = Randomisation(joint_pos_noise=0.003, joint_vel_noise=0.15, gyro_noise=0.06)


@pytest.fixture(scope="module")
def policy(balancing_policy: Path) -> OnnxPolicy:
    return OnnxPolicy.load(balancing_policy)


def controller(policy: OnnxPolicy, **choices: Any) -> PolicyController:
    # The states made up here stand still to the last digit and jump: no real robot does.
    settings = {"stand_time": 0.2, "frozen_time": 10.0, "encoder_tolerance": 10.0, **choices}
    result = PolicyController(policy, PROFILE, ControllerSettings(**settings))
    result.activate()
    return result


def still(stamp: int = 0, **changes: Any) -> RobotState:
    """A robot that stands upright in its default pose."""
    state = RobotState(
        stamp=stamp,
        joint_pos=PROFILE.default_position.copy(),
        joint_vel=ZERO.copy(),
        base_quat=np.array([1.0, 0.0, 0.0, 0.0]),
        base_ang_vel=np.zeros(3),
        base_pos=np.array([0.0, 0.0, PROFILE.pelvis_height]),
        base_lin_vel=np.zeros(3),
    )
    return dataclasses.replace(state, **changes)


def hold(control: PolicyController, seconds: float, start: int = 0) -> list[JointCommand]:
    """Feed the same pose for a while at 500 Hz."""
    stamps = range(start, start + round(seconds * 1e9), STATE_PERIOD_NS)
    return [control.step(still(stamp)) for stamp in stamps]


def torque(command: JointCommand, state: RobotState) -> np.ndarray:
    return command.stiffness * (command.position - state.joint_pos) - (
        command.damping * state.joint_vel
    )


def simulator(policy: OnnxPolicy, **choices: Any) -> Simulator:
    frame = policy.reference(0)
    start = start_on_floor(
        PROFILE, frame.joint_pos, ANCHOR_BODY_NAME, frame.anchor_pos, frame.anchor_quat
    )
    return Simulator(PROFILE, start_qpos=start, **choices)


def drive(policy: OnnxPolicy, seconds: float, **choices: Any) -> tuple[Simulator, TrackingReport]:
    """Run controller and robot together; returns the robot and what was tracked."""
    sim, control, report = simulator(policy, **choices), controller(policy), TrackingReport(0.02)
    for _ in range(round(seconds * 500)):
        state = sim.state()
        command = control.step(state)
        assert (np.abs(torque(command, state)) <= PROFILE.torque_limit * (1 + 1e-8)).all()
        if control.tick is not None:
            report.add_tick(control.tick)
        sim.set_target(command)
        if command.mode is Mode.TRACK and sim.hoisted:
            sim.release()
        sim.step()
    assert control.mode is Mode.TRACK, control.mode_state.fault
    return sim, report


def test_the_balancing_policy_keeps_the_robot_up(policy: OnnxPolicy) -> None:
    """Controller, limiter and simulation close the loop: without the hoist the robot stands."""
    sim, report = drive(policy, 4.0)
    assert not report.fell and not sim.hoisted
    assert sim.data.qpos[2] > 0.7
    assert report.figures()["survived_s"] == pytest.approx(3.8)


def test_without_feedback_the_robot_falls_and_the_report_says_so(policy: OnnxPolicy) -> None:
    """Pure PD towards the pose cannot stand: the fall is judged, the tilt becomes a fault."""
    control, report = controller(policy), TrackingReport(0.02)
    sim = simulator(policy)
    policy_act, policy.act = policy.act, lambda obs, t: ZERO  # type: ignore[method-assign]
    try:
        for _ in range(1500):
            command = control.step(sim.state())
            if control.tick is not None:
                report.add_tick(control.tick)
            sim.set_target(command)
            if command.mode is Mode.TRACK:
                sim.release()
            sim.step()
    finally:
        policy.act = policy_act  # type: ignore[method-assign]
    assert report.fell and control.tilted and control.mode is Mode.DAMPING
    assert 0.2 < report.figures()["survived_s"] < 2.5


def test_equal_seeds_give_equal_runs(policy: OnnxPolicy) -> None:
    """A run depends on its seed and on nothing else."""
    first, same, other = (
        drive(policy, 1.0, seed=seed, start_noise=0.05, randomisation=NOISE)[0].data.qpos
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-4


def test_activation_goes_from_stand_to_track(policy: OnnxPolicy) -> None:
    """stand lasts stand_time, starts at the measured pose and ends in the first one."""
    control = controller(policy)
    away = PROFILE.default_position + 0.3
    first = control.step(still(0, joint_pos=away))
    assert first.mode is Mode.STAND
    np.testing.assert_allclose(first.position, away, atol=1e-9)
    commands = hold(control, 0.5, start=STATE_PERIOD_NS)
    modes = [command.mode for command in commands]
    assert modes.index(Mode.TRACK) == 99  # 0.2 s after the first state
    assert set(modes[99:]) == {Mode.TRACK}


@pytest.mark.parametrize("start_mode", ["damping", "stand"])
def test_activation_goes_no_further_than_asked(policy: OnnxPolicy, start_mode: str) -> None:
    """An operator decides about each mode where start_mode says so."""
    control = controller(policy, start_mode=start_mode)
    assert {command.mode.value for command in hold(control, 0.5)} == {start_mode}
    if start_mode == "damping":
        control.stand()
        hold(control, 0.3, start=500_000_000)
    control.track()
    assert control.mode is Mode.TRACK


def test_track_waits_for_stand(policy: OnnxPolicy) -> None:
    """Tracking cannot begin before the first pose is reached."""
    control = controller(policy, start_mode="stand")
    hold(control, 0.1)
    with pytest.raises(G1MimicError, match="does not stand"):
        control.track()


def test_the_policy_runs_at_its_own_rate(policy: OnnxPolicy) -> None:
    """Of 500 states a second, 50 are the policy's turn, whatever the stamps begin with."""
    control = controller(policy)
    hold(control, 0.3, start=7)
    steps = []
    for stamp in range(300_000_007, 1_300_000_007, STATE_PERIOD_NS):
        control.step(still(stamp))
        if control.tick is not None:
            steps.append(control.tick.step)
    assert len(steps) == 50 and steps == list(range(steps[0], steps[0] + 50))
    assert control.lateness.missed_ticks == 0


def test_a_late_state_costs_ticks_but_no_catching_up(policy: OnnxPolicy) -> None:
    """After a gap the policy runs once, and the lost periods are counted."""
    control = controller(policy)
    hold(control, 0.4)
    control.step(still(400_000_000 + 65_000_000))
    assert control.tick is not None and control.lateness.missed_ticks == 3
    control.step(still(400_000_000 + 67_000_000))
    assert control.tick is None


FIELDS = ["joint_pos", "joint_vel", "base_quat", "base_ang_vel", "base_pos", "base_lin_vel"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_number_in_a_state_is_a_latched_fault(
    policy: OnnxPolicy, field: str, bad: float
) -> None:
    """One bad number means damping from that very state on, until the fault is reset."""
    control = controller(policy)
    hold(control, 0.3)
    value = np.array(getattr(still(), field))
    value[-1] = bad
    command = control.step(still(300_000_000, **{field: value}))
    assert command.mode is Mode.DAMPING and not command.stiffness.any()
    assert np.isfinite(command.position).all()
    assert field in control.mode_state.fault
    assert {c.mode for c in hold(control, 0.1, start=302_000_000)} == {Mode.DAMPING}
    with pytest.raises(G1MimicError, match="latched"):
        control.stand()
    control.deactivate()
    with pytest.raises(G1MimicError, match="latched"):
        control.activate()
    control.reset_fault()
    control.activate()
    assert hold(control, 0.1, start=500_000_000)[-1].mode is Mode.STAND


def test_time_that_stands_still_or_jumps_is_a_fault(policy: OnnxPolicy) -> None:
    """Stamps must grow, and not by more than state_timeout."""
    for stamp, words in ((298_000_000, "went back"), (450_000_000, "no state for")):
        control = controller(policy)
        hold(control, 0.3)
        assert control.step(still(stamp)).mode is Mode.DAMPING
        assert words in control.mode_state.fault


def test_tilt_is_a_fault_and_heading_is_not(policy: OnnxPolicy) -> None:
    """A robot that faces elsewhere is fine, one that leans too far is damped."""
    control = controller(policy)
    turned = np.array([np.cos(1.0), 0.0, 0.0, np.sin(1.0)])
    for stamp in range(0, 300_000_000, STATE_PERIOD_NS):
        assert control.step(still(stamp, base_quat=turned)).mode is not Mode.DAMPING
    leaning = np.array([np.cos(0.65), np.sin(0.65), 0.0, 0.0])
    for stamp in range(300_000_000, 340_000_000, STATE_PERIOD_NS):
        command = control.step(still(stamp, base_quat=leaning))
    assert command.mode is Mode.DAMPING and control.tilted
    assert "tilted by 1.3" in control.mode_state.fault


def test_a_failing_network_is_a_fault(policy: OnnxPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever inference raises, the answer is damping and the reason is told."""
    control = controller(policy)
    hold(control, 0.3)

    def broken(obs: np.ndarray, time_step: int) -> np.ndarray:
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(policy, "act", broken)
    assert hold(control, 0.1, start=300_000_000)[-1].mode is Mode.DAMPING
    assert control.mode_state.fault == "RuntimeError: out of memory"


@settings(max_examples=200, deadline=None)
@given(
    arrays(np.float64, 29, elements=st.floats(width=64)),
    arrays(np.float64, 29, elements=st.floats(width=64)),
    arrays(np.float64, 4, elements=st.floats(width=64)),
    arrays(np.float64, 29, elements=st.floats(-1e6, 1e6)),
)
def test_no_state_and_no_action_gets_past_the_limits(
    policy: OnnxPolicy,
    joint_pos: np.ndarray,
    joint_vel: np.ndarray,
    quat: np.ndarray,
    action: np.ndarray,
) -> None:
    """For any numbers at all the spring torque of a command is within the limit, or zero."""
    control = controller(policy, stand_time=0.1)
    hold(control, 0.2)
    act, policy.act = policy.act, lambda obs, t: action  # type: ignore[method-assign]
    try:
        for state in (
            still(200_000_000),
            still(202_000_000, joint_pos=joint_pos, joint_vel=joint_vel, base_quat=quat),
        ):
            command = control.step(state)
            assert np.isfinite(command.position).all()
            if command.mode is Mode.DAMPING:
                assert not command.stiffness.any()
            else:
                limit = PROFILE.torque_limit * (1 + 1e-8)
                assert (np.abs(torque(command, state)) <= limit).all()
    finally:
        policy.act = act  # type: ignore[method-assign]


def test_a_policy_that_needs_odometry_says_so(policy: OnnxPolicy) -> None:
    """Without position the controller of such a policy is in a fault, not in the dark."""
    needy = OnnxPolicy.__new__(OnnxPolicy)
    needy.__dict__.update(policy.__dict__)
    names = ("motion_anchor_pos_b", *policy.metadata.observation_names)
    needy.metadata = dataclasses.replace(
        policy.metadata,
        observation_names=names,
        observation_history_lengths=(1,) * len(names),
    )
    control = controller(needy)
    assert control.observer.needs_odometry and not controller(policy).observer.needs_odometry
    assert control.step(still(0, base_pos=None)).mode is Mode.DAMPING
    assert "odometry" in control.mode_state.fault


def test_a_policy_cannot_raise_the_robot_s_limits(policy: OnnxPolicy) -> None:
    """Of two torque limits, the policy's and the profile's, the tighter one holds."""
    low = PROFILE.torque_limit * 0.01
    weak = dataclasses.replace(PROFILE, torque_limit=low, deploy_torque_limit=low)
    settings = ControllerSettings(stand_time=0.1, frozen_time=10.0, encoder_tolerance=10.0)
    control = PolicyController(policy, weak, settings)
    control.activate()
    state = still(0, joint_pos=PROFILE.default_position + 0.2)
    for stamp in range(0, 300_000_000, STATE_PERIOD_NS):
        command = control.step(dataclasses.replace(state, stamp=stamp))
        assert (np.abs(torque(command, state)) <= weak.torque_limit * (1 + 1e-8)).all()


@pytest.mark.parametrize(("choice", "most"), [("deployment", 35.0), ("training", 50.0)])
def test_the_torque_at_the_ankle_is_the_chosen_one(
    policy: OnnxPolicy, choice: str, most: float
) -> None:
    """By default the lower published limit holds; training's is there for who asks for it."""
    control = controller(policy, torque_limits=choice, stand_time=0.1)
    hold(control, 0.2)
    ankle = JOINT_NAMES.index("left_ankle_pitch_joint")
    away = PROFILE.default_position.copy()
    away[ankle] -= 10.0
    state = still(200_000_000, joint_pos=away)
    command = control.step(state)
    assert command.mode is Mode.TRACK
    assert torque(command, state)[ankle] == pytest.approx(most)
