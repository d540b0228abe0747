"""``ros2 run``."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
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


def main(args: Namespace) -> int | str:
    """Run the executable to its end, passing on the signals that ask for it."""
    paths = [
        path
        for path in executables(args.package_name)
        if os.path.basename(path) == args.executable_name
    ]
    if not paths:
        return "No executable found"
    if len(paths) > 1:
        return "Multiple executables found:" + "".join(f"\n- {path}" for path in paths)
    process = subprocess.Popen([*shlex.split(args.prefix or ""), paths[0], *args.argv])
    # A terminal sends Ctrl-C to the process too, which ends in its own time.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
    code = process.wait()
    if code < 0:
        print(f"[ros2run]: {signal.strsignal(-code)}")
    elif code > 0:
        print(f"[ros2run]: Process exited with failure {code}")
    return code if code >= 0 else 128 - code
