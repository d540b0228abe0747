"""Blends at the ends of a motion: from and into standing, and from the end into the start."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.motion.clip import lap_transforms
from g1_mimic.motion.kinematics import complete_trajectory
from g1_mimic.motion.quality import foot_contacts
from g1_mimic.motion.repair.repair import Repaired, loop_mismatch
from g1_mimic.motion.trajectory import Trajectory
from g1_mimic.rotations import (
    quat_conjugate,
    quat_from_rotation_vector,
    quat_from_yaw,
    quat_multiply,
    quat_yaw,
    rotation_vector,
)

if TYPE_CHECKING:
    from g1_mimic.robot.profile import RobotProfile

_LONGEST_BLEND = 60.0
_ARRIVAL = 0.25
"""s over which a blend takes on the velocity that it arrives with."""
_TOO_FAR = {"joints": (0.4, "rad"), "tilt": (0.35, "rad"), "height": (0.08, "m")}
"""Between the last pose and the first one: what is farther apart is no cycle."""


def blend_in(trajectory: Trajectory, seconds: float, profile: RobotProfile) -> Repaired:
    """Put a transition from standing still in front of the motion.

    It begins upright in the profile's default pose, at rest, and arrives in the first frame with
    that frame's velocity. In the plane the robot starts off evenly, so that neither position nor
    velocity jumps; the lower foot stays on the floor (it may slide: no step is made).

    Args:
        trajectory: the motion; the result is not looped.
        seconds: length of the transition.
        profile: whose default pose and pelvis height to stand in.

    Raises:
        G1MimicError: if the transition is shorter than two frames or longer than a minute.
    """
    fps = trajectory.fps
    if not 0.0 < seconds <= _LONGEST_BLEND:
        raise BadValue(
            f"a blend of {seconds:g} s is impossible; above 0, at most {_LONGEST_BLEND:g} s"
        )
    count = round(seconds * fps)
    if count < 2:
        raise BadValue(f"a blend of {seconds:g} s has {count} frame(s) at {fps:g} Hz; 2 needed")
    duration = count / fps
    pos, quat, joints = trajectory.root_pos, trajectory.root_quat, trajectory.joint_pos
    time = np.arange(count)[:, None] / count
    to, _ = _hermite(time, duration)
    # The final velocity comes at the end only: led to all along, joints would swing far out.
    late = min(_ARRIVAL / duration, 1.0)
    arrive = _hermite(np.clip((time - 1.0 + late) / late, 0.0, 1.0), late * duration)[1]

    velocity = (pos[1] - pos[0]) * fps
    turning = _turn_vector(quat[0], quat[1]) * fps
    new_pos = np.empty((count, 3))
    # From rest to the velocity with an even acceleration, hence half the way.
    new_pos[:, :2] = pos[0, :2] - velocity[:2] * duration * 0.5 * (1.0 - time**2)
    new_pos[:, 2] = profile.pelvis_height
    standing = quat_from_yaw(quat_yaw(quat[0]))
    turn = to * _turn_vector(standing, quat[0]) + arrive * turning
    new_quat = quat_multiply(standing, quat_from_rotation_vector(turn))
    start = profile.default_position
    new_joints = start + to * (joints[0] - start) + arrive * (joints[1] - joints[0]) * fps
    lower = np.minimum(profile.position_lower, joints[0])
    new_joints = np.clip(new_joints, lower, np.maximum(profile.position_upper, joints[0]))
    # The lower foot stays on the floor, or rises to where the motion begins in the air.
    height = _lower_foot(
        replace(trajectory, root_pos=pos[:2], root_quat=quat[:2], joint_pos=joints[:2])
    )[0]
    added = replace(trajectory, root_pos=new_pos, root_quat=new_quat, joint_pos=new_joints)
    new_pos[:, 2] += to[:, 0] * height - _lower_foot(added)
    blended = replace(
        trajectory,
        root_pos=np.concatenate([new_pos, pos]),
        root_quat=np.concatenate([new_quat, quat]),
        joint_pos=np.concatenate([new_joints, joints]),
        looped=False,
    )
    far = abs(joints[0] - start).max()
    text = f"{duration:.2f} s from standing put in front, joints move by up to {far:.2f} rad"
    return blended, text + (", no longer looped" if trajectory.looped else "")


def blend_out(trajectory: Trajectory, seconds: float, profile: RobotProfile) -> Repaired:
    """Put a transition into standing still behind the motion; see ``blend_in``."""
    # A motion into standing is one out of standing, run backwards.
    blended, text = blend_in(_reversed(trajectory), seconds, profile)
    text = text.replace("from standing put in front", "into standing put behind")
    return _reversed(blended), text


def close_loop(trajectory: Trajectory, seconds: float = 0.4) -> Repaired:
    """Make a motion that nearly repeats a looped one.

    Over the last ``seconds`` height, tilt and joints are led to where the first frame has them,
    with its velocity; the course in the plane stays.

    Raises:
        G1MimicError: if the last pose is too far from the first one to be led there.
    """
    for what, gap in loop_mismatch(trajectory).items():
        limit, unit = _TOO_FAR[what]
        if gap > limit:
            raise BadValue(
                f"motion '{trajectory.name}': its last frame is {gap:.2f} {unit} off its first one "
                f"({what}); at most {limit} {unit} can be blended away; trim it to a whole cycle"
            )
    pos, quat, joints = trajectory.root_pos, trajectory.root_quat, trajectory.joint_pos
    count = min(max(round(seconds * trajectory.fps), 2), len(joints) - 2)
    if count < 1:
        raise BadValue(f"motion '{trajectory.name}' is too short to be looped")
    duration = count / trajectory.fps
    time = np.arange(1, count + 1)[:, None] / count
    to, arrive = _hermite(time, duration)
    turn = lap_transforms(pos, quat, 2)[0][1]
    new_pos, new_quat, new_joints = pos.copy(), quat.copy(), joints.copy()

    def led(values: np.ndarray) -> np.ndarray:
        gap = values[0] - values[-1]
        speed = ((values[1] - values[0]) - (values[-1] - values[-2])) * trajectory.fps
        return np.asarray(to * gap + arrive * speed)

    new_joints[-count:] += led(joints)
    new_pos[-count:, 2:] += led(pos[:, 2:])
    rest = _turn_vector(quat[-1], quat_multiply(turn, quat[0]))
    new_quat[-count:] = quat_multiply(quat[-count:], quat_from_rotation_vector(to * rest))
    new_joints[-1] = joints[0]
    new_pos[-1, 2] = pos[0, 2]
    change = abs(new_joints - joints).max()
    text = f"looped: the last {duration:.2f} s led to the first frame, joints by up to "
    closed = replace(
        trajectory, root_pos=new_pos, root_quat=new_quat, joint_pos=new_joints, looped=True
    )
    return closed, f"{text}{change:.3f} rad"


def _lower_foot(trajectory: Trajectory) -> np.ndarray:
    """Return the height [T] m of the lowest point of both soles."""
    clip = complete_trajectory(replace(trajectory, looped=False))
    return np.asarray(foot_contacts(clip).height.min(axis=1))


def _hermite(time: np.ndarray, duration: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of the way and of the final velocity, both at rest at ``time`` 0.

    Cubic Hermite basis functions over ``time`` [n, 1] in [0, 1].
    """
    return time**2 * (3.0 - 2.0 * time), duration * time**2 * (time - 1.0)


def _turn_vector(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the rotation vector, in the frame of ``start``, that leads to ``end``."""
    return np.asarray(rotation_vector(quat_multiply(quat_conjugate(start), end)))


def _reversed(trajectory: Trajectory) -> Trajectory:
    return replace(
        trajectory,
        root_pos=trajectory.root_pos[::-1],
        root_quat=trajectory.root_quat[::-1],
        joint_pos=trajectory.joint_pos[::-1],
    )
