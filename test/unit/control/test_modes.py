"""Laws of the mode machine."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from g1_mimic.control.modes import Mode, ModeState
from g1_mimic.errors import G1MimicError

EVENTS = st.lists(
    st.sampled_from(["stand", "track", "track_early", "stop", "fail", "clear"]), max_size=30
)


def apply(state: ModeState, event: str) -> ModeState:
    match event:
        case "fail":
            return state.fail("broken")
        case "track":
            return state.track(standing=True)
        case "track_early":
            return state.track(standing=False)
        case _:
            return getattr(state, event)()


@given(EVENTS)
def test_a_fault_keeps_the_robot_in_damping_until_cleared(events: list[str]) -> None:
    """While a fault is latched the mode is damping, whatever is asked for."""
    state = ModeState()
    latched = False
    for event in events:
        with contextlib.suppress(G1MimicError):
            state = apply(state, event)
        latched = event == "fail" or (latched and event != "clear")
        assert bool(state.fault) == latched
        assert not latched or state.mode is Mode.DAMPING


@given(EVENTS)
def test_track_is_reached_through_stand_only(events: list[str]) -> None:
    """The mode before track is stand with the first pose reached."""
    state = ModeState()
    for event in events:
        before = state
        try:
            state = apply(state, event)
        except G1MimicError:
            assert state == before
            continue
        if state.mode is Mode.TRACK and before.mode is not Mode.TRACK:
            assert before.mode is Mode.STAND and event == "track"


@pytest.mark.parametrize("start", [ModeState(), ModeState(Mode.STAND), ModeState(Mode.TRACK)])
def test_stop_and_fault_always_reach_damping(start: ModeState) -> None:
    """Damping is always available."""
    assert start.stop().mode is Mode.DAMPING
    assert start.fail("x").mode is Mode.DAMPING


def test_the_first_fault_is_the_one_that_is_told() -> None:
    """Follow-up faults do not hide the cause, and a reason is never empty."""
    assert ModeState().fail("first").fail("second").fault == "first"
    assert ModeState().fail("").fault


def test_a_latched_fault_says_how_to_clear_it() -> None:
    """The refusal names the fault and what to do."""
    with pytest.raises(G1MimicError, match=r"tilted.*reset_fault"):
        ModeState().fail("tilted").stand()
