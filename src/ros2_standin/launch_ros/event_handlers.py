"""Event handlers for lifecycle nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launch import Event, EventHandler, SomeEntitiesType

from .actions import LifecycleNode
from .events.lifecycle import StateTransition

__all__ = ["OnStateTransition"]


class OnStateTransition(EventHandler):
    """Handles the transitions of a lifecycle node; what is None matches everything."""

    def __init__(
        self,
        *,
        entities: SomeEntitiesType,
        target_lifecycle_node: LifecycleNode | None = None,
        transition: str | None = None,
        start_state: str | None = None,
        goal_state: str | None = None,
        matcher: Callable[[Event], bool] | None = None,
        **kwargs: Any,
    ) -> None:
        def matches(event: Any) -> bool:
            return isinstance(event, StateTransition) and all(
                wanted is None or wanted == actual
                for wanted, actual in (
                    (target_lifecycle_node, event.action),
                    (transition, event.transition),
                    (start_state, event.start_state),
                    (goal_state, event.goal_state),
                )
            )

        super().__init__(matcher=matcher or matches, entities=entities, **kwargs)
