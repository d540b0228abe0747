"""Node ``monitor``: gathers what people look at: the tree of diagnostics, the robot in 3D."""

from __future__ import annotations

import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from pydantic import Field
from rclpy.node import Node
from rclpy.task import Future

from g1_mimic.errors import missing_package
from g1_mimic.nodes.monitor.diagnostics_tree import DiagnosticsTree
from g1_mimic.nodes.shared.common import steady_timer
from g1_mimic.nodes.shared.parameters import Parameters
from g1_mimic.robot.names import DEFAULT_ROBOT
from g1_mimic.robot.profile import load_profile
from g1_mimic.settings import Settings


class MonitorSettings(Settings):
    """Parameters of ``monitor``."""

    robot: str = ""
    """Robot profile (name or path) whose limits the description has; empty: g1_29dof."""
    view_rate: float = Field(20.0, ge=0.0, le=100.0)
    """Wall rate of tf and robot_markers, Hz; 0: neither these nor robot_description."""
    link_transforms: bool = True
    """Publish the transforms of all links; false where ROS's robot_state_publisher does."""


class MonitorNode(Node):
    """Publishes ``diagnostics_agg`` at 1 Hz and at once when a level changes; the robot's view.

    Raises:
        G1MimicError: for bad parameters or a bad profile.
    """

    def __init__(self) -> None:
        super().__init__("monitor", automatically_declare_parameters_from_overrides=True)
        self.finished: Any = Future()
        settings = Parameters(self, MonitorSettings).settings
        self._tree = DiagnosticsTree()
        self._aggregated = self.create_publisher(DiagnosticArray, "diagnostics_agg", 10)
        self.create_subscription(DiagnosticArray, "diagnostics", self._on_diagnostics, 100)
        steady_timer(self, 1.0, self._publish_tree)
        self._view: Any = None
        if settings.view_rate > 0.0:
            self._view = self._robot_view(settings)
        if self._view is not None:
            steady_timer(self, 1.0 / settings.view_rate, self._view.publish)

    def _robot_view(self, settings: MonitorSettings) -> Any:
        """Return what shows the robot, or None on a computer that has no MuJoCo for it."""
        profile = load_profile(settings.robot or DEFAULT_ROBOT)
        try:
            from g1_mimic.nodes.monitor.robot_view import RobotView
        except ModuleNotFoundError as error:
            self.get_logger().warning(f"diagnostics only, no view: {missing_package(error)}")
            return None
        return RobotView(self, profile, settings.link_transforms)

    def close(self) -> None:
        """Say a last time how things are."""
        self._publish_tree()
        if self._view is not None:
            self._view.close()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        now = time.monotonic()
        changes = [self._tree.update(status, now) for status in message.status]
        if any(changes):
            self._publish_tree()

    def _publish_tree(self) -> None:
        message = DiagnosticArray(status=self._tree.statuses(time.monotonic()))
        message.header.stamp = self.get_clock().now().to_msg()
        self._aggregated.publish(message)
