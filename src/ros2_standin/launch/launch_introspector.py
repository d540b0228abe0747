"""Launch descriptions and their arguments as text."""

from __future__ import annotations

from collections.abc import Iterable

from ._core import LaunchDescriptionEntity, describe_substitutions
from .launch_description import LaunchDescription


class LaunchIntrospector:
    """Shows launch descriptions to people."""

    def format_launch_description(self, launch_description: LaunchDescription) -> str:
        """Return a launch description as a tree."""
        lines = [repr(launch_description), *_tree(launch_description.entities)]
        return "\n".join(lines)


def _tree(entities: Iterable[LaunchDescriptionEntity]) -> list[str]:
    entities = list(entities)
    lines = []
    for index, entity in enumerate(entities):
        last = index == len(entities) - 1
        children: list[LaunchDescriptionEntity] = list(entity.describe_sub_entities())
        for _, conditional in entity.describe_conditional_sub_entities():
            children += conditional
        lines.append(("└── " if last else "├── ") + entity.describe())
        lines += [("    " if last else "│   ") + line for line in _tree(children)]
    return lines


def format_arguments(launch_description: LaunchDescription) -> str:
    """Return the arguments of a launch description as a list for the user."""
    arguments = launch_description.get_launch_arguments()
    lines = ["Arguments (pass arguments as '<name>:=<value>'):"]
    for argument in arguments:
        mark = "*" if argument._conditionally_included else ""
        lines += ["", f"    '{argument.name}':{mark}", f"        {argument.description}"]
        if argument.default_value is not None:
            lines.append(f"        (default: {describe_substitutions(argument.default_value)})")
    if not arguments:
        lines += ["", "  No arguments."]
    if any(argument._conditionally_included for argument in arguments):
        lines += ["", "* argument(s) which are only used if specific conditions occur"]
    return "\n".join(lines)
