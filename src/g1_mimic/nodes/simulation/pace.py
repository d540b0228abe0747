"""When simulated time goes on: with the wall clock, or with the answers of the policy node.

Real time advances by a timer. In lock-step each state waits for the target that carries its stamp,
so that a run does not depend on the machine; where both nodes are in one process, time goes on by a
timer of short strides.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from g1_mimic.control.modes import Mode
from g1_mimic.control.state import MotorTarget, RobotState
from g1_mimic.errors import BadValue
from g1_mimic.nodes.shared.common import OK, WARN, Reading
from g1_mimic.nodes.simulation.output import SimOutput
from g1_mimic.simulation.fault_kinds import load_faults
from g1_mimic.simulation.injected_faults import FaultInjector
from g1_mimic.simulation.settings import SimSettings
from g1_mimic.simulation.simulator import STATE_PERIOD_NS, Simulator

_MAX_CATCH_UP = 2
"""State periods that one timer call may advance: more would outrun the motors' watchdog."""
_MAX_BACKLOG = 0.02
"""Wall time that the simulation may be late before it gives it up, s."""
_LOSS_TOLD = 5.0
"""Wall time for which diagnostics warn of lost real time, s."""
_PAUSED_REPEAT = 0.02
"""Wall period in which a paused simulation repeats its state, s."""
_REPEAT = 0.1
"""Wall time after which a state without an answer is sent again, s."""
_MAX_SILENT = 500
"""State periods without a state that arrives that lock-step advances at a time."""
_STRIDE_PERIOD, _STATES_PER_STRIDE = 1e-4, 25
"""Composed: wall period, s, of strides of so many states; between them come services, timers and
emergency stops."""

Every = Callable[[float, Callable[[], None]], None]
"""Calls back every so many seconds of the wall clock."""


class Pace:
    """Lets the simulated robot live, and tells its states when it is time; the base of all paces.

    Args:
        settings: of the simulation.
        sim: the robot.
        output: where states and time are published.
        finish: called at the end with the exit status, and what was wrong.

    Attributes:
        paused: time stands still.
        hand_over: takes each state and the simulated time, ns, where the policy node is in this
            process.

    Raises:
        G1MimicError: if the file of faults is bad.
    """

    clock_with_states = True
    """The simulated time is published with every state."""

    def __init__(
        self,
        settings: SimSettings,
        sim: Simulator,
        output: SimOutput,
        finish: Callable[[int, str], None],
    ) -> None:
        self.paused = False
        self.hand_over: Callable[[RobotState, int], None] | None = None
        self._settings, self._sim, self._output, self._finish = settings, sim, output, finish
        self._faults = FaultInjector(load_faults(settings.faults))
        self._newest = sim.state()
        self._begun = self._over = False
        self._may_release = False
        self._end_ns: int | None = None
        self._sent_at = time.monotonic()
        self._lost, self._lost_at = 0.0, -math.inf

    def start(self, every: Every) -> None:
        """Begin: ``every`` makes the timers."""
        raise NotImplementedError

    def use(self, target: MotorTarget, mode: str, stamp: int) -> str:
        """Hand a target to the motors; return why they refused it, or an empty string.

        Args:
            target: what the motors are asked for.
            mode: in which it was made.
            stamp: of the state that it answers, ns.
        """
        if self._awaits(stamp):
            if problem := self._sim.set_target(target):
                return problem
            self._hoist(mode, stamp)
            self._answered()
        return ""

    def reset(self) -> None:
        """Put the robot back to its start."""
        self._sim.reset()
        self._may_release = False

    def pause(self, paused: bool) -> None:
        """Let time stand still, or go on."""
        self.paused = paused

    def timing(self) -> Reading:
        """Tell whether simulated time keeps up with the wall clock's."""
        factor = self._settings.realtime_factor
        figures: dict[str, object] = {
            "simulated_s": self._sim.time_ns * 1e-9,
            "realtime_factor": factor,
            "lost_real_time_s": self._lost,
        }
        if time.monotonic() - self._lost_at < _LOSS_TOLD:
            return WARN, f"too slow: lost {self._lost:.2f} s of real time so far", figures
        return OK, "in real time" if factor else "in lock-step", figures

    def _awaits(self, stamp: int) -> bool:
        """True if the answer to this state counts."""
        return True

    def _answered(self) -> None:
        """The motors have got a target."""

    def _hoist(self, mode: str, stamp: int) -> None:
        """Release the hoist when tracking begins: not for a target from before a reset."""
        if mode != Mode.TRACK.value:
            self._may_release = True
        elif self._may_release and self._sim.hoisted:
            self._sim.release()
            self._faults.begin(stamp)
            if self._settings.duration > 0.0 and self._end_ns is None:
                self._end_ns = stamp + round(self._settings.duration * 1e9)

    def _has_begun(self) -> bool:
        """True as soon as all that should hear every state were there."""
        self._begun = self._begun or self._output.heard_by(self._settings.wait_for)
        return self._begun

    def _step(self) -> bool:
        """Simulate one state period and tell the states that arrive; False if there are none."""
        self._faults.act_on(self._sim)
        self._sim.step()
        arrived = [] if self._sim.lost else self._faults.deliver(self._sim.state())
        if arrived:
            self._tell(*arrived)
        else:
            self._output.tell_time()
        self._output.tell_feet()
        if self._end_ns is not None and self._sim.time_ns >= self._end_ns:
            self._end(0)
        return bool(arrived)

    def _repeat(self) -> None:
        """Tell the newest state again."""
        self._tell(self._newest)

    def _tell(self, *states: RobotState) -> None:
        self._newest = states[-1]
        for state in states:
            if self.clock_with_states:
                self._output.tell_time()
            self._output.tell_state(state)
        self._sent_at = time.monotonic()
        if self.hand_over is not None:
            for state in states:
                self.hand_over(state, self._sim.time_ns)

    def _end(self, status: int, problem: str = "") -> None:
        self._over = True
        self._finish(status, problem)


