"""``ros2 run``."""

from __future__ import annotations

import os
import shlex
from argparse import REMAINDER, ArgumentParser, Namespace

from .pkg import executables


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--prefix", help="Command, which should go before the executable")
    parser.add_argument("package_name", help="Name of the ROS package")
    parser.add_argument("executable_name", help="Name of the executable")
    parser.add_argument(
        "argv", nargs=REMAINDER, help="Pass arbitrary arguments to the executable"
    )
    parser.set_defaults(main=main)


def main(args: Namespace) -> str:
    """Become the executable, so that signals and the exit status are its own."""
    paths = [
        path
        for path in executables(args.package_name)
        if os.path.basename(path) == args.executable_name
    ]
    if not paths:
        return "No executable found"
    if len(paths) > 1:
        return "Multiple executables found:" + "".join(f"\n- {path}" for path in paths)
    words = [*shlex.split(args.prefix or ""), paths[0], *args.argv]
    try:
        os.execvp(words[0], words)
    except OSError as error:
        return f"cannot run '{words[0]}': {error.strerror}"
