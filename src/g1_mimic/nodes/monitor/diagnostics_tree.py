"""Diagnostics as the tree that rqt_robot_monitor shows, as ROS's diagnostic_aggregator makes it.

The aggregator of ROS is a node that may not be installed. Whoever shows the tree drops what is not
in the newest message: all of it must come from one place.
"""

from __future__ import annotations

from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus

ROOT = "/g1"
STALE_AFTER = 3.0
"""Wall time without news after which a status is stale: three of its periods, s."""
_WORDS = ("OK", "Warning", "Error", "Stale")
"""What a branch says; the monitor lists branches of these messages nowhere but in the tree."""
_STALE = 3


@dataclass
class _Leaf:
    status: DiagnosticStatus
    heard: float


class DiagnosticsTree:
    """Keeps the newest status of each name, such as ``policy`` or ``policy/limits``."""

    def __init__(self) -> None:
        self._leaves: dict[str, _Leaf] = {}

    def update(self, status: DiagnosticStatus, now: float) -> bool:
        """Take a status at the wall time ``now`` (s); return whether its level has changed."""
        name = status.name.strip("/")
        before = self._leaves.get(name)
        self._leaves[name] = _Leaf(status, now)
        return before is None or before.status.level != status.level

    def statuses(self, now: float) -> list[DiagnosticStatus]:
        """Return all statuses with path-like names, every branch before what hangs on it.

        A branch has the worst level of all below it; one that is stale as a whole is stale, a
        part that is stale makes an error.
        """
        tree: dict[str, DiagnosticStatus | None] = {ROOT: None}
        for name in sorted(self._leaves):
            parts = name.split("/")
            for depth in range(1, len(parts)):
                tree.setdefault(f"{ROOT}/{'/'.join(parts[:depth])}", None)
            tree[f"{ROOT}/{name}"] = self._told(self._leaves[name], f"{ROOT}/{name}", now)
        return [
            status if status is not None else self._branch(path, tree)
            for path, status in tree.items()
        ]

    @staticmethod
    def _told(leaf: _Leaf, path: str, now: float) -> DiagnosticStatus:
        status, age = leaf.status, now - leaf.heard
        stale = age > STALE_AFTER
        return DiagnosticStatus(
            level=bytes([_STALE]) if stale else status.level,
            name=path,
            message=f"silent for {age:.0f} s; last: {status.message}" if stale else status.message,
            hardware_id=status.hardware_id,
            values=status.values,
        )

    @staticmethod
    def _branch(path: str, tree: dict[str, DiagnosticStatus | None]) -> DiagnosticStatus:
        below = [
            status.level[0]
            for name, status in tree.items()
            if status is not None and name.startswith(f"{path}/")
        ]
        level = max(below, default=_STALE)
        if level == _STALE and min(below, default=_STALE) < _STALE:
            level = 2
        return DiagnosticStatus(
            level=bytes([level]), name=path, message=_WORDS[level], hardware_id="g1"
        )
