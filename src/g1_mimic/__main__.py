"""`g1-mimic`, which is also `python -m g1_mimic`.

`g1-mimic node NAME` is what the executables of `ros2 run g1_mimic` call. It is told apart here, so
that signals are caught before the command line's modules are imported.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line, or a node; return the exit status."""
    if sys.argv[1:2] == ["node"]:
        from g1_mimic.nodes.executables import run

        return run(sys.argv[2:])
    from g1_mimic.cli.main import main as command_line

    return command_line()


if __name__ == "__main__":
    sys.exit(main())
