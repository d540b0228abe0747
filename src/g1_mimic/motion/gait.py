"""The plan of a straight walk on flat ground: where the feet go, and where the floor pushes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_HEEL_UP = 0.75
"""Part of a swing in which the heel is higher than the toes."""
_PITCH_PER_METRE = 0.5
"""rad of pitch per m that the foot swings."""


@dataclass(frozen=True)
class Swing:
    """One foot's way from one foothold to the next."""

    side: int
    """0 left, 1 right."""
    first: int
    """Frame at which the foot leaves the floor."""
    last: int
    """Frame at which it stands again."""
    start: float
    """m along the way."""
    end: float
    """m along the way."""


@dataclass(frozen=True)
class GaitPlan:
    """T frames, of which the last is the first one moved forwards."""

    swings: tuple[Swing, ...]
    foot_x: np.ndarray
    """[T, 2] m: left and right foot along the way."""
    foot_lift: np.ndarray
    """[T, 2] m of the toes above the floor."""
    foot_pitch: np.ndarray
    """[T, 2] rad, positive is heel up."""
    zmp: np.ndarray
    """[T, 2] m: zero-moment point, relative to the middle of the soles; y to the left."""
    advance: float
    """m from the first frame to the last."""


def plan_walk(
    *,
    steps: int,
    stride: float,
    swing_frames: int,
    double_frames: int,
    stand_frames: int,
    shift_frames: int,
    stance_width: float,
    inset: float,
    roll: float,
    clearance: float,
) -> GaitPlan:
    """Plan a walk from standing to standing, or, without standing frames, one that goes on forever.

    Args:
        steps: number of steps; even for a walk that goes on forever.
        stride: m from a foothold of one foot to the next one of the other.
        swing_frames: frames that a foot is in the air.
        double_frames: frames between two swings, both feet standing.
        stand_frames: frames of standing before and after; 0 for a walk that goes on forever.
        shift_frames: frames in which the weight goes onto the first stance foot and off the last.
        stance_width: m between the feet.
        inset: m by which the weight stays inside the middle of the stance foot.
        roll: m by which the weight moves forwards under the stance foot, from half before its
            middle to half behind.
        clearance: m of lift in the middle of a swing.
    """
    step_frames = swing_frames + double_frames
    endless = stand_frames == 0
    if endless:
        # The walk begins with half of a double support, and so ends.
        begin, total = double_frames // 2, steps * step_frames
        swings = [
            # A foot's next foothold is two strides ahead of its last one.
            _swing(k, begin + k * step_frames, swing_frames, (k - 1.5) * stride, (k + 0.5) * stride)
            for k in range(steps)
        ]
        advance = steps * stride
    else:
        begin = stand_frames + shift_frames
        total = 2 * begin + steps * step_frames - double_frames
        # The first step and the last are half ones: the feet start and end side by side.
        footholds = [(k + 0.5) * stride for k in range(steps - 1)]
        footholds.append(footholds[-1])
        swings = [
            _swing(
                k,
                begin + k * step_frames,
                swing_frames,
                footholds[k - 2] if k > 1 else 0.0,
                footholds[k],
            )
            for k in range(steps)
        ]
        advance = footholds[-1]
    frames = np.arange(total + 1)
    foot_x, foot_lift, foot_pitch = _feet(swings, frames, clearance)
    keys = _zmp_keys(swings, foot_x, 0.5 * stance_width - inset, roll)
    if endless:
        # The same keys one lap earlier and later close the loop.
        earlier = [(f - total, x - advance, y) for f, x, y in keys]
        later = [(f + total, x + advance, y) for f, x, y in keys]
        keys = earlier + keys + later
    else:
        keys = [
            (0, 0.0, 0.0),
            (stand_frames, 0.0, 0.0),
            *keys,
            (total - stand_frames, advance, 0.0),
            (total, advance, 0.0),
        ]
    when, x, y = np.array(keys).T
    zmp = np.stack([np.interp(frames, when, x), np.interp(frames, when, y)], axis=1)
    return GaitPlan(tuple(swings), foot_x, foot_lift, foot_pitch, zmp, advance)


def _swing(index: int, first: int, frames: int, start: float, end: float) -> Swing:
    return Swing(index % 2, first, first + frames, start, end)


def _feet(
    swings: list[Swing], frames: np.ndarray, clearance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the feet's way [T, 2] m, lift [T, 2] m and pitch [T, 2] rad."""
    x, lift, pitch = (np.zeros((len(frames), 2)) for _ in range(3))
    for side in (0, 1):
        own = [swing for swing in swings if swing.side == side]
        x[:, side] = own[0].start
        for swing in own:
            part = np.clip((frames - swing.first) / (swing.last - swing.first), 0.0, 1.0)
            x[:, side] += (swing.end - swing.start) * minimum_jerk(part)
            # Like the way, the lift begins and ends with neither speed nor acceleration.
            lift[:, side] += clearance * _bump(part)
            # The heel comes up first, or the ankle would be bent to its limit.
            early = np.clip(part / _HEEL_UP, 0.0, 1.0)
            pitch[:, side] += _PITCH_PER_METRE * (swing.end - swing.start) * _bump(early)
    return x, lift, pitch


def _bump(part: np.ndarray) -> np.ndarray:
    """Return 0 → 1 → 0, without speed or acceleration at either end."""
    return np.asarray(64.0 * (part * (1.0 - part)) ** 3)


def _zmp_keys(
    swings: list[Swing], foot_x: np.ndarray, offset: float, roll: float
) -> list[tuple[float, float, float]]:
    """Return (frame, x, y) at which the weight arrives on and leaves every stance foot."""
    keys: list[tuple[float, float, float]] = []
    for swing in swings:
        stance = 1 - swing.side
        x = float(foot_x[swing.first, stance])
        y = offset if stance == 0 else -offset
        keys.append((swing.first, x - 0.5 * roll, y))
        keys.append((swing.last, x + 0.5 * roll, y))
    return keys


def minimum_jerk(part: np.ndarray) -> np.ndarray:
    """Return the way [0, 1] after a ``part`` [0, 1] of the time, without speed or acceleration at
    either end (Flash and Hogan 1985)."""
    return np.asarray(part**3 * (10.0 - 15.0 * part + 6.0 * part**2))
