"""When simulated time goes on: by the wall clock or by answers, with a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")

from g1_mimic.control.state import MotorTarget, RobotState
from g1_mimic.nodes.shared.common import OK, WARN
from g1_mimic.nodes.simulation import pace
from g1_mimic.robot.profile import load_profile
from g1_mimic.simulation.settings import SimSettings
from g1_mimic.simulation.simulator import STATE_PERIOD_NS, Simulator

PROFILE = load_profile("g1_29dof")
HOLD = MotorTarget(PROFILE.default_position, PROFILE.stiffness, PROFILE.damping)


class Rig:
    """A pace with a robot; what is told, when which timer calls, and how it ended is written down.

    Stands in for the pace's output, too.
    """

    def __init__(self, composed: bool = False, **choices: Any) -> None:
        self.told: list[int] = []
        self.times = 0
        self.ended: list[tuple[int, str]] = []
        self.timers: dict[float, Callable[[], None]] = {}
        self.heard = True
        settings = SimSettings(**choices)
        self.sim = Simulator(PROFILE, seed=1, state_dropout=settings.state_dropout)
        kind = pace.pace_for(settings, composed)
        output: Any = self
        self.pace = kind(settings, self.sim, output, lambda *end: self.ended.append(end))
        self.pace.start(self.timers.__setitem__)

    def heard_by(self, names: str) -> bool:
        return self.heard

    def tell_time(self) -> None:
        self.times += 1

    def tell_state(self, state: RobotState) -> None:
        self.told.append(state.stamp // STATE_PERIOD_NS)

    def tell_feet(self) -> None:
        pass

    def answer(self, mode: str = "stand") -> str:
        """Answer the newest state that was told."""
        return self.pace.use(HOLD, mode, self.told[-1] * STATE_PERIOD_NS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The wall clock, which stands until a test sets ``now``."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(pace.time, "monotonic", lambda: Clock.now)
    return Clock


def test_real_time_keeps_up_in_small_steps_and_gives_up_what_is_lost(clock: Any) -> None:
    """At most two periods at a time; a backlog of more than 20 ms is dropped, and told."""
    rig = Rig(realtime_factor=1.0)
    (tick,) = rig.timers.values()
    for seconds, states in ((0.001, 1), (0.0021, 2), (0.011, 4), (0.0111, 6)):
        clock.now = 100.0 + seconds
        tick()
        assert len(rig.told) == states  # the first one was told at the start
    assert rig.pace.timing()[0] == OK
    clock.now = 101.0
    tick()
    assert len(rig.told) == 8
    level, words, figures = rig.pace.timing()
    assert level == WARN and "lost 0.99 s" in words and figures["simulated_s"] == 0.014
    clock.now = 101.0021
    tick()
    assert rig.told == list(range(9))


def test_a_pause_stops_the_clock_of_real_time(clock: Any) -> None:
    """The state is repeated meanwhile, and nothing is made up for afterwards."""
    rig = Rig(realtime_factor=1.0)
    (tick,) = rig.timers.values()
    rig.pace.pause(True)
    for k in range(5):
        clock.now = 100.0 + 0.015 * (k + 1)
        tick()
    assert rig.told == [0, 0, 0]
    rig.pace.pause(False)
    clock.now += 0.0021
    tick()
    assert rig.told == [0, 0, 0, 1] and rig.pace.timing()[0] == OK


@pytest.mark.parametrize("factor", [0.0, 1.0])
def test_no_time_passes_before_those_who_must_hear_are_there(factor: float, clock: Any) -> None:
    """And the time that was waited is not made up for."""
    rig = Rig(realtime_factor=factor)
    rig.told.clear()
    rig.heard, rig.pace._begun = False, False
    (look,) = rig.timers.values()
    clock.now = 105.0
    look()
    assert not rig.told
    rig.heard = True
    clock.now = 105.0021
    look()
    assert rig.told == [0] if factor == 0.0 else rig.told == [1]


def test_in_lock_step_each_state_waits_for_its_own_answer(clock: Any) -> None:
    """An old answer moves nothing; a state that nobody answers is told again."""
    rig = Rig(realtime_factor=0.0)
    (look,) = rig.timers.values()
    assert rig.told == [0]
    rig.answer()
    assert rig.told == [0, 1]
    assert rig.pace.use(HOLD, "stand", 0) == "" and rig.told == [0, 1]
    clock.now += 0.11
    look()
    assert rig.told == [0, 1, 1]
    rig.pace.pause(True)
    rig.answer()
    assert rig.told == [0, 1, 1]
    rig.pace.pause(False)
    rig.answer()
    assert rig.told == [0, 1, 1, 1, 2]


def test_in_lock_step_time_passes_over_states_that_do_not_arrive(clock: Any) -> None:
    """Nobody answers a state that is lost on its way; the simulated time is told without it."""
    rig = Rig(realtime_factor=0.0, state_dropout=0.5)
    for _ in range(100):
        rig.answer()
    assert len(rig.told) == 101 and rig.told == sorted(set(rig.told))
    assert rig.told[-1] == rig.sim.time_ns // STATE_PERIOD_NS > 150
    assert rig.times == rig.told[-1] + 1


def test_an_answer_that_does_not_come_ends_lock_step(clock: Any) -> None:
    """Only once there was one: before that, the policy node may still be starting."""
    rig = Rig(realtime_factor=0.0, answer_timeout=3.0)
    (look,) = rig.timers.values()
    clock.now += 60.0
    look()
    assert not rig.ended
    rig.answer()
    clock.now += 3.1
    look()
    ((status, words),) = rig.ended
    assert status == 1 and "no target for the state at 0.002 s within 3.1 s" in words


def test_composed_nodes_go_on_in_strides(clock: Any) -> None:
    """Answers come while a state is told; between strides others have their turn."""
    rig = Rig(composed=True, realtime_factor=0.0)
    stride, look = (rig.timers[period] for period in sorted(rig.timers))
    rig.pace.hand_over = lambda state, now: rig.answer() and None
    stride()
    assert not rig.told  # the policy node is not there yet
    clock.now += 0.11
    look()
    assert rig.told == [0]
    for k in (1, 2):
        stride()
        assert rig.told[-1] == 25 * k and rig.times == k


@pytest.mark.parametrize("composed", [False, True])
def test_the_end_comes_so_long_after_the_first_target_that_tracks(
    composed: bool, clock: Any, tmp_path: Path
) -> None:
    """The hoist is released with it, and then nothing moves any more."""
    rig = Rig(composed=composed, realtime_factor=0.0, duration=0.02)
    for period in sorted(rig.timers):
        clock.now += 0.11
        rig.timers[period]()
    for k in range(30):
        rig.answer("stand" if k < 5 else "track")
        if composed:
            rig.timers[min(rig.timers)]()
        assert rig.sim.hoisted == (k < 5)
    assert rig.told[-1] == 15 and rig.ended == [(0, "")]
