"""When a message was: a recording of a simulated robot should play at the simulation's pace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from g1_mimic.cdr import read_stamp

_OWN_STAMP_WITHIN = 5_000_000_000
"""A header's stamp counts if it is so near to the newest state's: other clocks do not count, ns."""


@dataclass(frozen=True)
class Received:
    """One message as it arrived.

    Attributes:
        topic: its name.
        data: CDR with its encapsulation header.
        sent_ns: wall time at which it was sent.
        received_ns: wall time at which it was received.
        stamped: it begins with a ``std_msgs/Header``.
    """

    topic: str
    data: bytes
    sent_ns: int
    received_ns: int
    stamped: bool


class LogTimes:
    """Gives messages log times on the clock of the robot's states.

    A stamped message gets its own stamp, any other that of the newest state before it. So a run
    in lock-step plays back at its own pace and shows its own rates. On a robot, whose states carry
    wall time, nothing changes. Messages from before the first state are held until it comes.

    Args:
        clock_topic: name of the topic whose stamps are the clock.
    """

    def __init__(self, clock_topic: str) -> None:
        self._clock_topic = clock_topic
        self._newest: int | None = None
        self._held: list[Received] = []

    def order(self, messages: list[Received]) -> Iterator[tuple[int, Received]]:
        """Yield log time (ns) and message, in the order in which they were sent."""
        for message in sorted(messages, key=lambda m: m.sent_ns):
            if message.topic == self._clock_topic:
                self._newest = read_stamp(message.data)
                yield from self.release()
            if self._newest is None:
                self._held.append(message)
            else:
                yield self._time(message, self._newest), message

    def release(self) -> Iterator[tuple[int, Received]]:
        """Yield what is held; without any state, by the wall time of its arrival."""
        held, self._held = self._held, []
        for message in held:
            known = self._newest is not None
            yield self._newest if known else message.received_ns, message  # type: ignore[misc]

    @staticmethod
    def _time(message: Received, newest: int) -> int:
        if message.stamped:
            own = read_stamp(message.data)
            if abs(own - newest) < _OWN_STAMP_WITHIN:
                return own
        return newest
