"""The one exception type that carries a message for the user."""

from __future__ import annotations


class G1MimicError(Exception):
    """A problem that the user can act on.

    The message is one line: what is wrong, where, and what to do. Entry points (command line and
    nodes) print it and end with status 2; no traceback is shown.
    """


def in_one_line(error: Exception) -> str:
    """Return what went wrong in one line; of an error that nobody foresaw, its type too."""
    if isinstance(error, G1MimicError):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


class WriteError(G1MimicError):
    """A file could not be written: the disk is full, or the folder is gone or not ours."""
