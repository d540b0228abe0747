"""Events of a launch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core import Event
from . import process
from .matchers import matches_action

if TYPE_CHECKING:
    from ..launch_description import LaunchDescription

__all__ = [
    "IncludeLaunchDescription", "Shutdown", "matches_action", "process",
]


class Shutdown(Event):
    """The whole launch is to end."""

    name = "launch.events.Shutdown"

    def __init__(self, *, reason: str = "reason not given", due_to_sigint: bool = False) -> None:
        self.reason = reason
        self.due_to_sigint = due_to_sigint


class IncludeLaunchDescription(Event):
    """A launch description is to be run."""

    name = "launch.events.IncludeLaunchDescription"

    def __init__(self, launch_description: LaunchDescription) -> None:
        self.launch_description = launch_description
