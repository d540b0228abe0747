"""A clip that a policy tracks, moved to where the robot stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from g1_mimic.envs.observations import ReferenceFrame
from g1_mimic.motion.clip import ClipSpan, MotionClip, lap_and_frame, lap_transforms
from g1_mimic.rotations import quat_apply, quat_from_yaw, quat_multiply, quat_yaw

if TYPE_CHECKING:
    from g1_mimic.policy.runtime import OnnxPolicy


@dataclass(frozen=True)
class ClipFrames:
    """What of a clip's frames a policy is shown."""

    name: str
    frames: ReferenceFrame
    """Arrays [T, …]; torques are zero where the policy does not ask for them."""
    looped: bool
    first: int | None = None
    """The policy's ``time_step`` of frame 0; None for a clip that the policy does not carry."""

    @classmethod
    def of_policy(cls, policy: OnnxPolicy, span: ClipSpan) -> ClipFrames:
        """Take one of the clips that a policy carries."""
        own = policy.motion[span.first : span.last + 1]
        frames = ReferenceFrame(
            own.joint_pos, own.joint_vel, own.anchor_pos, own.anchor_quat, own.joint_torque
        )
        return cls(span.name, frames, span.looped, span.first)

    @classmethod
    def of_clip(cls, clip: MotionClip, name: str, anchor_body: str) -> ClipFrames:
        """Take a clip from outside, with its torques if they are known."""
        anchor, torque = clip.body_index(anchor_body), clip.joint_torque
        frames = ReferenceFrame(
            clip.joint_pos,
            clip.joint_vel,
            clip.body_pos_w[:, anchor],
            clip.body_quat_w[:, anchor],
            np.zeros_like(clip.joint_pos) if torque is None else torque,
        )
        return cls(name, frames, clip.looped)

    def lap_and_frame(self, step: int) -> tuple[int, int]:
        """Return lap and frame that are due ``step`` control steps after the first."""
        lap, frame = lap_and_frame(step, len(self.frames.joint_pos), self.looped)
        return int(lap), int(frame)


_KEPT_FRAMES = 8
"""Frames that are not computed again for each state."""


class AlignedReference:
    """Frames of a clip by control step, without end where the clip loops.

    The first frame is moved to the robot by yaw and x, y, as legged_control2's motion tracking
    controller does it; heights stay. Each lap of a looped clip starts where the one before ended.
    A clip that does not loop holds its last frame.
    """

    def __init__(self, clip: ClipFrames) -> None:
        self.clip, own = clip, clip.frames
        self._turn, self._shift = np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(3)
        self._laps = lap_transforms(own.anchor_pos, own.anchor_quat, 1)
        self._frames: dict[int, ReferenceFrame] = {}

    def align(self, anchor_pos: np.ndarray | None, anchor_quat: np.ndarray) -> None:
        """Move frame 0 to the robot's anchor by yaw and, where it is known, by x and y."""
        own = self.clip.frames
        self._frames.clear()
        self._turn = quat_from_yaw(quat_yaw(anchor_quat) - quat_yaw(own.anchor_quat[0]))
        self._shift = np.zeros(3)
        if anchor_pos is not None:
            self._shift[:2] = (anchor_pos - quat_apply(self._turn, own.anchor_pos[0]))[:2]

    def frame(self, step: int) -> ReferenceFrame:
        """Return the reference of control step ``step`` (0 is the first one after `align`)."""
        # Ten states ask for the same two steps.
        if step not in self._frames:
            if len(self._frames) >= _KEPT_FRAMES:
                self._frames.clear()
            self._frames[step] = self._make_frame(step)
        return self._frames[step]

    def _make_frame(self, step: int) -> ReferenceFrame:
        own = self.clip.frames
        lap, t = self.clip.lap_and_frame(step)
        if lap >= len(self._laps[0]):
            self._laps = lap_transforms(own.anchor_pos, own.anchor_quat, 2 * lap + 1)
        turn, shift = self._laps[0][lap], self._laps[1][lap]
        in_clip = quat_apply(turn, own.anchor_pos[t]) + shift
        return ReferenceFrame(
            joint_pos=own.joint_pos[t],
            joint_vel=own.joint_vel[t],
            anchor_pos=quat_apply(self._turn, in_clip) + self._shift,
            anchor_quat=quat_multiply(self._turn, quat_multiply(turn, own.anchor_quat[t])),
            joint_torque=own.joint_torque[t],
        )
