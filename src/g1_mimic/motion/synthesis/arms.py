"""What waist and arms do: gestures over any stance, and clips of standing and gesturing."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from g1_mimic.motion.synthesis.gait import bump, minimum_jerk, plateau
from g1_mimic.motion.synthesis.parameters import Within
from g1_mimic.motion.synthesis.plan import Home, Plan, planted, upper
from g1_mimic.motion.synthesis.solve import maker

Side = Literal["left", "right"]
Sides = Literal["left", "right", "both"]
SIDES: tuple[Side, Side] = ("left", "right")

_GUARD = {"shoulder_pitch": -0.6, "shoulder_roll": -0.05, "elbow": -1.3}
_STRUCK = {"shoulder_pitch": -1.55, "shoulder_roll": -0.1, "elbow": 0.6}
"""rad that the joints of a left arm turn from the default pose: fist at the chin, and in front."""
_WAIST_TURN = 0.25
"""rad by which the waist follows a fist."""


def _turn(joints: np.ndarray, side: Side, angles: dict[str, float], by: np.ndarray) -> None:
    """Turn joints [T, 17] of one arm by ``angles`` (of a left arm) times ``by`` [T], in place."""
    for joint, angle in angles.items():
        mirrored = side == "right" and not joint.endswith(("pitch", "elbow"))
        joints[:, upper(f"{side}_{joint}")] += (-angle if mirrored else angle) * by


def wave_arm(
    joints: np.ndarray, side: Side, size: float, part: np.ndarray, swings: int = 3
) -> None:
    """Let one arm rise, wave and sink again, in place, as ``part`` [T] goes from 0 to 1."""
    raised = size * plateau(part, 0.35)
    swing = np.sin(2.0 * np.pi * swings * part) * raised
    _turn(joints, side, {"shoulder_pitch": -1.0, "shoulder_roll": 0.9, "elbow": -0.8}, raised)
    _turn(joints, side, {"shoulder_roll": 0.15, "elbow": 0.25}, swing)


def spread_arms(joints: np.ndarray, size: float, part: np.ndarray) -> None:
    """Let both arms rise to the sides and sink again, in place, as ``part`` goes from 0 to 1."""
    raised = size * plateau(part, 0.45)
    for side in SIDES:
        _turn(joints, side, {"shoulder_roll": 1.2, "elbow": 0.6}, raised)


def swing_arms(joints: np.ndarray, size: float, swing: np.ndarray) -> None:
    """Swing the arms against each other, in place: the left one forwards at ``swing`` [T] = 1."""
    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        angles = {"shoulder_pitch": -sign * size, "elbow": 0.4 * sign * size}
        _turn(joints, side, angles, swing)


def punch_with(joints: np.ndarray, side: Side, size: float, part: np.ndarray) -> None:
    """Let a fist in guard strike and come back, in place, as ``part`` [T] goes from 0 to 1."""
    strike = size * bump(part)
    _turn(joints, side, {joint: _STRUCK[joint] - _GUARD[joint] for joint in _STRUCK}, strike)
    joints[:, upper("waist_yaw")] += (-_WAIST_TURN if side == "left" else _WAIST_TURN) * strike


def raise_guard(joints: np.ndarray, by: np.ndarray) -> None:
    """Lift both fists to the chin, in place, as ``by`` [T] goes from 0 to 1."""
    for side in SIDES:
        _turn(joints, side, _GUARD, by)


def waving(
    home: Home,
    fps: float,
    arm: Annotated[Sides, "the arm that waves"] = "right",
    size: Annotated[float, Within(0.2, 1.0, "1: the hand over the shoulder")] = 1.0,
    swings: Annotated[int, Within(1, 20, "how often the hand swings")] = 4,
    period: Annotated[float, Within(0.5, 3.0, "s per swing")] = 1.0,
) -> Plan:
    """Stand and wave."""
    # Raising and lowering the arm take a third of the time each, and swings happen meanwhile too.
    targets = home.targets(round((swings * period + 1.0) * fps) + 1)
    part = np.linspace(0.0, 1.0, len(targets.com))
    for side in SIDES:
        if arm in (side, "both"):
            wave_arm(targets.upper, side, size, part, swings)
    return planted(targets, fps)


def punching(
    home: Home,
    fps: float,
    count: Annotated[int, Within(1, 40, "punches, left and right in turn")] = 6,
    period: Annotated[float, Within(0.5, 3.0, "s per punch")] = 0.8,
    reach: Annotated[float, Within(0.2, 1.0, "1: the arm nearly straight")] = 1.0,
) -> Plan:
    """Punch straight from a guard, left and right in turn."""
    ready, beat = round(0.6 * fps), round(period * fps)
    targets = home.targets(2 * ready + count * beat + 1)
    frames = np.arange(len(targets.com))
    ends = np.minimum(frames, frames[::-1])
    raise_guard(targets.upper, minimum_jerk(np.clip(ends / ready, 0.0, 1.0)))
    for index in range(count):
        part = np.clip((frames - ready - index * beat) / beat, 0.0, 1.0)
        punch_with(targets.upper, SIDES[index % 2], reach, part)
    return planted(targets, fps)


make_wave = maker("wave", waving)
make_punch = maker("punch", punching)
