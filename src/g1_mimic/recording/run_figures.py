"""What a recording says about a run, in numbers: tracking, torques against limits, latency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from g1_mimic.recording.bag_reader import JointSeries, Recording
from g1_mimic.robot.profile import load_profile


@dataclass(frozen=True)
class RunFigures:
    """Figures of one run; times are seconds since the first state.

    Attributes:
        time: [N] of the states.
        torque_limit: [29] N·m, of deployment.
        torque: [N, 29] measured, N·m.
        reference_time: [K] of the reference frames; K may be 0.
        joint_error: [K, 29] measured minus reference, rad.
        latency_time: [L] of the states that were answered.
        latency_ms: [L] from the sending of a state to that of its target, wall time.
        unanswered: states without a target, those after the last target aside.
        period_ms: [N - 1] wall time between the sending of two states.
        position_margin: [29] smallest distance of the measured joint to a position limit, rad.
        modes: start, end and name of each mode, by the targets.
    """

    time: np.ndarray
    torque_limit: np.ndarray
    torque: np.ndarray
    reference_time: np.ndarray
    joint_error: np.ndarray
    latency_time: np.ndarray
    latency_ms: np.ndarray
    unanswered: int
    period_ms: np.ndarray
    position_margin: np.ndarray
    modes: list[tuple[float, float, str]]

    @property
    def torque_share(self) -> np.ndarray:
        """Measured torque over its limit [N, 29], absolute."""
        return np.abs(self.torque) / self.torque_limit


def run_figures(recording: Recording) -> RunFigures:
    """Evaluate a recording; limits are those in the file, else those of the default profile.

    Raises:
        G1MimicError: if the default profile is needed and missing.
    """
    states = recording.joints["joint_states"]
    targets = recording.joints["joint_targets"]
    reference = recording.joints["reference/joint_states"]
    profile = recording.facts or load_profile()
    start = int(states.stamp[0])
    of_state, of_reference = _common(states, reference)
    answered, answers = _common(states, targets)
    last = targets.stamp[-1] if len(targets) else states.stamp[0] - 1
    first = targets.stamp[0] if len(targets) else last
    expected = int(((states.stamp >= first) & (states.stamp <= last)).sum())
    margin = np.minimum(
        states.position - profile.position_lower, profile.position_upper - states.position
    )
    return RunFigures(
        time=(states.stamp - start) * 1e-9,
        torque_limit=profile.deploy_torque_limit,
        torque=states.effort,
        reference_time=(states.stamp[of_state] - start) * 1e-9,
        joint_error=states.position[of_state] - reference.position[of_reference],
        latency_time=(states.stamp[answered] - start) * 1e-9,
        latency_ms=(targets.sent[answers] - states.sent[answered]) * 1e-6,
        unanswered=expected - len(answered),
        period_ms=np.diff(states.sent) * 1e-6,
        position_margin=margin.min(axis=0),
        modes=_modes(targets, start),
    )


def _common(a: JointSeries, b: JointSeries) -> tuple[np.ndarray, np.ndarray]:
    """Return where in ``a`` and in ``b`` the stamps are that both have."""
    _, in_a, in_b = np.intersect1d(a.stamp, b.stamp, assume_unique=True, return_indices=True)
    return in_a, in_b


def _modes(targets: JointSeries, start: int) -> list[tuple[float, float, str]]:
    """Return the stretches of equal mode."""
    if not len(targets):
        return []
    time = (targets.stamp - start) * 1e-9
    changes = np.flatnonzero(targets.mode[1:] != targets.mode[:-1]) + 1
    begins = np.concatenate([[0], changes])
    ends = np.concatenate([changes, [len(time) - 1]])
    return [
        (float(time[b]), float(time[e]), str(targets.mode[b]))
        for b, e in zip(begins, ends, strict=True)
    ]


def wall_times(recording: Recording, figures: RunFigures) -> dict[str, np.ndarray]:
    """Return what took how long, ms of wall time [N] each; absent ones are left out."""
    times = {
        "state to target": figures.latency_ms,
        "state period": figures.period_ms,
        "inference": recording.scalars.get("policy/inference_ms", ((), np.zeros(0)))[1],
    }
    return {name: values for name, values in times.items() if len(values)}


def summary(recording: Recording, figures: RunFigures) -> dict[str, object]:
    """Return the figures of a run that fit on a few lines; absent ones are left out."""
    result: dict[str, object] = {"recording": str(recording.path)}
    if recording.facts is not None:
        facts = recording.facts
        result |= {"policy": facts.policy, "motion": facts.motion, "robot": facts.robot}
    result["length, s"] = float(figures.time[-1])
    for mode in dict.fromkeys(name for _, _, name in figures.modes):
        result[f"in mode {mode or 'unknown'}, s"] = round(
            sum(end - begin for begin, end, name in figures.modes if name == mode), 3
        )
    if len(figures.joint_error):
        error = np.abs(figures.joint_error)
        result["joint error, mean, rad"] = float(error.mean())
        result["joint error, 99th percentile, rad"] = float(np.percentile(error, 99))
    if np.isfinite(figures.torque).any():
        share = np.nanmax(figures.torque_share, axis=1)
        result["largest torque over its limit"] = float(np.nanmax(share))
        result["states with a joint at its torque limit, %"] = float((share > 0.999).mean() * 100)
    result["smallest distance to a position limit, rad"] = float(figures.position_margin.min())
    for name, values in wall_times(recording, figures).items():
        p50, p99 = np.percentile(values, [50, 99])
        result[f"{name}, ms: median, 99 %, largest"] = f"{p50:.3g}, {p99:.3g}, {values.max():.3g}"
    result["states without a target"] = figures.unanswered
    result["warnings and errors logged"] = len(recording.warnings)
    if not recording.complete:
        result["note"] = "the recording was cut short; everything up to its last flush is here"
    return result
