"""How well the feet of a clip stand, and where single frames stick out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from g1_mimic.motion.balance import GRAVITY, centre_of_mass, sole_points
from g1_mimic.motion.clip import MotionClip
from g1_mimic.robot.skeleton import FOOT_BODY_NAMES
from g1_mimic.rotations import cross, quat_error, quat_slerp

CONTACT_HEIGHT = 0.03
"""m over the floor: a sole point that is lower touches it (references float or sink a little)."""
_STANDING_SPEED = 0.2
"""m/s: the lowest point of a foot that is slower carries the robot."""
_FLOAT_HEIGHT = 0.05
"""m: feet that are higher do not carry the robot."""
_SHORTEST_FLIGHT = 0.1
"""s"""
_GLITCH_RATIO = 4.0
_GLITCH_SIDES = 0.3
_GLITCH = {"root_pos": 0.03, "root_quat": 0.1, "joint_pos": 0.1}
"""m, rad, rad: smaller ones are noise."""


@dataclass(frozen=True)
class FootContacts:
    """The lowest point of each sole, left foot first."""

    height: np.ndarray
    """[T, 2] m over z = 0."""
    speed: np.ndarray
    """[T, 2] m/s in the plane, of the material point that is lowest: 0 in a foot that rolls."""

    @property
    def touching(self) -> np.ndarray:
        """[T, 2] whether the foot is on the floor."""
        return np.asarray(self.height < CONTACT_HEIGHT)

    def mean_slip(self) -> float:
        """Return the mean speed (m/s) of the foot that stands; 0 if none ever touches the floor.

        Of two feet near the floor the slower one: the other may be about to land.
        """
        slowest = np.where(self.touching, self.speed, np.inf).min(axis=1)
        standing = np.isfinite(slowest)
        return float(slowest[standing].mean()) if standing.any() else 0.0

    def stance_level(self) -> float:
        """Return the height (m) at which feet stand: the median over all that carry the robot.

        Those are the lower feet that hardly move; without any, the lowest tenth of all frames.
        """
        frames = np.arange(len(self.height))
        lower = self.height.argmin(axis=1)
        height = self.height[frames, lower]
        standing = self.speed[frames, lower] < _STANDING_SPEED
        if standing.any():
            return float(np.median(height[standing]))
        return float(np.quantile(height, 0.1))


def foot_contacts(clip: MotionClip) -> FootContacts:
    """Return where the soles of a clip are, and how fast they slide."""
    soles = sole_points(clip)
    lowest = soles[..., 2].argmin(axis=-1)[..., None, None]
    points = np.take_along_axis(soles, lowest, axis=2)[:, :, 0]
    feet = [clip.body_index(name) for name in FOOT_BODY_NAMES]
    arm = points - clip.body_pos_w[:, feet]
    velocity = clip.body_lin_vel_w[:, feet] + cross(clip.body_ang_vel_w[:, feet], arm)
    return FootContacts(points[..., 2], np.linalg.norm(velocity[..., :2], axis=-1))


def floating_frames(clip: MotionClip, contacts: FootContacts) -> np.ndarray:
    """Return [T] where the robot is in the air without falling.

    A flight is a run of frames with no foot near the floor; in a real one the centre of mass falls
    with gravity, so a mean acceleration above half of it is impossible.
    """
    airborne = contacts.height.min(axis=1) > _FLOAT_HEIGHT
    floating = np.zeros(clip.num_frames, bool)
    height = centre_of_mass(clip)[:, 2]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], airborne.astype(int), [0]])))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        duration = (end - start) / clip.fps
        if duration < _SHORTEST_FLIGHT or end - start < 3:
            continue
        time = np.arange(end - start) / clip.fps
        acceleration = 2.0 * np.polyfit(time, height[start:end], 2)[0]
        floating[start:end] = acceleration > -0.5 * GRAVITY
    return floating


def glitches(root_pos: np.ndarray, root_quat: np.ndarray, joint_pos: np.ndarray) -> np.ndarray:
    """Return which single frames [T] stick out of their neighbours.

    A frame does if it is far off the middle of the frames around it, much farther than frames two
    and three away are off theirs: a fast motion bends for several frames, a glitch for one. It
    puts both its neighbours off by half as much; a step from one pose to another only one.
    """
    frames = len(joint_pos)
    result = np.zeros(frames, bool)
    if frames < 9:
        return result
    middle = quat_slerp(root_quat[:-2], root_quat[2:], np.full(frames - 2, 0.5))
    off = {
        "root_pos": np.linalg.norm(root_pos[1:-1] - 0.5 * (root_pos[:-2] + root_pos[2:]), axis=1),
        "root_quat": quat_error(root_quat[1:-1], middle),
        "joint_pos": abs(joint_pos[1:-1] - 0.5 * (joint_pos[:-2] + joint_pos[2:])),
    }
    for key, values in off.items():
        columns = values.reshape(len(values), -1)
        padded = np.pad(columns, ((3, 3), (0, 0)), mode="edge")
        count = len(columns)
        around = np.max([padded[k : k + count] for k in (0, 1, 5, 6)], axis=0)
        beside = np.minimum(padded[2 : 2 + count], padded[4 : 4 + count])
        spikes = (columns > _GLITCH[key]) & (columns > _GLITCH_RATIO * around)
        spikes &= beside > _GLITCH_SIDES * columns
        result[1:-1] |= spikes.any(axis=1)
    return result
