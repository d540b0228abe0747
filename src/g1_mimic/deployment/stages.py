"""What a deployed robot does in stand and in track: an object for each, made when it begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from g1_mimic.control.pd_target import action_to_target
from g1_mimic.control.state import RobotState
from g1_mimic.deployment.inference import InferenceRunner
from g1_mimic.deployment.player import MotionPlayer
from g1_mimic.deployment.tick import Tick
from g1_mimic.envs.observations import (
    ObservationInputs,
    Observer,
    ReferenceFrame,
    build_observation,
)
from g1_mimic.errors import BadState
from g1_mimic.policy.observation_layout import ObservationHistory

if TYPE_CHECKING:
    from g1_mimic.deployment.safety import ControllerSettings
    from g1_mimic.policy.contract import PolicyContract


class Standing:
    """Moves to the clip's first pose, with no velocity at either end.

    Args:
        start: angles to begin with [29], rad.
        since: stamp at which it begins, ns.
        reference: the clip's first frame.
        seconds: how long it takes, s.

    Attributes:
        reference: what the robot should do now.
        followed: the angles that the joints should be near to [29], rad.
    """

    def __init__(
        self, start: np.ndarray, since: int, reference: ReferenceFrame, seconds: float
    ) -> None:
        self.reference = reference
        self.followed = self._start = start
        self._since, self._seconds = since, seconds

    def _part(self, stamp: int) -> float:
        """Return which part of the way lies behind at ``stamp``."""
        return (stamp - self._since) * 1e-9 / self._seconds

    def arrived(self, stamp: int) -> bool:
        """Whether the first pose has been reached."""
        return self._part(stamp) >= 1.0

    def target(self, state: RobotState, settings: ControllerSettings) -> np.ndarray:
        """Return the desired angles [29] at a state, rad."""
        s = min(self._part(state.stamp), 1.0)
        blend = s * s * (3.0 - 2.0 * s)
        self.followed = self._start + blend * (self.reference.joint_pos - self._start)
        return self.followed


@dataclass
class Lateness:
    """How often the policy or its action was late."""

    missed_ticks: int = 0
    """Policy periods that no state fell into."""
    missed_inferences: int = 0
    """Policy periods at whose end the action was not there yet."""
    overdue: int = 0
    """Those of them in a row that have just gone by."""
    at: int | None = None
    """Stamp at which a policy period was last missed, ns."""

    def warning(self, now: int) -> str:
        """Return what was late within the second before the stamp ``now``, or an empty string."""
        if self.overdue:
            return f"no new action for {self.overdue} policy period(s)"
        if self.at is not None and now - self.at < 1_000_000_000:
            return "a policy period was missed within the last second"
        return ""


class _Turn(NamedTuple):
    """What the policy was asked, and has not answered yet."""

    step: int
    reference: ReferenceFrame
    seen: ObservationInputs
    action_shift: np.ndarray


class Tracking:
    """Runs the policy along the clip, from its first frame on, where the robot is.

    The policy has its turn at those states whose stamps reach its own rate. While its action is
    not there, its last target is held.

    Args:
        contract: of the policy.
        observer: what the policy observes.
        player: what it tracks.
        inference: runs it.
        lateness: is told what was late.
        state: at which it begins.

    Attributes:
        step: number of the control step that comes next.
        tick: what the policy did at the last state; None where its action was not there.
    """

    def __init__(
        self,
        contract: PolicyContract,
        observer: Observer,
        player: MotionPlayer,
        inference: InferenceRunner,
        lateness: Lateness,
        state: RobotState,
    ) -> None:
        self._observer, self._player, self._inference = observer, player, inference
        self._lateness, lateness.overdue = lateness, 0
        self._scale = np.asarray(contract.action_scale, dtype=np.float64)
        self._period = round(1e9 / contract.control_rate_hz)
        self._history = ObservationHistory(contract)
        player.align(*observer.anchor(state))
        inference.abandon()
        self._action = player.rest_action()
        self._target = player.frame(0).joint_pos
        self._next_tick = state.stamp
        self._turn: _Turn | None = None
        self.step = 0
        self.tick: Tick | None = None

    @property
    def reference(self) -> ReferenceFrame:
        """What the robot should do now."""
        return self._player.frame(self.step)

    @property
    def followed(self) -> np.ndarray:
        """The angles that the joints should be near to [29], rad."""
        return np.asarray(self._player.frame(self.step - 1).joint_pos)

    def target(self, state: RobotState, settings: ControllerSettings) -> np.ndarray:
        """Return the desired angles [29] at a state, rad.

        Raises:
            G1MimicError: if an action has been overdue for too long.
            Exception: what the network raised.
        """
        self.tick = None
        self._collect()
        if state.stamp >= self._next_tick:
            # A late state moves the grid: the policy must not run twice in a row to catch up.
            late = (state.stamp - self._next_tick) // self._period
            self._lateness.missed_ticks += late
            if late or self._inference.busy:
                self._lateness.at = state.stamp
            self._next_tick += (late + 1) * self._period
            if self._inference.busy:
                self._miss(settings.max_missed_inferences)
            else:
                self._ask(state)
            self.step += 1
        return self._target

    def _miss(self, most_overdue: int) -> None:
        """Count a policy period at whose end the action was not there."""
        lateness = self._lateness
        lateness.missed_inferences += 1
        lateness.overdue += 1
        if lateness.overdue >= most_overdue:
            raise BadState(f"no new action for {lateness.overdue} policy periods")

    def _ask(self, state: RobotState) -> None:
        """Ask the policy for the action of this step, which may come later."""
        reference, graph = self._player.frame(self.step), self._player.graph_input(self.step)
        seen = self._observer.inputs(state, reference, self._action + graph.previous_shift)
        frame = build_observation(self._observer.terms, seen)
        self._inference.start(self._history.push(frame), graph.time_step)
        self._turn = _Turn(self.step, reference, seen, graph.action_shift)
        self._collect(wait=True)

    def _collect(self, *, wait: bool = False) -> None:
        """Take over the action that was asked for, once it is there."""
        result = self._inference.collect(wait=wait)
        if result is None or self._turn is None:
            return
        step, reference, seen, shift = self._turn
        self._lateness.overdue = 0
        self._action = action = result.action + shift
        self._target = action_to_target(action, self._observer.default_joint_pos, self._scale)
        self.tick = Tick(step, reference, seen, action, result.seconds)
