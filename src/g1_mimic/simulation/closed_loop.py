"""Deployment in one process, without ROS: the controller of the policy node drives the simulator.

The same controller and the same simulated robot as in ``deploy_sim``, in lock-step, without the
messages between them. What it computes is what the two nodes compute.
"""

from __future__ import annotations

import time

from g1_mimic.control.modes import Mode
from g1_mimic.deployment.controller import PolicyController
from g1_mimic.deployment.safety import ControllerSettings
from g1_mimic.deployment.tracking_report import TrackingReport
from g1_mimic.policy.load import load_policy, profile_of
from g1_mimic.simulation.settings import SimSettings
from g1_mimic.simulation.setup import make_simulator
from g1_mimic.simulation.simulator import STATE_PERIOD_NS


class ClosedLoop:
    """A policy that drives a simulated robot, from the hoist on.

    Args:
        settings: of the simulation; ``policy`` names the policy.
        controller: of the controller.
        motion: what is tracked, as `deployment.player.clips_for` reads it.

    Raises:
        G1MimicError: if policy, profile or motion do not fit.
    """

    def __init__(
        self,
        settings: SimSettings,
        controller: ControllerSettings | None = None,
        motion: str = "",
    ) -> None:
        policy = load_policy(settings.policy, settings.action_scale, settings.robot)
        self.sim = make_simulator(settings)
        self.controller = PolicyController(
            policy,
            profile_of(policy, settings.robot),
            controller or ControllerSettings(),
            motion=motion,
        )
        self.controller.activate()
        self.report = TrackingReport(1.0 / policy.metadata.control_rate_hz)

    def step(self) -> None:
        """Let the controller answer the present state, and the robot move for one period."""
        sim, controller = self.sim, self.controller
        if not sim.lost:
            started = time.perf_counter()
            command = controller.step(sim.state())
            self.report.add_latency(time.perf_counter() - started)
            sim.set_target(command)
            if command.mode is Mode.TRACK:
                sim.release()
            self.report.add(controller)
        sim.step()

    def track(self, seconds: float) -> bool:
        """Stand up, then track for ``seconds``; return whether nothing made it stop before."""
        tracked = 0
        while tracked < round(seconds * 1e9 / STATE_PERIOD_NS):
            self.step()
            if self.controller.mode_state.fault:
                return False
            tracked += self.controller.mode is Mode.TRACK
        return True
