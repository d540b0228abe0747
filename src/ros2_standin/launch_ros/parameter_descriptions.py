"""Parameters of nodes as launch files write them, and their evaluation by ROS's rules."""

from __future__ import annotations

import atexit
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, get_args

import yaml
from launch.substitutions import (
    Command,
    EnvironmentVariable,
    LaunchConfiguration,
    PythonExpression,
    SubstitutionFailure,
    ThisLaunchFileDir,
)
from launch.utilities import perform_substitutions

from launch import LaunchContext, SomeSubstitutionsType, Substitution

from .substitutions import FindPackagePrefix, FindPackageShare

__all__ = ["Parameter", "ParameterFile", "ParameterValue"]

SCALARS = (bool, int, float, str)


class ParameterValue:
    """A value with a type: ``value_type`` (bool, int, ..., List[str]) or, if None, YAML's.

    Wrap text in ``ParameterValue(text, value_type=str)`` where it must not be read as YAML.
    """

    def __init__(self, value: Any, *, value_type: Any = None) -> None:
        self.value = value
        self.value_type = value_type

    def evaluate(self, context: LaunchContext) -> Any:
        """Return the value.

        Raises:
            ValueError: it is not of the type.
        """
        value = self.value
        if isinstance(value, Substitution) or _is_concatenation(value):
            value = self._read(perform_substitutions(context, value))
        elif isinstance(value, (list, tuple)):
            item_type = (get_args(self.value_type) or (None,))[0]
            value = [ParameterValue(item, value_type=item_type).evaluate(context) for item in value]
        if not self._fits(value):
            raise ValueError(f"'{value}' is not of type {self.value_type}")
        return value

    def _read(self, text: str) -> Any:
        if self.value_type is str:
            return text
        if self.value_type in (int, float):
            return self.value_type(text)
        if self.value_type is bool:
            text = {"1": "true", "0": "false"}.get(text, text)
        try:
            return yaml.safe_load(text) if text else text
        except yaml.YAMLError:
            raise ValueError(f"failed to convert '{text}' using yaml rules") from None

    def _fits(self, value: Any) -> bool:
        if self.value_type is None:
            return isinstance(value, (*SCALARS, list))
        item_types = get_args(self.value_type)
        if item_types:
            return isinstance(value, list) and all(isinstance(v, item_types[0]) for v in value)
        return isinstance(value, self.value_type)


class Parameter(ParameterValue):
    """A value with a name, passed to the node as ``-p name:=value``."""

    def __init__(
        self,
        name: SomeSubstitutionsType,
        value: Any,
        *,
        value_type: Any = None,
        description: SomeSubstitutionsType = "",
    ) -> None:
        super().__init__(value, value_type=value_type)
        self.name = name
        self.description = description


class ParameterFile:
    """A parameter file; ``allow_substs`` replaces ``$(var NAME)``, ``$(env NAME)`` and so on."""

    def __init__(
        self,
        param_file: Path | SomeSubstitutionsType,
        *,
        allow_substs: bool | SomeSubstitutionsType = False,
    ) -> None:
        self.param_file = param_file
        self.allow_substs = allow_substs

    def evaluate(self, context: LaunchContext) -> Path:
        """Return the path of the file, or of a temporary copy with the substitutions done."""
        path = self.param_file
        if not isinstance(path, Path):
            path = Path(perform_substitutions(context, path))
        allowed = self.allow_substs
        if not isinstance(allowed, bool):
            allowed = ParameterValue(allowed, value_type=bool).evaluate(context)
        if not allowed:
            return path
        text = substitute(context, path.read_text(encoding="utf-8"))
        try:
            yaml.safe_load(text)
        except yaml.YAMLError:
            raise SubstitutionFailure(f"'{path}' is not valid YAML once substituted") from None
        return temporary_parameter_file(text)


GRAMMAR: dict[str, Any] = {
    "var": lambda name, default=None: LaunchConfiguration(name, default=default),
    "env": lambda name, default=None: EnvironmentVariable(name, default_value=default),
    "optenv": lambda name, default="": EnvironmentVariable(name, default_value=default),
    "find-pkg-share": FindPackageShare,
    "find-pkg-prefix": FindPackagePrefix,
    "dirname": ThisLaunchFileDir,
    "eval": lambda *words: PythonExpression(" ".join(words).strip("'\"")),
    "command": lambda *words: Command(" ".join(words).strip("'\"")),
}


def substitute(context: LaunchContext, text: str) -> str:
    """Replace every ``$(kind words)`` in ``text``, innermost first."""

    def replace(match: re.Match[str]) -> str:
        kind, *words = match[1].split()
        if kind not in GRAMMAR:
            raise SubstitutionFailure(f"unknown substitution '{match[0]}'")
        return GRAMMAR[kind](*words).perform(context)

    count = 1
    while count:
        text, count = re.subn(r"\$\(([^()$]+)\)", replace, text)
    return text


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def temporary_parameter_file(text: str) -> Path:
    """Write a parameter file that lives as long as this process."""
    with NamedTemporaryFile("w", prefix="launch_params_", delete=False) as file:
        file.write(text)
    atexit.register(_remove, file.name)
    return Path(file.name)


def _is_concatenation(value: Any) -> bool:
    """Return whether a list stands for one text: substitutions, with plain text between them."""
    return (
        isinstance(value, (list, tuple))
        and any(isinstance(item, Substitution) for item in value)
        and all(isinstance(item, (str, Substitution)) for item in value)
    )


def evaluate_dict(
    context: LaunchContext, parameters: Mapping[Any, Any], prefix: str = ""
) -> dict[str, Any]:
    """Return a parameter dictionary as plain values by dotted name."""
    result: dict[str, Any] = {}
    for key, value in parameters.items():
        name = prefix + perform_substitutions(context, key)
        if isinstance(value, Mapping):
            result.update(evaluate_dict(context, value, f"{name}."))
        else:
            result[name] = _evaluate(context, name, value)
    return result


def _evaluate(context: LaunchContext, name: str, value: Any) -> Any:
    """Plain values keep their type; what substitutions yield is read as YAML."""
    if isinstance(value, ParameterValue):
        return value.evaluate(context)
    if isinstance(value, Substitution) or _is_concatenation(value):
        return _uniform(name, _yaml(name, perform_substitutions(context, value)))
    if isinstance(value, (*SCALARS, bytes)):
        return value
    if not isinstance(value, Iterable):
        raise TypeError(f"Unexpected type for parameter value '{name}': {value!r}")
    items = [
        item if isinstance(item, SCALARS) else _yaml(name, perform_substitutions(context, item))
        for item in value
    ]
    if {type(item) for item in items} == {int, float}:
        items = [float(item) for item in items]
    return _uniform(name, items)


def _yaml(name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text) if text else ""
    except yaml.YAMLError:
        raise TypeError(
            f"Unable to parse the value of parameter {name} as yaml. If the parameter is meant "
            "to be a string, try wrapping it in "
            "launch_ros.parameter_descriptions.ParameterValue(value, value_type=str)"
        ) from None


def _uniform(name: str, value: Any) -> Any:
    if isinstance(value, SCALARS):
        return value
    if not isinstance(value, list):
        raise TypeError(f"Parameter '{name}' cannot be of type {type(value).__name__}: {value!r}")
    if len({type(item) for item in value}) != 1 or not isinstance(value[0], SCALARS):
        raise TypeError(
            "Expected a non-empty sequence, with items of uniform type. Allowed sequence item "
            f'types are bool, int, float, str. Got inconsistent input for "{name}"'
        )
    return value
