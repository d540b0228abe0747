"""Actions: what launch files are made of. Processes are in :mod:`launch._process`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Any

from . import events
from . import logging as launch_logging
from ._arguments import DeclareLaunchArgument
from ._core import (
    Action,
    BaseEventHandler,
    Event,
    EventHandler,
    LaunchContext,
    LaunchDescriptionEntity,
    SomeSubstitutionsType,
    Substitution,
    describe_substitutions,
    normalize_to_list_of_substitutions,
    perform_substitutions,
)
from ._process import ExecuteLocal, ExecuteProcess
from .launch_description_sources import AnyLaunchDescriptionSource, LaunchDescriptionSource

__all__ = [
    "DeclareLaunchArgument", "EmitEvent", "ExecuteLocal", "ExecuteProcess", "GroupAction",
    "IncludeLaunchDescription", "LogInfo", "OpaqueFunction", "RegisterEventHandler",
    "SetEnvironmentVariable", "SetLaunchConfiguration", "Shutdown", "TimerAction",
]

Entities = Iterable[LaunchDescriptionEntity]
Text = SomeSubstitutionsType


class SetLaunchConfiguration(Action):
    """Sets a launch configuration."""

    def __init__(self, name: Text, value: Text, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.value = value

    def execute(self, context: LaunchContext) -> None:
        name = perform_substitutions(context, self.name)
        context.launch_configurations[name] = perform_substitutions(context, self.value)


class SetEnvironmentVariable(Action):
    """Sets an environment variable for the processes started from here on."""

    def __init__(self, name: Text, value: Text, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.value = value

    def execute(self, context: LaunchContext) -> None:
        name = perform_substitutions(context, self.name)
        context.environment[name] = perform_substitutions(context, self.value)


class GroupAction(Action):
    """Groups actions, by default with launch configurations and an environment of their own."""

    def __init__(
        self,
        actions: Entities,
        *,
        scoped: bool = True,
        forwarding: bool = True,
        launch_configurations: dict[Any, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        given = launch_configurations or {}

        def enter(context: LaunchContext) -> None:
            values = {
                perform_substitutions(context, name): perform_substitutions(context, value)
                for name, value in given.items()
            }
            if scoped:
                context.push("conf")
                context.push("env")
            if scoped and not forwarding:
                context.launch_configurations.clear()
                context.reset_environment()
            context.launch_configurations.update(values)

        def leave(context: LaunchContext) -> None:
            if scoped:
                context.pop("env")
                context.pop("conf")

        self._entities: list[LaunchDescriptionEntity] = [
            OpaqueFunction(function=enter), *actions, OpaqueFunction(function=leave)
        ]

    def get_sub_entities(self) -> list[LaunchDescriptionEntity]:
        return self._entities

    def execute(self, context: LaunchContext) -> Entities:
        return self._entities


class IncludeLaunchDescription(Action):
    """Runs another launch description with the given arguments."""

    def __init__(
        self,
        launch_description_source: LaunchDescriptionSource | Text,
        *,
        launch_arguments: Iterable[tuple[Text, Text]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(launch_description_source, LaunchDescriptionSource):
            launch_description_source = AnyLaunchDescriptionSource(launch_description_source)
        self.launch_description_source = launch_description_source
        self.launch_arguments = tuple(launch_arguments or ())

    def argument_names(self, context: LaunchContext | None = None) -> list[str]:
        """Return the names of the arguments passed on."""
        context = context or LaunchContext()
        return [perform_substitutions(context, name) for name, _ in self.launch_arguments]

    def get_sub_entities(self) -> list[LaunchDescriptionEntity]:
        found = self.launch_description_source.try_get_launch_description_without_context()
        return [] if found is None else [found]

    def execute(self, context: LaunchContext) -> Entities:
        description = self.launch_description_source.get_launch_description(context)
        path = os.path.abspath(self.launch_description_source.location)
        context.extend_locals(
            {
                "current_launch_file_path": path,
                "current_launch_file_directory": os.path.dirname(path),
            }
        )
        given = self.argument_names(context)
        for argument in description.missing_arguments(given):
            raise RuntimeError(
                f"Included launch description missing required argument '{argument.name}' "
                f"(description: '{argument.description}'), given: [{', '.join(given)}]"
            )
        return [*(SetLaunchConfiguration(*item) for item in self.launch_arguments), description]


class OpaqueFunction(Action):
    """Calls ``function(context, *args, **kwargs)``, which may return entities to visit."""

    def __init__(
        self,
        *,
        function: Callable[..., Entities | None],
        args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        **left_over_kwargs: Any,
    ) -> None:
        super().__init__(**left_over_kwargs)
        if not callable(function):
            raise TypeError(f"OpaqueFunction expected a callable for 'function', got {function!r}")
        self._call = lambda context: function(context, *(args or ()), **(kwargs or {}))

    def execute(self, context: LaunchContext) -> Entities | None:
        return self._call(context)


class LogInfo(Action):
    """Logs a message."""

    def __init__(self, *, msg: Text, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.msg = normalize_to_list_of_substitutions(msg)

    def describe(self) -> str:
        return f"LogInfo({describe_substitutions(self.msg)})"

    def execute(self, context: LaunchContext) -> None:
        launch_logging.get_logger("launch.user").info(perform_substitutions(context, self.msg))


class EmitEvent(Action):
    """Emits an event."""

    def __init__(self, *, event: Event, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.event = event

    def describe(self) -> str:
        return f"EmitEvent(event='{self.event.name}')"

    def execute(self, context: LaunchContext) -> None:
        context.emit_event_sync(self.event)


class Shutdown(EmitEvent):
    """Ends the whole launch."""

    def __init__(self, *, reason: str = "reason not given", **kwargs: Any) -> None:
        super().__init__(event=events.Shutdown(reason=reason), **kwargs)

    def execute(self, context: LaunchContext) -> None:
        cause = context.get_locals_as_dict().get("event")
        if isinstance(cause, events.process.ProcessExited):
            launch_logging.get_logger("launch.actions.shutdown_action").info(
                f"process[{cause.process_name}] was required: shutting down launched system"
            )
        super().execute(context)


class RegisterEventHandler(Action):
    """Registers an event handler."""

    def __init__(self, event_handler: BaseEventHandler, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.event_handler = event_handler

    def execute(self, context: LaunchContext) -> None:
        context.register_event_handler(self.event_handler)

    def describe_conditional_sub_entities(self) -> list[tuple[str, Entities]]:
        description, entities = self.event_handler.describe()
        return [(f"event handler: {description}", entities)] if entities else []


class _TimerEvent(Event):
    name = "launch.events.TimerEvent"

    def __init__(self, timer: TimerAction, context_locals: dict[str, Any]) -> None:
        self.timer = timer
        self.context_locals = context_locals


class TimerAction(Action):
    """Visits ``actions`` once, ``period`` seconds later, unless cancelled before.

    A running timer keeps the launch alive; the end of the launch cancels it unless
    ``cancel_on_shutdown`` is false.
    """

    def __init__(
        self,
        *,
        period: float | Text,
        actions: Entities,
        cancel_on_shutdown: bool | Text = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.period = str(period) if isinstance(period, (int, float)) else period
        self.actions = list(actions)
        self.cancel_on_shutdown = cancel_on_shutdown
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False

    def describe_conditional_sub_entities(self) -> list[tuple[str, Entities]]:
        period = (
            describe_substitutions(self.period)
            if isinstance(self.period, Substitution)
            else self.period
        )
        return [(f"{period} seconds pass without being canceled", self.actions)]

    def cancel(self) -> None:
        """Keep the timer from firing."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def get_asyncio_future(self) -> asyncio.Future[Any] | None:
        return self._task

    def execute(self, context: LaunchContext) -> None:
        from .conditions import evaluate_condition_expression

        if self._cancelled:
            return
        assert context.asyncio_loop is not None
        handlers: list[BaseEventHandler] = []

        def fire(event: Any, _: LaunchContext) -> Entities:
            for handler in handlers:
                context.unregister_event_handler(handler)
            context.extend_locals(event.context_locals)
            return self.actions

        async def wait(period: float, context_locals: dict[str, Any]) -> None:
            await asyncio.sleep(period)
            context.emit_event_sync(_TimerEvent(self, context_locals))

        handlers.append(
            EventHandler(
                matcher=lambda event: isinstance(event, _TimerEvent) and event.timer is self,
                entities=fire,
            )
        )
        cancels = self.cancel_on_shutdown
        if not isinstance(cancels, bool):
            cancels = evaluate_condition_expression(context, cancels)
        if cancels:
            handlers.append(
                EventHandler(
                    matcher=lambda event: isinstance(event, events.Shutdown),
                    entities=lambda event, context: self.cancel(),
                )
            )
        for handler in handlers:
            context.register_event_handler(handler)
        period = float(perform_substitutions(context, self.period))
        self._task = context.asyncio_loop.create_task(wait(period, context.get_locals_as_dict()))
