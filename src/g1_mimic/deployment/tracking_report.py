"""How well a policy tracked: what the deployed controller adds up while it runs."""

from __future__ import annotations

from collections import deque
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from g1_mimic.control.modes import Mode
from g1_mimic.control.pd_target import LimitHits
from g1_mimic.deployment.tick import Tick
from g1_mimic.envs.config import TerminationConfig
from g1_mimic.envs.terminations import FALL_TIME, anchor_lost
from g1_mimic.robot.names import JOINT_NAMES, NUM_JOINTS

if TYPE_CHECKING:
    from g1_mimic.deployment.controller import PolicyController

_KEPT_LATENCIES = 500_000
"""The newest so many latencies (17 minutes at 500 Hz) make the percentiles."""


@dataclass
class _Sums:
    """What was added up over some control steps."""

    ticks: int = 0
    joint_error: np.ndarray = field(default_factory=lambda: np.zeros(NUM_JOINTS))
    anchor_error: float = 0.0
    anchor_ticks: int = 0
    """Ticks with a known position of the anchor."""
    anchor_angle: float = 0.0
    torque_hits: int = 0
    velocity_hits: int = 0


class TrackingReport:
    """Adds up tracking errors until the robot falls.

    A fall is judged as training does it, from the anchor's height (with odometry) and tilt against
    the reference, with the thresholds of `TerminationConfig`; but it must last `FALL_TIME`, or to
    the end of what was tracked. Nothing counts from its first moment on.

    Args:
        period_s: control period, s.
    """

    def __init__(self, period_s: float) -> None:
        self._period = period_s
        self._limits = TerminationConfig()
        self._fell = False
        self._sums = _Sums()
        self._lost = 0
        """Control steps since the anchor was lost."""
        self._before = self._sums
        """The sums at the last one before."""
        self._latencies: deque[float] = deque(maxlen=_KEPT_LATENCIES)

    @property
    def fell(self) -> bool:
        """The robot has fallen, or is where it would if nothing else came."""
        return self._fell or self._lost > 0

    def add(self, controller: PolicyController) -> None:
        """Add what ``controller`` did in its last step; does nothing after a fall."""
        if controller.mode is Mode.TRACK:
            if controller.hits is not None:
                self.add_hits(controller.hits)
            if controller.tick is not None:
                self.add_tick(controller.tick)
        elif self._lost:
            self._fell = True
        self._fell |= controller.tilted

    def add_tick(self, tick: Tick) -> None:
        """Add one control step; does nothing after a fall."""
        if self._fell:
            return
        error, wanted = tick.anchor_error, tick.reference.anchor_quat
        height = None if error is None else error[2]
        if not anchor_lost(self._limits, height, tick.seen.anchor_quat_w, wanted):
            self._lost = 0
        else:
            if not self._lost:
                self._before = deepcopy(self._sums)
            self._lost += 1
            self._fell = self._lost * self._period > FALL_TIME - 1e-9
        sums = self._sums
        sums.ticks += 1
        sums.joint_error += np.abs(tick.joint_error)
        sums.anchor_angle += tick.anchor_angle
        if error is not None:
            sums.anchor_ticks += 1
            sums.anchor_error += float(np.linalg.norm(error))

    def add_hits(self, hits: LimitHits) -> None:
        """Count the joints whose target a limit moved; does nothing after a fall."""
        if not self._fell:
            self._sums.torque_hits += int(np.count_nonzero(hits.torque))
            self._sums.velocity_hits += int(np.count_nonzero(hits.velocity))

    def add_latency(self, seconds: float) -> None:
        """Add the time from a state's arrival to its answer."""
        self._latencies.append(seconds)

    def latency_ms(self, newest: int = _KEPT_LATENCIES) -> dict[str, float]:
        """Return p50, p99 and maximum of the ``newest`` latencies, ms."""
        values = np.array(list(islice(reversed(self._latencies), newest)) or [0.0]) * 1e3
        p50, p99 = np.percentile(values, [50, 99])
        return {"p50": float(p50), "p99": float(p99), "max": float(values.max())}

    def figures(self) -> dict[str, Any]:
        """Return the figures; means are over the control steps before a fall, None if unknown."""
        sums = self._before if self._lost else self._sums
        joint_error = sums.joint_error / sums.ticks if sums.ticks else None
        return {
            "survived_s": round(sums.ticks * self._period, 9),
            "fell": self.fell,
            "joint_error_mean_rad": None if joint_error is None else float(joint_error.mean()),
            "joint_error_rad": None
            if joint_error is None
            else dict(zip(JOINT_NAMES, joint_error.tolist(), strict=True)),
            "anchor_position_error_m": sums.anchor_error / sums.anchor_ticks
            if sums.anchor_ticks
            else None,
            "anchor_orientation_error_rad": sums.anchor_angle / sums.ticks if sums.ticks else None,
            "torque_limit_hits": sums.torque_hits,
            "velocity_limit_hits": sums.velocity_hits,
            "latency_ms": self.latency_ms(),
        }
