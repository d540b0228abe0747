"""What the sub-commands share: a hidden node, discovery, message types, values as text."""

from __future__ import annotations

import array
import importlib
import os
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import rclpy
import yaml
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosidl_parser.definition import AbstractNestedType, NamespacedType

# One node may be found in 0.1 s and the next, which is as old, in 1.9 s.
DISCOVERY_SECONDS = 5.0
QUIET_SECONDS = 2.0


def add_node_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of every verb that looks at the ROS graph."""
    parser.add_argument(
        "--spin-time", type=float, default=None, metavar="SECONDS",
        help="Time to wait for discovery (default: until nothing new appears)")
    parser.add_argument(
        "-s", "--use-sim-time", action="store_true", help="Enable ROS simulation time")
    parser.add_argument(
        "--no-daemon", action="store_true", help="Accepted for compatibility: there is no daemon")


@contextmanager
def ros_node(args: Namespace, name: str | None = None) -> Iterator[Node]:
    """Provide a node whose name is hidden unless given."""
    rclpy.init(args=[])
    try:
        node = rclpy.create_node(
            name or f"_ros2cli_{os.getpid()}",
            start_parameter_services=False,
            parameter_overrides=[Parameter("use_sim_time", value=args.use_sim_time)],
        )
        yield node
    finally:
        rclpy.try_shutdown()


def wait_for(condition: Callable[[], bool], timeout: float) -> bool:
    """Return whether ``condition`` became true in time."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def discover(node: Node, args: Namespace) -> None:
    """Wait until nothing new has appeared for a while."""
    if args.spin_time is not None:
        time.sleep(args.spin_time)
        return
    end = time.monotonic() + DISCOVERY_SECONDS
    seen: Any = None
    since = time.monotonic()
    while time.monotonic() < end:
        graph = (node_names(node, hidden=True), node.get_topic_names_and_types())
        if graph != seen:
            seen, since = graph, time.monotonic()
        elif time.monotonic() - since > QUIET_SECONDS:
            return
        time.sleep(0.02)


def is_hidden(name: str) -> bool:
    """Return whether a part of the name begins with an underscore."""
    return any(part.startswith("_") for part in name.split("/"))


def node_names(node: Node, hidden: bool = False) -> list[str]:
    """Return the full names of all nodes, sorted."""
    return sorted(
        f"{namespace.rstrip('/')}/{name}"
        for name, namespace in node.get_node_names_and_namespaces()
        if hidden or not name.startswith("_")
    )


def absolute(name: str) -> str:
    """Return a name with a leading slash."""
    return name if name.startswith("/") else f"/{name}"


def discovery_seconds(args: Namespace) -> float:
    """Return how long to wait for what the user names."""
    return DISCOVERY_SECONDS if args.spin_time is None else args.spin_time


def find_node(node: Node, name: str, timeout: float) -> str:
    """Wait for a node and return its full name.

    Raises:
        RuntimeError: it does not appear.
    """
    full_name = absolute(name)
    if not wait_for(lambda: full_name in node_names(node, hidden=True), timeout):
        raise RuntimeError("Node not found")
    return full_name


def call(node: Node, client: Any, request: Any, timeout: float = 5.0) -> Any:
    """Call a service and return its response.

    Raises:
        RuntimeError: no answer in time.
    """
    if not client.wait_for_service(timeout_sec=timeout):
        raise RuntimeError(f"service '{client.srv_name}' is not available")
    future = client.call_async(request)
    rclpy.spin_until_future_complete(node, future, timeout_sec=timeout)
    if not future.done():
        raise RuntimeError(f"service '{client.srv_name}' did not answer within {timeout:g} s")
    return future.result()


def load_interface(text: str, kind: str) -> Any:
    """Return the class of ``package/kind/Name`` or ``package/Name``; kind is msg or srv.

    Raises:
        RuntimeError: there is none.
    """
    parts = text.split("/")
    try:
        if len(parts) == 3 and parts[1] != kind:
            raise ValueError
        return getattr(importlib.import_module(f"{parts[0]}.{kind}"), parts[-1])
    except (AttributeError, ImportError, ValueError):
        word = {"msg": "message", "srv": "service"}[kind]
        raise RuntimeError(f"The passed {word} type is invalid: '{text}'") from None


