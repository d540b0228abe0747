"""``ros2 topic``."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from collections import deque
from itertools import pairwise
from typing import Any

import rclpy
from rclpy import qos
from rclpy.node import Node
from rclpy.task import Future

from ._ros import (
    absolute,
    add_node_arguments,
    discover,
    discovery_seconds,
    fill_message,
    is_hidden,
    load_interface,
    positive,
    read_yaml_dict,
    ros_node,
    to_plain,
    to_yaml,
    topic_class,
    wait_for,
)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command line."""
    verbs = parser.add_subparsers(title="Commands", metavar="<verb>")

    def add_verb(name: str, text: str, main: Any) -> ArgumentParser:
        verb = verbs.add_parser(name, help=text, description=text)
        verb.set_defaults(main=main)
        add_node_arguments(verb)
        return verb

    verb = add_verb("list", "Output a list of available topics", _list)
    add = verb.add_argument
    add("-t", "--show-types", action="store_true", help="Additionally show the topic type")
    add("-c", "--count-topics", action="store_true", help="Only display the number of topics")
    add("-v", "--verbose", action="store_true", help="List publishers and subscribers")
    add("--include-hidden-topics", action="store_true", help="Consider hidden topics as well")

    verb = add_verb("info", "Print information about a topic", _info)
    add = verb.add_argument
    add("topic_name", help="Name of the ROS topic")
    add("-v", "--verbose", action="store_true", help="Print every endpoint with its QoS")

    verb = add_verb("echo", "Output messages from a topic", _echo)
    add = verb.add_argument
    add("topic_name", help="Name of the ROS topic to listen to (e.g. '/chatter')")
    add("message_type", nargs="?", help="Type of the ROS message (e.g. 'std_msgs/msg/String')")
    _add_qos_arguments(verb, "sensor_data")
    add("--csv", action="store_true", help="Output the fields separated by commas")
    add("--field", help="Echo a selected field, with '.' to select sub-fields")
    add("-f", "--full-length", action="store_true", help="Output all of long arrays and texts")
    add("-l", "--truncate-length", type=int, default=128, metavar="N",
        help="The length to truncate arrays, bytes and text to (default: 128)")
    add("--no-arr", action="store_true", help="Don't print array fields of messages")
    add("--no-str", action="store_true", help="Don't print string fields of messages")
    add("--flow-style", action="store_true", help="Print collections on one line")
    add("--once", action="store_true", help="Print the first message received and then exit")
    add("--timeout", type=positive, metavar="N", help="Exit after N seconds")

    verb = add_verb("hz", "Print the average publishing rate to screen", _hz)
    verb.add_argument("topic_name", help="Name of the ROS topic")
    _add_window(verb, 10000)
    verb = add_verb("bw", "Display bandwidth used by topic", _bw)
    verb.add_argument("topic_name", help="Name of the ROS topic")
    _add_window(verb, 100)

    verb = add_verb("pub", "Publish a message to a topic", _pub)
    add = verb.add_argument
    add("topic_name", help="Name of the ROS topic to publish to (e.g. '/chatter')")
    add("message_type", help="Type of the ROS message (e.g. 'std_msgs/String')")
    add("values", nargs="?", default="{}",
        help="Values to fill the message with in YAML format (e.g. 'data: Hello World')")
    add("-r", "--rate", type=positive, default=1.0, metavar="N", help="Rate in Hz (default: 1)")
    add("-p", "--print", dest="print_nth", type=int, default=1, metavar="N",
        help="Only print every N-th published message (default: 1)")
    group = verb.add_mutually_exclusive_group()
    group.add_argument("-1", "--once", action="store_true", help="Publish one message and exit")
    group.add_argument("-t", "--times", type=int, default=0, metavar="N",
                       help="Publish this number of times and then exit")
    add("-w", "--wait-matching-subscriptions", dest="wait", type=int, default=None, metavar="N",
        help="Wait for that many subscriptions (default: 1 with --once or --times, else 0)")
    add("--max-wait-time-secs", type=positive, default=None, metavar="N",
        help="How long to wait for them (default: without end)")
    add("--keep-alive", type=positive, default=0.1, metavar="N",
        help="Stay for N seconds after the last message (default: 0.1)")
    add("-n", "--node-name", help="Name of the publishing node")
    _add_qos_arguments(verb, "default")


def _add_window(parser: ArgumentParser, default: int) -> None:
    parser.add_argument(
        "-w", "--window", type=lambda text: int(positive(text)), default=default, metavar="N",
        help=f"Number of messages to average over (default: {default})")


def _add_qos_arguments(parser: ArgumentParser, profile: str) -> None:
    add = parser.add_argument
    add("--qos-profile", choices=qos.QoSPresetProfiles.short_keys(), default=profile,
        help=f"Quality of service profile (default: {profile})")
    add("--qos-depth", type=int, metavar="N", help="Queue size")
    add("--qos-history", choices=qos.HistoryPolicy.short_keys())
    add("--qos-reliability", choices=qos.ReliabilityPolicy.short_keys())
    add("--qos-durability", choices=qos.DurabilityPolicy.short_keys())


