"""Node ``mujoco_sim``: the robot in MuJoCo, seen through the robot's own topics.

When time goes on is a matter of its pace (`nodes.simulation.pace`). The robot hangs in a hoist
until the first target of mode track.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import Empty

from g1_mimic.control.state import JointCommand, MotorTarget, RobotState
from g1_mimic.nodes.shared.common import (
    ERROR,
    OK,
    STREAM_QOS,
    WARN,
    Diagnostics,
    Reading,
    steady_timer,
    switch_service,
    trigger_service,
)
from g1_mimic.nodes.shared.parameters import Parameters
from g1_mimic.nodes.simulation.output import SimOutput
from g1_mimic.nodes.simulation.pace import pace_for
from g1_mimic.nodes.simulation.target_input import TargetInput
from g1_mimic.simulation.settings import SimSettings
from g1_mimic.simulation.setup import make_simulator, open_viewer


class MujocoSim(Node):
    """The ROS rim of `Simulator`.

    Args:
        composed: the policy node is in this process (`nodes.composition`): it gets states by
            `hand_over_to` and gives targets to `take`, instead of by topics. In lock-step only.

    Raises:
        G1MimicError: for bad parameters, policy or profile, or a viewer without a display.
    """

    def __init__(self, *, composed: bool = False) -> None:
        super().__init__("mujoco_sim", automatically_declare_parameters_from_overrides=True)
        self.finished: Any = Future()
        self._params = Parameters(self, SimSettings)
        settings = self._params.settings
        self._sim = make_simulator(settings)
        self._output = SimOutput(self, self._sim)
        self._pace = pace_for(settings, composed)(settings, self._sim, self._output, self._finish)
        self._problem = ""
        if not composed:
            TargetInput(self, self._use, self._complain)
        self.create_subscription(Empty, "e_stop", lambda _: self._e_stop(), STREAM_QOS)
        trigger_service(self, "~/reset", self._reset)
        trigger_service(self, "~/push", self._push)
        switch_service(self, "~/pause", self._pause)
        self._diagnostics = Diagnostics(self, self._status, {"timing": self._pace.timing})
        self._viewer = open_viewer(self._sim) if settings.viewer else None
        if self._viewer is not None:
            steady_timer(self, 1 / 60, self._viewer.sync)
        self._pace.start(partial(steady_timer, self))

    def close(self) -> None:
        """Make sure that the last state has arrived, and close the viewer."""
        self._output.close()
        if self._viewer is not None:
            self._viewer.close()

    def hand_over_to(self, take: Callable[[RobotState, int], None]) -> None:
        """Composed: give each state and the simulated time, ns, to the policy node."""
        self._pace.hand_over = take

    def take(self, command: JointCommand) -> None:
        """Composed: hand a command of the policy node to the motors."""
        self._use(command, command.mode.value, command.stamp)

    def _use(self, target: MotorTarget, mode: str, stamp: int) -> None:
        if problem := self._pace.use(target, mode, stamp):
            self._complain(f"joint_targets: {problem}")

    def _complain(self, problem: str) -> None:
        """Say once what is wrong with the targets; the watchdog does the rest."""
        if problem != self._problem:
            self._problem = problem
            self.get_logger().error(f"{problem}; ignored, the motors damp")

    def _finish(self, status: int, problem: str) -> None:
        if problem:
            self.get_logger().error(problem)
        if not self.finished.done():
            self.finished.set_result(status)

    # Services -----------------------------------------------------------------------------------

    def _e_stop(self) -> None:
        self._sim.e_stop()
        self.get_logger().error("emergency stop: damping until ~/reset")
        self._diagnostics.publish_on_change()

    def _reset(self) -> str:
        self._problem = ""
        self._pace.reset()
        return "the robot is back at its start, in the hoist"

    def _push(self) -> str:
        settings = self._params.settings
        self._sim.push(settings.push_speed, settings.push_direction)
        return f"pushed by {settings.push_speed:g} m/s"

    def _pause(self, pause: bool) -> str:
        self._pace.pause(pause)
        return "paused" if pause else "running"

    def _status(self) -> Reading:
        """Tell what the robot does."""
        sim = self._sim
        figures: dict[str, object] = {
            "watchdog_trips": sim.watchdog_trips,
            "rejected_targets": sim.rejected,
            "hoisted": sim.hoisted,
            "paused": self._pace.paused,
        }
        if sim.stopped:
            return ERROR, "emergency stop", figures
        if sim.damped:
            reason = self._problem or "no fresh target"
            return WARN, f"damping: {reason}", figures
        return OK, "in the hoist" if sim.hoisted else "running", figures
