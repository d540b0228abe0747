"""Stand-in for the ``ros2`` command, for machines with rclpy but no ROS 2 distribution."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def find_real_ros2() -> Path | None:
    """Return the prefix of the sourced ROS 2 distribution that has launch, or None."""
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        if prefix and (Path(prefix) / "share/launch/package.xml").is_file():
            return Path(prefix)
    return None


def refuse_to_hide_real_ros2() -> None:
    """Raise ImportError if a sourced ROS 2 distribution has launch itself."""
    real = find_real_ros2()
    if real is not None:
        raise ImportError(
            f"the ROS 2 distribution at {real} has launch, but g1-mimic-ros2-standin hides it: "
            "leave this virtual environment or run 'pip uninstall g1-mimic-ros2-standin'"
        )


def add_own_prefix() -> None:
    """Let packages be found that pip has installed, such as the messages."""
    known = [path for path in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if path]
    if sys.prefix not in known and (Path(sys.prefix) / "share/ament_index").is_dir():
        os.environ["AMENT_PREFIX_PATH"] = os.pathsep.join([*known, sys.prefix])
