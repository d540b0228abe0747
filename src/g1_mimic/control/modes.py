"""The mode machine of a deployed robot: damping, stand, track.

    damping ──stand──▶ stand ──track──▶ track
       ▲                 ▲ │              │ │
       └──── stop, any fault ─────────────┘ │
                         └────── stand ─────┘

Damping is always available. A fault leads there and is latched: nothing but an explicit
``clear`` (the operator's explicit reset) lets the robot stand again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from g1_mimic.errors import BadState


class Mode(str, Enum):
    """What the robot does; the values are those of the topic ``policy/mode``."""

    DAMPING = "damping"
    STAND = "stand"
    TRACK = "track"


@dataclass(frozen=True)
class ModeState:
    """The mode, and the fault that is latched (empty when there is none)."""

    mode: Mode = Mode.DAMPING
    fault: str = ""

    def stop(self) -> ModeState:
        """Go to damping; a latched fault stays latched."""
        return replace(self, mode=Mode.DAMPING)

    def fail(self, reason: str) -> ModeState:
        """Go to damping and latch the fault; the first reason is the one that is kept."""
        return ModeState(Mode.DAMPING, self.fault or reason or "unknown fault")

    def clear(self) -> ModeState:
        """Forget a latched fault. The mode becomes damping."""
        return ModeState()

    def stand(self) -> ModeState:
        """Go to stand.

        Raises:
            G1MimicError: while a fault is latched.
        """
        self.refuse_when_latched("stand")
        return replace(self, mode=Mode.STAND)

    def track(self, *, standing: bool) -> ModeState:
        """Go to track; ``standing`` says that the first pose of the clip has been reached.

        Raises:
            G1MimicError: while a fault is latched, or when the robot does not stand yet.
        """
        self.refuse_when_latched("track")
        if self.mode is Mode.TRACK:
            return self
        if self.mode is not Mode.STAND or not standing:
            raise BadState("cannot track: the robot does not stand in the first pose yet")
        return replace(self, mode=Mode.TRACK)

    def refuse_when_latched(self, wanted: str) -> None:
        """Raise a G1MimicError that names the latched fault, if there is one."""
        if self.fault:
            raise BadState(
                f"cannot {wanted}: a fault is latched ({self.fault}); call the policy node's "
                "service ~/reset_fault once its cause is gone"
            )
