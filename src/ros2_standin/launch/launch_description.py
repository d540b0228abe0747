"""A launch description: the list of entities that a launch file returns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import logging as launch_logging
from ._arguments import DeclareLaunchArgument
from ._core import Action, LaunchContext, LaunchDescriptionEntity


class LaunchDescription(LaunchDescriptionEntity):
    """What a launch file wants to happen, in order."""

    def __init__(
        self,
        initial_entities: Iterable[LaunchDescriptionEntity] | None = None,
        *,
        deprecated_reason: str | None = None,
    ) -> None:
        self.entities = list(initial_entities or ())
        self.deprecated_reason = deprecated_reason

    def visit(self, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        if self.deprecated_reason is not None:
            path = context.get_locals_as_dict().get("current_launch_file_path", "<script>")
            launch_logging.get_logger("launch").warning(
                f"launch file [{path}] is deprecated: {self.deprecated_reason}"
            )
        return self.entities

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        return self.entities

    def add_entity(self, entity: LaunchDescriptionEntity) -> None:
        """Append an entity."""
        self.entities.append(entity)

    def add_action(self, action: Action) -> None:
        """Append an action."""
        self.add_entity(action)

    def get_launch_arguments(self, conditional_inclusion: bool = False) -> list[Any]:
        """Return the arguments declared here and in what is included, as far as known.

        Each is a DeclareLaunchArgument with ``_conditionally_included`` set; of several with
        one name the first counts.
        """
        return [argument for argument, _ in self._find_arguments(conditional_inclusion)]

    def missing_arguments(self, given: Iterable[str]) -> list[Any]:
        """Return the required arguments that neither ``given`` nor a nested include provides."""
        return [
            argument
            for argument, provided in self._find_arguments(False)
            if argument.default_value is None
            and not argument._conditionally_included
            and argument.name not in {*given, *provided}
        ]

    def _find_arguments(
        self, conditional: bool
    ) -> list[tuple[DeclareLaunchArgument, frozenset[str]]]:
        """Return each declared argument with the names that the includes around it provide."""
        found: dict[str, tuple[DeclareLaunchArgument, frozenset[str]]] = {}

        def search(
            entities: Iterable[LaunchDescriptionEntity],
            conditional: bool,
            provided: frozenset[str],
        ) -> None:
            for entity in entities:
                if isinstance(entity, DeclareLaunchArgument) and entity.name not in found:
                    entity._conditionally_included = conditional or entity.condition is not None
                    found[entity.name] = (entity, provided)
                inner = provided.union(entity.argument_names())
                search(entity.describe_sub_entities(), conditional, inner)
                for _, children in entity.describe_conditional_sub_entities():
                    search(children, True, inner)

        search(self.entities, conditional, frozenset())
        return list(found.values())
