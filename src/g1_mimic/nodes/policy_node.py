"""Node ``policy``: a lifecycle node that drives the robot with a policy file.

configure loads and checks the file, activate goes damping → stand → track, deactivate and any
fault go to damping. Everything that is decided lies in `PolicyController`; this is its ROS rim.
"""

from __future__ import annotations

import json
import time
from functools import partial
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from pydantic import ConfigDict, Field
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import Empty, Float64, Float64MultiArray, String

from g1_mimic.control.modes import Mode
from g1_mimic.control.state import JointCommand, RobotState
from g1_mimic.errors import G1MimicError
from g1_mimic.files import atomic_write_text
from g1_mimic.nodes.common import (
    ERROR,
    LATCHED_QOS,
    OK,
    STREAM_QOS,
    WARN,
    Diagnostics,
    trigger_service,
)
from g1_mimic.nodes.messages import JointMessage, gains_message
from g1_mimic.nodes.parameters import Parameters
from g1_mimic.nodes.policy_file import load_policy, profile_of
from g1_mimic.nodes.state_input import StateCollector
from g1_mimic.policy.controller import ControllerSettings, PolicyController, Tick
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.policy.tracking_report import TrackingReport

_WATCH_PERIOD = 0.02
"""Wall period of the watchdog, s."""
_PARTING_TIME = 0.5
"""Wall time for which a node that is told to go repeats the damping command, s."""


class PolicyNodeSettings(ControllerSettings):
    """Parameters of ``policy``."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    policy: str = ""
    """Policy file: a path, or the name of one of the package's own."""
    action_scale: str = ""
    """For a policy without one: rad per unit action, or 'effort' for 0.25·effort/stiffness."""
    motion: str = ""
    """What it tracks: names of clips that the policy carries, or other motions (names, files,
    folders), comma-separated, the first one to begin with; empty: all that it carries."""
    robot: str = ""
    """Robot profile (name or path) whose limits hold; empty: the one of the policy."""
    autostart: bool = False
    """Configure and activate without a lifecycle manager."""
    odometry: bool = False
    """Wait for the topic odom with every state: tracking errors in position, judging falls."""
    report: str = ""
    """Where to write the JSON report at the end; empty: none."""
    duration: float = Field(0.0, ge=0.0)
    """Seconds of tracking, by the states' stamps, after which the node ends; 0: for ever."""
    realtime_factor: float = Field(1.0, ge=0.0, le=20.0)
    """That of the simulation, 1 on a robot; 0 (lock-step) needs no watchdog on arrival times."""
    seed: int = Field(0, ge=0)
    """That of the simulation, for the report."""


