"""Executable ``mujoco_sim``: see ``sim_node``."""

from __future__ import annotations

import sys

from g1_mimic.nodes.entry import run_node


def main() -> int:
    """Run the node; return the exit status."""
    return run_node("g1_mimic.nodes.sim_node:MujocoSim")


if __name__ == "__main__":
    sys.exit(main())