def topic_class(node: Node, topic: str, timeout: float) -> Any:
    """Return the message class of a topic, waiting for the topic to appear.

    Raises:
        RuntimeError: it does not, or it has several types.
    """
    types: list[str] = []
    topic = absolute(topic)

    def found() -> bool:
        types[:] = dict(node.get_topic_names_and_types()).get(topic, [])
        return bool(types)

    if not wait_for(found, timeout):
        print(f"WARNING: topic [{topic}] does not appear to be published yet")
        raise RuntimeError("Could not determine the type for the passed topic")
    if len(types) > 1:
        raise RuntimeError(
            f"Cannot use topic '{topic}', as it contains more than one type: [{', '.join(types)}]"
        )
    return load_interface(types[0], "msg")


def to_plain(
    value: Any, length: int | None = None, no_arr: bool = False, no_str: bool = False
) -> Any:
    """Return a message or a field as dictionaries, lists and scalars.

    Args:
        value: the message or field.
        length: shorten arrays, bytes and texts to this many items.
        no_arr: show arrays by their length only.
        no_str: show texts by their length only.
    """
    if isinstance(value, (list, tuple, array.array, np.ndarray)):
        if no_arr:
            return f"<sequence, length: {len(value)}>"
        items = [to_plain(item, length, no_arr, no_str) for item in value[:length]]
        return [*items, "..."] if length is not None and len(value) > length else items
    if isinstance(value, (bytes, str)):
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        if no_str:
            return f"<string length: <{len(text)}>>"
        return text[:length] + "..." if length is not None and len(text) > length else text
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "get_fields_and_field_types"):
        return {
            name: to_plain(getattr(value, name), length, no_arr, no_str)
            for name in value.get_fields_and_field_types()
        }
    return value


def to_yaml(plain: Any, flow_style: bool = False) -> str:
    """Return plain values as YAML, in their order and each on one line however long."""
    return yaml.safe_dump(
        plain, sort_keys=False, allow_unicode=True, width=sys.maxsize,
        default_flow_style=flow_style,
    )


def read_yaml_dict(text: str) -> dict[str, Any]:
    """Read the values of a message from the command line.

    Raises:
        RuntimeError: it is no dictionary in YAML.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError:
        values = None
    if not isinstance(values, dict):
        raise RuntimeError("The passed value needs to be a dictionary in YAML format")
    return values


def fill_message(message: Any, values: dict[str, Any]) -> list[Callable[[Any], None]]:
    """Set the fields of a message, with ``now`` for a time and ``auto`` for a header.

    Returns:
        Functions that set these times, to be called with the time of each sending.

    Raises:
        RuntimeError: a field does not exist or cannot have the value.
    """
    setters: list[Callable[[Any], None]] = []
    try:
        _fill(message, values, setters)
    except (AttributeError, AssertionError, TypeError, ValueError, OverflowError) as error:
        raise RuntimeError(f"Failed to populate field: {error}") from None
    return setters


def _fill(message: Any, values: Any, setters: list[Callable[[Any], None]]) -> None:
    if not isinstance(values, dict):
        raise TypeError(f"Value '{values}' is expected to be a dictionary")
    types = dict(zip(message.get_fields_and_field_types(), message.SLOT_TYPES, strict=True))
    for name, value in values.items():
        field, kind = getattr(message, name), type(getattr(message, name))
        item_type = types[name].value_type if isinstance(types[name], AbstractNestedType) else None
        if isinstance(item_type, NamespacedType):
            package = importlib.import_module(".".join(item_type.namespaces))
            messages = []
            for item in value:
                messages.append(getattr(package, item_type.name)())
                _fill(messages[-1], item, setters)
            setattr(message, name, messages)
        elif kind.__name__ == "Header" and value == "auto":
            setters.append(partial(setattr, field, "stamp"))
        elif kind.__name__ == "Time" and value == "now":
            setters.append(partial(setattr, message, name))
        elif hasattr(field, "get_fields_and_field_types"):
            _fill(field, value, setters)
        elif isinstance(field, array.array):
            setattr(message, name, array.array(field.typecode, value))
        elif isinstance(field, np.ndarray):
            setattr(message, name, np.array(value, dtype=field.dtype))
        elif kind is bytes and isinstance(value, int):
            setattr(message, name, bytes([value]))
        else:
            setattr(message, name, value if isinstance(value, kind) else kind(value))


def positive(text: str) -> float:
    """Read a positive number from the command line."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if value <= 0.0:
        raise ArgumentTypeError("value must be positive")
    return value
