"""The nodes that `ros2 run g1_mimic NAME` starts; resource/executables has a file for each.

A node's own module is imported when it starts: signals are caught before the slow imports begin.
"""

from __future__ import annotations

import sys

from g1_mimic.nodes.entry import run_node

NODES = {
    "composed": "g1_mimic.nodes.composition:ComposedDeployment",
    "monitor": "g1_mimic.nodes.monitor.node:MonitorNode",
    "mujoco_sim": "g1_mimic.nodes.simulation.node:MujocoSim",
    "policy": "g1_mimic.nodes.deployment.node:PolicyNode",
    "recorder": "g1_mimic.nodes.recorder_node:RecorderNode",
    "trainer": "g1_mimic.nodes.trainer_node:TrainerNode",
}
"""What each executable runs, as `run_node` takes it."""


def run(argv: list[str]) -> int:
    """Run the node that ``argv`` begins with, the rest is for ROS; return the exit status."""
    if not argv or argv[0] not in NODES:
        print(f"usage: g1-mimic node {{{','.join(NODES)}}} [--ros-args …]", file=sys.stderr)
        return 2
    return run_node(NODES[argv[0]], argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
