"""The reference of a policy, moved to where the robot stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from g1_mimic.motion.clip import lap_transforms
from g1_mimic.rotations import quat_apply, quat_from_yaw, quat_multiply, quat_yaw

if TYPE_CHECKING:
    from g1_mimic.policy.runtime import OnnxPolicy


class ReferenceFrame(NamedTuple):
    """What the robot should do at one control step, in the robot's world."""

    joint_pos: np.ndarray
    """[29] rad."""
    joint_vel: np.ndarray
    """[29] rad/s."""
    anchor_pos: np.ndarray
    """[3] m."""
    anchor_quat: np.ndarray
    """[4]."""


class AlignedReference:
    """Frames of a policy's clip by control step, without end where the clip loops.

    The first frame is moved to the robot by yaw and x, y, as legged_control2's motion tracking
    controller does it; heights stay. Each lap of a looped clip starts where the one before ended.
    A clip that does not loop holds its last frame.
    """

    def __init__(self, policy: OnnxPolicy, looped: bool) -> None:
        self._policy = policy
        self._last = policy.num_frames - 1
        self._looped = looped and self._last > 0
        frames = [policy.reference(t) for t in range(policy.num_frames)]
        self._anchor_pos = np.stack([frame.anchor_pos for frame in frames])
        self._anchor_quat = np.stack([frame.anchor_quat for frame in frames])
        self._turn, self._shift = np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(3)
        self._laps = lap_transforms(self._anchor_pos, self._anchor_quat, 1)

    def align(self, anchor_pos: np.ndarray | None, anchor_quat: np.ndarray) -> None:
        """Move frame 0 to the robot's anchor by yaw and, where it is known, by x and y."""
        self._turn = quat_from_yaw(quat_yaw(anchor_quat) - quat_yaw(self._anchor_quat[0]))
        self._shift = np.zeros(3)
        if anchor_pos is not None:
            self._shift[:2] = (anchor_pos - quat_apply(self._turn, self._anchor_pos[0]))[:2]

    def time_step(self, step: int) -> int:
        """Return the frame of the clip that control step ``step`` uses."""
        return step % self._last if self._looped else min(step, self._last)

    def frame(self, step: int) -> ReferenceFrame:
        """Return the reference of control step ``step`` (0 is the first one after `align`)."""
        t = self.time_step(step)
        lap = step // self._last if self._looped else 0
        if lap >= len(self._laps[0]):
            self._laps = lap_transforms(self._anchor_pos, self._anchor_quat, 2 * lap + 1)
        turn, shift = self._laps[0][lap], self._laps[1][lap]
        reference = self._policy.reference(t)
        in_clip = quat_apply(turn, self._anchor_pos[t]) + shift
        return ReferenceFrame(
            joint_pos=reference.joint_pos,
            joint_vel=reference.joint_vel,
            anchor_pos=quat_apply(self._turn, in_clip) + self._shift,
            anchor_quat=quat_multiply(self._turn, quat_multiply(turn, self._anchor_quat[t])),
        )
