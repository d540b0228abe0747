"""``ros2 service``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

import rclpy

from ._ros import (
    add_node_arguments,
    discover,
    fill_message,
    is_hidden,
    load_interface,
    read_yaml_dict,
    ros_node,
)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command line."""
    verbs = parser.add_subparsers(title="Commands", metavar="<verb>")
    verb = verbs.add_parser("list", help="Output a list of available services")
    add_node_arguments(verb)
    verb.add_argument("-t", "--show-types", action="store_true", help="Show the service type too")
    verb.add_argument("-c", "--count-services", action="store_true", help="Only show the number")
    verb.add_argument(
        "--include-hidden-services", action="store_true", help="Consider hidden services as well")
    verb.set_defaults(main=_list)
    verb = verbs.add_parser("call", help="Call a service")
    add_node_arguments(verb)
    verb.add_argument("service_name", help="Name of the service (e.g. '/add_two_ints')")
    verb.add_argument("service_type", help="Type of the service (e.g. 'std_srvs/srv/Empty')")
    verb.add_argument(
        "values", nargs="?", default="{}", help="Values of the request in YAML (e.g. '{a: 1}')")
    verb.set_defaults(main=_call)


def _list(args: Namespace) -> None:
    with ros_node(args) as node:
        discover(node, args)
        services = [
            (name, ", ".join(types))
            for name, types in sorted(node.get_service_names_and_types())
            if args.include_hidden_services or not is_hidden(name)
        ]
    if args.count_services:
        print(len(services))
        return
    for name, types in services:
        print(f"{name} [{types}]" if args.show_types else name)


def _call(args: Namespace) -> None:
    service = load_interface(args.service_type, "srv")
    request = service.Request()
    values = read_yaml_dict(args.values)
    with ros_node(args) as node:
        stamps = fill_message(request, values)
        client: Any = node.create_client(service, args.service_name)
        if not client.service_is_ready():
            print("waiting for service to become available...")
            while not client.wait_for_service(timeout_sec=1.0):
                pass
        for set_stamp in stamps:
            set_stamp(node.get_clock().now().to_msg())
        print(f"requester: making request: {request!r}\n")
        future = client.call_async(request)
        rclpy.spin_until_future_complete(node, future)
        print(f"response:\n{future.result()!r}\n")
