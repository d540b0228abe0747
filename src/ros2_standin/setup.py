"""Refuses to build where a real ROS 2 would be hidden: these packages carry its names."""

import os
import sys
import tempfile
from pathlib import Path

from setuptools import setup

prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
prefixes += sorted(Path("/opt/ros").glob("*"))
for prefix in prefixes:
    if (prefix / "share/launch/package.xml").is_file():
        sys.exit(f"g1-mimic-ros2-standin would hide the real ROS 2 launch in {prefix}")

# Built elsewhere, so that nothing is left here for the next build to pick up.
folder = tempfile.mkdtemp(prefix="g1-mimic-ros2-standin-")
setup(options={"build": {"build_base": folder}, "egg_info": {"egg_base": folder}})
