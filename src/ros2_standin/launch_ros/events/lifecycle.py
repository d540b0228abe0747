"""Events of lifecycle nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lifecycle_msgs.msg import Transition, TransitionEvent

from launch import Event

__all__ = [
    "ChangeState", "StateTransition", "matches_node_name",
]

TRANSITIONS = {
    getattr(Transition, name): name
    for name in dir(Transition)
    if name.startswith("TRANSITION_") and getattr(Transition, name) < 10
}


class ChangeState(Event):
    """Asks the lifecycle nodes that the matcher picks for a transition."""

    name = "launch_ros.events.lifecycle.ChangeState"

    def __init__(
        self, *, lifecycle_node_matcher: Callable[[Any], bool], transition_id: int
    ) -> None:
        if transition_id not in TRANSITIONS:
            raise ValueError(
                f"given transition_id of '{transition_id}', expected one of {TRANSITIONS}"
            )
        self.lifecycle_node_matcher = lifecycle_node_matcher
        self.transition_id = transition_id


class StateTransition(Event):
    """A lifecycle node has changed its state."""

    name = "launch_ros.events.lifecycle.StateTransition"

    def __init__(self, *, action: Any, msg: TransitionEvent) -> None:
        self.action = action
        self.msg = msg
        self.timestamp = msg.timestamp
        self.transition = msg.transition.label
        self.start_state = msg.start_state.label
        self.goal_state = msg.goal_state.label


def matches_node_name(node_name: str) -> Callable[[Any], bool]:
    """Match the lifecycle node with this full name."""
    return lambda action: action.node_name == "/" + node_name.lstrip("/")
