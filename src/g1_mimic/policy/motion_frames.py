"""The motion inside a policy file, frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.policy.contract import PolicyContract
from g1_mimic.policy.readers import Frame, family_of
from g1_mimic.robot.names import JOINT_NAMES

_MAX_FRAMES = 1 << 20


@dataclass(frozen=True)
class PolicyReference:
    """The motion in a policy, or one frame of it without the axis T.

    Joints are in ``JOINT_NAMES`` order, everything is SI and in the world frame.
    """

    joint_pos: np.ndarray
    """[T, 29] rad."""
    joint_vel: np.ndarray
    """[T, 29] rad/s."""
    anchor_pos: np.ndarray
    """[T, 3] m."""
    anchor_quat: np.ndarray
    """[T, 4] w x y z."""
    body_pos_w: np.ndarray
    """[T, B, 3] m; the bodies are ``metadata.body_names``."""
    body_quat_w: np.ndarray
    """[T, B, 4] w x y z."""
    body_lin_vel_w: np.ndarray
    """[T, B, 3] m/s; NaN in a file of holosoma, which has none."""
    body_ang_vel_w: np.ndarray
    """[T, B, 3] rad/s; NaN in a file of holosoma, which has none."""
    joint_torque: np.ndarray
    """[T, 29] N·m; zero in a file that does not tell."""

    def __getitem__(self, frames: int | slice) -> PolicyReference:
        """Return one frame, or some."""
        return PolicyReference(*(getattr(self, f.name)[frames] for f in fields(self)))


def read_motion(run: Callable[[int], Frame], contract: PolicyContract) -> PolicyReference:
    """Return the motion of a file.

    Args:
        run: returns the outputs of the motion, each [1, …], at a ``time_step``.
        contract: of the file, in the file's joint order.

    Raises:
        G1MimicError: if a frame is not finite, or there is no end of them.
    """
    frames = _all_frames(run, contract.num_frames)
    raw = {name: np.concatenate([f[name] for f in frames]).astype(np.float64) for name in frames[0]}
    finite = [np.isfinite(value).reshape(len(frames), -1).all(1) for value in raw.values()]
    if not (whole := np.all(finite, axis=0)).all():
        raise BadValue(f"frame {int(whole.argmin())} of the motion is not finite")
    zero = np.zeros_like(raw["joint_pos"])
    values = {"joint_torque": zero, **family_of(contract).frames(raw)}
    order = [contract.joint_names.index(name) for name in JOINT_NAMES]
    for name in ("joint_pos", "joint_vel", "joint_torque"):
        values[name] = np.ascontiguousarray(values[name][:, order])
    anchor = contract.body_names.index(contract.anchor_body_name)
    for part in ("pos", "quat"):
        values[f"anchor_{part}"] = values[f"body_{part}_w"][:, anchor]
    for value in values.values():
        value.setflags(write=False)
    return PolicyReference(**values)


def _all_frames(run: Callable[[int], Frame], num_frames: int) -> list[Frame]:
    """Return the outputs for every frame; ``num_frames`` is 0 if the file does not tell.

    Such files hold their last frame for ever: look for a stretch [s, 2s) that equals it.
    """
    if num_frames:
        return [run(t) for t in range(num_frames)]
    last = run(_MAX_FRAMES)
    frames: list[Frame] = []
    differing = -1
    while len(frames) < _MAX_FRAMES:
        start, stop = len(frames), max(2 * len(frames), 64)
        frames += [run(t) for t in range(start, stop)]
        found = [
            t
            for t in range(start, stop)
            if not all(np.array_equal(frames[t][name], value) for name, value in last.items())
        ]
        if not found:
            return frames[: differing + 2]
        differing = found[-1]
    raise BadValue(f"the motion has more than {_MAX_FRAMES} frames")


def find_rate(motion: PolicyReference) -> float:
    """Return the control rate, Hz, of a file that does not tell, from its motion's velocities.

    Other trainers run at 50 Hz, a variant of BeyondMimic at 25.

    Raises:
        G1MimicError: if the velocities fit neither.
    """
    moved = 0.5 * (motion.joint_pos[2:] - motion.joint_pos[:-2])
    meant = motion.joint_vel[1:-1]
    if not np.abs(moved).max(initial=0.0) > 1e-4:
        return 50.0  # nothing moves: no rate is wrong
    rate = float((moved * meant).sum() / (moved * moved).sum())
    for known in (50.0, 25.0):
        if abs(rate / known - 1.0) < 0.2:
            return known
    raise BadValue(
        f"the motion's velocities fit {rate:.3g} frames/s; a policy of others runs at 50 or 25"
    )
