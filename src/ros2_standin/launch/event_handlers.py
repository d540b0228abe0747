"""Event handlers for the events that launch files care about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._core import Event, EventHandler, SomeEntitiesType
from .events import Shutdown
from .events.process import ProcessExited, ProcessIO, ProcessStarted, RunningProcessEvent

__all__ = [
    "OnProcessExit", "OnProcessIO", "OnProcessStart", "OnShutdown",
]


class _OnActionEvent(EventHandler):
    """Handles one kind of event of one action, of those that a function picks, or of all."""

    def __init__(
        self,
        event_class: type[RunningProcessEvent],
        target_action: Any,
        entities: Any,
        **kwargs: Any,
    ) -> None:
        def matches(event: Event) -> bool:
            if not isinstance(event, event_class):
                return False
            if target_action is None or event.action is target_action:
                return True
            return callable(target_action) and bool(target_action(event.action))

        super().__init__(matcher=matches, entities=entities, **kwargs)


class OnProcessStart(_OnActionEvent):
    """Handles the start of a process."""

    def __init__(self, *, target_action: Any = None, on_start: Any, **kwargs: Any) -> None:
        super().__init__(ProcessStarted, target_action, on_start, **kwargs)


class OnProcessExit(_OnActionEvent):
    """Handles the end of a process."""

    def __init__(self, *, target_action: Any = None, on_exit: Any, **kwargs: Any) -> None:
        super().__init__(ProcessExited, target_action, on_exit, **kwargs)


class OnProcessIO(_OnActionEvent):
    """Handles the output of a process."""

    def __init__(
        self,
        *,
        target_action: Any = None,
        on_stdin: Callable[[ProcessIO], SomeEntitiesType] | None = None,
        on_stdout: Callable[[ProcessIO], SomeEntitiesType] | None = None,
        on_stderr: Callable[[ProcessIO], SomeEntitiesType] | None = None,
        **kwargs: Any,
    ) -> None:
        def handle(event: ProcessIO, context: Any) -> SomeEntitiesType:
            function = on_stdout if event.from_stdout else on_stderr
            return None if function is None else function(event)

        super().__init__(ProcessIO, target_action, handle, **kwargs)


class OnShutdown(EventHandler):
    """Handles the end of the launch."""

    def __init__(self, *, on_shutdown: Any, **kwargs: Any) -> None:
        super().__init__(
            matcher=lambda event: isinstance(event, Shutdown), entities=on_shutdown, **kwargs
        )
