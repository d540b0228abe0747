"""States in, commands out: how the node ``policy`` drives the robot and watches over it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import Imu, JointState

from g1_mimic.control.modes import Mode
from g1_mimic.control.state import JointCommand, RobotState
from g1_mimic.deployment.controller import PolicyController
from g1_mimic.nodes.deployment.loading import Loaded
from g1_mimic.nodes.deployment.output import PolicyOutput
from g1_mimic.nodes.deployment.settings import PolicyNodeSettings
from g1_mimic.nodes.deployment.state_input import StateCollector
from g1_mimic.nodes.deployment.state_watch import StateWatch
from g1_mimic.nodes.shared.common import STREAM_QOS, steady_timer
from g1_mimic.nodes.shared.guards import Guards

_WATCH_PERIOD = 0.005
"""Wall period of the watchdog, s."""
_GRAPH_PERIOD = 0.1
"""Wall period in which the other nodes are looked at, s."""
_PARTING_TIME = 0.5
"""Wall time for which a robot that is let go gets the damping command, s."""


class Driver:
    """Answers the states of the robot while its node has it.

    Args:
        node: has the topics and the clock.
        guards: make faults of what goes wrong in callbacks.
        settings: of the node; may be replaced (`configure`).
        finished: the node's future, for its exit status.
        tell: called when mode or fault may have changed, with whether the mode has.
        hand_over: takes each command where the simulation is in this process: states then come
            to `take`, instead of by topics.

    Attributes:
        loaded: what drives the robot; None while the node is not configured.
        active: the node has the robot.
        output: what is published.
        watch: of the states.
        take: takes a state, and the present time of its clock, ns.
    """

    def __init__(
        self,
        node: Node,
        guards: Guards,
        settings: PolicyNodeSettings,
        finished: Any,
        tell: Callable[[bool], None],
        hand_over: Callable[[JointCommand], None] | None,
    ) -> None:
        self._node, self._settings, self._finished, self._tell = node, settings, finished, tell
        self.loaded: Loaded | None = None
        self.active = False
        self._ours = False
        """The robot was taken and not handed on: it is damped while the node is not active."""
        self._end_ns: int | None = None
        self.watch = StateWatch(settings)
        self.forget_states()
        self.output = PolicyOutput(node, hand_over)
        self.take = guards.event(self._take)
        topics: dict[str, Any] = {"odom": Odometry} if settings.odometry else {}
        topics |= {"imu": Imu, "joint_states": JointState}  # the last one: see `heard_by`
        for topic, kind in topics.items() if hand_over is None else ():
            take = guards.event(partial(self._on_message, topic))
            node.create_subscription(kind, topic, take, STREAM_QOS, raw=True)
        steady_timer(node, _WATCH_PERIOD, guards.event(self._watch_states))
        steady_timer(node, _GRAPH_PERIOD, guards.event(self._watch_graph))

    @property
    def controller(self) -> PolicyController | None:
        """What decides; None while the node is not configured."""
        return self.loaded.controller if self.loaded is not None else None

    def configure(self, settings: PolicyNodeSettings) -> None:
        """Take over changed parameters."""
        self._settings = self.watch.settings = settings
        if self.controller is not None:
            self.controller.configure(settings)

    def begin(self) -> None:
        """Take the robot; the controller is active."""
        self.forget_states()
        self._end_ns = None
        self.active = self._ours = True

    def unload(self) -> None:
        """Forget what drove the robot."""
        if self.loaded is not None:
            self.loaded.inference.close()
        self.loaded, self._ours = None, False

    @contextmanager
    def letting_go(self) -> Iterator[None]:
        """Repeat the damping command while the block runs, and for a while."""
        self.active = False
        assert self.controller is not None
        self.controller.deactivate()
        if self._state is None:
            yield
            return
        with self.output.repeating(self.controller.damping(self._state), _PARTING_TIME):
            yield

    # States -------------------------------------------------------------------------------------

    def forget_states(self) -> None:
        """Wait for a first state."""
        self._collector = StateCollector(self._settings.odometry)
        self._state: RobotState | None = None
        self._command: JointCommand | None = None
        self._unheard = False
        """States come, but who is to hear the answers is not there yet."""
        self.watch.begin(time.monotonic())

    def waiting(self) -> str:
        """Return what the first state waits for; empty once there is one."""
        if self._state is not None:
            return ""
        if self._unheard:
            return f"waiting for {self._settings.wait_for} to listen to joint_targets"
        return f"waiting for {' and '.join(self._collector.topics)}"

    def _on_message(self, topic: str, data: bytes) -> None:
        """Answer the state that these bytes of a message complete, if they do."""
        if not self.active and not self._ours:
            return
        complete = self._collector.add(topic, data)
        if complete is not None:
            self._take_in(*complete, self._node.get_clock().now().nanoseconds)

    def _take(self, state: RobotState, now: int) -> None:
        """Answer a state of the simulation in this process, at the simulated time ``now``, ns."""
        if self.active or self._ours:
            self._take_in(state, time.perf_counter(), now)

    def _take_in(self, state: RobotState, arrived: float, now: int) -> None:
        """Answer a state; ``now`` is the time of its clock, ns, 0 if not known."""
        self._unheard = not self.output.heard_by(self._settings.wait_for)
        if self._unheard:
            return
        if self._state is not None and state.stamp == self._state.stamp:
            self._repeat(state)
        else:
            self._answer(state, arrived, self._age(state.stamp, now))

    def _age(self, stamp: int, now: int) -> float | None:
        """Return how old a stamp is, s; None if that cannot be known (yet)."""
        known = self._settings.state_clock == "ros" and now > 0  # 0: no clock message yet
        return (now - stamp) * 1e-9 if known else None

    def _answer(self, state: RobotState, arrived: float, age: float | None) -> None:
        """Answer a new state."""
        assert self.loaded is not None
        controller, _, report = self.loaded
        first, self._state = self._state is None, state
        reason = self.watch.arrived(time.monotonic(), age)
        if not self.active:
            self._send(controller.damping(state))
            return
        if reason:
            controller.fail(reason)
        if self._end_ns is not None and state.stamp >= self._end_ns:
            # A fall is a result, any other fault is a failure.
            self.finish(1 if controller.mode_state.fault and not controller.tilted else 0)
            return
        command = controller.step(state)
        self._send(command)
        if not first:  # whose messages came while topics were still being matched
            report.add_latency(time.perf_counter() - arrived)
        limited = self._end_ns is None and self._settings.duration > 0.0
        if limited and command.mode is Mode.TRACK:
            self._end_ns = state.stamp + round(self._settings.duration * 1e9)
        report.add(controller)
        if controller.tick is not None:
            body = controller.observer.anchor_body
            self.output.publish_tick(controller.tick, state.stamp, body)
        self._end_without_hope()

    def _repeat(self, state: RobotState) -> None:
        """Answer a state that was sent again: the first answer was lost, or the robot is paused."""
        assert self.controller is not None
        self.watch.arrived(time.monotonic(), None)
        if self._command is None or self._command.mode is not self.controller.mode:
            self._send(self.controller.damping(state))
        else:
            self._send(self._command)

    def _send(self, command: JointCommand) -> None:
        """Publish a command, and tell mode and fault when they have changed."""
        self._command = command
        news = command.mode is not self.output.mode
        self.output.send(command)
        self._tell(news)

    # Faults -------------------------------------------------------------------------------------

    def fail(self, reason: str) -> None:
        """Latch a fault and damp at once, without waiting for the next state."""
        controller = self.controller
        if controller is None:
            self._node.get_logger().error(reason, once=True)
            return
        controller.fail(reason)
        if self._ours and self._state is not None:
            self._send(controller.damping(self._state))
        else:
            self._tell(False)
        if self.active:
            self._end_without_hope()

    def _end_without_hope(self) -> None:
        """End a run of limited duration that a fault kept from tracking: its end never comes."""
        assert self.controller is not None
        waits = self._settings.duration > 0.0 and self._end_ns is None
        if waits and self.controller.mode_state.fault:
            self.finish(1)

    def finish(self, status: int) -> None:
        """End the node with an exit status, unless it has ended already."""
        if not self._finished.done():
            self._finished.set_result(status)

    def _watch_states(self) -> None:
        """Watch the arrival of states by the wall clock."""
        if not self.active or self._finished.done():
            return
        if reason := self.watch.silent(time.monotonic()):
            self.fail(f"{reason}: {self.waiting()}" if self._state is None else reason)

    def _watch_graph(self) -> None:
        """Watch who else is there."""
        others = self.other_publishers()
        if not self.active:
            self._ours = self._ours and not others  # handed on
            return
        if self._finished.done():
            return
        if others:
            self.fail(f"{others} other publisher(s) on joint_targets")
        if self._state is not None and self._node.count_publishers("joint_states") == 0:
            self.fail("nobody publishes joint_states any more")
            if self._settings.duration > 0.0 or self._settings.realtime_factor == 0.0:
                self.finish(1)

    def other_publishers(self) -> int:
        """Return how many others command the robot."""
        return self._node.count_publishers("joint_targets") - 1
