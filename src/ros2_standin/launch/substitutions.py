"""Substitutions: text worked out when the launch file runs."""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import yaml

from . import logging as launch_logging
from ._core import (
    LaunchContext,
    SomeSubstitutionsType,
    Substitution,
    SubstitutionFailure,
    TextSubstitution,
    describe_substitutions,
    normalize_to_list_of_substitutions,
    perform_substitutions,
)

__all__ = [
    "AndSubstitution", "Command", "EnvironmentVariable", "EqualsSubstitution", "FindExecutable",
    "LaunchConfiguration", "LaunchLogDir", "NotEqualsSubstitution", "NotSubstitution",
    "OrSubstitution", "PathJoinSubstitution", "PythonExpression", "SubstitutionFailure",
    "TextSubstitution", "ThisLaunchFile", "ThisLaunchFileDir",
]


class LaunchConfiguration(Substitution):
    """The value of a launch argument or configuration."""

    def __init__(self, variable_name: SomeSubstitutionsType, *, default: Any = None) -> None:
        self.variable_name = normalize_to_list_of_substitutions(variable_name)
        if default is not None and not isinstance(default, (str, Substitution, Iterable)):
            default = str(default)
        self._default = default

    def describe(self) -> str:
        return f"LaunchConfig({describe_substitutions(self.variable_name)})"

    def perform(self, context: LaunchContext) -> str:
        name = perform_substitutions(context, self.variable_name)
        if name in context.launch_configurations:
            return context.launch_configurations[name]
        if self._default is None:
            raise SubstitutionFailure(f"launch configuration '{name}' does not exist")
        return perform_substitutions(context, self._default)


class EnvironmentVariable(Substitution):
    """The value of an environment variable."""

    def __init__(
        self, name: SomeSubstitutionsType, *, default_value: SomeSubstitutionsType | None = None
    ) -> None:
        self.name = normalize_to_list_of_substitutions(name)
        self.default_value = default_value

    def describe(self) -> str:
        return f"EnvVar({describe_substitutions(self.name)})"

    def perform(self, context: LaunchContext) -> str:
        name = perform_substitutions(context, self.name)
        if name in context.environment:
            return context.environment[name]
        if self.default_value is None:
            raise SubstitutionFailure(f"environment variable '{name}' does not exist")
        return perform_substitutions(context, self.default_value)


class PathJoinSubstitution(Substitution):
    """Path components joined."""

    def __init__(self, substitutions: Iterable[str | Substitution]) -> None:
        self.substitutions = normalize_to_list_of_substitutions(substitutions)

    def describe(self) -> str:
        return f"PathJoin('{describe_substitutions(self.substitutions)}')"

    def perform(self, context: LaunchContext) -> str:
        return os.path.join(*(part.perform(context) for part in self.substitutions))


class PythonExpression(Substitution):
    """The value of a Python expression, as text."""

    def __init__(
        self,
        expression: SomeSubstitutionsType,
        python_modules: SomeSubstitutionsType = ("math",),
    ) -> None:
        self.expression = normalize_to_list_of_substitutions(expression)
        self.python_modules = normalize_to_list_of_substitutions(python_modules)

    def describe(self) -> str:
        modules = ", ".join(module.describe() for module in self.python_modules)
        return f"PythonExpr({describe_substitutions(self.expression)}, [{modules}])"

    def perform(self, context: LaunchContext) -> str:
        names: dict[str, Any] = {}
        for module in self.python_modules:
            imported = importlib.import_module(module.perform(context))
            if imported.__name__ == "math":  # its functions may be written without a prefix
                names.update(vars(imported))
            names[imported.__name__] = imported
        return str(eval(perform_substitutions(context, self.expression), {}, names))


