"""When states arrive and how old they are."""

from __future__ import annotations

from collections import deque

from g1_mimic.nodes.deployment.settings import PolicyNodeSettings

_KEPT = 500
"""States of which the largest age is told: a second's."""


class StateWatch:
    """Watches the stream of states from outside the states themselves.

    Two clocks: the wall clock says how long nothing has come, the clock of the states' stamps how
    old a state was when it came. Methods that may find a fault return its reason, or an empty
    string.

    Args:
        settings: of the policy node; may be replaced at any time.
    """

    def __init__(self, settings: PolicyNodeSettings) -> None:
        self.settings = settings
        self._ages: deque[float] = deque(maxlen=_KEPT)
        self.late_states = 0
        """States that were older than ``state_age_warn`` when they came."""
        self.begin(0.0)

    def begin(self, now: float) -> None:
        """Begin to wait for the first state at the wall time ``now``, s."""
        self._arrived = self._looked = now
        self._first = True
        self._ages.clear()

    def arrived(self, now: float, age: float | None) -> str:
        """A state has come at the wall time ``now``; ``age`` by its stamp, None if not known, s."""
        self._arrived, self._first = now, False
        if age is None:
            return ""
        self._ages.append(age)
        self.late_states += age > self.settings.state_age_warn
        if age < -self.settings.state_timeout:
            return (
                f"the state is of the future by {-age:.3f} s: it has another clock than this node "
                "(use_sim_time, state_clock)"
            )
        if age > self.settings.state_timeout:
            return f"the state is {age:.3f} s old (limit {self.settings.state_timeout:g})"
        return ""

    def silent(self, now: float) -> str:
        """Judge the time since the last state; on a simulated robot, in its seconds.

        To be called often. After a time in which it was not, because this process did not run,
        what has come meanwhile is still unread: it is judged (by its age) before silence is.
        """
        settings = self.settings
        starved = now - self._looked > 0.5 * settings.state_timeout
        self._looked = now
        if starved:
            return ""
        return self.silence(now)

    def silence(self, now: float) -> str:
        """Return that nothing has come for too long, or an empty string."""
        settings = self.settings
        silence = now - self._arrived
        if self._first:
            if silence > settings.first_state_timeout:
                return f"no state within {settings.first_state_timeout:g} s of activation"
        elif silence * settings.realtime_factor > settings.state_timeout:
            return f"no state for {silence * settings.realtime_factor:.3f} s"
        return ""

    def warning(self) -> str:
        """Return what is not a fault yet."""
        if (oldest := max(self._ages, default=0.0)) > self.settings.state_age_warn:
            return f"states are up to {oldest * 1e3:.0f} ms old"
        return ""

    def figures(self) -> dict[str, object]:
        """Return what diagnostics show."""
        ages = self._ages
        return {
            "state_age_ms": ages[-1] * 1e3 if ages else "unknown",
            "state_age_max_ms": max(ages) * 1e3 if ages else "unknown",
            "late_states": self.late_states,
        }
