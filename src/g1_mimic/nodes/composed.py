"""Executable ``composed``: see ``composition``."""

from __future__ import annotations

import sys

from g1_mimic.nodes.entry import run_node


def main() -> int:
    """Run both nodes; return the exit status."""
    return run_node("g1_mimic.nodes.composition:ComposedDeployment")


if __name__ == "__main__":
    sys.exit(main())
