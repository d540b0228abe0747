"""Stand-in for the ROS 2 package ``launch_ros``: the part that ordinary launch files use."""

from . import (
    actions,
    descriptions,
    event_handlers,
    events,
    parameter_descriptions,
    substitutions,
)

__all__ = [
    "actions", "descriptions", "event_handlers", "events", "parameter_descriptions",
    "substitutions",
]
