"""Node ``policy``: a lifecycle node that drives the robot with a policy file.

configure loads and checks the file, activate goes damping → stand → track, deactivate and any
fault go to damping. Everything that is decided lies in `PolicyController`; this is its ROS rim.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import Empty

from g1_mimic.control.modes import Mode
from g1_mimic.control.state import JointCommand, RobotState
from g1_mimic.deployment.controller import PolicyController
from g1_mimic.deployment.inference import InferenceRunner
from g1_mimic.deployment.tracking_report import TrackingReport
from g1_mimic.errors import G1MimicError
from g1_mimic.files import atomic_write_text
from g1_mimic.nodes.deployment.output import PolicyOutput
from g1_mimic.nodes.deployment.settings import PolicyNodeSettings
from g1_mimic.nodes.deployment.state_input import StateCollector
from g1_mimic.nodes.deployment.state_watch import StateWatch
from g1_mimic.nodes.deployment.status import (
    limits_status,
    policy_status,
    state_status,
    timing_status,
)
from g1_mimic.nodes.shared.common import (
    ERROR,
    STREAM_QOS,
    WARN,
    Diagnostics,
    Reading,
    steady_timer,
    trigger_service,
)
from g1_mimic.nodes.shared.guards import Guards
from g1_mimic.nodes.shared.parameters import Parameters
from g1_mimic.policy.load import load_policy, profile_of
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.simulation.fault_kinds import load_faults
from g1_mimic.simulation.injected_faults import FaultyPolicy

_WATCH_PERIOD = 0.005
"""Wall period of the watchdog, s."""
_GRAPH_PERIOD = 0.1
"""Wall period in which the other nodes are looked at, s."""
_PARTING_TIME = 0.5
"""Wall time for which a node that is told to go repeats the damping command, s."""


class PolicyNode(LifecycleNode):
    """The ROS rim of `PolicyController`.

    Args:
        hand_over: takes each command where the simulation is in this process
            (`nodes.composition`): states then come to `take`, instead of by topics.

    Raises:
        G1MimicError: for bad parameters; with ``autostart`` also for a bad policy.
    """

    def __init__(self, hand_over: Callable[[JointCommand], None] | None = None) -> None:
        super().__init__("policy", automatically_declare_parameters_from_overrides=True)
        self.finished: Any = Future()
        self._controller: PolicyController | None = None
        guards = self._guarding = Guards(self._fail)
        self._settings = Parameters(self, PolicyNodeSettings, guards.request(self._apply)).settings
        self._inference: InferenceRunner | None = None
        self._policy: OnnxPolicy | None = None
        self._report: TrackingReport | None = None
        self._problem = ""
        self._active = False
        self._ours = False
        """The robot was taken and not handed on: it is damped while this node is not active."""
        self._end_ns: int | None = None
        self._fault_said = ""
        self._watch = StateWatch(self._settings)
        self._forget_states()

        self._switches: list[Any] = []
        self._output = PolicyOutput(self, hand_over)
        self.take = guards.event(self._take)
        """Takes a state, and the present time of its clock, ns."""
        topics: dict[str, Any] = {"odom": Odometry} if self._settings.odometry else {}
        topics |= {"imu": Imu, "joint_states": JointState}  # the last one: see `heard_by`
        for topic, kind in topics.items() if hand_over is None else ():
            take = guards.event(partial(self._on_message, topic))
            self.create_subscription(kind, topic, take, STREAM_QOS, raw=True)
        self.create_subscription(
            Empty, "e_stop", lambda _: self._fail("emergency stop"), STREAM_QOS
        )
        for wanted in ("stand", "track", "stop"):
            trigger_service(self, f"~/{wanted}", guards.request(partial(self._request, wanted)))
        trigger_service(self, "~/reset_fault", guards.request(self._reset_fault))
        self._diagnostics = Diagnostics(
            self,
            guards.reading(self._status),
            {
                "state": guards.reading(self._state_status),
                "limits": guards.reading(self._limits_status),
                "timing": guards.reading(self._timing_status),
            },
        )
        steady_timer(self, _WATCH_PERIOD, guards.event(self._watch_states))
        steady_timer(self, _GRAPH_PERIOD, guards.event(self._watch_graph))
        if self._settings.autostart:
            for transition in (self.trigger_configure, self.trigger_activate):
                if transition() != TransitionCallbackReturn.SUCCESS:
                    raise G1MimicError(self._problem or "the policy node could not start")

    def close(self) -> None:
        """Damp the robot to the last if it is under control, and write the report."""
        with self._letting_go() if self._active else nullcontext():
            self._write_report()

    def _apply(self, settings: PolicyNodeSettings) -> None:
        """Take over changed parameters."""
        self._settings = self._watch.settings = settings
        if self._controller is not None:
            self._controller.configure(settings)

    # Lifecycle ----------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and check policy and profile."""
        settings = self._settings
        try:
            if not settings.policy:
                raise G1MimicError("parameter 'policy' is empty: give the policy file")
            policy = load_policy(settings.policy, settings.action_scale, settings.robot)
            in_step = settings.realtime_factor == 0.0
            faulty = FaultyPolicy(
                policy, load_faults(settings.faults), 1.0 / policy.metadata.control_rate_hz
            )
            inference = InferenceRunner(faulty, None if in_step else settings.inference_wait)
            profile = profile_of(policy, settings.robot)
            controller = PolicyController(policy, profile, settings, settings.motion, inference)
            if controller.observer.needs_odometry and not settings.odometry:
                raise G1MimicError("the policy observes the pelvis' position: set odometry:=true")
        except G1MimicError as error:
            return self._refuse(str(error))
        if self._fault_said:  # a new configuration clears no fault
            controller.fail(self._fault_said)
        self._policy, self._controller, self._problem = policy, controller, ""
        self._inference = inference
        self._report = TrackingReport(1.0 / policy.metadata.control_rate_hz)
        self._offer_motions(controller)
        return super().on_configure(state)

    def _offer_motions(self, controller: PolicyController) -> None:
        """Tell the present motion, and offer a service for each if there are several."""
        if strange := controller.player.strange_names:
            self.get_logger().warning(
                f"not trained on {', '.join(strange)}: the policy may fall with what it never saw"
            )
        if len(controller.player.names) > 1:
            self._switches = [
                trigger_service(
                    self, f"~/switch_to_{name}", self._guarding.request(partial(self._switch, name))
                )
                for name in controller.player.names
            ]
        self._output.tell_motion(controller.player.current)

    def _switch(self, name: str) -> str:
        """Serve ~/switch_to_NAME."""
        assert self._controller is not None
        self._controller.switch(name)
        self._output.tell_motion(name)
        self.get_logger().info(f"motion: {name}")
        return f"motion: {name}"

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take the robot: refused while somebody else commands it, or a fault is latched."""
        if others := self._other_publishers():
            return self._refuse(f"{others} other publisher(s) on joint_targets: stop them first")
        assert self._controller is not None
        try:
            self._controller.activate()
        except G1MimicError as error:
            return self._refuse(str(error))
        self._forget_states()
        self._end_ns, self._problem = None, ""
        self._active = self._ours = True
        return super().on_activate(state)

    def _refuse(self, problem: str) -> TransitionCallbackReturn:
        """Stay in the present lifecycle state and say why."""
        self._problem = problem
        if not self._settings.autostart:  # there the process ends with this as its last line
            self.get_logger().error(problem)
        return TransitionCallbackReturn.FAILURE

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let the robot go, damped."""
        with self._letting_go():
            return super().on_deactivate(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Damp the robot when a transition failed in an unexpected way."""
        if self._active:
            with self._letting_go():
                pass
        return super().on_error(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the policy."""
        for service in self._switches:
            self.destroy_service(service)
        self._switches = []
        if self._inference is not None:
            self._inference.close()
        self._controller = self._policy = self._inference = None
        self._ours = False
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the process, damped."""
        self._finish(0)
        return super().on_shutdown(state)

    @contextmanager
    def _letting_go(self) -> Iterator[None]:
        """Repeat the damping command while the block runs, and for a while."""
        self._active = False
        assert self._controller is not None
        self._controller.deactivate()
        if self._state is None:
            yield
            return
        with self._output.repeating(self._controller.damping(self._state), _PARTING_TIME):
            yield

    # States -------------------------------------------------------------------------------------

    def _forget_states(self) -> None:
        self._collector = StateCollector(self._settings.odometry)
        self._state: RobotState | None = None
        self._command: JointCommand | None = None
        self._unheard = False
        """States come, but who is to hear the answers is not there yet."""
        self._watch.begin(time.monotonic())

    def _on_message(self, topic: str, data: bytes) -> None:
        """Answer the state that these bytes of a message complete, if they do."""
        if not self._active and not self._ours:
            return
        complete = self._collector.add(topic, data)
        if complete is not None:
            self._take_in(*complete, self.get_clock().now().nanoseconds)

    def _take(self, state: RobotState, now: int) -> None:
        """Answer a state of the simulation in this process, at the simulated time ``now``, ns."""
        if self._active or self._ours:
            self._take_in(state, time.perf_counter(), now)

    def _take_in(self, state: RobotState, arrived: float, now: int) -> None:
        """Answer a state; ``now`` is the time of its clock, ns, 0 if not known."""
        self._unheard = not self._output.heard_by(self._settings.wait_for)
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
        controller = self._controller
        assert controller is not None and self._report is not None
        first, self._state = self._state is None, state
        reason = self._watch.arrived(time.monotonic(), age)
        if not self._active:
            self._send(controller.damping(state))
            return
        if reason:
            controller.fail(reason)
        if self._end_ns is not None and state.stamp >= self._end_ns:
            self._finish(1 if self._faulty() else 0)
            return
        command = controller.step(state)
        self._send(command)
        if not first:  # whose messages came while topics were still being matched
            self._report.add_latency(time.perf_counter() - arrived)
        limited = self._end_ns is None and self._settings.duration > 0.0
        if limited and command.mode is Mode.TRACK:
            self._end_ns = state.stamp + round(self._settings.duration * 1e9)
        if controller.tick is not None:
            body = controller.observer.anchor_body
            self._output.publish_tick(controller.tick, state.stamp, body)
        self._report.add(controller)
        self._end_without_hope()

    def _repeat(self, state: RobotState) -> None:
        """Answer a state that was sent again: the first answer was lost, or the robot is paused."""
        assert self._controller is not None
        self._watch.arrived(time.monotonic(), None)
        if self._command is None or self._command.mode is not self._controller.mode:
            self._send(self._controller.damping(state))
        else:
            self._send(self._command)

    # Commands -----------------------------------------------------------------------------------

    def _send(self, command: JointCommand) -> None:
        """Publish a command, and tell mode and fault when they have changed."""
        self._command = command
        news = command.mode is not self._output.mode
        self._output.send(command)
        if news:
            self.get_logger().info(f"mode: {command.mode.value}")
        self._tell(news)

    def _tell(self, news: bool = False) -> None:
        """Tell a fault that has not been told yet; ``news``: diagnostics have changed anyway."""
        fault = self._controller.mode_state.fault if self._controller else ""
        if fault and fault != self._fault_said:
            self.get_logger().error(f"fault: {fault}; damping until ~/reset_fault")
        if news or fault != self._fault_said:
            self._fault_said = fault
            self._diagnostics.publish_on_change()

    def _request(self, wanted: str) -> str:
        """Serve ~/stand, ~/track and ~/stop."""
        controller = self._controller
        if controller is None or not self._active:
            raise G1MimicError("the policy node is not active")
        getattr(controller, wanted)()
        return f"mode: {controller.mode.value}"

    def _reset_fault(self) -> str:
        """Serve ~/reset_fault."""
        controller = self._controller
        if controller is None:
            raise G1MimicError("the policy node is not configured")
        fault = controller.mode_state.fault
        if not fault:
            return "no fault is latched"
        controller.reset_fault()
        self._forget_states()
        self._fault_said = ""
        self.get_logger().warning(f"fault reset: {fault}")
        self._diagnostics.publish_on_change()
        return f"reset: {fault}; mode: {controller.mode.value}"

    # Faults -------------------------------------------------------------------------------------

    def _fail(self, reason: str) -> None:
        """Latch a fault and damp at once, without waiting for the next state."""
        if self._controller is None:
            self.get_logger().error(reason, once=True)
            return
        self._controller.fail(reason)
        if self._ours and self._state is not None:
            self._send(self._controller.damping(self._state))
        else:
            self._tell()
        if self._active:
            self._end_without_hope()

    def _end_without_hope(self) -> None:
        """End a run of limited duration that a fault kept from tracking: its end never comes."""
        assert self._controller is not None
        if (
            self._settings.duration > 0.0
            and self._end_ns is None
            and self._controller.mode_state.fault
        ):
            self._finish(1)

    def _watch_states(self) -> None:
        """Watch the arrival of states by the wall clock."""
        if not self._active or self.finished.done():
            return
        if reason := self._watch.silent(time.monotonic()):
            self._fail(f"{reason}: {self._waiting()}" if self._state is None else reason)

    def _watch_graph(self) -> None:
        """Watch who else is there."""
        others = self._other_publishers()
        if not self._active:
            self._ours = self._ours and not others  # handed on
            return
        if self.finished.done():
            return
        if others:
            self._fail(f"{others} other publisher(s) on joint_targets")
        if self._state is not None and self.count_publishers("joint_states") == 0:
            self._fail("nobody publishes joint_states any more")
            if self._settings.duration > 0.0 or self._settings.realtime_factor == 0.0:
                self._finish(1)

    def _other_publishers(self) -> int:
        return self.count_publishers("joint_targets") - 1

    def _faulty(self) -> bool:
        """True if a fault other than a fall is latched: a fall is a result."""
        controller = self._controller
        return bool(controller and controller.mode_state.fault and not controller.tilted)

    def _finish(self, status: int) -> None:
        if not self.finished.done():
            self.finished.set_result(status)

    # Diagnostics --------------------------------------------------------------------------------

    def _status(self) -> Reading:
        if self._controller is None:
            return (ERROR, self._problem, {}) if self._problem else (WARN, "not configured", {})
        return policy_status(self._controller, self._settings, self._active, self._waiting())

    def _state_status(self) -> Reading:
        controller = self._controller if self._active else None
        return state_status(controller, self._watch, self._waiting())

    def _limits_status(self) -> Reading:
        return limits_status(self._controller)

    def _timing_status(self) -> Reading:
        return timing_status(self._controller, self._report)

    def _waiting(self) -> str:
        """Return what the first state waits for; empty once there is one."""
        if self._state is not None:
            return ""
        if self._unheard:
            return f"waiting for {self._settings.wait_for} to listen to joint_targets"
        return f"waiting for {' and '.join(self._collector.topics)}"

    def _write_report(self) -> None:
        if not self._settings.report or self._report is None or self._policy is None:
            return
        controller = self._controller
        content = {
            "policy": self._settings.policy,
            "motion": ",".join(controller.player.names) if controller else "",
            "seed": self._settings.seed,
            "duration": self._settings.duration,
            "realtime_factor": self._settings.realtime_factor,
            **self._report.figures(),
            "missed_deadlines": controller.lateness.missed_ticks if controller else 0,
            "fault": controller.mode_state.fault if controller else "",
        }
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        atomic_write_text(self._settings.report, text)