class RealTime(Pace):
    """Time goes on with the wall clock's, and gives up what it cannot keep up with."""

    _simulated_to = 0.0
    """Wall time up to which has been simulated, s."""

    def start(self, every: Every) -> None:
        """Begin: ``every`` makes the timers."""
        self._simulated_to = time.monotonic()
        every(max(self._period, 1e-3), self._on_timer)
        if self._has_begun():
            self._repeat()

    def reset(self) -> None:
        """Put the robot back to its start; the new pose is out before the caller knows of it."""
        super().reset()
        if not self.paused:
            self._advance(1)

    @property
    def _period(self) -> float:
        """Wall time between states, s."""
        return STATE_PERIOD_NS * 1e-9 / self._settings.realtime_factor

    def _on_timer(self) -> None:
        """Advance by as many periods as are due."""
        now, begun = time.monotonic(), self._has_begun()
        if self.paused or not begun:
            self._simulated_to = now
            if begun and now - self._sent_at >= _PAUSED_REPEAT:
                self._repeat()
            return
        steps = min(int((now - self._simulated_to) / self._period), _MAX_CATCH_UP)
        self._advance(steps)
        self._simulated_to += steps * self._period
        late = now - self._simulated_to
        if late > _MAX_BACKLOG:
            self._lost += late
            self._lost_at = self._simulated_to = now

    def _advance(self, steps: int) -> None:
        for _ in range(steps):
            if not self._over:
                self._step()


class LockStep(Pace):
    """Time goes on with the answer to the newest state."""

    _answered_at: float | None = None
    _silent = False
    """The last step led to no state that arrives."""

    def start(self, every: Every) -> None:
        """Begin: ``every`` makes the timers."""
        every(_REPEAT, self._look_after)
        if self._has_begun():
            self._repeat()

    def pause(self, paused: bool) -> None:
        """Let time stand still, or go on with the answer to the newest state."""
        super().pause(paused)
        if self._answered_at is not None:
            self._answered_at = time.monotonic()
        if not paused:
            self._repeat()  # the policy node answers a repeated state again

    def _awaits(self, stamp: int) -> bool:
        """False for the answer to a repeated state, again."""
        return stamp == self._newest.stamp

    def _answered(self) -> None:
        self._answered_at = time.monotonic()
        if not self.paused:
            self._advance()

    def _look_after(self) -> None:
        """Send the state again, in case nobody was there yet, and watch the answers."""
        if not self._has_begun():
            return
        now = time.monotonic()
        waited = 0.0 if self._answered_at is None or self.paused else now - self._answered_at
        if waited > self._settings.answer_timeout:
            self._end(
                1,
                f"no target for the state at {self._sim.time_ns * 1e-9:.3f} s within "
                f"{waited:.1f} s: is the policy node running and active?",
            )
        elif self._silent and not self.paused:
            self._advance()
        elif now - self._sent_at >= _REPEAT:
            self._repeat()

    def _advance(self) -> None:
        """Simulate until a state arrives: nobody answers one that does not."""
        for _ in range(1 + _MAX_SILENT):
            if self._over:
                break
            self._silent = not self._step()
            if not self._silent:
                break


class Composed(LockStep):
    """Lock-step with the policy node in this process, which answers a state while it is told."""

    clock_with_states = False  # the policy node is given the time

    _due = False
    """The newest state was answered, and time may go on."""

    def start(self, every: Every) -> None:
        """Begin: ``every`` makes the timers. The policy node is not there yet."""
        every(_STRIDE_PERIOD, self._stride)
        every(_REPEAT, self._look_after)

    def _answered(self) -> None:
        # Time goes on in `_stride`: from here each state would be answered within the last one.
        self._answered_at = time.monotonic()
        self._due = True

    def _stride(self) -> None:
        """Advance as long as states are answered, but not for long: others wait."""
        before = self._sim.time_ns
        for _ in range(_STATES_PER_STRIDE):
            if not self._due or self.paused:
                break
            self._due = False
            self._advance()
        if self._sim.time_ns > before:
            self._output.tell_time()


def pace_for(settings: SimSettings, composed: bool) -> type[Pace]:
    """Return the pace that the settings ask for.

    Args:
        settings: of the simulation.
        composed: the policy node is in this process.

    Raises:
        G1MimicError: if both nodes are in one process, and not in lock-step.
    """
    if not settings.realtime_factor:
        return Composed if composed else LockStep
    if composed:
        raise BadValue("both nodes in one process run in lock-step: realtime_factor:=0.0")
    return RealTime
