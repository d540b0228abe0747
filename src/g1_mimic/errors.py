"""Exceptions that carry a message for the user, and what else a user is told in one line."""

from __future__ import annotations

import os


class G1MimicError(Exception):
    """A problem that the user can act on.

    The message is one line: what is wrong, where, and what to do. Entry points (command line and
    nodes) print it and end with status 2; no traceback is shown. Nearly every one is of a kind
    below, which is the standard exception of its meaning as well.
    """


class BadValue(G1MimicError, ValueError):
    """An argument, a setting or the content of a file is not what it has to be."""


class BadState(G1MimicError, RuntimeError):
    """What is asked for cannot be done now, or not on this machine."""


class ReadError(G1MimicError, OSError):
    """A file cannot be read."""


class MissingFile(ReadError, FileNotFoundError):
    """What was named by a path or a short name is not there."""


class WriteError(G1MimicError, OSError):
    """A file could not be written: the disk is full, or the folder is gone or not ours."""


def read_error(path: object, error: OSError) -> ReadError:
    """Return the error of a file that the system does not let us read."""
    kind = MissingFile if isinstance(error, FileNotFoundError) else ReadError
    return kind(f"cannot read {path}: {error.strerror}")


def in_one_line(error: Exception) -> str:
    """Return what went wrong in one line; of an error that nobody foresaw, its type too."""
    if isinstance(error, G1MimicError):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


_ROS_MODULES = ("rclpy", "launch", "launch_ros", "ament_index_python", "builtin_interfaces")


def missing_package(error: ModuleNotFoundError) -> str:
    """Return in one line which package is not installed here, and how to install it.

    Raises:
        ModuleNotFoundError: the same one, if it is a part of this package that is missing.
    """
    name = (error.name or "").partition(".")[0]
    if name in ("", "g1_mimic"):
        raise error
    if name in _ROS_MODULES or name.endswith("_msgs"):
        return f"this needs ROS 2 ({name}): source a distribution's setup.bash, or use ./g1"
    if os.environ.get("G1_DEPLOY_ONLY"):
        return f"this needs {name}, which G1_DEPLOY_ONLY leaves out: unset that"
    # The build for CUDA takes several GB: whoever has no use for it is told before.
    cpu = " (without an NVIDIA GPU install PyTorch's build for the CPU first)"
    what = f"this needs {name}, which is not installed: pip install 'g1_mimic[train]'"
    return what + cpu if name == "torch" else what
