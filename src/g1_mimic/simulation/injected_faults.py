"""Faults on purpose: they break the simulated robot, what it measures, or the policy's network."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from g1_mimic.control.state import RobotState
from g1_mimic.deployment.inference import Acts
from g1_mimic.simulation.fault_kinds import Fault

if TYPE_CHECKING:
    from g1_mimic.simulation.simulator import Simulator


class FaultInjector:
    """Breaks a simulated robot and what it measures.

    Args:
        faults: what breaks when.
    """

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._faults = faults
        self._delays = [fault.delays() for fault in faults]
        self._began: int | None = None
        self._queue: deque[tuple[int, RobotState]] = deque()
        self._before: RobotState | None = None
        self._acted: set[int] = set()
        self._whole: dict[str, np.ndarray] = {}

    def begin(self, stamp: int) -> None:
        """Tracking begins at ``stamp``, ns; only the first time counts."""
        if self._began is None:
            self._began = stamp

    def _active(self, stamp: int) -> list[tuple[int, Fault]]:
        if self._began is None:
            return []
        elapsed = (stamp - self._began) * 1e-9
        return [(i, fault) for i, fault in enumerate(self._faults) if fault.active(elapsed)]

    def act_on(self, sim: Simulator) -> None:
        """Break the robot itself, before a step."""
        for name in {name for fault in self._faults for name in fault.changes}:
            array = getattr(sim.model, name)
            array[:] = self._whole.setdefault(name, array.copy())
        for number, fault in self._active(sim.time_ns):
            fault.on_robot(sim, begins=number not in self._acted)
            self._acted.add(number)

    def deliver(self, state: RobotState) -> list[RobotState]:
        """Return the states that arrive when ``state`` is measured: it, others, or none."""
        if not self._faults:
            return [state]
        wait = 0.0
        # The value from before a sensor froze is the one that it repeats.
        before = self._before or state
        for number, fault in self._active(state.stamp):
            wait = max(wait, next(self._delays[number]))
            state = fault.on_state(state, before)
        self._before = state
        if wait < math.inf:
            due = state.stamp + round(wait * 1e9)
            # A late state holds up those behind it: a stream keeps its order.
            self._queue.append((max(due, self._queue[-1][0]) if self._queue else due, state))
        arrived = []
        while self._queue and self._queue[0][0] <= state.stamp:
            arrived.append(self._queue.popleft()[1])
        return arrived


class FaultyPolicy:
    """A policy whose network breaks when the plan says so.

    Args:
        policy: what acts.
        faults: what breaks when.
        period: time between two calls, s.
    """

    def __init__(self, policy: Acts, faults: tuple[Fault, ...], period: float) -> None:
        self._policy, self._faults, self._period = policy, faults, period
        self._calls = 0

    def act(self, obs: np.ndarray, time_step: int) -> np.ndarray:
        """Act, after what is to happen first."""
        elapsed = self._calls * self._period
        self._calls += 1
        for fault in self._faults:
            if fault.active(elapsed):
                fault.on_inference()
        return self._policy.act(obs, time_step)
