"""Clips made from scratch: standing exercises and a straight walk that the robot can balance.

The feet are planted exactly (inverse kinematics), and the centre of mass moves as a pendulum would
over the wanted zero-moment point. The pendulum neglects swinging legs and arms; the zero-moment
point of the whole robot is therefore computed from the finished poses, and the difference is fed
back into the pendulum until it is small (Kajita et al. 2003 do the same with preview control).
"""

from __future__ import annotations

import math

import numpy as np

from g1_mimic.errors import G1MimicError
from g1_mimic.motion.balance import (
    GRAVITY,
    centre_of_mass,
    looped_zero_moment_point,
    pendulum_path,
    sole_points,
    support_margin,
)
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.gait import GaitPlan, minimum_jerk, plan_walk
from g1_mimic.motion.inverse_kinematics import UPPER_JOINTS, PoseSolver, PoseTargets
from g1_mimic.motion.kinematics import complete_clip
from g1_mimic.motion.skeleton import FOOT_BODY_NAMES, load_skeleton
from g1_mimic.motion.validate import validate_clip
from g1_mimic.robot.model import home_qpos
from g1_mimic.robot.names import JOINT_NAMES
from g1_mimic.robot.profile import RobotProfile, load_profile
from g1_mimic.rotations import quat_apply, quat_from_rpy, quat_from_yaw

_MAX_SQUAT = 0.15
_MAX_SPEED = 0.9
_HEIGHT = 0.67
"""m: the centre of mass of the standing robot; the rounds make up for what it is off."""
_ZMP_ERROR = 0.005
"""m: how far the zero-moment point may be off what was wanted; a sole is 0.054 m wide."""
_ZMP_MARGIN = 0.005
"""m: how far inside the support polygon the zero-moment point has to stay."""
_ZMP_ROUNDS = 40


def make_stand(
    duration: float = 10.0,
    *,
    fps: float = 50.0,
    sway: float = 0.035,
    squat: float = 0.12,
    wave: float = 1.0,
    seed: int | None = None,
    profile: RobotProfile | None = None,
    name: str = "stand",
) -> MotionClip:
    """Make a looped clip on planted feet: sway to the sides, squat, wave an arm, stand.

    Args:
        duration: s, at least 6; longer is slower.
        fps: frames per second.
        sway: m that the centre of mass moves to either side, at most 0.06.
        squat: m that the pelvis goes down, at most 0.15.
        wave: 0 (arms hang) to 1 (the hand over the shoulder).
        seed: varies the sizes (70 to 100% of what is given), the arm and the order of the parts;
            None makes the plain clip. The same seed gives the same clip.
        profile: the robot; the hardware's by default.
        name: the clip's name.

    Raises:
        G1MimicError: if a parameter is out of range or a pose cannot be reached.
    """
    _require("duration", duration, 6.0, 600.0)
    _require("sway", sway, 0.0, 0.06)
    _require("squat", squat, 0.0, _MAX_SQUAT)
    _require("wave", wave, 0.0, 1.0)
    _require("fps", fps, 10.0, 500.0)
    profile = profile or load_profile("g1_29dof")
    order, side = [0, 1, 2], 1
    if seed is not None:
        random = np.random.default_rng(seed)
        sway, squat, wave = np.array([sway, squat, wave]) * random.uniform(0.7, 1.0, 3)
        order, side = list(random.permutation(3)), int(random.integers(2))
    count = round(duration * fps) + 1
    home = _Home(profile)
    # Three parts of equal length, between which the robot stands for a moment.
    time = np.linspace(0.0, 1.0, count)
    local = np.stack([np.clip(time * 3.3 - 1.1 * place, 0.0, 1.0) for place in np.argsort(order)])
    targets = _standing(home, count)
    targets.com[:, 1] += sway * np.sin(2.0 * np.pi * local[0]) * _plateau(local[0], 0.25)
    down = squat * _plateau(local[1], 0.45)
    targets.pelvis_height[:] -= down
    # Leaning forwards with the squat keeps the hips' work down and looks natural.
    lean = 1.5 * down
    targets.pelvis_quat[:] = quat_from_rpy(0.0 * lean, lean, 0.0 * lean)
    _wave(targets.upper, side, wave, local[2])
    # Arms forwards while squatting.
    for arm in ("left", "right"):
        targets.upper[:, _upper(f"{arm}_shoulder_pitch")] -= 5.0 * down
    # The zero-moment point that a pendulum needs for this sway.
    zmp = targets.com.copy()
    zmp[1:-1] -= _HEIGHT / GRAVITY * fps**2 * np.diff(targets.com, 2, axis=0)
    return _solve(profile, targets, fps, name, np.zeros(2), zmp)


