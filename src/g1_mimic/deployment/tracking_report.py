"""How well a policy tracked: what the deployed controller adds up while it runs."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

import numpy as np

from g1_mimic.control.pd_target import LimitHits
from g1_mimic.deployment.tick import Tick
from g1_mimic.envs.config import TerminationConfig
from g1_mimic.envs.terminations import gravity_z
from g1_mimic.robot.names import JOINT_NAMES, NUM_JOINTS

_KEPT_LATENCIES = 500_000
"""The newest so many latencies (17 minutes at 500 Hz) make the percentiles."""


class TrackingReport:
    """Adds up tracking errors until the robot falls.

    A fall is judged as training does it, from the anchor's height (with odometry) and tilt
    against the reference; thresholds are those of `TerminationConfig`.

    Args:
        period_s: control period, s.
    """

    def __init__(self, period_s: float) -> None:
        self._period = period_s
        self._limits = TerminationConfig()
        self.fell = False
        self._ticks = 0
        self._joint_error = np.zeros(NUM_JOINTS)
        self._anchor_error, self._anchor_ticks, self._anchor_angle = 0.0, 0, 0.0
        self._torque_hits = self._velocity_hits = 0
        self._latencies: deque[float] = deque(maxlen=_KEPT_LATENCIES)

    def add_tick(self, tick: Tick) -> None:
        """Add one control step; does nothing after a fall."""
        quat, wanted = tick.anchor_quat, tick.reference.anchor_quat
        if abs(gravity_z(quat) - gravity_z(wanted)) > self._limits.anchor_gravity:
            self.fell = True
        if (
            tick.anchor_error is not None
            and abs(tick.anchor_error[2]) > self._limits.anchor_height
        ):
            self.fell = True
        if self.fell:
            return
        self._ticks += 1
        self._joint_error += np.abs(tick.joint_error)
        self._anchor_angle += tick.anchor_angle
        if tick.anchor_error is not None:
            self._anchor_ticks += 1
            self._anchor_error += float(np.linalg.norm(tick.anchor_error))

    def add_hits(self, hits: LimitHits) -> None:
        """Count the joints whose target a limit moved; does nothing after a fall."""
        if not self.fell:
            self._torque_hits += int(np.count_nonzero(hits.torque))
            self._velocity_hits += int(np.count_nonzero(hits.velocity))

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
        ticks = max(self._ticks, 1)
        joint_error = self._joint_error / ticks if self._ticks else None
        return {
            "survived_s": round(self._ticks * self._period, 9),
            "fell": self.fell,
            "joint_error_mean_rad": None if joint_error is None else float(joint_error.mean()),
            "joint_error_rad": None
            if joint_error is None
            else dict(zip(JOINT_NAMES, joint_error.tolist(), strict=True)),
            "anchor_position_error_m": self._anchor_error / self._anchor_ticks
            if self._anchor_ticks
            else None,
            "anchor_orientation_error_rad": self._anchor_angle / ticks if self._ticks else None,
            "torque_limit_hits": self._torque_hits,
            "velocity_limit_hits": self._velocity_hits,
            "latency_ms": self.latency_ms(),
        }
