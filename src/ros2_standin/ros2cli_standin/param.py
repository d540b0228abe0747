"""``ros2 param``."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, Namespace
from typing import Any

import rclpy
import yaml
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rclpy.node import Node
from rclpy.parameter import (
    get_parameter_value,
    parameter_dict_from_yaml_file,
    parameter_value_to_python,
)
from rclpy.parameter_client import AsyncParameterClient

from ._ros import DISCOVERY_SECONDS, add_node_arguments, discover, find_node, node_names, ros_node

LABELS = {
    ParameterType.PARAMETER_BOOL: ("boolean", "Boolean value is:"),
    ParameterType.PARAMETER_INTEGER: ("integer", "Integer value is:"),
    ParameterType.PARAMETER_DOUBLE: ("double", "Double value is:"),
    ParameterType.PARAMETER_STRING: ("string", "String value is:"),
    ParameterType.PARAMETER_BYTE_ARRAY: ("byte array", "Byte values are:"),
    ParameterType.PARAMETER_BOOL_ARRAY: ("boolean array", "Boolean values are:"),
    ParameterType.PARAMETER_INTEGER_ARRAY: ("integer array", "Integer values are:"),
    ParameterType.PARAMETER_DOUBLE_ARRAY: ("double array", "Double values are:"),
    ParameterType.PARAMETER_STRING_ARRAY: ("string array", "String values are:"),
    ParameterType.PARAMETER_NOT_SET: ("not set", "Parameter not set."),
}


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command line."""
    verbs = parser.add_subparsers(title="Commands", metavar="<verb>")

    def add_verb(name: str, text: str, main: Any, *positional: str) -> ArgumentParser:
        verb = verbs.add_parser(name, help=text, description=text)
        verb.set_defaults(main=main)
        add_node_arguments(verb)
        for argument in positional:
            nargs = {"parameter_names": "+"}.get(argument)
            if name == "list":
                nargs = "?"
            verb.add_argument(argument, nargs=nargs, help=argument.replace("_", " ").capitalize())
        verb.add_argument("--timeout", type=float, default=DISCOVERY_SECONDS, metavar="N",
                          help="Wait for N seconds for the node (default: %(default)g)")
        verb.add_argument("--include-hidden-nodes", action="store_true",
                          help="Consider hidden nodes as well")
        return verb

    verb = add_verb("list", "Output a list of available parameters", _list, "node_name")
    verb.add_argument("--filter", metavar="REGEX", help="Only parameters whose name matches")
    verb.add_argument("--param-type", action="store_true", help="Print the types too")
    verb = add_verb("get", "Get parameter", _get, "node_name", "parameter_name")
    verb.add_argument("--hide-type", action="store_true", help="Hide the type information")
    add_verb("set", "Set parameter", _set, "node_name", "parameter_name", "value")
    add_verb("describe", "Show descriptive information about declared parameters", _describe,
             "node_name", "parameter_names")
    add_verb("dump", "Show all of the parameters of a node in a YAML file format", _dump,
             "node_name")
    verb = add_verb("load", "Load parameter file for a node", _load, "node_name", "parameter_file")
    verb.add_argument("--no-use-wildcard", action="store_true",
                      help="Do not load parameters in the '/**' namespace into the node")


class _Client:
    """The parameter services of one node."""

    def __init__(self, node: Node, full_name: str) -> None:
        self.node = node
        self.full_name = full_name
        self.client = AsyncParameterClient(node, full_name)

    def call(self, verb: str, *args: Any) -> Any:
        """Call a service by the name of its client's method.

        Raises:
            RuntimeError: no answer.
        """
        if not self.client.wait_for_services(timeout_sec=5.0):
            raise RuntimeError(
                "Wait for service timed out waiting for parameter services for node "
                f"{self.full_name}"
            )
        future = getattr(self.client, verb)(*args)
        rclpy.spin_until_future_complete(self.node, future, timeout_sec=5.0)
        if not future.done():
            raise RuntimeError(f"node {self.full_name} did not answer")
        return future.result()

    def names(self) -> list[str]:
        """Return the names of the node's parameters."""
        return sorted(self.call("list_parameters").result.names)