def make_walk(
    speed: float = 0.6,
    *,
    step_time: float = 0.5,
    duration: float = 10.0,
    stand_time: float = 0.6,
    double_support: float = 0.25,
    clearance: float = 0.06,
    crouch: float = 0.02,
    arm_swing: float = 0.8,
    fps: float = 50.0,
    profile: RobotProfile | None = None,
    name: str = "walk",
) -> MotionClip:
    """Make a looped clip of a straight walk.

    By default the robot stands, walks, and stands again, so that a policy can take over from
    standing; with ``stand_time`` 0 the clip is a pure cycle in the middle of walking.

    Args:
        speed: m/s of the steady walk, 0.1 to 0.9.
        step_time: s per step, 0.4 to 1.2.
        duration: s of the whole clip; rounded to whole steps (pairs of steps in a pure cycle).
        stand_time: s of standing at the start and at the end.
        double_support: fraction of a step in which both feet stand, 0.15 to 0.6.
        clearance: m that a foot is lifted, 0.01 to 0.15.
        crouch: m that the pelvis is lower than in the default pose, 0 to 0.12.
        arm_swing: rad of the shoulder per m between the feet, 0 to 2.
        fps: frames per second.
        profile: the robot; the hardware's by default.
        name: the clip's name.

    Raises:
        G1MimicError: if a parameter is out of range, or a pose cannot be reached within the soft
            joint limits.
    """
    _require("speed", speed, 0.1, _MAX_SPEED)
    _require("duration", duration, 0.0, 600.0)
    _require("step_time", step_time, 0.4, 1.2)
    _require("stand_time", stand_time, 0.0, 10.0)
    _require("double_support", double_support, 0.15, 0.6)
    _require("clearance", clearance, 0.01, 0.15)
    _require("crouch", crouch, 0.0, 0.12)
    _require("arm_swing", arm_swing, 0.0, 2.0)
    _require("fps", fps, 20.0, 500.0)
    profile = profile or load_profile("g1_29dof")
    step_frames = round(step_time * fps)
    double_frames = max(2, 2 * round(0.5 * double_support * step_frames))
    stand_frames = round(stand_time * fps)
    shift_frames = round(0.8 * step_time * fps) if stand_frames else 0
    walking = (
        duration * fps - 2 * (stand_frames + shift_frames) + bool(stand_frames) * double_frames
    )
    steps = (
        2 * round(0.5 * walking / step_frames) if not stand_frames else int(walking / step_frames)
    )
    if steps < (3 if stand_frames else 2):
        raise G1MimicError(
            f"a walk of {duration:g} s has no room for steps of {step_time:g} s"
            + (f" between {stand_time:g} s of standing" if stand_frames else "")
        )
    home = _Home(profile)
    plan = plan_walk(
        steps=steps,
        stride=speed * step_frames / fps,
        swing_frames=step_frames - double_frames,
        double_frames=double_frames,
        stand_frames=stand_frames,
        shift_frames=shift_frames,
        stance_width=home.stance_width,
        inset=0.005,
        roll=0.04,
        clearance=clearance,
    )
    targets = _walking(home, plan, crouch, arm_swing)
    zmp = plan.zmp + home.sole_centre
    return _solve(profile, targets, fps, name, np.array([plan.advance, 0.0]), zmp)


class _Home:
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
        points = skeleton.foot_points[0, :, 0]
        self.sole_centre = np.array(
            [self.foot_pos[0, 0] + 0.5 * (points.min() + points.max()), 0.0]
        )
        self.toe = np.array([points.max(), 0.0, sole.min()])
        self.com = np.array([centre_of_mass(clip)[0, 0], 0.0])
        self.upper = profile.default_position[UPPER_JOINTS]


def _standing(home: _Home, count: int) -> PoseTargets:
    """Return the default pose as targets, ``count`` times."""
    upright = np.array([1.0, 0.0, 0.0, 0.0])
    return PoseTargets(
        foot_pos=np.tile(home.foot_pos, (count, 1, 1)),
        foot_quat=np.tile(upright, (count, 2, 1)),
        com=np.tile(home.com, (count, 1)),
        pelvis_height=np.full(count, home.pelvis_height),
        pelvis_quat=np.tile(upright, (count, 1)),
        upper=np.tile(home.upper, (count, 1)),
    )