class Command(Substitution):
    """The output of a command."""

    def __init__(
        self, command: SomeSubstitutionsType, *, on_stderr: SomeSubstitutionsType = "fail"
    ) -> None:
        self.command = normalize_to_list_of_substitutions(command)
        self.on_stderr = on_stderr

    def describe(self) -> str:
        return f"Command({describe_substitutions(self.command)})"

    def perform(self, context: LaunchContext) -> str:
        command = perform_substitutions(context, self.command)
        on_stderr = perform_substitutions(context, self.on_stderr)
        if on_stderr not in ("fail", "ignore", "warn", "capture"):
            raise SubstitutionFailure(
                "expected 'on_stderr' to be one of: 'fail', 'ignore', 'warn' or 'capture'"
            )
        try:
            result = subprocess.run(
                shlex.split(command),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if on_stderr == "capture" else subprocess.PIPE,
                text=True,
                check=False,
            )
        except OSError as error:
            raise SubstitutionFailure(f"cannot run '{command}': {error}") from None
        details = f"Command: {command}\nCaptured stderr output: {result.stderr}"
        if result.returncode != 0:
            raise SubstitutionFailure(f"executed command failed. {details}")
        if result.stderr and on_stderr == "fail":
            raise SubstitutionFailure(f"executed command showed stderr output. {details}")
        if result.stderr and on_stderr == "warn":
            launch_logging.get_logger("launch").warning(
                f"executed command showed stderr output. {details}"
            )
        return result.stdout


class FindExecutable(Substitution):
    """The path of an executable on the PATH."""

    def __init__(self, *, name: SomeSubstitutionsType) -> None:
        self.name = normalize_to_list_of_substitutions(name)

    def describe(self) -> str:
        return f"FindExec({describe_substitutions(self.name)})"

    def perform(self, context: LaunchContext) -> str:
        name = perform_substitutions(context, self.name)
        path = shutil.which(name)
        if path is None:
            raise SubstitutionFailure(f"executable '{name}' not found on the PATH")
        return path


class _CurrentFile(Substitution):
    _local = ""

    def perform(self, context: LaunchContext) -> str:
        try:
            return context.get_locals_as_dict()[self._local]
        except KeyError:
            raise SubstitutionFailure(f"{type(self).__name__} used outside a launch file") from None


class ThisLaunchFile(_CurrentFile):
    """The path of the launch file being run."""

    _local = "current_launch_file_path"


class ThisLaunchFileDir(_CurrentFile):
    """The folder of the launch file being run."""

    _local = "current_launch_file_directory"


class LaunchLogDir(Substitution):
    """The folder with the log files of this launch."""

    def perform(self, context: LaunchContext) -> str:
        return launch_logging.launch_config.log_dir


def _truth(text: str) -> bool:
    value = yaml.safe_load({"1": "true", "0": "false"}.get(text, text))
    if not isinstance(value, bool):
        raise SubstitutionFailure(f"expected true or false, got '{text}'")
    return value


def _comparable(text: str) -> float | str:
    """Return a truth value as 0 or 1 and a number as a number, so that 1 equals 1.0 and true."""
    with suppress(ValueError):
        return float({"true": "1", "false": "0"}.get(text.lower(), text))
    return text


class _Operator(Substitution):
    """A function of the texts of one or two operands, whose result is 'true' or 'false'."""

    _function: Callable[..., bool]

    def __init__(self, *operands: Any) -> None:
        self.operands = [
            normalize_to_list_of_substitutions(str(o) if isinstance(o, (bool, int, float)) else o)
            for o in operands
        ]

    def describe(self) -> str:
        return f"{type(self).__name__}({' '.join(map(describe_substitutions, self.operands))})"

    def perform(self, context: LaunchContext) -> str:
        texts = [perform_substitutions(context, operand) for operand in self.operands]
        return str(type(self)._function(*texts)).lower()


class NotSubstitution(_Operator):
    """'true' if the operand is false."""

    _function = staticmethod(lambda value: not _truth(value))


class AndSubstitution(_Operator):
    """'true' if both operands are true."""

    _function = staticmethod(lambda left, right: _truth(left) and _truth(right))


class OrSubstitution(_Operator):
    """'true' if at least one operand is true."""

    _function = staticmethod(lambda left, right: _truth(left) or _truth(right))


class EqualsSubstitution(_Operator):
    """'true' if the operands are the same number, truth value or text."""

    _function = staticmethod(lambda left, right: _comparable(left) == _comparable(right))


class NotEqualsSubstitution(_Operator):
    """'true' if the operands differ."""

    _function = staticmethod(lambda left, right: _comparable(left) != _comparable(right))