def _client(node: Node, args: Namespace) -> _Client:
    return _Client(node, find_node(node, args.node_name, args.timeout))


def _list(args: Namespace) -> None:
    with ros_node(args) as node:
        if args.node_name:
            full_names = [find_node(node, args.node_name, args.timeout)]
        else:
            discover(node, args)
            full_names = node_names(node, args.include_hidden_nodes)
        for full_name in full_names:
            client = _Client(node, full_name)
            try:
                names = client.names()
            except RuntimeError as error:
                print(error, file=sys.stderr)
                continue
            if args.filter is not None:
                names = [name for name in names if re.match(args.filter, name)]
            if not args.node_name and names:
                print(f"{full_name}:")
            kinds = [""] * len(names)
            if args.param_type and names:
                descriptors = client.call("describe_parameters", names).descriptors
                kinds = [f" (type: {LABELS[one.type][0]})" for one in descriptors]
            for name, kind in zip(names, kinds, strict=True):
                print(f"  {name}{kind}")


def _get(args: Namespace) -> int | str:
    with ros_node(args) as node:
        values = _client(node, args).call("get_parameters", [args.parameter_name]).values
    if not values:
        return "Parameter not set"
    kind, value = values[0].type, _to_python(values[0])
    if args.hide_type:
        print(value)
    elif value is None:
        print(LABELS[kind][1])
    else:
        print(LABELS[kind][1], value)
    return 0


def _to_python(value: ParameterValue) -> Any:
    plain = parameter_value_to_python(value)
    return plain if plain is None or isinstance(plain, (bool, int, float, str)) else list(plain)


def _set(args: Namespace) -> int | str:
    try:
        value = get_parameter_value(string_value=args.value)
    except yaml.YAMLError:
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=args.value)
    parameter = Parameter(name=args.parameter_name, value=value)
    with ros_node(args) as node:
        result = _client(node, args).call("set_parameters", [parameter]).results[0]
    reason = f": {result.reason}" if result.reason else ""
    if not result.successful:
        return f"Setting parameter failed{reason}"
    print(f"Set parameter successful{reason}")
    return 0


def _describe(args: Namespace) -> None:
    with ros_node(args) as node:
        descriptors = _client(node, args).call("describe_parameters", args.parameter_names)
    for one in descriptors.descriptors:
        print(f"Parameter name: {one.name}\n  Type: {LABELS[one.type][0]}")
        if one.description:
            print(f"  Description: {one.description}")
        print("  Constraints:")
        if one.read_only:
            print("    Read only: true")
        for limits in [*one.floating_point_range, *one.integer_range]:
            print(f"    Min value: {limits.from_value}\n    Max value: {limits.to_value}")
            if limits.step:
                print(f"    Step: {limits.step}")
        if one.additional_constraints:
            print(f"    Additional constraints: {one.additional_constraints}")


def _dump(args: Namespace) -> None:
    with ros_node(args) as node:
        client = _client(node, args)
        names = client.names()
        values = client.call("get_parameters", names).values if names else []
    table: dict[str, Any] = {}
    for name, value in zip(names, values, strict=True):
        *groups, last = name.split(".")
        inner = table
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = _to_python(value)
    dumped = {client.full_name: {"ros__parameters": table}}
    print(yaml.safe_dump(dumped, default_flow_style=False))


def _load(args: Namespace) -> int:
    with ros_node(args) as node:
        client = _client(node, args)
        wildcard = not args.no_use_wildcard
        try:
            parameters = list(
                parameter_dict_from_yaml_file(
                    args.parameter_file, wildcard, target_nodes=[client.full_name]
                ).values()
            )
        except OSError as error:
            raise RuntimeError(
                f"cannot read '{args.parameter_file}': {error.strerror}"
            ) from None
        results = client.call("set_parameters", parameters).results
    for parameter, result in zip(parameters, results, strict=True):
        reason = f": {result.reason}" if result.reason else ""
        outcome = "successful" if result.successful else "failed"
        print(
            f"Set parameter {parameter.name} {outcome}{reason}",
            file=sys.stdout if result.successful else sys.stderr,
        )
    return 0 if all(result.successful for result in results) else 1