def _walking(home: _Home, plan: GaitPlan, crouch: float, arm_swing: float) -> PoseTargets:
    """Return the targets of a walk but for the centre of mass, which follows from balance."""
    targets = _standing(home, len(plan.zmp))
    targets.foot_pos[:, :, 0] += plan.foot_x
    targets.foot_pos[:, :, 2] += plan.foot_lift
    # The foot pitches about its toes, so that they never dip below the lift.
    pitch = plan.foot_pitch
    targets.foot_quat[:] = quat_from_rpy(0.0 * pitch, pitch, 0.0 * pitch)
    targets.foot_pos[:] += home.toe - quat_apply(targets.foot_quat, home.toe)
    # How far the right foot is ahead says where in a step the robot is, and is smooth.
    ahead = plan.foot_x[:, 1] - plan.foot_x[:, 0]
    targets.pelvis_height[:] -= crouch + 0.06 * ahead**2
    yaw = 0.15 * ahead
    targets.pelvis_quat[:] = quat_from_yaw(yaw)
    targets.upper[:, _upper("waist_yaw")] = -2.0 * yaw
    # The arm swings with the opposite leg; a negative angle is forwards.
    targets.upper[:, _upper("left_shoulder_pitch")] -= arm_swing * ahead
    targets.upper[:, _upper("right_shoulder_pitch")] += arm_swing * ahead
    targets.upper[:, _upper("left_elbow")] += 0.4 * arm_swing * ahead
    targets.upper[:, _upper("right_elbow")] -= 0.4 * arm_swing * ahead
    return targets


def _solve(
    profile: RobotProfile,
    targets: PoseTargets,
    fps: float,
    name: str,
    advance: np.ndarray,
    zmp: np.ndarray,
) -> MotionClip:
    """Return the looped clip whose zero-moment point is ``zmp`` [T, 2]."""
    solver = PoseSolver(profile)
    wanted, qpos = zmp.copy(), None
    for _ in range(_ZMP_ROUNDS):
        targets.com[:] = pendulum_path(wanted, advance, _HEIGHT, fps)
        qpos = solver.solve(targets, qpos)
        clip = complete_clip(name, fps, qpos[:, :3], qpos[:, 3:7], qpos[:, 7:], looped=True)
        error = zmp - looped_zero_moment_point(clip)
        if abs(error).max() < _ZMP_ERROR:
            break
        wanted += error
    else:
        raise G1MimicError(f"motion '{name}' cannot be balanced; ask for a slower or shorter step")
    _require_valid(clip, profile)
    return clip


def _wave(upper: np.ndarray, side: int, size: float, part: np.ndarray) -> None:
    """Let one arm rise, wave and sink again, in place, as ``part`` [T] goes from 0 to 1."""
    name, sign = ("left", 1.0) if side == 0 else ("right", -1.0)
    raised = size * _plateau(part, 0.35)
    swing = np.sin(6.0 * np.pi * part) * raised
    upper[:, _upper(f"{name}_shoulder_pitch")] -= 1.0 * raised
    upper[:, _upper(f"{name}_shoulder_roll")] += sign * (0.9 * raised + 0.15 * swing)
    upper[:, _upper(f"{name}_elbow")] += -0.8 * raised + 0.25 * swing


def _plateau(part: np.ndarray, edge: float) -> np.ndarray:
    """Return 0 → 1 → 0 as ``part`` goes from 0 to 1, smooth, with edges of length ``edge``."""
    return np.asarray(
        minimum_jerk(np.clip(part / edge, 0.0, 1.0))
        * minimum_jerk(np.clip((1.0 - part) / edge, 0.0, 1.0))
    )


def _upper(joint: str) -> int:
    """Return the column of a joint of waist or arms in the targets."""
    return JOINT_NAMES.index(f"{joint}_joint") - int(UPPER_JOINTS[0])


def _require(what: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise G1MimicError(f"{what} is {value:g}; it must be from {low:g} to {high:g}")


def _require_valid(clip: MotionClip, profile: RobotProfile) -> None:
    report = validate_clip(clip, profile)
    if problems := report.errors + report.warnings:
        raise G1MimicError(f"motion '{clip.name}' cannot be made so: {problems[0]}")
    points = looped_zero_moment_point(clip)
    margin = support_margin(points, sole_points(clip), contact_height=1e-3)
    if margin.min() < _ZMP_MARGIN:
        raise G1MimicError(
            f"motion '{clip.name}' cannot be balanced in frame {margin.argmin()}; ask for a slower "
            "or smaller motion"
        )
    lower, upper = profile.soft_limits()
    outside = ((clip.joint_pos < lower - 1e-6) | (clip.joint_pos > upper + 1e-6)).any(axis=0)
    if outside.any():
        joint = clip.joint_names[int(outside.argmax())]
        raise G1MimicError(
            f"motion '{clip.name}' cannot be made so: {joint} leaves its soft limits"
        )
