"""The things everything else here is made of: substitutions, context, entities, events."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any


class SubstitutionFailure(Exception):
    """A substitution has no value in this context."""


class Substitution:
    """Text that is worked out when the launch file runs rather than when it is read."""

    def perform(self, context: LaunchContext) -> str:
        """Return the text in this context.

        Raises:
            SubstitutionFailure: there is none.
        """
        raise NotImplementedError

    def describe(self) -> str:
        """Return how it is shown by ``ros2 launch --show-args``."""
        return f"{type(self).__name__}()"


class TextSubstitution(Substitution):
    """Plain text in the shape of a substitution."""

    def __init__(self, *, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"TextSubstitution expected a str for 'text', got {type(text)}")
        self.text = text

    def perform(self, context: LaunchContext) -> str:
        return self.text

    def describe(self) -> str:
        return f"'{self.text}'"


SomeSubstitutionsType = str | Substitution | Iterable[str | Substitution]


def normalize_to_list_of_substitutions(value: SomeSubstitutionsType) -> list[Substitution]:
    """Turn text, a substitution or an iterable of these into a list of substitutions.

    Paths and nested lists are refused as in older ROS 2 distributions, although newer ones take
    them: what runs here is to run there.
    """
    result = []
    for part in [value] if isinstance(value, (str, Substitution)) else value:
        if isinstance(part, str):
            part = TextSubstitution(text=part)
        if not isinstance(part, Substitution):
            raise TypeError(
                f"Failed to normalize given item of type '{type(part)}', when only "
                "'str' or 'launch.Substitution' were expected."
            )
        result.append(part)
    return result


def perform_substitutions(context: LaunchContext, value: SomeSubstitutionsType) -> str:
    """Return the joined text of ``value`` in ``context``."""
    return "".join(part.perform(context) for part in normalize_to_list_of_substitutions(value))


def describe_substitutions(value: SomeSubstitutionsType) -> str:
    """Return how ``value`` is shown to a user, parts joined by a plus."""
    return " + ".join(part.describe() for part in normalize_to_list_of_substitutions(value))


class Event:
    """Something that happened, for event handlers to match."""

    name = "launch.Event"


class LaunchContext:
    """State shared by everything in one launch: arguments, environment, events, running work."""

    def __init__(
        self, *, argv: Iterable[str] | None = None, noninteractive: bool = False
    ) -> None:
        self.argv = list(argv or ())
        self.noninteractive = noninteractive
        self.launch_configurations: dict[str, Any] = {}
        self.is_shutdown = False
        self.asyncio_loop: asyncio.AbstractEventLoop | None = None
        self._event_queue: asyncio.Queue[Any] = asyncio.Queue()
        self._event_handlers: deque[BaseEventHandler] = deque()
        self._futures: set[asyncio.Future[Any]] = set()
        self._locals: dict[str, Any] = {}
        self._stacks: dict[str, list[dict[str, Any]]] = {"locals": [], "conf": [], "env": []}
        self._initial_environment = dict(os.environ)

    @property
    def environment(self) -> os._Environ[str]:
        """The environment that processes inherit."""
        return os.environ

    @property
    def locals(self) -> SimpleNamespace:
        """What the current event handler provides, such as ``event``."""
        return SimpleNamespace(**self._locals)

    def get_locals_as_dict(self) -> dict[str, Any]:
        """Return a copy of :attr:`locals`."""
        return dict(self._locals)

    def extend_locals(self, extensions: dict[str, Any]) -> None:
        """Add to :attr:`locals` until the current event handler is through."""
        self._locals.update(extensions)

    def perform_substitution(self, substitution: Substitution) -> str:
        """Return the text of one substitution."""
        return substitution.perform(self)

    def push(self, what: str) -> None:
        """Save ``locals``, ``conf`` (launch configurations) or ``env`` for :meth:`pop`."""
        current = {
            "locals": self._locals, "conf": self.launch_configurations, "env": os.environ
        }[what]
        self._stacks[what].append(dict(current))

    def pop(self, what: str) -> None:
        """Restore what the matching :meth:`push` saved."""
        saved = self._stacks[what].pop()
        if what == "locals":
            self._locals = saved
        elif what == "conf":
            self.launch_configurations = saved
        else:
            set_environment(saved)

    def reset_environment(self) -> None:
        """Go back to the environment that the launch began with."""
        set_environment(self._initial_environment)

    def register_event_handler(self, handler: BaseEventHandler, append: bool = False) -> None:
        """Let ``handler`` see events, before those registered earlier unless ``append``."""
        (self._event_handlers.append if append else self._event_handlers.appendleft)(handler)

    def unregister_event_handler(self, handler: BaseEventHandler) -> None:
        """Stop showing events to ``handler``."""
        self._event_handlers.remove(handler)

    def would_handle_event(self, event: Event) -> bool:
        """Return whether any handler matches ``event``."""
        return any(handler.matches(event) for handler in self._event_handlers)

    def emit_event_sync(self, event: Event) -> None:
        """Queue ``event``."""
        self._event_queue.put_nowait(event)

    async def emit_event(self, event: Event) -> None:
        """Queue ``event``."""
        self.emit_event_sync(event)

    def add_completion_future(self, future: asyncio.Future[Any]) -> None:
        """Keep the launch alive until ``future`` is done; its exception ends the launch."""

        def finish(done: asyncio.Future[Any]) -> None:
            self._futures.discard(done)
            failure = None if done.cancelled() else done.exception()
            self._event_queue.put_nowait(failure)  # None only wakes the loop

        if future not in self._futures and not future.done():
            self._futures.add(future)
            future.add_done_callback(finish)


def set_environment(environment: dict[str, str]) -> None:
    """Replace the whole process environment."""
    os.environ.clear()
    os.environ.update(environment)


class LaunchDescriptionEntity:
    """Anything that can stand in a launch description."""

    def visit(self, context: LaunchContext) -> Iterable[LaunchDescriptionEntity] | None:
        """Do what the entity stands for and return the entities to visit next."""
        return None

    def describe(self) -> str:
        """Return a one-line description."""
        return repr(self)

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        """Return the entities that will be visited whenever this one is, as far as known."""
        return []

    def describe_conditional_sub_entities(
        self,
    ) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        """Return (condition, entities) for those that will be visited sometimes."""
        return []

    def argument_names(self) -> list[str]:
        """Return the names of the launch arguments that it gives to what it contains."""
        return []

    def get_asyncio_future(self) -> asyncio.Future[Any] | None:
        """Return a future that is done when the work begun by :meth:`visit` is."""
        return None


def visit(entity: LaunchDescriptionEntity, context: LaunchContext) -> None:
    """Visit ``entity`` and everything it yields, depth first."""
    if not isinstance(entity, LaunchDescriptionEntity):
        raise RuntimeError(f"expected a LaunchDescriptionEntity, got '{entity!r}'")
    children = entity.visit(context)
    future = entity.get_asyncio_future()
    if future is not None:
        context.add_completion_future(future)
    for child in children or ():
        visit(child, context)


class Condition:
    """Decides whether an action is executed."""

    def __init__(self, *, predicate: Callable[[LaunchContext], bool] | None = None) -> None:
        self._predicate = predicate

    def describe(self) -> str:
        """Return how it is shown to a user."""
        return f"{type(self).__name__}({self._predicate})"

    def evaluate(self, context: LaunchContext) -> bool:
        """Return whether the action is to be executed."""
        return self._predicate is None or self._predicate(context)


class Action(LaunchDescriptionEntity):
    """A user's intention, executed when visited if its condition holds."""

    def __init__(self, *, condition: Condition | None = None) -> None:
        self.condition = condition

    def execute(self, context: LaunchContext) -> Iterable[LaunchDescriptionEntity] | None:
        """Do it, and return the entities to visit next."""
        return None

    def get_sub_entities(self) -> list[LaunchDescriptionEntity]:
        """Return the entities that executing this action leads to, as far as known."""
        return []

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        return self.get_sub_entities() if self.condition is None else []

    def describe_conditional_sub_entities(
        self,
    ) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        if self.condition is None:
            return []
        return [(f"Conditionally included by {self.describe()}", self.get_sub_entities())]

    def visit(self, context: LaunchContext) -> Iterable[LaunchDescriptionEntity] | None:
        if self.condition is not None and not self.condition.evaluate(context):
            return None
        return self.execute(context)


