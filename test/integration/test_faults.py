"""What breaks, what the robot does then, and how soon: controller, watch and robot in lock-step."""

from __future__ import annotations

import dataclasses
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from g1_mimic.control.modes import Mode
from g1_mimic.control.pd_target import torque_range
from g1_mimic.control.state import RobotState
from g1_mimic.deployment.controller import PolicyController
from g1_mimic.deployment.inference import InferenceRunner
from g1_mimic.deployment.safety import deployment_limits
from g1_mimic.errors import G1MimicError
from g1_mimic.nodes.deployment.settings import PolicyNodeSettings
from g1_mimic.nodes.deployment.state_watch import StateWatch
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.names import ANCHOR_BODY_NAME
from g1_mimic.robot.profile import load_profile
from g1_mimic.simulation.fault_kinds import read_fault
from g1_mimic.simulation.injected_faults import FaultInjector
from g1_mimic.simulation.simulator import STATE_PERIOD_NS, Simulator, start_on_floor

PROFILE = load_profile("g1_29dof")
ZERO = np.zeros(29)
SOON = 3
"""State periods within which a fault must have led to damping."""
CHOICES = {"stand_time": 0.1, "odometry": True}


@pytest.fixture(scope="module")
def policy(balancing_policy: Path) -> OnnxPolicy:
    return OnnxPolicy.load(balancing_policy)


class Rig:
    """A robot that stands by a policy, and breaks after half a second of tracking."""

    AT = 0.5

    def __init__(self, policy: OnnxPolicy, *faults: dict[str, Any], **choices: Any) -> None:
        frame = policy.reference(0)
        start = start_on_floor(
            PROFILE, frame.joint_pos, ANCHOR_BODY_NAME, frame.anchor_pos, frame.anchor_quat
        )
        self.settings = PolicyNodeSettings(**{**CHOICES, **choices})
        self.sim = Simulator(PROFILE, start_qpos=start)
        self.control = PolicyController(policy, PROFILE, self.settings)
        self.control.activate()
        self.watch = StateWatch(self.settings)
        plan = tuple(read_fault({"at": self.AT, **fault}, "test") for fault in faults)
        self.injector = FaultInjector(plan)
        self.began: int | None = None
        self.limp_at: float | None = None
        """Seconds of tracking after which the motors damped for the first time."""
        self.fault_at: float | None = None
        """Seconds of tracking after which a fault was latched."""

    def step(self) -> None:
        sim, control = self.sim, self.control
        self.injector.act_on(sim)
        sim.step()
        for state in self.injector.deliver(sim.state()):
            if reason := self.watch.arrived(0.0, (sim.time_ns - state.stamp) * 1e-9):
                control.fail(reason)
            command = control.step(state)
            assert sim.set_target(command) == ""
            if command.mode is Mode.TRACK and self.began is None:
                self.began = state.stamp
                sim.release()
                self.injector.begin(state.stamp)
        if self.began is not None:
            elapsed = (sim.time_ns - self.began) * 1e-9
            limp = sim.damped or control.mode is Mode.DAMPING
            if limp and self.limp_at is None:
                self.limp_at = elapsed
            if control.mode_state.fault and self.fault_at is None:
                self.fault_at = elapsed

    def run(self, seconds: float) -> Rig:
        """Stand up, and track for so long."""
        while self.began is None or self.sim.time_ns < self.began + seconds * 1e9:
            self.step()
        return self


def periods(seconds: float) -> float:
    return seconds * 1e9 / STATE_PERIOD_NS


