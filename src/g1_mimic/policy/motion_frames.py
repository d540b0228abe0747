"""The motion inside a policy file, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from g1_mimic.errors import G1MimicError
from g1_mimic.policy.contract import PolicyContract
from g1_mimic.policy.readers import Frame, family_of
from g1_mimic.robot.names import JOINT_NAMES, NUM_JOINTS

_MAX_FRAMES = 1 << 20


@dataclass(frozen=True)
class PolicyReference:
    """One frame of the motion in a policy: joints in ``JOINT_NAMES`` order, SI, world frame."""

    joint_pos: np.ndarray
    """[29] rad."""
    joint_vel: np.ndarray
    """[29] rad/s."""
    anchor_pos: np.ndarray
    """[3] m."""
    anchor_quat: np.ndarray
    """[4] w x y z."""
    body_pos_w: np.ndarray
    """[B, 3] m; the bodies are ``metadata.body_names``."""
    body_quat_w: np.ndarray
    """[B, 4] w x y z."""
    body_lin_vel_w: np.ndarray
    """[B, 3] m/s; NaN in a file of holosoma, which has none."""
    body_ang_vel_w: np.ndarray
    """[B, 3] rad/s; NaN in a file of holosoma, which has none."""
    joint_torque: np.ndarray
    """[29] N·m; zero in a file that does not tell."""


def read_motion(run: Callable[[int], Frame], contract: PolicyContract) -> list[PolicyReference]:
    """Return all frames of a file's motion.

    Args:
        run: returns the outputs of the motion, each [1, …], at a ``time_step``.
        contract: of the file, in the file's joint order.

    Raises:
        G1MimicError: if a frame is not finite, or there is no end of them.
    """
    frames = _all_frames(run, contract.num_frames)
    order = np.array([contract.joint_names.index(name) for name in JOINT_NAMES])
    anchor = contract.body_names.index(contract.anchor_body_name)
    to_ours = family_of(contract).frame

    def reference(number: int, raw: Frame) -> PolicyReference:
        values = {name: value[0].astype(np.float64) for name, value in raw.items()}
        if not all(np.isfinite(value).all() for value in values.values()):
            raise G1MimicError(f"frame {number} of the motion is not finite")
        values = {"joint_torque": np.zeros(NUM_JOINTS), **to_ours(values)}
        for value in values.values():
            value.setflags(write=False)
        for name in ("joint_pos", "joint_vel", "joint_torque"):
            values[name] = values[name][order]
        pos, quat = values["body_pos_w"][anchor], values["body_quat_w"][anchor]
        return PolicyReference(anchor_pos=pos, anchor_quat=quat, **values)

    return [reference(number, raw) for number, raw in enumerate(frames)]


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
    raise G1MimicError(f"the motion has more than {_MAX_FRAMES} frames")


def find_rate(frames: Sequence[PolicyReference]) -> float:
    """Return the control rate, Hz, of a file that does not tell, from its motion's velocities.

    Other trainers run at 50 Hz, a variant of BeyondMimic at 25.

    Raises:
        G1MimicError: if the velocities fit neither.
    """
    pos = np.array([frame.joint_pos for frame in frames])
    vel = np.array([frame.joint_vel for frame in frames])
    moved, meant = 0.5 * (pos[2:] - pos[:-2]), vel[1:-1]
    if not np.abs(moved).max(initial=0.0) > 1e-4:
        return 50.0  # nothing moves: no rate is wrong
    rate = float((moved * meant).sum() / (moved * moved).sum())
    for known in (50.0, 25.0):
        if abs(rate / known - 1.0) < 0.2:
            return known
    raise G1MimicError(
        f"the motion's velocities fit {rate:.3g} frames/s; a policy of others runs at 50 or 25"
    )
