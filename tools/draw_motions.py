"""Draw the clips of the package into docs/motions.png: a row of moments for each.

python tools/draw_motions.py
"""

from __future__ import annotations

import numpy as np

from g1_mimic.files import share_dir
from g1_mimic.motion.files import load_motion
from g1_mimic.robot.render import contact_sheet, render_smooth, write_png

CLIPS = ("stand", "squat", "wave", "walk", "walk_slow", "march", "turn", "dance")
COLUMNS = 10
SIZE = 130, 170
COLOURS = 64


def main() -> None:
    """Write the picture."""
    rows = []
    for name in CLIPS:
        qpos = load_motion(name).qpos()
        # The first and last moments are all the same: standing.
        moments = np.linspace(0.0, 1.0, COLUMNS + 2)[1:-1] * (len(qpos) - 1)
        rows.append(render_smooth(qpos[moments.astype(int)], SIZE, azimuth=150.0, distance=2.1))
    sheet = contact_sheet(np.concatenate(rows), columns=COLUMNS)
    write_png(share_dir() / "docs" / "motions.png", sheet, COLOURS)


if __name__ == "__main__":
    main()
