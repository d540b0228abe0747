"""The executables of the package, one for each node: `ros2 run g1_mimic NAME`.

A node's own module is imported when it starts: signals are caught before the slow imports begin.
"""

from __future__ import annotations

import sys
from functools import partial

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

composed, monitor, mujoco_sim, policy, recorder, trainer = (
    partial(run_node, NODES[name]) for name in sorted(NODES)
)


if __name__ == "__main__":
    sys.exit(run_node(NODES[sys.argv.pop(1)]))
