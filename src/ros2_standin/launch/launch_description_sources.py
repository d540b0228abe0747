"""Where launch descriptions come from: Python launch files."""

from __future__ import annotations

import os
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType

from ._core import (
    LaunchContext,
    SomeSubstitutionsType,
    describe_substitutions,
    normalize_to_list_of_substitutions,
    perform_substitutions,
)
from .launch_description import LaunchDescription

__all__ = [
    "AnyLaunchDescriptionSource", "InvalidPythonLaunchFileError", "LaunchDescriptionSource",
    "PythonLaunchDescriptionSource", "get_launch_description_from_python_launch_file",
    "load_python_launch_file_as_module",
]


class InvalidPythonLaunchFileError(Exception):
    """The file is no Python launch file."""


def load_python_launch_file_as_module(path: str) -> ModuleType:
    """Run a launch file and return it as a module."""
    if not os.path.isfile(path):
        raise InvalidPythonLaunchFileError(f"launch file '{path}' does not exist")
    if path.endswith((".xml", ".yaml", ".yml")):
        raise InvalidPythonLaunchFileError(
            f"launch file '{path}': only Python launch files are supported here"
        )
    loader = SourceFileLoader("python_launch_file", path)
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def get_launch_description_from_python_launch_file(path: str) -> LaunchDescription:
    """Run a launch file and return what its ``generate_launch_description()`` returns."""
    module = load_python_launch_file_as_module(path)
    if not hasattr(module, "generate_launch_description"):
        raise InvalidPythonLaunchFileError(
            f"launch file at '{path}' does not contain the required function "
            "'generate_launch_description()'"
        )
    return module.generate_launch_description()


class LaunchDescriptionSource:
    """A launch description given directly, or by the path of its file."""

    def __init__(
        self,
        launch_description: LaunchDescription | None = None,
        location: SomeSubstitutionsType = "<script>",
    ) -> None:
        self._launch_description = launch_description
        self._location = normalize_to_list_of_substitutions(location)
        self._path: str | None = None

    @property
    def location(self) -> str:
        """The path, or its description as long as the file has not been read."""
        return describe_substitutions(self._location) if self._path is None else self._path

    def get_launch_description(self, context: LaunchContext) -> LaunchDescription:
        """Return the launch description, reading the file the first time."""
        if self._path is None:
            self._path = perform_substitutions(context, self._location)
        if self._launch_description is None:
            self._launch_description = get_launch_description_from_python_launch_file(self._path)
        return self._launch_description

    def try_get_launch_description_without_context(self) -> LaunchDescription | None:
        """Return the launch description, or None where it cannot be known beforehand."""
        if self._launch_description is not None:
            return self._launch_description
        try:
            path = perform_substitutions(LaunchContext(), self._location)
            return get_launch_description_from_python_launch_file(path)
        except Exception:  # whatever a launch file raises: it may just need its arguments
            return None


class PythonLaunchDescriptionSource(LaunchDescriptionSource):
    """A Python launch file."""

    def __init__(self, launch_file_path: SomeSubstitutionsType) -> None:
        super().__init__(location=launch_file_path)


AnyLaunchDescriptionSource = PythonLaunchDescriptionSource
