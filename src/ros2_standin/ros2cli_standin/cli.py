"""The ``ros2`` command: finds the sub-command and turns errors into one line."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys

from . import add_own_prefix, find_real_ros2

COMMANDS = {
    "launch": "Run a launch file",
    "run": "Run a package specific executable",
    "pkg": "List packages, their prefixes and executables",
    "node": "List nodes and show what they offer",
    "topic": "List, show, measure and publish topics",
    "service": "List and call services",
    "param": "List, get, set, describe, dump and load parameters",
    "lifecycle": "List lifecycle nodes, get and set their states",
}


def main(argv: list[str] | None = None) -> int | str:
    """Run one command line and return the exit status, or an error message for status 1."""
    argv = sys.argv[1:] if argv is None else argv
    real = find_real_ros2()
    if real is not None:
        return _hand_over(real / "bin/ros2", argv)
    add_own_prefix()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(
        "ros2",
        usage="ros2 [-h] <command> ...",
        description="ros2 is a command-line tool for ROS 2 "
        "(this is the stand-in that comes with g1_mimic).",
        epilog="Call `ros2 <command> -h` for more detailed usage.",
    )
    commands = parser.add_subparsers(title="Commands", metavar="<command> ...", prog="ros2")
    wanted = next((word for word in argv if not word.startswith("-")), None)
    try:
        for name, text in COMMANDS.items():
            command = commands.add_parser(name, help=text, description=text)
            command.set_defaults(main=lambda args, command=command: command.print_help())
            if name == wanted:  # import what is needed and no more: rclpy takes its time
                importlib.import_module(f"{__package__}.{name}").add_arguments(command)
        args = parser.parse_args(argv or ["--help"])
        return args.main(args) or 0
    except KeyboardInterrupt:
        return signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # one line for the user, whatever rclpy raises
        if type(error).__name__ == "ExternalShutdownException":
            return signal.SIGTERM
        if os.environ.get("ROS2_STANDIN_TRACEBACK"):
            raise
        return str(error) or type(error).__name__


def _hand_over(ros2: os.PathLike[str], argv: list[str]) -> str:
    """Become the real ``ros2``."""
    try:
        os.execv(ros2, [str(ros2), *argv])
    except OSError as error:
        return f"a ROS 2 distribution is sourced, but its {ros2} cannot be run: {error.strerror}"
