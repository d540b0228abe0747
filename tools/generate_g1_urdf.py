#!/usr/bin/env python3
"""Write models/g1/g1.urdf from models/g1/g1.xml and the robot profile g1_29dof.

Usage: generate_g1_urdf.py [OUT.urdf [PROFILE]]
"""

from __future__ import annotations

import sys
from pathlib import Path

from g1_mimic.files import atomic_write_text
from g1_mimic.robot.profile import load_profile
from g1_mimic.robot.urdf import robot_urdf


def main(arguments: list[str]) -> int:
    """Write the file."""
    if len(arguments) > 2:
        print("usage: generate_g1_urdf.py [OUT.urdf [PROFILE]]", file=sys.stderr)
        return 2
    default = Path(__file__).resolve().parents[1] / "models" / "g1" / "g1.urdf"
    output = Path(arguments[0]) if arguments else default
    profile = load_profile(arguments[1] if len(arguments) == 2 else "g1_29dof")
    atomic_write_text(output, robot_urdf(profile))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
