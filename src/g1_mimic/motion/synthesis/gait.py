"""The plan of steps on flat ground: where the feet go, and where the floor pushes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from g1_mimic.motion.synthesis.planar import arc, compose, inverse, move

_HEEL_UP = 0.75
"""Part of a swing in which the heel is higher than the toes."""
_PITCH_PER_METRE = 0.5
"""rad of pitch per m that the foot swings forwards."""


@dataclass(frozen=True)
class Swing:
    """One foot's way from one foothold to the next."""

    side: int
    """0 left, 1 right."""
    first: int
    """Frame at which the foot leaves the floor."""
    last: int
    """Frame at which it stands again."""
    start: np.ndarray
    """[3] x, y (m) and yaw (rad) of the foothold that it leaves."""
    end: np.ndarray
    """[3] the foothold that it reaches."""


@dataclass(frozen=True)
class GaitPlan:
    """T frames, of which the last is the first one moved on, seen from between the feet's first
    places."""

    feet: np.ndarray
    """[T, 2, 3] x, y (m) and yaw (rad) of the left and right ankle."""
    foot_lift: np.ndarray
    """[T, 2] m of the toes above the floor."""
    foot_pitch: np.ndarray
    """[T, 2] rad, positive is heel up."""
    zmp: np.ndarray
    """[T, 2] m: zero-moment point."""
    moving: np.ndarray
    """[T] 0 → 1 → 0: whether the robot steps; 1 throughout if it does so forever."""
    end: np.ndarray
    """[3] x, y (m) and yaw (rad) from the first frame to the last."""


def plan_steps(
    *,
    steps: int,
    stride: np.ndarray,
    first_side: int,
    swing_frames: int,
    double_frames: int,
    stand_frames: int,
    shift_frames: int,
    stance_width: float,
    centre: float,
    inset: float,
    roll: float,
    clearance: float,
) -> GaitPlan:
    """Plan steps from standing to standing, or, without shifting, some that go on forever.

    Args:
        steps: number of steps; even if they go on forever.
        stride: [3] m forwards, m to the left and rad to the left from a foothold of one foot to
            the next one of the other.
        first_side: the foot that steps first: 0 left, 1 right.
        swing_frames: frames that a foot is in the air.
        double_frames: frames between two swings, both feet standing.
        stand_frames: frames of standing before and after.
        shift_frames: frames in which the weight goes onto the first stance foot and off the last;
            0 for steps that go on forever.
        stance_width: m between the feet.
        centre: m that the weight is in front of the ankles.
        inset: m by which the weight stays inside the middle of the stance foot.
        roll: m by which the weight moves forwards under the stance foot, from half before its
            middle to half behind.
        clearance: m of lift in the middle of a swing.
    """
    step_frames = swing_frames + double_frames
    endless = shift_frames == 0
    sides = [(first_side + step) % 2 for step in range(steps)]
    beside = np.array([[0.0, 0.5 * stance_width, 0.0], [0.0, -0.5 * stance_width, 0.0]])
    # How many strides ahead of the start every foothold is; the first two are those stood on.
    if endless:
        # A foot's next foothold is two strides ahead of its last one.
        along = [step - 1.5 for step in range(steps + 2)]
        # The walk begins with half of a double support, and so ends.
        begin, total = double_frames // 2, steps * step_frames
        end = arc(stride, float(steps))
    else:
        # The first step and the last are half ones: the feet start and end side by side.
        along = [0.0, 0.0, *(step + 0.5 for step in range(steps - 1))]
        along.append(along[-1])
        begin = stand_frames + shift_frames
        total = 2 * begin + steps * step_frames - double_frames
        end = arc(stride, along[-1])
    swings = []
    for step, side in enumerate(sides):
        first = begin + step * step_frames
        start, stop = (
            compose(arc(stride, along[place]), beside[side]) for place in (step, step + 2)
        )
        swings.append(Swing(side, first, first + swing_frames, start, stop))
    frames = np.arange(total + 1)
    feet, lift, pitch = _feet(swings, frames, clearance)
    keys = _zmp_keys(swings, feet, centre, inset, roll)
    if endless:
        # The same keys one lap earlier and later close the loop.
        lap = [inverse(end), np.zeros(3), end]
        keys = [(f + (n - 1) * total, move(lap[n], p)) for n in range(3) for f, p in keys]
        moving = np.ones(total + 1)
    else:
        first_point = np.array([centre, 0.0])
        last_point = move(end, first_point)
        keys = [
            (0, first_point),
            (stand_frames, first_point),
            *keys,
            (total - stand_frames, last_point),
            (total, last_point),
        ]
        ramp = np.minimum(frames, total - frames) - stand_frames
        moving = minimum_jerk(np.clip(ramp / (shift_frames + 0.5 * swing_frames), 0.0, 1.0))
    when = [frame for frame, _ in keys]
    zmp = np.stack([np.interp(frames, when, [p[axis] for _, p in keys]) for axis in (0, 1)], axis=1)
    return GaitPlan(feet, lift, pitch, zmp, moving, end)


def _feet(
    swings: list[Swing], frames: np.ndarray, clearance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the feet's places [T, 2, 3], lift [T, 2] m and pitch [T, 2] rad."""
    feet, lift, pitch = (np.zeros((len(frames), 2, *rest)) for rest in ((3,), (), ()))
    for side in (0, 1):
        own = [swing for swing in swings if swing.side == side]
        feet[:, side] = own[0].start
        for swing in own:
            part = np.clip((frames - swing.first) / (swing.last - swing.first), 0.0, 1.0)
            way = swing.end - swing.start
            feet[:, side] += way * minimum_jerk(part)[:, None]
            # Like the way, the lift begins and ends with neither speed nor acceleration.
            lift[:, side] += clearance * bump(part)
            # The heel comes up first, or the ankle would be bent to its limit.
            early = np.clip(part / _HEEL_UP, 0.0, 1.0)
            forwards = np.cos(swing.start[2]) * way[0] + np.sin(swing.start[2]) * way[1]
            pitch[:, side] += _PITCH_PER_METRE * max(0.0, forwards) * bump(early)
    return feet, lift, pitch


def bump(part: np.ndarray) -> np.ndarray:
    """Return 0 → 1 → 0 as ``part`` goes from 0 to 1, without speed or acceleration at the ends."""
    return np.asarray(64.0 * (part * (1.0 - part)) ** 3)


def _zmp_keys(
    swings: list[Swing], feet: np.ndarray, centre: float, inset: float, roll: float
) -> list[tuple[int, np.ndarray]]:
    """Return (frame, point) at which the weight arrives on and leaves every stance foot."""
    keys = []
    for swing in swings:
        foot = feet[swing.first, 1 - swing.side]
        inwards = inset if swing.side == 0 else -inset
        keys.append((swing.first, move(foot, np.array([centre - 0.5 * roll, inwards]))))
        keys.append((swing.last, move(foot, np.array([centre + 0.5 * roll, inwards]))))
    return keys


def minimum_jerk(part: np.ndarray) -> np.ndarray:
    """Return the way [0, 1] after a ``part`` [0, 1] of the time, without speed or acceleration at
    either end (Flash and Hogan 1985)."""
    return np.asarray(part**3 * (10.0 - 15.0 * part + 6.0 * part**2))


def plateau(part: np.ndarray, edge: float) -> np.ndarray:
    """Return 0 → 1 → 0 as ``part`` goes from 0 to 1, smooth, with edges of length ``edge``."""
    return np.asarray(
        minimum_jerk(np.clip(part / edge, 0.0, 1.0))
        * minimum_jerk(np.clip((1.0 - part) / edge, 0.0, 1.0))
    )
