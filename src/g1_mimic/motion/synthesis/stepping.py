"""Clips of steps: walking in any direction, marching and turning in place."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.synthesis import planar
from g1_mimic.motion.synthesis.arms import swing_arms
from g1_mimic.motion.synthesis.gait import GaitPlan, plan_steps
from g1_mimic.motion.synthesis.parameters import Fps, Within, checked
from g1_mimic.motion.synthesis.plan import Home, Plan, upper
from g1_mimic.motion.synthesis.solve import maker, solve
from g1_mimic.robot.profile import RobotProfile, load_profile
from g1_mimic.rotations import quat_apply, quat_from_rpy, quat_from_yaw

_INSET = 0.005
"""m by which the weight stays inside the middle of the stance foot."""
_ROLL = 0.04
"""m by which the weight rolls forwards under a foot, in strides of at least ``_FULL_ROLL``."""
_FULL_ROLL = 0.05
"""m."""

StepTime = Annotated[float, Within(0.4, 1.2, "s per step")]
DoubleSupport = Annotated[float, Within(0.15, 0.6, "fraction of a step in which both feet stand")]


def split_step(step_frames: int, double_support: float) -> tuple[int, int]:
    """Return the frames of a step in which a foot swings, and those in which both stand (even)."""
    double = max(2, 2 * round(0.5 * double_support * step_frames))
    return step_frames - double, double


def stepping(
    home: Home,
    *,
    steps: int,
    stride: np.ndarray,
    step_frames: int,
    double_support: float = 0.25,
    shift_frames: int | None = None,
    clearance: float = 0.06,
    crouch: float = 0.02,
    arm_swing: float = 0.8,
    lift_swing: float = 0.0,
) -> Plan:
    """Return the plan of steps from standing in the default pose to standing in it.

    Args:
        home: the default pose.
        steps: how many, at least 2; the first and the last are half ones.
        stride: [3] m forwards, m to the left and rad to the left per step.
        step_frames: frames per step.
        double_support: fraction of a step in which both feet stand.
        shift_frames: frames in which the weight goes onto the first stance foot and off the last
            one; 80% of a step by default.
        clearance: m that a foot is lifted.
        crouch: m that the pelvis is lower while stepping.
        arm_swing: rad of the shoulder per m between the feet.
        lift_swing: rad of the shoulder per m that a foot is higher than the other.
    """
    swing_frames, double_frames = split_step(step_frames, double_support)
    gait = plan_steps(
        steps=steps,
        stride=stride,
        first_side=_first_side(stride),
        swing_frames=swing_frames,
        double_frames=double_frames,
        stand_frames=0,
        shift_frames=round(0.8 * step_frames) if shift_frames is None else shift_frames,
        stance_width=home.stance_width,
        centre=home.com[0] - home.between_feet[0],
        inset=_INSET,
        roll=_roll(stride),
        clearance=clearance,
    )
    return _follow(home, gait, crouch * gait.moving, arm_swing, lift_swing)


def turning(home: Home, angle: float, step_angle: float, step_frames: int) -> Plan:
    """Return the plan of turning by ``angle`` (rad) in place, by at most ``step_angle`` a step."""
    # The first step and the last are half ones.
    steps = max(2, math.ceil(abs(angle) / step_angle + 1.5 - 1e-9))
    stride = np.array([0.0, 0.0, angle / (steps - 1.5)])
    return stepping(home, steps=steps, stride=stride, step_frames=step_frames, clearance=0.05)


def _first_side(stride: np.ndarray) -> int:
    """Return the foot to begin with: the one on the side to which it goes or turns."""
    return int((stride[1] or stride[2]) < 0.0)


def _roll(stride: np.ndarray) -> float:
    return _ROLL * float(np.clip(stride[0] / _FULL_ROLL, -1.0, 1.0))


def _follow(
    home: Home,
    gait: GaitPlan,
    crouch: np.ndarray | float,
    arm_swing: float,
    lift_swing: float = 0.0,
    trunk_swing: float = 0.3,
) -> Plan:
    """Return the plan whose feet follow a gait; ``crouch`` [T] m, ``trunk_swing`` rad per m.

    Arms and trunk turn against the legs: what they take of the yaw moment, the floor need not.
    """
    targets = home.targets(len(gait.zmp))
    targets.foot_pos[..., :2] = home.between_feet[:2] + gait.feet[..., :2]
    targets.foot_pos[..., 2] += gait.foot_lift
    # The foot pitches about its toes, so that they never dip below the lift.
    yaw, pitch = gait.feet[..., 2], gait.foot_pitch
    targets.foot_quat[:] = quat_from_rpy(0.0 * pitch, pitch, yaw)
    flat = quat_apply(quat_from_yaw(yaw), home.toe)
    targets.foot_pos[:] += flat - quat_apply(targets.foot_quat, home.toe)
    # How far the right foot is ahead says where in a step the robot is, and is smooth.
    heading = yaw.mean(axis=1)
    apart = planar.turn(gait.feet[:, 1, :2] - gait.feet[:, 0, :2], -heading)
    ahead, wider = apart[:, 0], -apart[:, 1] - home.stance_width
    targets.pelvis_height[:] -= crouch + 0.06 * ahead**2 + 0.3 * wider**2
    targets.pelvis_quat[:] = quat_from_yaw(heading + 0.15 * ahead)
    targets.upper[:, upper("waist_yaw")] = -trunk_swing * ahead
    # The arm swings with the opposite leg.
    swing_arms(targets.upper, arm_swing, ahead)
    higher = gait.foot_lift[:, 1] - gait.foot_lift[:, 0]
    swing_arms(targets.upper, lift_swing, higher)
    lap = planar.compose(
        planar.compose(home.between_feet, gait.end), planar.inverse(home.between_feet)
    )
    return Plan(targets, gait.zmp + home.between_feet[:2], lap)


@checked
def make_walk(
    speed: Annotated[float, Within(-0.3, 0.9, "m/s forwards of the steady walk")] = 0.45,
    *,
    sideways: Annotated[float, Within(-0.2, 0.2, "m/s to the left")] = 0.0,
    turn: Annotated[float, Within(-0.8, 0.8, "rad/s to the left")] = 0.0,
    step_time: StepTime = 0.5,
    duration: Annotated[
        float, Within(0.0, 600.0, "s of the whole clip; rounded to whole steps")
    ] = 10.0,
    stand_time: Annotated[
        float, Within(0.0, 10.0, "s of standing at start and end; 0: a pure walking cycle")
    ] = 0.6,
    double_support: DoubleSupport = 0.2,
    clearance: Annotated[float, Within(0.01, 0.15, "m that a foot is lifted")] = 0.06,
    crouch: Annotated[
        float, Within(0.0, 0.12, "m that the pelvis is lower than in the default pose")
    ] = 0.02,
    arm_swing: Annotated[
        float, Within(0.0, 2.0, "rad of the shoulder per m between the feet")
    ] = 1.8,
    trunk_swing: Annotated[
        float, Within(0.0, 1.5, "rad of the waist per m between the feet")
    ] = 1.3,
    fps: Fps = 50.0,
    profile: RobotProfile | None = None,
    name: str = "walk",
) -> MotionClip:
    """Make a looped clip of a walk: straight, sideways, in a circle, or all of these.

    By default the robot stands, walks, and stands again, so that a policy can take over from
    standing; with ``stand_time`` 0 the clip is a pure cycle in the middle of walking. Unlike the
    other clips it stands as crouched as it walks.

    It has whole steps, a pure cycle pairs of them. Like the arms, the trunk swings against the
    legs, which spares the floor their yaw moment.

    Raises:
        G1MimicError: if a parameter is out of range, a pose cannot be reached within the soft
            joint limits, or the motion cannot be balanced.
    """
    profile = profile or load_profile()
    step_frames = round(step_time * fps)
    swing_frames, double_frames = split_step(step_frames, double_support)
    stand_frames = round(stand_time * fps)
    shift_frames = round(0.8 * step_time * fps) if stand_frames else 0
    walking = (
        duration * fps - 2 * (stand_frames + shift_frames) + bool(stand_frames) * double_frames
    )
    steps = (
        2 * round(0.5 * walking / step_frames) if not stand_frames else int(walking / step_frames)
    )
    if steps < (3 if stand_frames else 2):
        raise BadValue(
            f"a walk of {duration:g} s has no room for steps of {step_time:g} s"
            + (f" between {stand_time:g} s of standing" if stand_frames else "")
        )
    home = Home(profile)
    stride = np.array([speed, sideways, turn]) * (step_frames / fps)
    gait = plan_steps(
        steps=steps,
        stride=stride,
        first_side=_first_side(stride),
        swing_frames=swing_frames,
        double_frames=double_frames,
        stand_frames=stand_frames,
        shift_frames=shift_frames,
        stance_width=home.stance_width,
        centre=home.sole_centre[0] - home.between_feet[0],
        inset=_INSET,
        roll=_roll(stride),
        clearance=clearance,
    )
    plan = _follow(home, gait, crouch, arm_swing, trunk_swing=trunk_swing)
    return solve(profile, plan, fps, name)


def marching(
    home: Home,
    fps: float,
    steps: Annotated[int, Within(2, 200, "how many")] = 12,
    step_time: StepTime = 0.6,
    double_support: DoubleSupport = 0.25,
    clearance: Annotated[float, Within(0.01, 0.12, "m that a foot is lifted")] = 0.1,
    arm_swing: Annotated[float, Within(0.0, 1.0, "rad of the shoulder")] = 0.5,
) -> Plan:
    """March in place, the arms against the legs."""
    return stepping(
        home,
        steps=steps,
        stride=np.zeros(3),
        step_frames=round(step_time * fps),
        double_support=double_support,
        clearance=clearance,
        lift_swing=arm_swing / clearance,
    )


def _turning(
    home: Home,
    fps: float,
    angle: Annotated[float, Within(-6.3, 6.3, "rad to the left")] = 1.5708,
    step_angle: Annotated[float, Within(0.05, 0.45, "rad per step, at most")] = 0.35,
    step_time: StepTime = 0.6,
) -> Plan:
    """Turn in place step by step; every lap turns on."""
    return turning(home, angle, step_angle, round(step_time * fps))


make_march = maker("march", marching)
make_turn = maker("turn", _turning)
