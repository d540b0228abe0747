"""What a motion file holds, whatever its format: the root's poses and the joint angles."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.robot.names import JOINT_NAMES, NUM_JOINTS
from g1_mimic.rotations import quat_slerp

CONTROL_RATE = 50.0
"""Hz: the rate of every known G1 tracking policy, to which clips are resampled by default."""

MAX_FRAMES = 200_000
"""More than an hour at 50 Hz; beyond, a damaged frame rate or size is the likelier reason."""
LARGEST = 1e6
"""m, rad: beyond, a number is damaged; velocities and forward kinematics would overflow."""
_MAX_FPS = 1e4
_QUAT_NORM_TOLERANCE = 1e-2
_ROOT_COLUMNS = ("x", "y", "z", "qw", "qx", "qy", "qz")


@dataclass(frozen=True)
class Trajectory:
    """Root poses and joint angles of T frames; the rest of a clip follows from them.

    Construction checks shapes and values, makes the quaternions exactly unit and lets them change
    sign nowhere along the clip.

    Raises:
        G1MimicError: naming the first frame and column that is wrong.
    """

    name: str
    fps: float
    root_pos: np.ndarray
    """[T, 3] m."""
    root_quat: np.ndarray
    """[T, 4] w x y z."""
    joint_pos: np.ndarray
    """[T, 29] rad in ``JOINT_NAMES`` order."""
    looped: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", one_line(self.name))
        if not (math.isfinite(self.fps) and self.fps > 0.0):
            raise BadValue(f"motion '{self.name}': fps must be above 0, not {self.fps:g}")
        if self.fps > _MAX_FPS:
            raise BadValue(f"motion '{self.name}': fps is {self.fps:g}, more than {_MAX_FPS:g}")
        frames = len(self.joint_pos)
        if frames < 2:
            raise BadValue(f"motion '{self.name}' has {frames} frame(s); at least 2 are needed")
        if frames > MAX_FRAMES:
            raise BadValue(
                f"motion '{self.name}' has {frames} frames; at most {MAX_FRAMES} are possible"
            )
        expected = {"root_pos": 3, "root_quat": 4, "joint_pos": NUM_JOINTS}
        arrays = {}
        for field, width in expected.items():
            array = np.array(getattr(self, field), dtype=np.float64)
            if array.shape != (frames, width):
                raise BadValue(
                    f"motion '{self.name}': {field} has shape {array.shape}, "
                    f"expected ({frames}, {width})"
                )
            arrays[field] = array
        self._require_finite(np.concatenate(list(arrays.values()), axis=1))
        norm = np.linalg.norm(arrays["root_quat"], axis=1)
        wrong = np.flatnonzero(abs(norm - 1.0) > _QUAT_NORM_TOLERANCE)
        if wrong.size:
            raise BadValue(
                f"motion '{self.name}': the root quaternion of frame {wrong[0]} has norm "
                f"{norm[wrong[0]]:.3g}, not 1"
            )
        arrays["root_quat"] = continuous_quat(arrays["root_quat"] / norm[:, None])
        for field, array in arrays.items():
            array.flags.writeable = False
            object.__setattr__(self, field, array)

    def _require_finite(self, values: np.ndarray) -> None:
        bad = np.argwhere(~(abs(values) <= LARGEST))
        if bad.size:
            frame, column = bad[0]
            what = (_ROOT_COLUMNS + JOINT_NAMES)[column]
            raise BadValue(
                f"motion '{self.name}': frame {frame}, {what} is {values[frame, column]}"
            )


def one_line(text: str, limit: int = 200) -> str:
    """Return a text from a file such that it can stand in a message of one line."""
    return "".join(c if c.isprintable() else " " for c in text[:limit])


def continuous_quat(quat: np.ndarray) -> np.ndarray:
    """Return ``quat`` [T, …, 4] with signs such that neighbours along T are less than 90° apart."""
    flip = np.sign((quat[1:] * quat[:-1]).sum(-1))
    flip[flip == 0.0] = 1.0
    signs = np.concatenate([np.ones_like(flip[:1]), np.cumprod(flip, axis=0)])
    continuous: np.ndarray = quat * signs[..., None]
    return continuous


def resample(trajectory: Trajectory, fps: float) -> Trajectory:
    """Return the trajectory at ``fps`` frames per second.

    Positions and joint angles are interpolated linearly, orientations along the shorter arc. The
    frames are the instants k / fps from the first frame on; the last frame of the source is kept
    when it falls on such an instant, otherwise the clip ends at the instant before it. A looped
    trajectory must keep its last frame, so there the period is rounded to whole frames and time
    runs faster or slower by less than half a frame per period. A trajectory that already has the
    rate is returned as it is, to the bit.

    Raises:
        G1MimicError: if ``fps`` is not above 0, or if the result would have less than 2 frames.
    """
    if not (math.isfinite(fps) and fps > 0.0):
        raise BadValue(f"the frame rate to resample to must be above 0, not {fps:g}")
    if fps == trajectory.fps:
        return trajectory
    last = len(trajectory.joint_pos) - 1
    # A frame rate next to zero would make more frames than an integer can count.
    steps = min(last / trajectory.fps * fps, float(MAX_FRAMES))
    # A period that is whole but for rounding counts as whole.
    count = round(steps) if trajectory.looped else math.floor(steps + 1e-6)
    if count < 1:
        raise BadValue(
            f"motion '{trajectory.name}' lasts {last / trajectory.fps:.3g} s: too short for "
            f"{fps:g} frames per second"
        )
    if count >= MAX_FRAMES:
        raise BadValue(
            f"motion '{trajectory.name}' lasts {last / trajectory.fps:.3g} s: {count} frames at "
            f"{fps:g} Hz, more than {MAX_FRAMES}; is its frame rate of {trajectory.fps:.3g} right?"
        )
    stride = last / count if trajectory.looped else trajectory.fps / fps
    source = np.minimum(np.arange(count + 1) * stride, last)
    before = np.minimum(source.astype(int), last - 1)
    part = source - before

    def lerp(values: np.ndarray) -> np.ndarray:
        low: np.ndarray = values[before]
        return np.asarray(low + part[:, None] * (values[before + 1] - low))

    quat = trajectory.root_quat
    return replace(
        trajectory,
        fps=fps,
        root_pos=lerp(trajectory.root_pos),
        root_quat=quat_slerp(quat[before], quat[before + 1], part),
        joint_pos=lerp(trajectory.joint_pos),
    )
