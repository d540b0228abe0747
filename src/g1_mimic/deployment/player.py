"""Which clip a policy tracks, and how it goes over to another one while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from g1_mimic.deployment.alignment import AlignedReference, ClipFrames
from g1_mimic.envs.observations import ReferenceFrame
from g1_mimic.errors import BadState, BadValue
from g1_mimic.motion.files import load_motion, motions_in
from g1_mimic.motion.library import distinct_names, parse_choices
from g1_mimic.policy.action_base import action_offset
from g1_mimic.robot.names import NUM_JOINTS
from g1_mimic.robot.profile import RobotProfile
from g1_mimic.rotations import quat_slerp

if TYPE_CHECKING:
    from g1_mimic.policy.motion_frames import PolicyReference
    from g1_mimic.policy.runtime import OnnxPolicy


class GraphInput(NamedTuple):
    """How a policy's graph is asked for a reference that may not be a frame of its own.

    For a residual policy the graph folds offsets of its own frames into its actions
    (`policy.action_base`); the shifts replace them by those of the reference. For a frame of its
    own after the one before it, both are 0.
    """

    time_step: int
    previous_shift: np.ndarray
    """Added to the previous action in the observation [29]."""
    action_shift: np.ndarray
    """Added to the action [29]."""


class _Part(NamedTuple):
    """A clip that runs from a control step on."""

    reference: AlignedReference
    start: int

    def frame(self, step: int) -> ReferenceFrame:
        return self.reference.frame(max(step - self.start, 0))


class MotionPlayer:
    """The reference of a policy by control step: one clip, or two while one goes over to the other.

    Both clips run on during a switch, and what they show is interpolated (joint angles and
    positions linearly, orientations along the shorter arc) with a weight that has no speed at
    either end. The new one begins with its first frame, where the robot is.

    Args:
        policy: what tracks them.
        clips: at least one, with names of their own; the first one is the present one.

    Raises:
        G1MimicError: if a clip is not the policy's own and the file does not tell what its
            actions are added to.
    """

    def __init__(self, policy: OnnxPolicy, clips: Sequence[ClipFrames]) -> None:
        self._policy, self._contract = policy, policy.metadata
        self._clips = {clip.name: clip for clip in clips}
        foreign = [clip.name for clip in clips if clip.first is None]
        if foreign and not self._contract.action_base:
            raise BadValue(
                f"motion '{foreign[0]}' is not in the policy, whose file does not tell what its "
                "actions are added to: export it anew with this version"
            )
        self._spans = self._contract.spans(policy.num_frames)
        self._rate = self._contract.control_rate_hz
        self._before: _Part | None = None
        self._steps = 0  # of the switch
        self._now = _Part(AlignedReference(clips[0]), 0)

    @property
    def names(self) -> tuple[str, ...]:
        """Clips to choose from."""
        return tuple(self._clips)

    @property
    def strange_names(self) -> tuple[str, ...]:
        """Those that the policy does not carry."""
        return tuple(name for name, clip in self._clips.items() if clip.first is None)

    @property
    def current(self) -> str:
        """The clip that is tracked, or that is being gone over to."""
        return self._now.reference.clip.name

    def select(self, name: str) -> None:
        """Make ``name`` the clip to begin with at step 0.

        Raises:
            G1MimicError: if there is no such clip.
        """
        if name not in self._clips:
            known = ", ".join(self.names)
            raise BadValue(f"there is no motion '{name}' here; there is: {known}")
        self._now, self._before = _Part(AlignedReference(self._clips[name]), 0), None

    def rewind(self) -> None:
        """Make step 0 the first frame of the present clip."""
        self._now, self._before = _Part(self._now.reference, 0), None

    def align(self, anchor_pos: np.ndarray | None, anchor_quat: np.ndarray) -> None:
        """Begin the present clip at step 0, where the robot's anchor is."""
        self.rewind()
        self._now.reference.align(anchor_pos, anchor_quat)

    def switch(
        self,
        name: str,
        step: int,
        anchor_pos: np.ndarray | None,
        anchor_quat: np.ndarray,
        seconds: float,
    ) -> None:
        """Go over to ``name`` from control step ``step`` on, in ``seconds``.

        Raises:
            G1MimicError: if there is no such clip, or the last switch is not over yet.
        """
        if self._before is not None and step < self._now.start + self._steps:
            left = (self._now.start + self._steps - step) / self._rate
            raise BadState(f"still going over to '{self.current}': again in {left:.1f} s")
        before = self._now
        self.select(name)
        self._now.reference.align(anchor_pos, anchor_quat)
        self._before, self._now = before, _Part(self._now.reference, step)
        self._steps = max(1, round(seconds * self._rate))

    def _weight(self, step: int) -> float | None:
        """Return how far the switch is, 0 to 1, or None where only one clip counts."""
        s = (step - self._now.start) / self._steps if self._before is not None else 1.0
        return s if s < 1.0 else None

    def frame(self, step: int) -> ReferenceFrame:
        """Return the reference of control step ``step``."""
        s = self._weight(step)
        if s is None or self._before is None:
            return self._now.frame(step)
        a = self._before.frame(step)
        if s <= 0.0:  # the steps before the switch
            return a
        b = self._now.frame(step)
        weight = s * s * (3.0 - 2.0 * s)
        speed = 6.0 * s * (1.0 - s) * self._rate / self._steps
        return ReferenceFrame(
            joint_pos=a.joint_pos + weight * (b.joint_pos - a.joint_pos),
            joint_vel=a.joint_vel
            + weight * (b.joint_vel - a.joint_vel)
            + speed * (b.joint_pos - a.joint_pos),
            anchor_pos=a.anchor_pos + weight * (b.anchor_pos - a.anchor_pos),
            anchor_quat=quat_slerp(a.anchor_quat, b.anchor_quat, np.array(weight)),
            joint_torque=a.joint_torque + weight * (b.joint_torque - a.joint_torque),
        )

    def rest_action(self) -> np.ndarray:
        """Return the action before step 0 [29] that is a raw action of 0 to the policy."""
        if self._contract.action_base in ("", "default"):
            return np.zeros(NUM_JOINTS)
        clip = self._now.reference.clip
        time_step = clip.first or 0
        return self._graph_offset(self._frame_before(time_step))

    def graph_input(self, step: int) -> GraphInput:
        """Return how the graph is asked at control step ``step``."""
        now = self._now
        clip, zero = now.reference.clip, np.zeros(NUM_JOINTS)
        time_step = 0
        if clip.first is not None:
            time_step = clip.first + clip.lap_and_frame(max(step - now.start, 0))[1]
        single = self._weight(step) is None
        if single and clip.first is not None and (step == 0 or self._weight(step - 1) is None):
            return GraphInput(time_step, zero, zero)
        before = self._offset(self.frame(step - 1)) if step > 0 else None
        return GraphInput(
            time_step,
            zero if before is None else self._graph_offset(self._frame_before(time_step)) - before,
            self._offset(self.frame(step)) - self._graph_offset(time_step),
        )

    def _offset(self, frame: ReferenceFrame | PolicyReference) -> np.ndarray:
        contract = self._contract
        return action_offset(contract, frame.joint_pos, frame.joint_vel, frame.joint_torque)

    def _graph_offset(self, time_step: int) -> np.ndarray:
        return self._offset(self._policy.reference(time_step))

    def _frame_before(self, time_step: int) -> int:
        """Return the frame whose offset the graph takes out of the previous action."""
        span = next(span for span in self._spans if time_step <= span.last)
        return int(span.frame(time_step - span.first - 1))


