"""``ros2 launch``."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command line."""
    add = parser.add_argument
    add("-n", "--noninteractive", action="store_true",
        default=not (sys.stdin and sys.stdin.isatty()),
        help="Run the launch system non-interactively, with no terminal associated")
    add("-d", "--debug", action="store_true", help="Show more, such as tracebacks")
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "-p", "--print", "--print-description", dest="print_description", action="store_true",
        help="Print the launch description to the console without launching it")
    group.add_argument(
        "-s", "--show-args", "--show-arguments", dest="show_args", action="store_true",
        help="Show arguments that may be given to the launch file")
    add("-a", "--show-all-subprocesses-output", dest="show_all", action="store_true",
        help="Show all launched processes' output, whatever the launch file says")
    add("--launch-prefix", metavar="COMMAND",
        help="Command, which should go before all executables")
    add("--launch-prefix-filter", metavar="REGEX",
        help="Only for the executables whose name matches")
    add("package_name", help="Name of the ROS package which contains the launch file, or a path")
    add("launch_file_name", nargs="?", help="Name of the launch file")
    add("launch_arguments", nargs="*",
        help="Arguments to the launch file; '<name>:=<value>' (for duplicates, last one wins)")
    parser.set_defaults(main=main)


def main(args: Namespace) -> int:
    """Find the launch file, and run or show it."""
    # Not before now: with --help there is nothing to load.
    from launch.actions import IncludeLaunchDescription
    from launch.launch_description_sources import (
        PythonLaunchDescriptionSource,
        get_launch_description_from_python_launch_file,
    )
    from launch.launch_introspector import LaunchIntrospector, format_arguments

    from launch import LaunchDescription, LaunchService

    words = list(args.launch_arguments)
    if os.path.isfile(args.package_name):
        path = args.package_name
        if args.launch_file_name is not None:
            words.insert(0, args.launch_file_name)
    else:
        path = find_launch_file(args.package_name, args.launch_file_name)
    if args.launch_prefix:
        words.append(f"launch-prefix:={args.launch_prefix}")
    if args.launch_prefix_filter:
        if not args.launch_prefix:
            raise RuntimeError(
                "--launch-prefix must be specified if --launch-prefix-filter is provided"
            )
        words.append(f"launch-prefix-filter:={args.launch_prefix_filter}")
    if args.show_all:
        os.environ["OVERRIDE_LAUNCH_PROCESS_OUTPUT"] = "both"
    if args.print_description or args.show_args:
        description = get_launch_description_from_python_launch_file(path)
        if args.show_args:
            print(format_arguments(description))
        else:
            print(LaunchIntrospector().format_launch_description(description))
        return 0
    arguments = parse_launch_arguments(words)
    service = LaunchService(argv=words, noninteractive=args.noninteractive, debug=args.debug)
    service.include_launch_description(
        LaunchDescription(
            [
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(path), launch_arguments=arguments.items()
                )
            ]
        )
    )
    return service.run()


def parse_launch_arguments(words: list[str]) -> dict[str, str]:
    """Read ``name:=value``; of several with one name the last wins.

    Raises:
        RuntimeError: a word has another form.
    """
    arguments = {}
    for word in words:
        name, separator, value = word.partition(":=")
        if not name or not separator or not value:
            raise RuntimeError(
                f"malformed launch argument '{word}', expected format '<name>:=<value>'"
            )
        arguments[name] = value
    return arguments


def find_launch_file(package: str, name: str | None) -> str:
    """Return the path of a package's launch file.

    Raises:
        RuntimeError: there is no such package or file, or several files.
    """
    if name is None and ("/" in package or package.endswith(".py")):
        raise RuntimeError(f"launch file '{package}' does not exist")
    try:
        share = get_package_share_directory(package)
    except (PackageNotFoundError, ValueError) as error:
        raise RuntimeError(f"Package '{package}' not found: {error}") from None
    if name is None:
        raise RuntimeError(f"name a launch file of package '{package}' too")
    found = [os.path.join(root, name) for root, _, files in os.walk(share) if name in files]
    if not found:
        raise RuntimeError(
            f"file '{name}' was not found in the share directory of package '{package}' "
            f"which is at '{share}'"
        )
    if len(found) > 1:
        raise RuntimeError(
            f"file '{name}' was found more than once in the share directory of package "
            f"'{package}': {found}"
        )
    return found[0]
