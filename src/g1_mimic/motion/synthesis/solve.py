"""From a plan to a clip whose zero-moment point is the plan's.

The centre of mass moves as a pendulum would over the wanted zero-moment point. The pendulum
neglects swinging legs and arms; the zero-moment point of the whole robot is therefore computed from
the finished poses, and the difference is fed back into the pendulum until it is small (Kajita et
al. 2003 do the same with preview control).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.motion.balance import (
    looped_zero_moment_point,
    pendulum_path,
    sole_points,
    support_margin,
)
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.dynamics import first_self_contact, joint_torques
from g1_mimic.motion.kinematics import complete_clip
from g1_mimic.motion.synthesis import planar
from g1_mimic.motion.synthesis.gait import minimum_jerk
from g1_mimic.motion.synthesis.inverse_kinematics import PoseSolver
from g1_mimic.motion.synthesis.parameters import Fps, checked
from g1_mimic.motion.synthesis.plan import PENDULUM_HEIGHT, Home, Plan, chain, stand_still
from g1_mimic.motion.validate import validate_clip
from g1_mimic.robot.profile import RobotProfile, load_profile

_ZMP_ERROR = 0.005
"""m: how far the zero-moment point may be off what was wanted; a sole is 0.054 m wide."""
_ZMP_MARGIN = 0.005
"""m: how far inside the support polygon the zero-moment point has to stay."""
_ZMP_ROUNDS = 40
REST_TIME = 0.7
"""s of standing before and after a clip, in which the robot leans into what comes."""
_AT_REST = 3
"""Frames at either end in which nothing moves."""


def maker(kind: str, plan: Callable[..., Plan]) -> Callable[..., MotionClip]:
    """Return the function that makes looped clips of a kind, which begin and end standing.

    It has the parameters of ``plan`` behind the default pose and the frame rate, whose annotations
    tell their ranges, and as keywords ``fps`` (50), ``profile`` (of the robot; the hardware's by
    default) and ``name`` (of the clip; the kind by default).

    Args:
        kind: what the clips show.
        plan: returns what to fulfil, from the default pose, the frame rate (Hz) and the parameters.

    Raises:
        G1MimicError: at a call, if a parameter is out of range, a pose cannot be reached within the
            soft joint limits, or the motion cannot be balanced.
    """

    def make(
        *wishes: Any,
        fps: float = 50.0,
        profile: RobotProfile | None = None,
        name: str = kind,
        **more: Any,
    ) -> MotionClip:
        profile = profile or load_profile()
        home = Home(profile)
        return solve_rested(profile, home, plan(home, fps, *wishes, **more), fps, name)

    own = list(inspect.signature(plan).parameters.values())[2:]
    common = [p for p in inspect.signature(make).parameters.values() if p.default is not p.empty]
    make.__signature__ = inspect.Signature([*own, *common])  # type: ignore[attr-defined]
    hints = get_type_hints(plan, include_extras=True)
    make.__annotations__ |= {p.name: hints[p.name] for p in own} | {"fps": Fps}
    make.__name__, make.__doc__ = f"make_{kind}", f"Make a looped clip. {plan.__doc__}"
    return checked(make)


def solve_rested(
    profile: RobotProfile, home: Home, plan: Plan, fps: float, name: str
) -> MotionClip:
    """Return the looped clip of a plan between two moments of standing.

    Its first pose is the default pose and its last one the same elsewhere, both at rest: such clips
    can follow one another in any order.

    Raises:
        G1MimicError: if a pose cannot be reached or the motion cannot be balanced.
    """
    rest = stand_still(home, round(REST_TIME * fps))
    plan = chain([rest, plan, rest])
    frames = np.arange(plan.num_frames)
    nearest = np.minimum(frames, frames[::-1])
    freedom = minimum_jerk(np.clip((nearest - _AT_REST) / (rest.num_frames - _AT_REST), 0.0, 1.0))
    at_rest = np.where(
        (frames < plan.num_frames // 2)[:, None], home.com, planar.move(plan.lap, home.com)
    )
    return solve(profile, plan, fps, name, freedom[:, None], at_rest)


def solve(
    profile: RobotProfile,
    plan: Plan,
    fps: float,
    name: str,
    freedom: np.ndarray | float = 1.0,
    at_rest: np.ndarray | float = 0.0,
) -> MotionClip:
    """Return the looped clip whose zero-moment point is the plan's.

    Args:
        profile: the robot.
        plan: what to fulfil.
        fps: frames per second.
        name: of the clip.
        freedom: [T, 1] 0 where the centre of mass is ``at_rest``, 1 where it balances, and between.
            Where it is not free, the zero-moment point only has to be inside the support.
        at_rest: [T, 2] m.

    Raises:
        G1MimicError: if a pose cannot be reached or the motion cannot be balanced.
    """
    solver = PoseSolver(profile)
    targets, wanted, qpos = plan.targets, plan.zmp.copy(), None
    free = np.equal(freedom, 1.0)
    for _ in range(_ZMP_ROUNDS):
        path = pendulum_path(wanted, plan.lap[:2], PENDULUM_HEIGHT, fps, turn=plan.lap[2])
        targets.com[:] = at_rest + freedom * (path - at_rest)
        qpos = solver.solve(targets, qpos)
        clip = complete_clip(name, fps, qpos[:, :3], qpos[:, 3:7], qpos[:, 7:], looped=True)
        error = np.where(free, plan.zmp - looped_zero_moment_point(clip), 0.0)
        if abs(error).max() < _ZMP_ERROR:
            break
        wanted += error
    else:
        raise BadValue(f"motion '{name}' cannot be balanced; ask for a slower or shorter step")
    _require_valid(clip, profile)
    return clip


def _require_valid(clip: MotionClip, profile: RobotProfile) -> None:
    report = validate_clip(clip, profile)
    if problems := report.errors + report.warnings:
        raise BadValue(f"motion '{clip.name}' cannot be made so: {problems[0]}")
    points = looped_zero_moment_point(clip)
    margin = support_margin(points, sole_points(clip), contact_height=1e-3)
    if margin.min() < _ZMP_MARGIN:
        raise BadValue(
            f"motion '{clip.name}' cannot be balanced in frame {margin.argmin()}; ask for a slower "
            "or smaller motion"
        )
    lower, upper = profile.soft_limits()
    outside = ((clip.joint_pos < lower - 1e-6) | (clip.joint_pos > upper + 1e-6)).any(axis=0)
    if outside.any():
        joint = clip.joint_names[int(outside.argmax())]
        raise BadValue(f"motion '{clip.name}' cannot be made so: {joint} leaves its soft limits")
    if contact := first_self_contact(clip, profile):
        frame, first, second = contact
        raise BadValue(
            f"motion '{clip.name}' cannot be made so: {first} and {second} touch in frame {frame}"
        )
    torque = joint_torques(clip, profile)
    frame, joint_index = np.unravel_index(
        (abs(torque) / profile.torque_limit).argmax(), torque.shape
    )
    if abs(torque[frame, joint_index]) > profile.torque_limit[joint_index]:
        raise BadValue(
            f"motion '{clip.name}' cannot be made so: {clip.joint_names[joint_index]} would need "
            f"{abs(torque[frame, joint_index]):.0f} N·m in frame {frame}; its limit is "
            f"{profile.torque_limit[joint_index]:g}"
        )
