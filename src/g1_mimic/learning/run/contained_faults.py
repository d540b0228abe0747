"""What goes wrong in a run without ending it: contained, counted and shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from g1_mimic.errors import WriteError
from g1_mimic.learning.learner import NotFiniteError

MOST_SKIPPED = 50
"""Updates in a row that may fail before the run counts as diverged."""


@dataclass
class ContainedFaults:
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

    @contextmanager
    def contained_update(self) -> Iterator[None]:
        """Let the run go on if the block, an update, has no gradient to follow.

        Raises:
            NotFiniteError: if too many in a row had none.
        """
        try:
            yield
        except NotFiniteError:
            self.skipped_updates += 1
            self.skipped_in_a_row += 1
            if self.skipped_in_a_row >= MOST_SKIPPED:
                raise
        else:
            self.skipped_in_a_row = 0

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

    def _told(self) -> dict[str, int]:
        """Return the counts that are not zero, by what one such fault is called."""
        counts = {words: getattr(self, name) for name, words in _COUNTED.items()}
        return {words: count for words, count in counts.items() if count}

    def metrics(self) -> dict[str, float]:
        """Return the counts that are not zero, by name: ``failed_writes``, say."""
        return {f"{name.replace(' ', '_')}s": float(n) for name, n in self._told().items()}

    def __str__(self) -> str:
        """Return what a progress line tells; nothing if there is nothing."""
        told = self._told().items()
        text = ", ".join(f"{n} {name}" if n == 1 else f"{n} {name}s" for name, n in told)
        return text + (f" ({self.unwritten})" if self.unwritten else "")

    # -- checkpoints ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, int]:
        """Return the counts, which a resumed run goes on from."""
        return {name: int(getattr(self, name)) for name in (*_COUNTED, "skipped_in_a_row")}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Restore `state_dict`'s result."""
        for name, count in state.items():
            setattr(self, name, int(count))


_COUNTED = {
    "physics": "physics fault",
    "skipped_updates": "skipped update",
    "failed_writes": "failed write",
}
"""What is counted, and what one of it is called."""
