"""Executable ``monitor``: see ``monitor_node``."""

from __future__ import annotations

import sys

from g1_mimic.nodes.entry import run_node


def main() -> int:
    """Run the node; return the exit status."""
    return run_node("g1_mimic.nodes.monitor_node:MonitorNode")


if __name__ == "__main__":
    sys.exit(main())
