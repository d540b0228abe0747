"""What the statuses of the node ``policy`` say: levels, messages and figures."""

from __future__ import annotations

import time

from g1_mimic.control.modes import Mode
from g1_mimic.deployment.controller import PolicyController
from g1_mimic.nodes.deployment.loading import Loaded
from g1_mimic.nodes.deployment.settings import PolicyNodeSettings
from g1_mimic.nodes.deployment.state_watch import StateWatch
from g1_mimic.nodes.shared.common import ERROR, OK, WARN, Reading

_TOLD_LATENCIES = 500
"""Newest answers (a second's) whose latency is told; to sort all of them would take 30 ms."""


def policy_status(
    controller: PolicyController, settings: PolicyNodeSettings, active: bool, waiting: str
) -> Reading:
    """Tell mode and fault.

    Args:
        controller: of the node.
        settings: of the node.
        active: the node has the robot.
        waiting: what the node waits for; empty once states come.
    """
    fault = controller.mode_state.fault
    figures: dict[str, object] = {
        "policy": settings.policy,
        "motion": controller.player.current,
        "mode": controller.mode.value,
        "fault": fault or "none",
    }
    if fault:
        return ERROR, fault, figures
    if not active:
        return WARN, "not active", figures
    if waiting:
        return WARN, waiting, figures
    return WARN if controller.mode is Mode.DAMPING else OK, controller.mode.value, figures


def state_status(controller: PolicyController | None, watch: StateWatch, waiting: str) -> Reading:
    """Tell whether states come, how old they are, and how near to a fault the robot is.

    Args:
        controller: of the node; None while it is not active.
        watch: of its states.
        waiting: what the node waits for; empty once states come.
    """
    if controller is None:
        return WARN, "not watched: the node is not active", {}
    figures = {"tilt_rad": controller.tilt} | controller.supervisor.figures() | watch.figures()
    if silence := watch.silence(time.monotonic()):
        return ERROR, silence, figures
    if waiting:
        return WARN, waiting, figures
    warning = watch.warning() or controller.state_warning()
    return WARN if warning else OK, warning or "fresh", figures


def limits_status(controller: PolicyController | None) -> Reading:
    """Tell how much of what the policy wants the limits take away."""
    if controller is None:
        return OK, "nothing to limit", {}
    figures = {f"{name}_limit_hits": n for name, n in controller.limit_log.totals().items()}
    if controller.mode is Mode.DAMPING:
        return OK, "nothing to limit", figures
    warning = controller.limit_log.warning()
    return WARN if warning else OK, warning or "within limits", figures


def timing_status(loaded: Loaded | None) -> Reading:
    """Tell whether actions and commands come in time."""
    if loaded is None:
        return OK, "not running", {}
    lateness, latency = loaded.controller.lateness, loaded.report.latency_ms(_TOLD_LATENCIES)
    figures: dict[str, object] = {
        "missed_policy_periods": lateness.missed_ticks,
        "missed_inferences": lateness.missed_inferences,
    }
    figures |= {f"latency_{k}_ms": v for k, v in latency.items()}
    warning = loaded.controller.timing_warning()
    return WARN if warning else OK, warning or "in time", figures
