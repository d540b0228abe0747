"""Parameters of the functions that make clips: range and meaning stand in the annotation.

The same annotation checks what a caller passes and tells the command line which options there are.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from g1_mimic.errors import BadValue

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Within:
    """What a number means, with its unit, and the range it must be in."""

    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function that makes clips."""

    name: str
    kind: type[Any]
    default: Any
    text: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()

    def check(self, value: Any) -> None:
        """Refuse a value that is not allowed.

        Raises:
            G1MimicError: naming the parameter, the value and what is allowed.
        """
        if value is None and self.default is None:
            return
        if self.choices:
            if value not in self.choices:
                raise BadValue(
                    f"{self.name} is '{value}'; it must be one of: {', '.join(self.choices)}"
                )
        elif not (math.isfinite(value) and self.low <= value <= self.high):
            raise BadValue(
                f"{self.name} is {value:g}; it must be from {self.low:g} to {self.high:g}"
            )
        elif self.kind is int and value != int(value):
            raise BadValue(f"{self.name} is {value:g}; it must be a whole number")


def parameters(make: Callable[..., Any]) -> list[Parameter]:
    """Return the parameters of ``make`` that are annotated with a range or with choices."""
    hints = get_type_hints(make, include_extras=True)
    found = []
    for name, argument in inspect.signature(make).parameters.items():
        if get_origin(hints[name]) is not Annotated:
            continue
        kind, note = get_args(hints[name])
        if get_origin(kind) is Literal:
            found.append(Parameter(name, str, argument.default, note, choices=get_args(kind)))
            continue
        kind = int if kind is int or int in get_args(kind) else float
        found.append(Parameter(name, kind, argument.default, note.text, note.low, note.high))
    return found


def checked(make: Callable[P, R]) -> Callable[P, R]:
    """Let ``make`` refuse arguments outside the ranges of its annotations.

    Raises:
        G1MimicError: at the call, naming the first argument that is out of range.
    """
    signature, known = inspect.signature(make), parameters(make)

    @wraps(make)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs).arguments
        for parameter in known:
            if parameter.name in given:
                parameter.check(given[parameter.name])
        return make(*args, **kwargs)

    return call


Fps = Annotated[float, Within(20.0, 500.0, "frames per second")]
Seed = Annotated[int | None, Within(0, 2**32 - 1, "same seed, same clip")]