SomeEntitiesType = LaunchDescriptionEntity | Iterable[LaunchDescriptionEntity] | None


class BaseEventHandler:
    """Answers the events that its matcher accepts with entities to visit."""

    def __init__(self, *, matcher: Callable[[Event], bool], handle_once: bool = False) -> None:
        self._matcher = matcher
        self.handle_once = handle_once

    def matches(self, event: Event) -> bool:
        """Return whether this handler wants ``event``."""
        return self._matcher(event)

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType:
        """Return the entities to visit because of ``event``."""
        context.extend_locals({"event": event})
        if self.handle_once:
            context.unregister_event_handler(self)
        return None

    def describe(self) -> tuple[str, list[LaunchDescriptionEntity]]:
        """Return a description and the entities known beforehand."""
        return f"{type(self).__name__}(handle_once={self.handle_once})", []


class EventHandler(BaseEventHandler):
    """A handler that always answers with the same entities, or calls a function for them."""

    def __init__(
        self,
        *,
        matcher: Callable[[Event], bool],
        entities: SomeEntitiesType | Callable[[Any, LaunchContext], SomeEntitiesType] = None,
        handle_once: bool = False,
    ) -> None:
        super().__init__(matcher=matcher, handle_once=handle_once)
        self._function = entities if callable(entities) else None
        self.entities = [] if callable(entities) else as_list(entities)

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType:
        super().handle(event, context)
        return self.entities if self._function is None else self._function(event, context)

    def describe(self) -> tuple[str, list[LaunchDescriptionEntity]]:
        return super().describe()[0], self.entities


def as_list(entities: SomeEntitiesType) -> list[LaunchDescriptionEntity]:
    """Return one entity, several or none as a list."""
    if entities is None:
        return []
    entities = entities if isinstance(entities, Iterable) else [entities]
    return [entity for entity in entities if entity is not None]
