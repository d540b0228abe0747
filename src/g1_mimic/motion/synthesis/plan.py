"""Plans of clips: what the poses must fulfil and where the floor shall push; parts of a chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from g1_mimic.motion.balance import GRAVITY, centre_of_mass
from g1_mimic.motion.kinematics import complete_clip
from g1_mimic.motion.synthesis import planar
from g1_mimic.motion.synthesis.inverse_kinematics import UPPER_JOINTS, PoseTargets
from g1_mimic.robot.model import home_qpos
from g1_mimic.robot.names import JOINT_NAMES
from g1_mimic.robot.profile import RobotProfile
from g1_mimic.robot.skeleton import FOOT_BODY_NAMES, load_skeleton
from g1_mimic.rotations import quat_from_yaw, quat_multiply

PENDULUM_HEIGHT = 0.67
"""m: the centre of mass of the standing robot; the rounds make up for what it is off."""


@dataclass(frozen=True)
class Plan:
    """T frames of a clip to be solved."""

    targets: PoseTargets
    """What the poses must fulfil; the way of the centre of mass will follow from ``zmp``."""
    zmp: np.ndarray
    """[T, 2] m: the zero-moment point."""
    lap: np.ndarray
    """[3] x, y (m) and yaw (rad): the motion that carries the first frame onto the last."""

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.zmp)


class Home:
    """The default pose, standing on the floor: where every made clip starts."""

    def __init__(self, profile: RobotProfile) -> None:
        skeleton = load_skeleton()
        pose = np.repeat(home_qpos(profile)[None], 2, axis=0)  # a clip has two frames at least
        clip = complete_clip("home", 1.0, pose[:, :3], pose[:, 3:7], pose[:, 7:], looped=False)
        feet = [clip.body_index(body) for body in FOOT_BODY_NAMES]
        self.foot_pos = clip.body_pos_w[0, feet].copy()
        self.stance_width = float(self.foot_pos[0, 1] - self.foot_pos[1, 1])
        # Flat soles on the floor.
        sole = skeleton.foot_points[0, :, 2] - skeleton.foot_radius[0]
        self.pelvis_height = float(clip.root_pos[0, 2] - self.foot_pos[0, 2] - sole.min())
        self.foot_pos[:, 2] = -sole.min()
        self.between_feet = np.array([self.foot_pos[0, 0], 0.0, 0.0])
        points = skeleton.foot_points[0, :, 0]
        self.sole_centre = np.array(
            [self.foot_pos[0, 0] + 0.5 * (points.min() + points.max()), 0.0]
        )
        self.toe = np.array([points.max(), 0.0, sole.min()])
        self.com = np.array([centre_of_mass(clip)[0, 0], 0.0])
        self.upper = profile.default_position[UPPER_JOINTS]

    def targets(self, count: int) -> PoseTargets:
        """Return the default pose as targets, ``count`` times."""
        upright = np.array([1.0, 0.0, 0.0, 0.0])
        return PoseTargets(
            foot_pos=np.tile(self.foot_pos, (count, 1, 1)),
            foot_quat=np.tile(upright, (count, 2, 1)),
            com=np.tile(self.com, (count, 1)),
            pelvis_height=np.full(count, self.pelvis_height),
            pelvis_quat=np.tile(upright, (count, 1)),
            upper=np.tile(self.upper, (count, 1)),
        )


def upper(joint: str) -> int:
    """Return the column of a joint of waist or arms in the targets, e.g. of ``left_elbow``."""
    return JOINT_NAMES.index(f"{joint}_joint") - int(UPPER_JOINTS[0])


def planted(targets: PoseTargets, fps: float) -> Plan:
    """Return the plan of poses on planted feet whose centre of mass is where the targets say."""
    zmp = targets.com.copy()
    # What a pendulum needs for this way.
    zmp[1:-1] -= PENDULUM_HEIGHT / GRAVITY * fps**2 * np.diff(targets.com, 2, axis=0)
    return Plan(targets, zmp, np.zeros(3))


def stand_still(home: Home, frames: int) -> Plan:
    """Return the plan of standing for ``frames`` frames and one."""
    targets = home.targets(frames + 1)
    return Plan(targets, targets.com.copy(), np.zeros(3))


def chain(plans: Sequence[Plan]) -> Plan:
    """Return one plan of several: each starts where, and in the frame in which, the last one ends.

    The plans have to start and end at rest in the default pose.
    """
    at = np.zeros(3)
    parts: list[Plan] = []
    for index, plan in enumerate(plans):
        last = index == len(plans) - 1
        parts.append(_moved(plan, at, plan.num_frames - (not last)))
        at = planar.compose(at, plan.lap)
    targets = PoseTargets(
        *(
            np.concatenate([getattr(part.targets, name) for part in parts])
            for name in PoseTargets.__dataclass_fields__
        )
    )
    return Plan(targets, np.concatenate([part.zmp for part in parts]), at)


def _moved(plan: Plan, at: np.ndarray, count: int) -> Plan:
    """Return the first ``count`` frames of a plan, moved by ``at`` [3]."""
    given, turn = plan.targets, quat_from_yaw(at[2])
    foot_pos = given.foot_pos[:count].copy()
    foot_pos[..., :2] = planar.move(at, foot_pos[..., :2])
    targets = PoseTargets(
        foot_pos=foot_pos,
        foot_quat=quat_multiply(turn, given.foot_quat[:count]),
        com=planar.move(at, given.com[:count]),
        pelvis_height=given.pelvis_height[:count],
        pelvis_quat=quat_multiply(turn, given.pelvis_quat[:count]),
        upper=given.upper[:count],
    )
    return Plan(targets, planar.move(at, plan.zmp[:count]), plan.lap)