KNEE = "left_knee_joint"
BROKEN: dict[str, tuple[dict[str, Any], float, str]] = {
    # fault, time from its beginning after which damping is due, words of the latched reason
    "no states": ({"kind": "dropout", "duration": 0.3}, 0.0, "no state for 0.30"),
    "old states": ({"kind": "delay", "seconds": 0.15}, 0.0, "s old"),
    "not a number": ({"kind": "nan", "joint": KNEE}, 0.0, "joint_pos is not finite"),
    # what is repeated was measured one period before
    "frozen joints": ({"kind": "frozen", "sensor": "joints"}, 0.048, "joint_states is frozen"),
    "frozen imu": ({"kind": "frozen", "sensor": "imu"}, 0.048, "imu is frozen"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_sensor_means_damping_in_three_periods(policy: OnnxPolicy, case: str) -> None:
    """The motors damp within three periods of the moment the limit is passed; a reason stays."""
    fault, due, words = BROKEN[case]
    rig = Rig(policy, fault).run(1.0)
    assert rig.limp_at is not None
    assert 0.0 <= periods(rig.limp_at - rig.AT - due) <= SOON + 1  # + the period it begins in
    assert words in rig.control.mode_state.fault
    assert rig.control.mode is Mode.DAMPING


HARMLESS = {
    "two lost states": {"kind": "dropout", "duration": 0.004},
    "late by little": {"kind": "jitter", "seconds": 0.004},
    "a small push": {"kind": "push", "speed": 0.15},
    "an arm that is stuck": {"kind": "stuck", "joint": "left_elbow_joint"},
    "a slippery floor": {"kind": "low_friction", "friction": 0.3},
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_does_no_harm_is_no_fault(policy: OnnxPolicy, case: str) -> None:
    """The robot tracks on, and no motor damped meanwhile."""
    rig = Rig(policy, HARMLESS[case]).run(1.2)
    assert rig.control.mode is Mode.TRACK, rig.control.mode_state.fault
    assert rig.limp_at is None


def test_a_robot_that_falls_is_damped_as_soon_as_it_leans_too_far(policy: OnnxPolicy) -> None:
    """A hard push: damping in the state in which the tilt passes the limit."""
    rig = Rig(policy, {"kind": "push", "speed": 3.0})
    before = 0.0
    while rig.fault_at is None:
        before = rig.control.tilt
        rig.step()
        assert rig.sim.time_ns < 5e9
    assert "tilted by" in rig.control.mode_state.fault
    assert before <= rig.settings.tilt_limit < rig.control.tilt


def test_states_that_are_late_are_told_before_they_are_a_fault(policy: OnnxPolicy) -> None:
    """Beyond state_age_warn there is a warning, beyond state_timeout a fault."""
    rig = Rig(policy, {"kind": "delay", "seconds": 0.03}).run(0.6)
    assert "30 ms old" in rig.watch.warning() and rig.watch.late_states > 10
    assert "s old" not in rig.control.mode_state.fault


def test_states_of_another_clock_are_a_fault() -> None:
    """A stamp far in the future, or an unknown age, are told apart."""
    watch = StateWatch(PolicyNodeSettings())
    assert watch.arrived(0.0, None) == ""
    assert "use_sim_time" in watch.arrived(0.0, -1e9)


def test_the_first_state_must_come_in_time() -> None:
    """Waiting for the first state has a limit of its own; then silence has."""
    watch = StateWatch(PolicyNodeSettings(first_state_timeout=5.0, state_timeout=0.1))
    watch.begin(100.0)
    assert not any(watch.silent(100.0 + 0.01 * i) for i in range(499))
    assert "no state within 5 s" in watch.silent(105.01)
    watch.arrived(105.05, 0.0)
    assert not any(watch.silent(105.05 + 0.01 * i) for i in range(10))
    assert "no state for 0.110" in watch.silent(105.16)
    lockstep = StateWatch(PolicyNodeSettings(realtime_factor=0.0))
    lockstep.arrived(0.0, 0.0)
    assert lockstep.silent(1000.0) == ""


def test_a_starved_watch_reads_its_messages_before_it_judges() -> None:
    """After a pause of this process silence is judged at the second look, not at the first."""
    watch = StateWatch(PolicyNodeSettings())
    watch.arrived(10.0, 0.0)
    watch.silent(10.0)
    assert watch.silent(10.5) == ""
    assert "no state for 0.505" in watch.silent(10.505)


def made_up(stamp: int, **changes: Any) -> RobotState:
    state = RobotState(
        stamp=stamp,
        joint_pos=PROFILE.default_position + 1e-9 * (stamp % 7),
        joint_vel=ZERO,
        base_quat=np.array([1.0, 0.0, 0.0, 0.0]),
        base_ang_vel=np.full(3, 1e-9 * (stamp % 7)),
        base_pos=np.zeros(3),
        base_lin_vel=np.zeros(3),
    )
    return dataclasses.replace(state, **changes)


def tracking(policy: Any, **choices: Any) -> PolicyController:
    """A controller that has just begun to track; its next state is at 200 ms."""
    control = PolicyController(policy, PROFILE, PolicyNodeSettings(**{**CHOICES, **choices}))
    control.activate()
    for stamp in range(0, 200_000_000, STATE_PERIOD_NS):
        control.step(made_up(stamp))
    assert control.mode is Mode.TRACK, control.mode_state.fault
    return control


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_joint_that_turns_too_fast_is_a_fault(policy: OnnxPolicy, sign: float) -> None:
    """Either way round, at once, and the joint is named."""
    control = tracking(policy)
    fast = ZERO.copy()
    fast[3] = sign * (PROFILE.no_load_speed[3] + 0.1)
    assert control.step(made_up(200_000_000, joint_vel=fast)).mode is Mode.DAMPING
    assert "left_knee_joint turns at" in control.mode_state.fault
    assert control.supervisor.figures()["joint_speed_peak"] > 1.0


def test_an_encoder_that_contradicts_its_speed_is_a_fault(policy: OnnxPolicy) -> None:
    """An angle that stays while the speed says 2 rad/s: a fault once the difference is too big."""
    control = tracking(policy, encoder_tolerance=0.1)
    speed = ZERO.copy()
    speed[3] = 2.0
    for i in range(60):
        control.step(made_up(200_000_000 + i * STATE_PERIOD_NS, joint_vel=speed))
        if control.mode is Mode.DAMPING:
            break
    assert "speed of left_knee_joint contradict" in control.mode_state.fault
    assert 24 <= i <= 27  # 0.1 rad at 2 rad/s are 50 ms


def test_a_joint_that_does_not_follow_is_a_fault(policy: OnnxPolicy) -> None:
    """Further than following_error_limit from its reference for following_error_time: stuck."""
    control = tracking(policy, encoder_tolerance=10.0, following_error_time=0.1)
    away = PROFILE.default_position.copy()
    away[3] += 1.3
    for i in range(80):
        stamp = 200_000_000 + i * STATE_PERIOD_NS
        control.step(made_up(stamp, joint_pos=away + 1e-9 * (stamp % 7)))
        if control.mode is Mode.DAMPING:
            break
    assert "left_knee_joint has been more than 1.2 rad" in control.mode_state.fault
    assert 50 <= i <= 52


def test_a_tilt_is_told_before_it_is_a_fault(policy: OnnxPolicy) -> None:
    """From seven tenths of the limit on there is a warning that names it; upright there is none."""
    control = tracking(policy, tilt_limit=1.0)
    assert control.state_warning() == ""
    half = 0.4
    leaning = np.array([np.cos(half), np.sin(half), 0.0, 0.0])
    control.step(made_up(200_000_000, base_quat=leaning))
    assert control.mode is Mode.TRACK
    assert control.state_warning().endswith("rad (fault at 1)")


def test_limits_that_hold_a_joint_for_long_are_told(policy: OnnxPolicy) -> None:
    """A torque limit at 5 % holds a robot away from its target: told after a second of it."""
    control = tracking(policy, torque_limit_scale=0.05, encoder_tolerance=10.0)
    assert control.limit_log.warning() == ""
    away = PROFILE.default_position + 0.4
    for i in range(600):
        stamp = 200_000_000 + i * STATE_PERIOD_NS
        control.step(made_up(stamp, joint_pos=away + 1e-9 * (stamp % 7)))
    assert control.mode is Mode.TRACK, control.mode_state.fault
    assert re.search(r"torque of \w+_joint and \d+ more", control.limit_log.warning())
    assert control.limit_log.totals()["torque"] >= 500


class Gate:
    """A policy whose network waits until it may go on."""

    def __init__(self, policy: OnnxPolicy) -> None:
        self._policy = policy
        self.open = threading.Event()
        self.open.set()

    def act(self, obs: np.ndarray, time_step: int) -> np.ndarray:
        assert self.open.wait(30.0)
        return self._policy.act(obs, time_step)


def test_a_slow_network_holds_the_last_target_and_then_means_damping(policy: OnnxPolicy) -> None:
    """States are answered meanwhile; after max_missed_inferences periods there is a fault."""
    gate = Gate(policy)
    runner = InferenceRunner(gate, wait=10.0)
    config = PolicyNodeSettings(**CHOICES, max_missed_inferences=3)
    control = PolicyController(policy, PROFILE, config, inference=runner)
    control.activate()
    for stamp in range(0, 200_000_000, STATE_PERIOD_NS):
        control.step(made_up(stamp))
    runner._wait = 0.0
    gate.open.clear()
    held, warnings = [], set()
    for stamp in range(200_000_000, 320_000_000, STATE_PERIOD_NS):
        command = control.step(made_up(stamp))
        if command.mode is Mode.DAMPING:
            break
        held.append(control._stage._target)
        warnings.add(control.timing_warning())
    assert control.mode_state.fault == "no new action for 3 policy periods"
    assert 28 <= len(held) <= 41  # three periods of ten states, from the next turn on
    assert all(target is held[-1] for target in held[10:])
    assert control.lateness.missed_inferences == 3
    assert warnings == {"", *(f"no new action for {n} policy period(s)" for n in (1, 2))}
    gate.open.set()
    runner.close()


def test_a_late_action_is_taken_when_it_comes_and_an_abandoned_one_never(
    policy: OnnxPolicy,
) -> None:
    """Results are collected once, in order; what was given up stays away."""
    gate = Gate(policy)
    runner = InferenceRunner(gate, wait=30.0)
    obs = np.zeros(policy.observation_size)
    gate.open.clear()
    runner.start(obs, 0)
    assert runner.collect() is None and runner.busy
    gate.open.set()
    late = runner.collect(wait=True)
    assert late is not None and not runner.busy
    runner.start(obs, 0)
    runner.abandon()
    assert runner.collect(wait=True) is None and not runner.busy
    runner.start(np.full(policy.observation_size, np.nan), 0)
    with pytest.raises(G1MimicError, match="not finite"):
        runner.collect(wait=True)
    runner.close()


ANY = st.floats(width=64)
NEAR = st.floats(-1.0, 1.0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            arrays(np.float64, 29, elements=st.one_of(NEAR, NEAR, ANY)),
            arrays(np.float64, 29, elements=st.one_of(NEAR, st.floats(-30.0, 30.0), ANY)),
            arrays(np.float64, 29, elements=st.one_of(NEAR, st.floats(-1e6, 1e6), ANY)),
            st.sampled_from([STATE_PERIOD_NS, 2 * STATE_PERIOD_NS, 0, -1, 10**9]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.booleans(),
)
def test_no_sequence_gets_a_target_past_a_limit(
    policy: OnnxPolicy, sequence: list[tuple[Any, ...]], checked: bool
) -> None:
    """Any states, speeds, actions and stamps: what goes out is inside the limits, or limp.

    The slewed target is inside the soft range and the slew; the torque rule has the last word.
    """
    loose = {} if checked else {
        "frozen_time": 10.0, "encoder_tolerance": 10.0, "following_error_time": 10.0,
        "joint_speed_limit": 2.0,
    }  # fmt: skip
    control = tracking(policy, **loose)
    limits = deployment_limits(policy.metadata, PROFILE, PolicyNodeSettings(**CHOICES))
    stamp = 200_000_000 - STATE_PERIOD_NS
    act = policy.act
    try:
        for offset, speed, action, step in sequence:
            policy.act = lambda obs, t, a=action: a  # type: ignore[method-assign]
            stamp += step
            before = control._slewed.copy()
            state = made_up(stamp, joint_pos=PROFILE.default_position + offset, joint_vel=speed)
            command = control.step(state)
            assert np.isfinite(command.position).all()
            assert np.isfinite(command.damping).all() and (command.damping >= 0.0).all()
            if command.mode is Mode.DAMPING:
                assert not command.stiffness.any()
                continue
            torque = command.stiffness * (command.position - state.joint_pos)
            torque -= command.damping * speed
            low, high = torque_range(
                speed, limits.torque_limit, limits.saturation_torque, limits.no_load_speed
            )
            slack = 1e-8 * limits.torque_limit
            assert (torque >= low - slack).all() and (torque <= high + slack).all()
            reach = limits.velocity_limit * step * 1e-9 + 1e-12
            assert (np.abs(control._slewed - before) <= reach).all()
            assert (control._slewed >= limits.position_lower - 1e-12).all()
            assert (control._slewed <= limits.position_upper + 1e-12).all()
    finally:
        policy.act = act  # type: ignore[method-assign]


def test_scales_tighten_the_limits_while_the_robot_moves(policy: OnnxPolicy) -> None:
    """Changed settings hold from the next state on."""
    control = tracking(policy, encoder_tolerance=10.0)
    away = made_up(200_000_000, joint_pos=PROFILE.default_position - 5.0)
    control.configure(PolicyNodeSettings(**CHOICES, torque_limit_scale=0.1, encoder_tolerance=10))
    command = control.step(away)
    torque = command.stiffness * (command.position - away.joint_pos)
    assert (np.abs(torque) <= 0.1 * PROFILE.deploy_torque_limit + 1e-6).all()


def test_a_default_pose_that_the_robot_cannot_take_is_refused(policy: OnnxPolicy) -> None:
    """Before anything moves, in one line that names the joint."""
    strange = OnnxPolicy.__new__(OnnxPolicy)
    strange.__dict__.update(policy.__dict__)
    pose = list(policy.metadata.default_joint_pos)
    pose[3] = -1.0
    strange.metadata = dataclasses.replace(policy.metadata, default_joint_pos=tuple(pose))
    with pytest.raises(G1MimicError, match="default angle of left_knee_joint, -1 rad"):
        PolicyController(strange, PROFILE, PolicyNodeSettings())