class PolicyNode(LifecycleNode):
    """The ROS rim of `PolicyController`.

    Raises:
        G1MimicError: for bad parameters; with ``autostart`` also for a bad policy.
    """

    def __init__(self) -> None:
        super().__init__("policy", automatically_declare_parameters_from_overrides=True)
        self.finished: Any = Future()
        self._settings = Parameters(self, PolicyNodeSettings).settings
        self._controller: PolicyController | None = None
        self._policy: OnnxPolicy | None = None
        self._report: TrackingReport | None = None
        self._problem = ""
        self._active = False
        self._said: tuple[Mode, str] | None = None
        self._forget_states()

        self._target = JointMessage()
        self._reference = JointMessage()
        self._target_out = self.create_publisher(JointState, "joint_targets", STREAM_QOS)
        self._gains_out = self.create_publisher(Float64MultiArray, "joint_gains", LATCHED_QOS)
        self._motion_out = self.create_publisher(String, "policy/motion", LATCHED_QOS)
        self._switches: list[Any] = []
        self._mode_out = self.create_publisher(String, "policy/mode", LATCHED_QOS)
        self._action_out = self.create_publisher(Float64MultiArray, "policy/action", 10)
        self._reference_out = self.create_publisher(JointState, "reference/joint_states", 10)
        self._scalars = {
            name: self.create_publisher(Float64, f"policy/{name}", 10)
            for name in (
                "inference_ms",
                "tracking_error/joint_pos",
                "tracking_error/anchor_pos",
                "tracking_error/anchor_ori",
            )
        }
        topics: dict[str, Any] = {"joint_states": JointState, "imu": Imu}
        if self._settings.odometry:
            topics["odom"] = Odometry
        for topic, kind in topics.items():
            self.create_subscription(kind, topic, partial(self._on_message, topic), STREAM_QOS)
        self.create_subscription(
            Empty, "e_stop", lambda _: self._fail("emergency stop"), STREAM_QOS
        )
        trigger_service(self, "~/stand", lambda: self._request("stand"))
        trigger_service(self, "~/track", lambda: self._request("track"))
        trigger_service(self, "~/stop", lambda: self._request("stop"))
        self._diagnostics = Diagnostics(self, self._status)
        self.create_timer(_WATCH_PERIOD, self._watch)
        if self._settings.autostart:
            for transition in (self.trigger_configure, self.trigger_activate):
                if transition() != TransitionCallbackReturn.SUCCESS:
                    raise G1MimicError(self._problem or "the policy node could not start")

    def close(self) -> None:
        """Damp the robot for a while if it is under control, and write the report."""
        if self._active and not self._completed:
            self._deactivate()
        self._write_report()

    # Lifecycle ----------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and check policy and profile."""
        settings = self._settings
        try:
            if not settings.policy:
                raise G1MimicError("parameter 'policy' is empty: give the policy file")
            policy = load_policy(settings.policy, settings.action_scale, settings.robot)
            controller = PolicyController(
                policy, profile_of(policy, settings.robot), settings, settings.motion
            )
            if controller.needs_odometry and not settings.odometry:
                raise G1MimicError("the policy observes the pelvis' position: set odometry:=true")
        except G1MimicError as error:
            return self._refuse(str(error))
        self._policy, self._controller, self._problem = policy, controller, ""
        self._report = TrackingReport(1.0 / policy.metadata.control_rate_hz)
        self._offer_motions(controller)
        return super().on_configure(state)

    def _offer_motions(self, controller: PolicyController) -> None:
        """Tell the present motion, and offer a service for each if there are several."""
        if strange := controller.strange_motions:
            self.get_logger().warning(
                f"not trained on {', '.join(strange)}: the policy may fall with what it never saw"
            )
        if len(controller.motions) > 1:
            self._switches = [
                trigger_service(self, f"~/switch_to_{name}", partial(self._switch, name))
                for name in controller.motions
            ]
        self._motion_out.publish(String(data=controller.motion))

    def _switch(self, name: str) -> str:
        """Serve ~/switch_to_NAME."""
        assert self._controller is not None
        self._controller.switch(name)
        self._motion_out.publish(String(data=name))
        self.get_logger().info(f"motion: {name}")
        return f"motion: {name}"

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take the robot: refused while somebody else commands it."""
        if (others := self.count_publishers("joint_targets") - 1) > 0:
            return self._refuse(f"{others} other publisher(s) on joint_targets: stop them first")
        assert self._controller is not None
        self._forget_states()
        self._controller.activate()
        self._active = True
        return super().on_activate(state)

    def _refuse(self, problem: str) -> TransitionCallbackReturn:
        """Stay in the present lifecycle state and say why."""
        self._problem = problem
        if not self._settings.autostart:  # there the process ends with this as its last line
            self.get_logger().error(problem)
        return TransitionCallbackReturn.FAILURE

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let the robot go, damped."""
        self._deactivate()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the policy."""
        for service in self._switches:
            self.destroy_service(service)
        self._switches = []
        self._controller = self._policy = None
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the process, damped."""
        self._finish(0)
        return super().on_shutdown(state)

    def _deactivate(self) -> None:
        """Repeat the damping command for a while, so that no single loss matters, then be quiet."""
        self._active = False
        assert self._controller is not None
        self._controller.deactivate()
        if self._state is not None:
            end = time.monotonic() + _PARTING_TIME
            while time.monotonic() < end:
                self._send(self._controller.damping(self._state))
                time.sleep(0.01)
            self._target_out.wait_for_all_acked(Duration(seconds=0.2))

    # States -------------------------------------------------------------------------------------

    def _forget_states(self) -> None:
        self._collector = StateCollector(self._settings.odometry)
        self._state: RobotState | None = None
        self._command: JointCommand | None = None
        self._arrived_at = time.monotonic()
        self._end_ns: int | None = None
        self._completed = False

    def _on_message(self, topic: str, message: Any) -> None:
        """Answer the state that this message completes, if it does."""
        if not self._active:
            return
        try:
            complete = self._collector.add(topic, message)
        except G1MimicError as error:
            self._fail(str(error))
            return
        if complete is None:
            return
        state, arrived = complete
        self._arrived_at = time.monotonic()
        if self._state is not None and state.stamp == self._state.stamp:
            self._repeat(state)
        else:
            self._answer(state, arrived)

    def _answer(self, state: RobotState, arrived: float) -> None:
        """Answer a new state."""
        first, self._state = self._state is None, state
        if self._end_ns is not None and state.stamp >= self._end_ns:
            self._completed = True
            self._finish(1 if self._faulty() else 0)
            return
        controller = self._controller
        assert controller is not None and self._report is not None
        command = controller.step(state)
        self._send(command)
        if not first:  # whose messages came while topics were still being matched
            self._report.add_latency(time.perf_counter() - arrived)
        if command.mode is Mode.TRACK:
            if self._end_ns is None and self._settings.duration > 0.0:
                self._end_ns = state.stamp + round(self._settings.duration * 1e9)
            if controller.hits is not None:
                self._report.add_hits(controller.hits)
            if controller.tick is not None:
                self._report.add_tick(controller.tick)
                self._publish_tick(controller.tick, state.stamp)
        self._report.fell |= controller.tilted
        self._end_without_hope()

    def _repeat(self, state: RobotState) -> None:
        """Answer a state that was sent again: the first answer was lost, or the robot is paused."""
        assert self._controller is not None
        if self._command is None or self._command.mode is not self._controller.mode:
            self._send(self._controller.damping(state))
        else:
            self._send(self._command)

    # Commands -----------------------------------------------------------------------------------

    def _send(self, command: JointCommand) -> None:
        """Publish a command; what it depends on (mode, gains) goes first."""
        self._command = command
        self._say(command)
        self._target.message.header.frame_id = command.mode.value
        self._target.position[:] = command.position
        self._target_out.publish(self._target.stamp(command.stamp))

    def _say(self, command: JointCommand) -> None:
        """Tell mode and fault when they have changed."""
        controller = self._controller
        news = (command.mode, controller.mode_state.fault if controller else "")
        if news == self._said:
            return
        mode_changed = self._said is None or self._said[0] is not command.mode
        self._said = news
        if mode_changed:
            self._gains_out.publish(gains_message(command))
            self._mode_out.publish(String(data=command.mode.value))
            self.get_logger().info(f"mode: {command.mode.value}")
        if news[1]:
            self.get_logger().error(f"fault: {news[1]}; damping until the node is reactivated")
        self._diagnostics.publish_on_change()

    def _publish_tick(self, tick: Tick, stamp: int) -> None:
        """Publish what people plot."""
        self._action_out.publish(Float64MultiArray(data=tick.action))
        self._reference.position[:] = tick.reference.joint_pos
        self._reference.velocity[:] = tick.reference.joint_vel
        self._reference_out.publish(self._reference.stamp(stamp))
        figures = {
            "inference_ms": tick.inference_s * 1e3,
            "tracking_error/joint_pos": float(np.abs(tick.joint_error).mean()),
            "tracking_error/anchor_ori": tick.anchor_angle,
        }
        if tick.anchor_error is not None:
            figures["tracking_error/anchor_pos"] = float(np.linalg.norm(tick.anchor_error))
        for name, value in figures.items():
            self._scalars[name].publish(Float64(data=value))

    def _request(self, wanted: str) -> str:
        """Serve ~/stand, ~/track and ~/stop."""
        controller = self._controller
        if controller is None or not self._active:
            raise G1MimicError("the policy node is not active")
        getattr(controller, wanted)()
        return f"mode: {controller.mode.value}"

    # Faults -------------------------------------------------------------------------------------

    def _fail(self, reason: str) -> None:
        """Latch a fault and damp at once, without waiting for the next state."""
        if self._controller is None or not self._active:
            return
        self._controller.fail(reason)
        if self._state is not None:
            self._send(self._controller.damping(self._state))
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

    def _watch(self) -> None:
        """Watch the arrival of states by the wall clock."""
        if not self._active or self._state is None or self.finished.done():
            return
        settings = self._settings
        gone = self.count_publishers("joint_states") == 0
        if settings.realtime_factor > 0.0:
            silence = (time.monotonic() - self._arrived_at) * settings.realtime_factor
            if silence > settings.state_timeout:
                self._fail(f"no state for {silence:.3f} s")
        if gone:
            self._fail("nobody publishes joint_states any more")
            if settings.duration > 0.0 or settings.realtime_factor == 0.0:
                self._finish(1)

    def _faulty(self) -> bool:
        """True if a fault other than a fall is latched: a fall is a result."""
        controller = self._controller
        return bool(controller and controller.mode_state.fault and not controller.tilted)

    def _finish(self, status: int) -> None:
        if not self.finished.done():
            self.finished.set_result(status)

    def _status(self) -> tuple[int, str, dict[str, object]]:
        controller, report = self._controller, self._report
        if controller is None or report is None:
            return (ERROR, self._problem, {}) if self._problem else (WARN, "not configured", {})
        fault = controller.mode_state.fault
        figures: dict[str, object] = {
            "policy": self._settings.policy,
            "motion": controller.motion,
            "mode": controller.mode.value,
            "fault": fault or "none",
            "missed_policy_periods": controller.missed_ticks,
            **{f"latency_{k}_ms": v for k, v in report.latency_ms().items()},
        }
        if fault:
            return ERROR, fault, figures
        if not self._active:
            return WARN, "not active", figures
        if self._state is None:
            return WARN, f"waiting for {' and '.join(self._collector.topics)}", figures
        level = OK if controller.mode is not Mode.DAMPING else WARN
        return level, controller.mode.value, figures

    def _write_report(self) -> None:
        if not self._settings.report or self._report is None or self._policy is None:
            return
        controller = self._controller
        content = {
            "policy": self._settings.policy,
            "motion": ",".join(controller.motions) if controller else "",
            "seed": self._settings.seed,
            "duration": self._settings.duration,
            "realtime_factor": self._settings.realtime_factor,
            **self._report.figures(),
            "missed_deadlines": controller.missed_ticks if controller else 0,
            "fault": controller.mode_state.fault if controller else "",
        }
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        atomic_write_text(self._settings.report, text)
