"""Repairs of a trajectory that are safe, each a pure function that says what it changed.

Every function takes a ``Trajectory`` and returns a new one and a sentence with figures; the given
one is never changed. A repair that would hide a real fault is refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.motion.clip import lap_transforms
from g1_mimic.motion.kinematics import complete_trajectory
from g1_mimic.motion.quality import foot_contacts, glitches
from g1_mimic.motion.trajectory import Trajectory
from g1_mimic.rotations import (
    quat_apply,
    quat_apply_inverse,
    quat_conjugate,
    quat_error,
    quat_multiply,
    quat_slerp,
)

if TYPE_CHECKING:
    from g1_mimic.robot.profile import RobotProfile

Repaired = tuple[Trajectory, str]

_CLAMP_LIMIT = 0.2
"""rad: an angle farther outside its limit is another fault, which clamping would hide."""
_STANDING_SPEED = 0.2
_STANDING_HEIGHT = 0.15
_DRIFT_CUTOFF = 1.0
"""Hz: the floor under a capture drifts slowly."""
_MIN_CUTOFF = 0.5


def ground(trajectory: Trajectory) -> Repaired:
    """Lift or lower the whole motion so that the soles of standing feet are at z = 0."""
    level = foot_contacts(complete_trajectory(trajectory)).stance_level()
    shifted = trajectory.root_pos - [0.0, 0.0, level]
    verb = "lowered" if level > 0.0 else "lifted"
    text = f"{verb} by {abs(level):.4f} m: standing feet were at {level:+.4f} m"
    return replace(trajectory, root_pos=shifted), text


def follow_ground(trajectory: Trajectory) -> Repaired:
    """Lift or lower every moment of the motion so that the foot that stands is at z = 0.

    For captures whose floor drifts. Between two stances, and in flight, the change is interpolated;
    it is smoothed to 1 Hz so that no step enters the motion.

    Raises:
        G1MimicError: if no foot ever stands, or the change would be more than 0.15 m.
    """
    contacts = foot_contacts(complete_trajectory(trajectory))
    frames = np.arange(len(trajectory.joint_pos))
    lower = contacts.height.argmin(axis=1)
    height = contacts.height[frames, lower]
    standing = contacts.speed[frames, lower] < _STANDING_SPEED
    if not standing.any():
        raise BadValue(f"motion '{trajectory.name}': no foot ever stands; cannot find the floor")
    if (worst := abs(height[standing]).max()) > _STANDING_HEIGHT:
        raise BadValue(
            f"motion '{trajectory.name}': a standing foot is {worst:.2f} m off the floor; more "
            f"than {_STANDING_HEIGHT} m is no drift (stairs? a jump?)"
        )
    drift = np.interp(frames, frames[standing], height[standing])[:, None]
    if trajectory.fps > 2.0 * _DRIFT_CUTOFF and not trajectory.looped:
        drift = low_pass(_extended(drift), _DRIFT_CUTOFF / trajectory.fps)[len(drift) : -len(drift)]
    elif trajectory.looped:
        drift = np.full_like(drift, drift.mean())  # the seam must stay closed
    change = np.concatenate([np.zeros((len(drift), 2)), drift], axis=1)
    text = f"height changed by {-drift.max():+.4f} to {-drift.min():+.4f} m along the clip"
    return replace(trajectory, root_pos=trajectory.root_pos - change), text


def clamp(trajectory: Trajectory, profile: RobotProfile) -> Repaired:
    """Move joints that are a little outside their limits to the limits.

    Raises:
        G1MimicError: if a joint is more than 0.2 rad outside.
    """
    joints = trajectory.joint_pos
    inside = np.clip(joints, profile.position_lower, profile.position_upper)
    change = abs(inside - joints)
    frame, joint = np.unravel_index(change.argmax(), change.shape)
    name = profile.joint_names[joint]
    if change.max() > _CLAMP_LIMIT:
        raise BadValue(
            f"motion '{trajectory.name}': frame {frame}, {name} is {change.max():.2f} rad outside "
            f"its limit; more than {_CLAMP_LIMIT} rad is no small violation (wrong joint order?)"
        )
    count = int((change > 0.0).any(axis=1).sum())
    text = f"{count} frames clamped to joint limits"
    text += f", by up to {change.max():.4f} rad ({name}, frame {frame})" if count else ""
    return replace(trajectory, joint_pos=inside), text


def remove_glitches(trajectory: Trajectory) -> Repaired:
    """Replace single frames that stick out by the middle of their neighbours."""
    pos, quat, joints = trajectory.root_pos, trajectory.root_quat, trajectory.joint_pos
    spikes = np.flatnonzero(glitches(pos, quat, joints))
    if not spikes.size:
        return trajectory, "no single frame sticks out"
    before, after = spikes - 1, spikes + 1
    new_pos, new_quat, new_joints = pos.copy(), quat.copy(), joints.copy()
    new_pos[spikes] = 0.5 * (pos[before] + pos[after])
    new_quat[spikes] = quat_slerp(quat[before], quat[after], np.full(len(spikes), 0.5))
    new_joints[spikes] = 0.5 * (joints[before] + joints[after])
    change = abs(new_joints - joints).max()
    shown = ", ".join(map(str, spikes[:8])) + (", …" if spikes.size > 8 else "")
    text = f"{spikes.size} single frame(s) replaced ({shown}), joints by up to {change:.3f} rad"
    return replace(trajectory, root_pos=new_pos, root_quat=new_quat, joint_pos=new_joints), text


def low_pass(values: np.ndarray, cutoff: float) -> np.ndarray:
    """Return ``values`` [T, n] low-passed without delay.

    The gain is that of a Butterworth filter of second order run forwards and backwards,
    1 / (1 + (f / cutoff)⁴): one half at the cut-off.

    Args:
        values: samples, padded by the caller (the ends are taken as neighbours).
        cutoff: cut-off frequency in units of the sampling rate, below 0.5.
    """
    spectrum = np.fft.rfft(values, axis=0)
    gain = 1.0 / (1.0 + (np.fft.rfftfreq(len(values)) / cutoff) ** 4)
    return np.asarray(np.fft.irfft(spectrum * gain[:, None], len(values), axis=0))


def smooth(trajectory: Trajectory, cutoff: float) -> Repaired:
    """Low-pass the whole motion without delay; the ends stay where they are.

    Args:
        trajectory: the motion.
        cutoff: Hz; what is slower hardly changes, what is faster goes.

    Raises:
        G1MimicError: if the cut-off is not between 0.5 Hz and half the frame rate.
    """
    if not _MIN_CUTOFF <= cutoff < 0.5 * trajectory.fps:
        raise BadValue(
            f"the cut-off frequency is {cutoff:g} Hz; it must be at least {_MIN_CUTOFF} and below "
            f"half the frame rate, {0.5 * trajectory.fps:g} Hz"
        )
    pos, quat, joints = trajectory.root_pos, trajectory.root_quat, trajectory.joint_pos
    frames = len(joints)
    if trajectory.looped:
        turn, shift = (part[1] for part in lap_transforms(pos, quat, 2))
        lap = slice(0, -1), slice(1, None)
        back = quat_conjugate(turn)
        parts = [
            (quat_apply_inverse(turn, pos[lap[0]] - shift), quat_apply(turn, pos[lap[1]]) + shift),
            (quat_multiply(back, quat[lap[0]]), quat_multiply(turn, quat[lap[1]])),
            (joints[lap[0]], joints[lap[1]]),
        ]
        padded = [
            np.concatenate([before, values, after])
            for (before, after), values in zip(parts, (pos, quat, joints), strict=True)
        ]
    else:
        padded = [_extended(values) for values in (pos, quat, joints)]
    start = (len(padded[0]) - frames) // 2
    kept = slice(start, start + frames)
    new_pos, new_quat, new_joints = (_smoothed(v, cutoff / trajectory.fps)[kept] for v in padded)
    new_quat /= np.linalg.norm(new_quat, axis=1, keepdims=True)
    if trajectory.looped:
        # Equal but for the tails that the padding cuts off.
        new_joints[-1] = new_joints[0]
        new_pos[-1] = quat_apply(turn, new_pos[0]) + shift
        new_quat[-1] = quat_multiply(turn, new_quat[0])
    change = abs(new_joints - joints)
    text = (
        f"smoothed at {cutoff:g} Hz: joints changed by up to {change.max():.4f} rad, "
        f"{np.sqrt((change**2).mean()):.4f} rad on average"
    )
    return replace(trajectory, root_pos=new_pos, root_quat=new_quat, joint_pos=new_joints), text


def _smoothed(padded: np.ndarray, cutoff: float) -> np.ndarray:
    # A ramp between the ends is taken out: the Fourier transform would see a step there.
    ramp = np.linspace(0.0, 1.0, len(padded))[:, None] * (padded[-1] - padded[0]) + padded[0]
    return np.asarray(low_pass(padded - ramp, cutoff) + ramp)


def _extended(values: np.ndarray) -> np.ndarray:
    """Return ``values`` [T, n] with their point reflections at both ends, [3 T, n]."""
    before = 2.0 * values[:1] - values[::-1]
    after = 2.0 * values[-1:] - values[::-1]
    return np.concatenate([before, values, after])


def trim(trajectory: Trajectory, first: float | None, last: float | None) -> Repaired:
    """Keep the frames from ``first`` to ``last`` s, both included; None keeps that end.

    Raises:
        G1MimicError: if less than two frames are kept.
    """
    time = np.arange(len(trajectory.joint_pos)) / trajectory.fps
    kept = (time >= (first or 0.0) - 1e-9) & (time <= (time[-1] if last is None else last) + 1e-9)
    if kept.sum() < 2:
        raise BadValue(
            f"motion '{trajectory.name}' lasts {time[-1]:.2f} s; nothing is left of it from "
            f"{first or 0.0:g} to {time[-1] if last is None else last:g} s"
        )
    whole = bool(kept.all())
    part = replace(
        trajectory,
        root_pos=trajectory.root_pos[kept],
        root_quat=trajectory.root_quat[kept],
        joint_pos=trajectory.joint_pos[kept],
        looped=trajectory.looped and whole,
    )
    ends = time[kept][[0, -1]]
    text = f"trimmed to {ends[0]:.2f} … {ends[1]:.2f} s, {int(kept.sum())} of {len(time)} frames"
    return part, text + (", no longer looped" if trajectory.looped and not whole else "")


def loop_mismatch(trajectory: Trajectory) -> dict[str, float]:
    """Return how far the last pose is from the first: joints and tilt (rad), height (m)."""
    turn = lap_transforms(trajectory.root_pos, trajectory.root_quat, 2)[0][1]
    first = quat_multiply(turn, trajectory.root_quat[0])
    return {
        "joints": float(abs(trajectory.joint_pos[-1] - trajectory.joint_pos[0]).max()),
        "tilt": float(quat_error(first, trajectory.root_quat[-1])),
        "height": float(abs(trajectory.root_pos[-1, 2] - trajectory.root_pos[0, 2])),
    }
