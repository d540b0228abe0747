"""Node ``policy``: a lifecycle node that drives the robot with a policy file.

configure loads and checks the file, activate goes damping → stand → track, deactivate and any
fault go to damping. Everything that is decided lies in `PolicyController`; this is its ROS rim:
lifecycle, services and diagnostics here, states and commands in `Driver`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from std_msgs.msg import Empty

from g1_mimic.control.state import JointCommand
from g1_mimic.deployment.controller import PolicyController
from g1_mimic.errors import BadState, G1MimicError
from g1_mimic.nodes.deployment.driver import Driver
from g1_mimic.nodes.deployment.loading import load, write_report
from g1_mimic.nodes.deployment.settings import PolicyNodeSettings
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
    trigger_service,
)
from g1_mimic.nodes.shared.guards import Guards
from g1_mimic.nodes.shared.parameters import Parameters


class PolicyNode(LifecycleNode):
    """The ROS rim of `PolicyController`.

    Args:
        hand_over: takes each command where the simulation is in this process
            (`nodes.composition`): states then come to `take`, instead of by topics.

    Attributes:
        take: as `Driver.take`.

    Raises:
        G1MimicError: for bad parameters; with ``autostart`` also for a bad policy.
    """

    def __init__(self, hand_over: Callable[[JointCommand], None] | None = None) -> None:
        super().__init__("policy", automatically_declare_parameters_from_overrides=True)
        self.finished: Any = Future()
        self._problem = self._fault_said = ""
        self._switches: list[Any] = []
        guards = self._guarding = Guards(lambda reason: self._driver.fail(reason))
        self._params = Parameters(self, PolicyNodeSettings, guards.request(self._apply))
        settings = self._params.settings
        self._driver = Driver(self, guards, settings, self.finished, self._tell, hand_over)
        self.take = self._driver.take
        self.create_subscription(
            Empty, "e_stop", lambda _: self._driver.fail("emergency stop"), STREAM_QOS
        )
        for wanted in ("stand", "track", "stop"):
            trigger_service(self, f"~/{wanted}", guards.request(partial(self._request, wanted)))
        trigger_service(self, "~/reset_fault", guards.request(self._reset_fault))
        self._diagnostics = Diagnostics(
            self,
            guards.reading(self._status),
            {
                "state": guards.reading(self._state_status),
                "limits": guards.reading(lambda: limits_status(self._driver.controller)),
                "timing": guards.reading(lambda: timing_status(self._driver.loaded)),
            },
        )
        if settings.autostart:
            for transition in (self.trigger_configure, self.trigger_activate):
                if transition() != TransitionCallbackReturn.SUCCESS:
                    raise BadState(self._problem or "the policy node could not start")

    def close(self) -> None:
        """Damp the robot to the last if it is under control, and write the report."""
        with self._driver.letting_go() if self._driver.active else nullcontext():
            if self._params.settings.report and self._driver.loaded is not None:
                write_report(self._driver.loaded, self._params.settings)

    def _apply(self, settings: PolicyNodeSettings) -> None:
        """Take over changed parameters."""
        self._driver.configure(settings)

    # Lifecycle ----------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and check policy and profile."""
        try:
            loaded = load(self._params.settings)
        except G1MimicError as error:
            return self._refuse(str(error))
        if self._fault_said:  # a new configuration clears no fault
            loaded.controller.fail(self._fault_said)
        self._driver.loaded, self._problem = loaded, ""
        self._offer_motions(loaded.controller)
        return super().on_configure(state)

    def _offer_motions(self, controller: PolicyController) -> None:
        """Tell the present motion, and offer a service for each if there are several."""
        player, request = controller.player, self._guarding.request
        if strange := player.strange_names:
            self.get_logger().warning(
                f"not trained on {', '.join(strange)}: the policy may fall with what it never saw"
            )
        if len(player.names) > 1:
            self._switches = [
                trigger_service(self, f"~/switch_to_{name}", request(partial(self._switch, name)))
                for name in player.names
            ]
        self._driver.output.tell_motion(player.current)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take the robot: refused while somebody else commands it, or a fault is latched."""
        if others := self._driver.other_publishers():
            return self._refuse(f"{others} other publisher(s) on joint_targets: stop them first")
        assert self._driver.controller is not None
        try:
            self._driver.controller.activate()
        except G1MimicError as error:
            return self._refuse(str(error))
        self._problem = ""
        self._driver.begin()
        return super().on_activate(state)

    def _refuse(self, problem: str) -> TransitionCallbackReturn:
        """Stay in the present lifecycle state and say why."""
        self._problem = problem
        if not self._params.settings.autostart:  # there the process ends with this as its last line
            self.get_logger().error(problem)
        return TransitionCallbackReturn.FAILURE

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let the robot go, damped."""
        with self._driver.letting_go():
            return super().on_deactivate(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Damp the robot when a transition failed in an unexpected way."""
        if self._driver.active:
            with self._driver.letting_go():
                pass
        return super().on_error(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the policy."""
        for service in self._switches:
            self.destroy_service(service)
        self._switches = []
        self._driver.unload()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the process, damped."""
        self._driver.finish(0)
        return super().on_shutdown(state)

    # Services -----------------------------------------------------------------------------------

    def _request(self, wanted: str) -> str:
        """Serve ~/stand, ~/track and ~/stop."""
        controller = self._driver.controller
        if controller is None or not self._driver.active:
            raise BadState("the policy node is not active")
        getattr(controller, wanted)()
        return f"mode: {controller.mode.value}"

    def _switch(self, name: str) -> str:
        """Serve ~/switch_to_NAME."""
        assert self._driver.controller is not None
        self._driver.controller.switch(name)
        self._driver.output.tell_motion(name)
        self.get_logger().info(f"motion: {name}")
        return f"motion: {name}"

    def _reset_fault(self) -> str:
        """Serve ~/reset_fault."""
        controller = self._driver.controller
        if controller is None:
            raise BadState("the policy node is not configured")
        fault = controller.mode_state.fault
        if not fault:
            return "no fault is latched"
        controller.reset_fault()
        self._driver.forget_states()
        self._fault_said = ""
        self.get_logger().warning(f"fault reset: {fault}")
        self._diagnostics.publish_on_change()
        return f"reset: {fault}; mode: {controller.mode.value}"

    # Diagnostics --------------------------------------------------------------------------------

    def _tell(self, news: bool) -> None:
        """Tell a new mode (``news``), and a fault that has not been told yet."""
        controller = self._driver.controller
        if controller is None:
            return
        if news:
            self.get_logger().info(f"mode: {controller.mode.value}")
        fault = controller.mode_state.fault
        if fault and fault != self._fault_said:
            self.get_logger().error(f"fault: {fault}; damping until ~/reset_fault")
        if news or fault != self._fault_said:
            self._fault_said = fault
            self._diagnostics.publish_on_change()

    def _status(self) -> Reading:
        driver, settings = self._driver, self._params.settings
        if driver.controller is None:
            return (ERROR, self._problem, {}) if self._problem else (WARN, "not configured", {})
        return policy_status(driver.controller, settings, driver.active, driver.waiting())

    def _state_status(self) -> Reading:
        driver = self._driver
        controller = driver.controller if driver.active else None
        return state_status(controller, driver.watch, driver.waiting())
