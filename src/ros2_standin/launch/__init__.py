"""Stand-in for the ROS 2 package ``launch``: the part that ordinary launch files use."""

from . import (
    _guard,  # noqa: F401  first, because it refuses to hide a real one
    actions,
    conditions,
    event_handlers,
    events,
    launch_description_sources,
    logging,
    substitutions,
    utilities,
)
from ._core import (
    Action,
    BaseEventHandler,
    Condition,
    Event,
    EventHandler,
    LaunchContext,
    LaunchDescriptionEntity,
    SomeEntitiesType,
    SomeSubstitutionsType,
    Substitution,
)
from .launch_description import LaunchDescription
from .launch_description_sources import LaunchDescriptionSource
from .launch_introspector import LaunchIntrospector
from .launch_service import LaunchService

__all__ = [
    "Action", "BaseEventHandler", "Condition", "Event", "EventHandler", "LaunchContext",
    "LaunchDescription", "LaunchDescriptionEntity", "LaunchDescriptionSource",
    "LaunchIntrospector", "LaunchService", "SomeEntitiesType", "SomeSubstitutionsType",
    "Substitution", "actions", "conditions", "event_handlers", "events",
    "launch_description_sources", "logging", "substitutions", "utilities",
]
