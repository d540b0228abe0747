"""``ros2 lifecycle``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState
from rclpy.node import Node

from ._ros import (
    absolute,
    add_node_arguments,
    call,
    discover,
    discovery_seconds,
    node_names,
    ros_node,
    wait_for,
)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command line."""
    verbs = parser.add_subparsers(title="Commands", metavar="<verb>")
    verb = verbs.add_parser("nodes", help="Output a list of nodes with lifecycle")
    add_node_arguments(verb)
    verb.add_argument("-a", "--all", action="store_true", help="Display even hidden ones")
    verb.add_argument("-c", "--count-nodes", action="store_true", help="Only display the number")
    verb.set_defaults(main=_nodes)
    verb = verbs.add_parser("get", help="Get lifecycle state for one or more nodes")
    add_node_arguments(verb)
    verb.add_argument("node_name", nargs="?", help="Name of the node (default: all)")
    verb.set_defaults(main=_get)
    verb = verbs.add_parser("set", help="Trigger lifecycle state transition")
    add_node_arguments(verb)
    verb.add_argument("node_name", help="Name of the node")
    verb.add_argument("transition", help="The lifecycle transition, by name or number")
    verb.set_defaults(main=_set)


def _lifecycle_nodes(node: Node, hidden: bool = False) -> list[str]:
    services = dict(node.get_service_names_and_types())
    return [name for name in node_names(node, hidden) if f"{name}/get_state" in services]


def _find(node: Node, args: Namespace) -> str:
    full_name = absolute(args.node_name)
    seconds = discovery_seconds(args)
    if not wait_for(lambda: full_name in _lifecycle_nodes(node, hidden=True), seconds):
        raise RuntimeError("Node not found")
    return full_name


def _nodes(args: Namespace) -> None:
    with ros_node(args) as node:
        discover(node, args)
        names = _lifecycle_nodes(node, args.all)
    print(len(names) if args.count_nodes else "\n".join(names), end="\n" if names else "")


def _get(args: Namespace) -> None:
    with ros_node(args) as node:
        if args.node_name:
            names = [_find(node, args)]
        else:
            discover(node, args)
            names = _lifecycle_nodes(node)
        for name in names:
            client: Any = node.create_client(GetState, f"{name}/get_state")
            state = call(node, client, GetState.Request()).current_state
            print(("" if args.node_name else f"{name}: ") + f"{state.label} [{state.id}]")


def _set(args: Namespace) -> int | str:
    with ros_node(args) as node:
        name = _find(node, args)
        service = f"{name}/get_available_transitions"
        client: Any = node.create_client(GetAvailableTransitions, service)
        answer = call(node, client, GetAvailableTransitions.Request())
        transitions = [one.transition for one in answer.available_transitions]
        wanted = [t for t in transitions if args.transition in (t.label, str(t.id))]
        if not wanted:
            return "Unknown transition requested, available ones are:" + "".join(
                f"\n- {t.label} [{t.id}]" for t in transitions
            )
        client = node.create_client(ChangeState, f"{name}/change_state")
        if not call(node, client, ChangeState.Request(transition=wanted[0]), 60.0).success:
            return "Transitioning failed"
    print("Transitioning successful")
    return 0
