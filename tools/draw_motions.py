"""Draw the clips of the package into docs/motions.png: a row of moments for each.

python tools/draw_motions.py
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from g1_mimic.files import atomic_write, share_dir
from g1_mimic.motion.formats import load_motion
from g1_mimic.robot.render import contact_sheet, render_frames

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
        # Twice the size, then the mean of four pixels: smooth edges.
        large = render_frames(
            qpos[moments.astype(int)], size=(2 * SIZE[0], 2 * SIZE[1]), azimuth=150.0, distance=2.1
        ).astype(np.float32)
        small = large.reshape(COLUMNS, SIZE[1], 2, SIZE[0], 2, 3).mean(axis=(2, 4))
        rows.append(small.round().astype(np.uint8))
    sheet = contact_sheet(np.concatenate(rows), columns=COLUMNS)
    with atomic_write(share_dir() / "docs" / "motions.png") as temporary:
        # Few colours: a fraction of the size.
        picture = Image.fromarray(sheet).quantize(COLOURS, dither=Image.Dither.NONE)
        picture.save(temporary, format="png", optimize=True)


if __name__ == "__main__":
    main()
