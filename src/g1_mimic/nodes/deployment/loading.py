"""What the node ``policy`` makes of its parameters when it is configured."""

from __future__ import annotations

import json
from typing import NamedTuple

from g1_mimic.deployment.controller import PolicyController
from g1_mimic.deployment.inference import InferenceRunner
from g1_mimic.deployment.tracking_report import TrackingReport
from g1_mimic.errors import BadState, BadValue
from g1_mimic.files import atomic_write_text
from g1_mimic.nodes.deployment.settings import PolicyNodeSettings
from g1_mimic.policy.load import load_policy, profile_of
from g1_mimic.simulation.fault_kinds import load_faults
from g1_mimic.simulation.injected_faults import FaultyPolicy


class Loaded(NamedTuple):
    """A policy that is ready to drive the robot."""

    controller: PolicyController
    inference: InferenceRunner
    report: TrackingReport


def load(settings: PolicyNodeSettings) -> Loaded:
    """Load and check policy and profile.

    Raises:
        G1MimicError: if they do not fit one another, or the parameters.
    """
    if not settings.policy:
        raise BadValue("parameter 'policy' is empty: give the policy file")
    policy = load_policy(settings.policy, settings.action_scale, settings.robot)
    period = 1.0 / policy.metadata.control_rate_hz
    faulty = FaultyPolicy(policy, load_faults(settings.faults), period)
    in_step = settings.realtime_factor == 0.0
    inference = InferenceRunner(faulty, None if in_step else settings.inference_wait)
    profile = profile_of(policy, settings.robot)
    controller = PolicyController(policy, profile, settings, settings.motion, inference)
    if controller.observer.needs_odometry and not settings.odometry:
        raise BadState("the policy observes the pelvis' position: set odometry:=true")
    return Loaded(controller, inference, TrackingReport(period))


def write_report(loaded: Loaded, settings: PolicyNodeSettings) -> None:
    """Write the JSON report at the end of a run."""
    controller = loaded.controller
    content = {
        "policy": settings.policy,
        "motion": ",".join(controller.player.names),
        "seed": settings.seed,
        "duration": settings.duration,
        "realtime_factor": settings.realtime_factor,
        **loaded.report.figures(),
        "missed_deadlines": controller.lateness.missed_ticks,
        "fault": controller.mode_state.fault,
    }
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    atomic_write_text(settings.report, text)
