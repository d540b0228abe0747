"""A motion clip in memory: what every frame of the reference looks like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.rotations import (
    quat_apply,
    quat_apply_inverse,
    quat_conjugate,
    quat_from_yaw,
    quat_multiply,
    quat_yaw,
)


@dataclass(frozen=True)
class MotionClip:
    """Joint and body states of T frames, 1 / fps seconds apart.

    Everything is SI and in the world frame (z up, floor at z = 0); quaternions are w x y z. Joints
    are in ``JOINT_NAMES`` order, bodies in ``BODY_NAMES`` order.
    """

    name: str
    fps: float
    joint_names: tuple[str, ...]
    joint_pos: np.ndarray
    """[T, 29] rad."""
    joint_vel: np.ndarray
    """[T, 29] rad/s."""
    body_names: tuple[str, ...]
    body_pos_w: np.ndarray
    """[T, 30, 3] m: the origins of the link frames."""
    body_quat_w: np.ndarray
    """[T, 30, 4]."""
    body_lin_vel_w: np.ndarray
    """[T, 30, 3] m/s of the link origins (not of the centres of mass)."""
    body_ang_vel_w: np.ndarray
    """[T, 30, 3] rad/s."""
    looped: bool
    """True: the last frame is the first one moved in the plane (x, y, yaw), and the clip goes on
    there; the period is T - 1 frames."""
    notes: tuple[str, ...] = ()
    """What the reader of the file found worth telling (detected order, wrong velocities)."""
    joint_torque: np.ndarray | None = None
    """[T, 29] N·m that it takes a robot to move so (`motion.dynamics.with_torque`), if known."""

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.joint_pos)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the last."""
        return (self.num_frames - 1) / self.fps

    @property
    def root_pos(self) -> np.ndarray:
        """[T, 3] m: the pelvis."""
        return self.body_pos_w[:, 0]

    @property
    def root_quat(self) -> np.ndarray:
        """[T, 4]: the pelvis."""
        return self.body_quat_w[:, 0]

    def body_index(self, name: str) -> int:
        """Return the index of the body ``name`` in the body arrays.

        Raises:
            G1MimicError: if there is no such body.
        """
        try:
            return self.body_names.index(name)
        except ValueError:
            known = ", ".join(self.body_names)
            raise BadValue(f"the robot has no body '{name}'; it has: {known}") from None

    def qpos(self) -> np.ndarray:
        """Return MuJoCo's positions [T, 36]: root position, root quaternion, joint angles."""
        return np.concatenate([self.root_pos, self.root_quat, self.joint_pos], axis=1)

    def qvel(self) -> np.ndarray:
        """Return MuJoCo's velocities [T, 35].

        The root's linear velocity is in the world frame, its angular velocity in the body frame:
        that is how MuJoCo defines a free joint.
        """
        angular_b = quat_apply_inverse(self.root_quat, self.body_ang_vel_w[:, 0])
        return np.concatenate([self.body_lin_vel_w[:, 0], angular_b, self.joint_vel], axis=1)

    def unrolled(self, num_frames: int) -> MotionClip:
        """Return the first ``num_frames`` frames, a looped clip being repeated as often as needed.

        Every lap starts where the one before it ended, and heads where that one headed. The result
        is not looped.

        Raises:
            G1MimicError: if more frames are asked for than a clip that is not looped has.
        """
        if num_frames < 1:
            raise BadValue(f"motion '{self.name}': cannot unroll to {num_frames} frames")
        if not self.looped and num_frames > self.num_frames:
            raise BadValue(
                f"motion '{self.name}' has {self.num_frames} frames and does not loop; "
                f"{num_frames} frames are needed"
            )
        repeated = num_frames > self.num_frames  # else even the last frame stays what it is
        lap, frame = lap_and_frame(np.arange(num_frames), self.num_frames, repeated)
        turn, shift = lap_transforms(self.root_pos, self.root_quat, int(lap[-1]) + 1)
        turn_w, shift_w = turn[lap][:, None], shift[lap][:, None]
        return replace(
            self,
            joint_pos=self.joint_pos[frame],
            joint_vel=self.joint_vel[frame],
            joint_torque=None if self.joint_torque is None else self.joint_torque[frame],
            body_pos_w=quat_apply(turn_w, self.body_pos_w[frame]) + shift_w,
            body_quat_w=quat_multiply(turn_w, self.body_quat_w[frame]),
            body_lin_vel_w=quat_apply(turn_w, self.body_lin_vel_w[frame]),
            body_ang_vel_w=quat_apply(turn_w, self.body_ang_vel_w[frame]),
            looped=False,
        )


def lap_and_frame(step: Any, num_frames: int, looped: bool) -> tuple[Any, Any]:
    """Return in which lap, and at which frame, a clip is after steps from its first frame on.

    The last frame of a looped clip is the first one of its next lap: a lap has T - 1 steps. A clip
    that does not loop holds its first and last frames.

    Args:
        step: an integer, or integers [...]; also negative, for what was before.
        num_frames: T.
        looped: whether the clip is.
    """
    last = num_frames - 1
    if looped and last > 0:
        return divmod(step, last)
    return 0 * step, np.clip(step, 0, last)


def lap_transforms(
    root_pos: np.ndarray, root_quat: np.ndarray, laps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the planar motions that carry a looped clip's first lap onto lap 0, 1, … laps - 1.

    Args:
        root_pos: [T, 3] positions of the root.
        root_quat: [T, 4] orientations of the root.
        laps: how many to return.

    Returns:
        Rotations [laps, 4] about z and shifts [laps, 3] with no z: a point ``p`` of the first lap
        is ``turn ⊗ p + shift`` in the later one.
    """
    yaw = quat_yaw(quat_multiply(root_quat[-1], quat_conjugate(root_quat[0])))
    # About lap · yaw exactly: repeated products would let the heading drift.
    turn = quat_from_yaw(yaw * np.arange(laps))
    step = root_pos[-1] - quat_apply(quat_from_yaw(yaw), root_pos[0])
    step[2] = 0.0
    shift = np.zeros((laps, 3))
    for lap in range(1, laps):
        shift[lap] = quat_apply(turn[lap - 1], step) + shift[lap - 1]
    return turn, shift


class ClipSpan(NamedTuple):
    """Where a clip is among the frames of all clips, laid one after the other."""

    name: str
    first: int
    """Its first frame there."""
    length: int
    """Frames there: of a clip that was unrolled, more than it has itself."""
    looped: bool

    @property
    def last(self) -> int:
        """Its last frame there."""
        return self.first + self.length - 1

    def frame(self, step: Any) -> Any:
        """Return where among all frames the clip is after steps [...] (`lap_and_frame`)."""
        return self.first + lap_and_frame(step, self.length, self.looped)[1]


def clip_index(firsts: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Return which clip each of ``frames`` [N] is in; ``firsts`` [clips] are ascending."""
    return np.asarray(np.searchsorted(firsts, frames, side="right") - 1)
