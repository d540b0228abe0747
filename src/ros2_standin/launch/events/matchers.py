"""Functions that pick the processes an event is meant for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

ProcessMatcher = Callable[[Any], bool]


def matches_action(target_action: Any) -> ProcessMatcher:
    """Match the process of one action."""
    return lambda action: action is target_action
