"""What the node ``policy`` publishes besides diagnostics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, Float64MultiArray, String

from g1_mimic.control.modes import Mode
from g1_mimic.control.state import JointCommand
from g1_mimic.deployment.tick import Tick
from g1_mimic.nodes.shared.common import LATCHED_QOS, SENDING_QOS, heard_by, is_heard, names_in
from g1_mimic.nodes.shared.messages import (
    WORLD_FRAME,
    gains_message,
    set_quaternion,
    set_stamp,
    set_vector3,
)
from g1_mimic.nodes.shared.wire import JointStateWriter

_REPEAT = 0.01
"""Period in which a parting command is repeated, s."""

_SCALARS: dict[str, Callable[[Tick], float | None]] = {
    "inference_ms": lambda tick: tick.inference_s * 1e3,
    "tracking_error/joint_pos": lambda tick: float(np.abs(tick.joint_error).mean()),
    "tracking_error/anchor_pos": lambda tick: (
        None if tick.anchor_error is None else float(np.linalg.norm(tick.anchor_error))
    ),
    "tracking_error/anchor_ori": lambda tick: tick.anchor_angle,
}
"""What is plotted as one number, by its topic below ``policy/``."""


class PolicyOutput:
    """Publishers of commands, mode and what people plot.

    Args:
        node: publishes.
        hand_over: takes each command as well, where the simulation is in this process.
    """

    def __init__(self, node: Node, hand_over: Callable[[JointCommand], None] | None = None) -> None:
        self._hand_over = hand_over
        self._targets = {mode: JointStateWriter(mode.value) for mode in Mode}
        self._reference = JointStateWriter()
        self._gains_out = node.create_publisher(Float64MultiArray, "joint_gains", LATCHED_QOS)
        self._motion_out = node.create_publisher(String, "policy/motion", LATCHED_QOS)
        self._mode_out = node.create_publisher(String, "policy/mode", LATCHED_QOS)
        plotted = partial(node.create_publisher, qos_profile=SENDING_QOS)
        self._action_out = plotted(Float64MultiArray, "policy/action")
        self._reference_out = plotted(JointState, "reference/joint_states")
        self._anchor = Odometry()
        self._anchor.header.frame_id = WORLD_FRAME
        self._anchor_out = plotted(Odometry, "reference/odom")
        self._scalars = {name: plotted(Float64, f"policy/{name}") for name in _SCALARS}
        # The last one: who hears it hears the others (`heard_by`).
        self._target_out = node.create_publisher(JointState, "joint_targets", SENDING_QOS)
        self._node = node
        self._heard = False
        self.mode: Mode | None = None
        """Mode of the last command."""

    def heard_by(self, names: str) -> bool:
        """True as soon as these nodes, comma-separated, were once there to get every target."""
        self._heard = self._heard or heard_by(self._node, self._target_out, names_in(names))
        return self._heard

    def tell_motion(self, name: str) -> None:
        """Publish the name of the clip that is tracked, or comes next."""
        self._motion_out.publish(String(data=name))

    def send(self, command: JointCommand) -> None:
        """Publish a command; what it depends on (mode, gains) goes first."""
        if command.mode is not self.mode:
            self.mode = command.mode
            self._gains_out.publish(gains_message(command))
            self._mode_out.publish(String(data=command.mode.value))
        if is_heard(self._target_out):
            target = self._targets[command.mode]
            target.position[:] = command.position
            self._target_out.publish(target.stamped(command.stamp))
        if self._hand_over is not None:
            self._hand_over(command)

    @contextmanager
    def repeating(self, command: JointCommand, at_least: float) -> Iterator[None]:
        """Repeat a command while the block runs, and for ``at_least`` s, so that no loss matters.

        Nothing else may be sent meanwhile.
        """
        over = threading.Event()
        began = time.monotonic()

        def repeat() -> None:
            while not over.wait(_REPEAT):
                self.send(command)

        self.send(command)
        thread = threading.Thread(target=repeat, name="parting", daemon=True)
        thread.start()
        try:
            yield
        finally:
            time.sleep(max(0.0, began + at_least - time.monotonic()))
            over.set()
            thread.join()
            self._target_out.wait_for_all_acked(Duration(seconds=0.2))

    def publish_tick(self, tick: Tick, stamp: int, anchor_body: str) -> None:
        """Publish what people plot, and where the reference's ``anchor_body`` is in the world."""
        if is_heard(self._action_out):
            self._action_out.publish(Float64MultiArray(data=tick.action))
        if is_heard(self._reference_out):
            self._reference.position[:] = tick.reference.joint_pos
            self._reference.velocity[:] = tick.reference.joint_vel
            self._reference_out.publish(self._reference.stamped(stamp))
        if is_heard(self._anchor_out):
            set_stamp(self._anchor.header.stamp, stamp)
            self._anchor.child_frame_id = anchor_body
            set_vector3(self._anchor.pose.pose.position, tick.reference.anchor_pos)
            set_quaternion(self._anchor.pose.pose.orientation, tick.reference.anchor_quat)
            self._anchor_out.publish(self._anchor)
        for name, out in self._scalars.items():
            if is_heard(out) and (value := _SCALARS[name](tick)) is not None:
                out.publish(Float64(data=value))
