"""The arguments that a launch file declares."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._core import (
    Action,
    LaunchContext,
    SomeSubstitutionsType,
    normalize_to_list_of_substitutions,
    perform_substitutions,
)


class DeclareLaunchArgument(Action):
    """Declares an argument of a launch file; its value becomes a launch configuration."""

    def __init__(
        self,
        name: str,
        *,
        default_value: SomeSubstitutionsType | None = None,
        description: str | None = None,
        choices: Iterable[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.choices = None if choices is None else list(choices)
        self.default_value = (
            None if default_value is None else normalize_to_list_of_substitutions(default_value)
        )
        self._conditionally_included = False
        if self.choices is None:
            self.description = "no description given" if description is None else description
            return
        if not self.choices:
            raise RuntimeError("Provided choices arg is empty. Use None to ignore the choice list.")
        if isinstance(default_value, str) and default_value not in self.choices:
            raise RuntimeError(
                f'Provided default_value "{default_value}" is not in provided choices '
                f'"{self.choices}".'
            )
        if description is None:
            self.description = f"One of: {self.choices}"
        else:
            stop = "" if description.endswith(".") else "."
            self.description = f"{description}{stop} Valid choices are: {self.choices}"

    def execute(self, context: LaunchContext) -> None:
        if self.name not in context.launch_configurations:
            if self.default_value is None:
                raise RuntimeError(f'Required launch argument "{self.name}" was not provided.')
            context.launch_configurations[self.name] = perform_substitutions(
                context, self.default_value
            )
        value = context.launch_configurations[self.name]
        if self.choices is not None and value not in self.choices:
            raise RuntimeError(
                f'Argument "{self.name}" provided value "{value}" is not valid. '
                f"Valid options are: {self.choices}"
            )