def clips_for(policy: OnnxPolicy, motion: str, profile: RobotProfile) -> list[ClipFrames]:
    """Return the clips that a policy is to track, the first one to begin with.

    Args:
        policy: the policy.
        motion: empty for all that the policy carries; or a list (`motion.library`) of their names
            and of other motions, which the policy then tracks although it does not carry them. A
            path stands for the policy's own clip of that name.
        profile: the robot that is to move so.

    Raises:
        G1MimicError: if a motion is not found.
    """
    contract = policy.metadata
    spans = contract.spans(policy.num_frames)
    own = {span.name: span for span in spans}
    clips = [] if motion else [ClipFrames.of_policy(policy, span) for span in spans]
    for choice in parse_choices(motion) if motion else ():
        meant = (choice.motion, Path(choice.motion).stem)
        if known := [name for name in meant if name in own]:
            clips.append(ClipFrames.of_policy(policy, own[known[0]]))
            continue
        for path in motions_in(choice.motion):
            clip = load_motion(path, fps=contract.control_rate_hz)
            if contract.needs_torque:
                from g1_mimic.motion.dynamics import with_torque  # MuJoCo, for this alone

                clip = with_torque(clip, profile)
            clips.append(ClipFrames.of_clip(clip, clip.name, contract.anchor_body_name))
    if len(clips) == 1:
        return clips
    names = distinct_names([clip.name for clip in clips])
    return [replace(clip, name=name) for clip, name in zip(clips, names, strict=True)]
