"""``ros2 node``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ._ros import (
    add_node_arguments,
    discover,
    discovery_seconds,
    find_node,
    is_hidden,
    node_names,
    ros_node,
)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command line."""
    verbs = parser.add_subparsers(title="Commands", metavar="<verb>")
    verb = verbs.add_parser("list", help="Output a list of available nodes")
    add_node_arguments(verb)
    verb.add_argument("-a", "--all", action="store_true", help="Display all nodes even hidden ones")
    verb.add_argument("-c", "--count-nodes", action="store_true", help="Only display the number")
    verb.set_defaults(main=_list)
    verb = verbs.add_parser("info", help="Output information about a node")
    add_node_arguments(verb)
    verb.add_argument("node_name", help="Fully qualified node name to request information")
    verb.add_argument("--include-hidden", action="store_true", help="Display hidden topics too")
    verb.set_defaults(main=_info)


def _list(args: Namespace) -> None:
    with ros_node(args) as node:
        discover(node, args)
        names = node_names(node, args.all)
    print(len(names) if args.count_nodes else "\n".join(names), end="\n" if names else "")


def _info(args: Namespace) -> int | str:
    with ros_node(args) as node:
        try:
            full_name = find_node(node, args.node_name, discovery_seconds(args))
        except RuntimeError:
            return f"Unable to find node '{args.node_name}'"
        discover(node, args)
        namespace, _, name = full_name.rpartition("/")
        print(full_name)
        for title, query in (
            ("Subscribers", node.get_subscriber_names_and_types_by_node),
            ("Publishers", node.get_publisher_names_and_types_by_node),
            ("Service Servers", node.get_service_names_and_types_by_node),
            ("Service Clients", node.get_client_names_and_types_by_node),
        ):
            print(f"  {title}:")
            for topic, types in query(name, namespace or "/"):
                if args.include_hidden or not is_hidden(topic):
                    print(f"    {topic}: {', '.join(types)}")
    return 0
