"""Which limits held the targets of a deployed robot, for diagnostics. Needs numpy only."""

from __future__ import annotations

import numpy as np

from g1_mimic.control.pd_target import LimitHits
from g1_mimic.robot.names import JOINT_NAMES, NUM_JOINTS

_RECENT, _NEARLY_ALL = 500, 0.95
"""Commands that are looked back on (a second's), and the limited share of them that is told."""


class LimitLog:
    """Counts commands that ran into limits. They are counted when somebody asks: adding is cheap.

    Attributes:
        names: of the limits.
    """

    names = LimitHits._fields

    def __init__(self) -> None:
        self._recent = np.zeros((_RECENT, len(self.names), NUM_JOINTS), bool)
        self._filled = 0
        self._counted = 0
        """Of the filled ones, those that are in the totals."""
        self._seen = 0
        """Commands since `forget`, which says how many of the recent ones count."""
        self._totals = np.zeros(len(self.names), int)

    def add(self, hits: LimitHits) -> None:
        """Add a command."""
        if self._filled == _RECENT:
            self._count()
            self._filled = self._counted = 0
        self._recent[self._filled] = hits
        self._filled += 1
        self._seen += 1

    def forget(self) -> None:
        """Forget what was recent; the totals stay."""
        self._seen = 0

    def totals(self) -> dict[str, int]:
        """Return how many commands ran into which limit."""
        self._count()
        return dict(zip(self.names, self._totals.tolist(), strict=True))

    def warning(self) -> str:
        """Return which joints a limit held nearly all of the last second, or an empty string."""
        if self._seen < _RECENT:
            return ""
        held = []
        for name, share in zip(self.names, self._recent.mean(axis=0), strict=True):
            if count := int((share > _NEARLY_ALL).sum()):
                others = f" and {count - 1} more" if count > 1 else ""
                held.append(f"{name} of {JOINT_NAMES[int(share.argmax())]}{others}")
        return f"limited for the last second: {', '.join(held)}" if held else ""

    def _count(self) -> None:
        fresh = self._recent[self._counted : self._filled]
        self._totals += fresh.any(axis=2).sum(axis=0)
        self._counted = self._filled
