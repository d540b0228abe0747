"""Executable ``trainer``: see ``trainer_node``."""

from __future__ import annotations

import sys

from g1_mimic.nodes.entry import run_node


def main() -> int:
    """Run the node; return the exit status."""
    return run_node("g1_mimic.nodes.trainer_node:TrainerNode")


if __name__ == "__main__":
    sys.exit(main())