def _qos_profile(args: Namespace) -> tuple[qos.QoSProfile, bool]:
    """Return the profile that the arguments ask for, and whether they say more than its name."""
    profile = qos.QoSPresetProfiles.get_from_short_key(args.qos_profile)
    for name, policy in (
        ("history", qos.HistoryPolicy),
        ("reliability", qos.ReliabilityPolicy),
        ("durability", qos.DurabilityPolicy),
    ):
        key = getattr(args, f"qos_{name}")
        if key is not None:
            setattr(profile, name, policy.get_from_short_key(key))
    if args.qos_depth is not None:
        profile.depth = args.qos_depth
    given = (args.qos_history, args.qos_reliability, args.qos_durability, args.qos_depth)
    return profile, any(value is not None for value in given)


def _list(args: Namespace) -> None:
    with ros_node(args) as node:
        discover(node, args)
        topics = {
            name: ", ".join(types)
            for name, types in sorted(node.get_topic_names_and_types())
            if args.include_hidden_topics or not is_hidden(name)
        }
        if args.count_topics:
            print(len(topics))
        elif args.verbose:
            for title, noun, count_of in (
                ("Published", "publisher", node.count_publishers),
                ("Subscribed", "subscriber", node.count_subscribers),
            ):
                print(f"{title} topics:")
                for name, types in topics.items():
                    count = count_of(name)
                    if count:
                        print(f" * {name} [{types}] {count} {noun}{'s' * (count > 1)}")
                print()
        else:
            for name, types in topics.items():
                print(f"{name} [{types}]" if args.show_types else name)


def _info(args: Namespace) -> int | str:
    with ros_node(args) as node:
        topic, seconds = absolute(args.topic_name), discovery_seconds(args)
        if not wait_for(lambda: topic in dict(node.get_topic_names_and_types()), seconds):
            return f"Unknown topic '{args.topic_name}'"
        discover(node, args)
        types = dict(node.get_topic_names_and_types())[topic]
        end = "\n\n" if args.verbose else "\n"
        print(f"Type: {types[0] if len(types) == 1 else types}", end=end)
        for noun, infos in (
            ("Publisher", node.get_publishers_info_by_topic(topic)),
            ("Subscription", node.get_subscriptions_info_by_topic(topic)),
        ):
            print(f"{noun} count: {len(infos)}", end=end)
            for info in infos if args.verbose else ():
                print(info, end=end)
    return 0


def _compatible_profile(node: Node, topic: str, profile: qos.QoSProfile) -> None:
    """Ask for no more than every publisher of the topic offers, and for no less."""
    offered = [info.qos_profile for info in node.get_publishers_info_by_topic(topic)]
    if not offered:
        return
    for name, best, least in (
        ("reliability", qos.ReliabilityPolicy.RELIABLE, qos.ReliabilityPolicy.BEST_EFFORT),
        ("durability", qos.DurabilityPolicy.TRANSIENT_LOCAL, qos.DurabilityPolicy.VOLATILE),
    ):
        everyone = all(getattr(offer, name) == best for offer in offered)
        if not everyone and any(getattr(offer, name) == best for offer in offered):
            print(
                f"Some, but not all, publishers are offering {best!s}. Falling back to {least!s} "
                "as it will connect to all publishers"
            )
        setattr(profile, name, best if everyone else least)


def _select(message: Any, field: str | None) -> Any:
    """Return a sub-field such as ``pose.position`` or ``position[0]``."""
    for name in (field or "").replace("[", ".[").split("."):
        if name.startswith("["):
            message = message[int(name[1:-1])]
        elif name:
            message = getattr(message, name)
    return message


def _flatten(plain: Any) -> list[str]:
    if isinstance(plain, dict):
        return [text for value in plain.values() for text in _flatten(value)]
    if isinstance(plain, list):
        return [text for value in plain for text in _flatten(value)]
    return [str(plain)]


def _echo(args: Namespace) -> int:
    length = None if args.full_length else args.truncate_length
    failure: list[Exception] = []
    done: Future[None] = Future()

    def show(message: Any) -> None:
        if args.once and done.done():
            return
        try:
            selected = _select(message, args.field)
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            failure.append(RuntimeError(f"Invalid field '{args.field}': {error}"))
            done.set_result(None)
            return
        plain = to_plain(selected, length, args.no_arr, args.no_str)
        if args.csv:
            print(",".join(_flatten(plain)))
        elif isinstance(plain, dict):
            print(to_yaml(plain, args.flow_style), end="---\n")
        else:
            print(selected, end="\n---\n")
        if args.once:
            done.set_result(None)

    with ros_node(args) as node:
        if args.message_type is None:
            message_class = topic_class(node, args.topic_name, discovery_seconds(args))
        else:
            message_class = load_interface(args.message_type, "msg")
        profile, explicit = _qos_profile(args)
        if not explicit:
            topic = absolute(args.topic_name)
            wait_for(lambda: bool(node.get_publishers_info_by_topic(topic)), 0.5)
            _compatible_profile(node, topic, profile)
        node.create_subscription(message_class, args.topic_name, show, profile)
        rclpy.spin_until_future_complete(node, done, timeout_sec=args.timeout)
    if failure:
        raise failure[0]
    return 1 if args.once and not done.done() else 0


