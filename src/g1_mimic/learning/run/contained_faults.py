"""What goes wrong in a run without ending it: contained, counted and shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from g1_mimic.errors import WriteError

MOST_SKIPPED = 50
"""Updates in a row that may fail before the run counts as diverged."""


@dataclass
class Faults:
    """Faults of a run so far; the trainer contains each where it happens."""

    physics: int = 0
    """Simulations that broke down; the environment was reset."""
    skipped_updates: int = 0
    """Updates whose loss or gradient was not finite; they were left out."""
    skipped_in_a_row: int = 0
    failed_writes: int = 0
    """Checkpoints, policies and event files that could not be written; older ones are kept."""
    unwritten: str = ""
    """Why the newest of them was not, until `forget`."""

    def update(self, skipped: bool) -> bool:
        """Count an update; return whether too many were skipped in a row."""
        self.skipped_updates += skipped
        self.skipped_in_a_row = self.skipped_in_a_row + 1 if skipped else 0
        return self.skipped_in_a_row >= MOST_SKIPPED

    @contextmanager
    def contained_write(self) -> Iterator[None]:
        """Let the run go on if a file cannot be written in the block."""
        try:
            yield
        except WriteError as error:
            self.failed_writes += 1
            self.unwritten = str(error)

    def forget(self) -> None:
        """Leave the reason behind: it was told, and the next write may work."""
        self.unwritten = ""

    def metrics(self) -> dict[str, float]:
        """Return the counts that are not zero."""
        counts = {label: float(getattr(self, name)) for name, label in _COUNTS.items()}
        return {label: value for label, value in counts.items() if value}

    def state_dict(self) -> dict[str, int]:
        """Return the counts, which a resumed run goes on from."""
        return {name: int(getattr(self, name)) for name in (*_COUNTS, "skipped_in_a_row")}

    def __str__(self) -> str:
        """Return what a progress line tells; nothing if there is nothing."""
        parts = [
            f"{count} {word if count == 1 else word + 's'}"
            for count, word in (
                (self.physics, "physics fault"),
                (self.skipped_updates, "skipped update"),
                (self.failed_writes, "failed write"),
            )
            if count
        ]
        return ", ".join(parts) + (f" ({self.unwritten})" if self.unwritten else "")


_COUNTS = {
    "physics": "train/physics_faults",
    "skipped_updates": "train/skipped_updates",
    "failed_writes": "train/failed_writes",
}
