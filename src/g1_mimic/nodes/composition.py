"""Both nodes of a deployment in simulation in one process, as ROS 2 composes components.

States and targets go from one to the other by a call instead of a message, in lock-step. All that
the nodes publish, offer and watch is as in two processes, and so is what comes out, to the last
digit; only that neither subscribes to the other's topics.
"""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.task import Future

from g1_mimic.nodes.deployment.node import PolicyNode
from g1_mimic.nodes.shared.common import steady_timer
from g1_mimic.nodes.simulation.node import MujocoSim

_PARTING_TIME = 1.0
"""Wall time that a node has to end by itself once the other one has, s."""


class ComposedDeployment:
    """The nodes ``mujoco_sim`` and ``policy``.

    Raises:
        G1MimicError: as the nodes do, and if they are not to run in lock-step.
    """

    def __init__(self) -> None:
        self.finished: Any = Future()
        self._sim = MujocoSim(composed=True)
        try:
            self._policy = PolicyNode(hand_over=self._sim.take)
        except BaseException:
            self._sim.destroy_node()
            raise
        self._sim.hand_over_to(self._policy.take)
        for node in (self._sim, self._policy):
            node.finished.add_done_callback(self._on_end)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """What an executor serves."""
        return self._sim, self._policy

    def close(self) -> None:
        """Damp the robot to the last and write the report, then let the simulation go."""
        self._policy.close()
        self._sim.close()

    def destroy_node(self) -> None:
        """Destroy both nodes."""
        self._policy.destroy_node()
        self._sim.destroy_node()

    def _on_end(self, ended: Any) -> None:
        """End with the second node, with one that failed, or some time after the first."""
        statuses = [n.finished.result() for n in (self._sim, self._policy) if n.finished.done()]
        if ended.result() or len(statuses) == len(self.nodes):
            self._end(max(statuses))
        else:
            # A policy node that waits for states in vain has failed, as in a process of its own.
            status = int(ended is self._sim.finished)
            steady_timer(self._sim, _PARTING_TIME, lambda: self._end(status))

    def _end(self, status: int) -> None:
        if not self.finished.done():
            self.finished.set_result(status)