def _measure(args: Namespace, report: Any) -> None:
    """Call ``report(times, sizes)`` every second with what has been received, in ns and bytes."""
    times: deque[int] = deque(maxlen=args.window)
    sizes: deque[int] = deque(maxlen=args.window)
    with ros_node(args) as node:
        try:
            message_class = topic_class(node, args.topic_name, discovery_seconds(args))
        except RuntimeError:  # it has been warned of; measure as soon as it is there
            message_class = topic_class(node, args.topic_name, float("inf"))
        clock = node.get_clock()

        def receive(data: bytes) -> None:
            now = clock.now().nanoseconds
            if times and now < times[-1]:
                print("time has reset, resetting counters")
                times.clear()
                sizes.clear()
            times.append(now)
            sizes.append(len(data))

        node.create_subscription(
            message_class, args.topic_name, receive, qos.qos_profile_sensor_data, raw=True
        )
        last = 0
        next_report = time.monotonic() + 1.0
        while rclpy.ok():
            rclpy.spin_once(node, timeout_sec=max(0.0, next_report - time.monotonic()))
            if time.monotonic() >= next_report:
                next_report += 1.0
                if len(times) > 1 and times[-1] != last:
                    last = times[-1]
                    report(list(times), list(sizes), clock.now().nanoseconds)


def _hz(args: Namespace) -> None:
    def report(times: list[int], sizes: list[int], now: int) -> None:
        gaps = [(b - a) * 1e-9 for a, b in pairwise(times)]
        mean = sum(gaps) / len(gaps)
        deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
        print(
            f"average rate: {1.0 / mean if mean > 0.0 else 0.0:.3f}\n"
            f"\tmin: {min(gaps):.3f}s max: {max(gaps):.3f}s std dev: {deviation:.5f}s "
            f"window: {len(gaps)}"
        )

    _measure(args, report)


def _bw(args: Namespace) -> None:
    def report(times: list[int], sizes: list[int], now: int) -> None:
        rate = sum(sizes) / ((now - times[0]) * 1e-9)
        unit, factor = ("B", 1.0) if rate < 1e3 else ("KB", 1e3) if rate < 1e6 else ("MB", 1e6)
        digits = 0 if unit == "B" else 2
        bw, mean, low, high = (
            f"{value / factor:.{digits}f} {unit}"
            for value in (rate, sum(sizes) / len(sizes), min(sizes), max(sizes))
        )
        print(
            f"{bw}/s from {len(sizes)} messages\n"
            f"\tMessage size mean: {mean} min: {low} max: {high}"
        )

    print(f"Subscribed to [{absolute(args.topic_name)}]", file=sys.stderr)
    _measure(args, report)


def _pub(args: Namespace) -> int | str:
    message = load_interface(args.message_type, "msg")()
    stamps = fill_message(message, read_yaml_dict(args.values))
    times = 1 if args.once else args.times
    wanted = args.wait if args.wait is not None else int(times > 0)
    with ros_node(args, args.node_name) as node:
        publisher = node.create_publisher(type(message), args.topic_name, _qos_profile(args)[0])
        waited = 0.0
        while publisher.get_subscription_count() < wanted:
            if args.max_wait_time_secs is not None and waited >= args.max_wait_time_secs:
                return (
                    f"Timed out waiting for subscribers: Expected {wanted} subscribers but only "
                    f"got {publisher.get_subscription_count()} subscribers"
                )
            print(f"Waiting for at least {wanted} matching subscription(s)...")
            seconds = min(1.0, (args.max_wait_time_secs or 1e9) - waited)
            wait_for(lambda: publisher.get_subscription_count() >= wanted, seconds)
            waited += seconds
        print("publisher: beginning loop")
        count = 0
        next_time = time.monotonic()
        while rclpy.ok():
            for set_stamp in stamps:
                set_stamp(node.get_clock().now().to_msg())
            count += 1
            if args.print_nth and count % args.print_nth == 0:
                print(f"publishing #{count}: {message!r}\n")
            publisher.publish(message)
            if count == times:
                break
            next_time = max(next_time + 1.0 / args.rate, time.monotonic())
            while rclpy.ok() and (left := next_time - time.monotonic()) > 0.0:
                rclpy.spin_once(node, timeout_sec=left)
        time.sleep(args.keep_alive)
    return 0
