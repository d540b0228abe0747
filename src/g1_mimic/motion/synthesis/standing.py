"""Clips on planted feet: swaying, squatting, shifting the weight, and an exercise of several."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.synthesis.arms import wave_arm
from g1_mimic.motion.synthesis.gait import minimum_jerk, plateau
from g1_mimic.motion.synthesis.inverse_kinematics import PoseTargets
from g1_mimic.motion.synthesis.parameters import Seed, Within, checked
from g1_mimic.motion.synthesis.plan import Home, Plan, planted, upper
from g1_mimic.motion.synthesis.solve import maker, solve
from g1_mimic.robot.profile import RobotProfile, load_profile
from g1_mimic.rotations import quat_from_rpy


def lower_pelvis(targets: PoseTargets, down: np.ndarray) -> None:
    """Squat by ``down`` [T] m, in place: lean and reach forwards."""
    targets.pelvis_height[:] -= down
    # Leaning forwards with the squat keeps the hips' work down and looks natural.
    lean = 1.5 * down
    targets.pelvis_quat[:] = quat_from_rpy(0.0 * lean, lean, 0.0 * lean)
    for arm in ("left", "right"):
        targets.upper[:, upper(f"{arm}_shoulder_pitch")] -= 5.0 * down


def swaying(
    home: Home,
    fps: float,
    sideways: Annotated[float, Within(0.0, 0.08, "m to either side")] = 0.05,
    forwards: Annotated[float, Within(0.0, 0.04, "m to front and back")] = 0.0,
    period: Annotated[float, Within(1.5, 20.0, "s to both sides and back")] = 3.0,
    count: Annotated[int, Within(1, 30, "how often")] = 3,
) -> Plan:
    """Sway on planted feet: to the sides, or in circles."""
    targets = home.targets(round(count * period * fps) + 1)
    turns = np.linspace(0.0, count, len(targets.com))
    size = plateau(turns / count, 0.5 / count)
    targets.com[:, 0] += forwards * np.cos(2.0 * np.pi * turns) * size
    targets.com[:, 1] += sideways * np.sin(2.0 * np.pi * turns) * size
    return planted(targets, fps)


def squatting(
    home: Home,
    fps: float,
    depth: Annotated[float, Within(0.02, 0.2, "m that the pelvis goes down")] = 0.15,
    period: Annotated[float, Within(1.5, 20.0, "s per squat")] = 2.6,
    count: Annotated[int, Within(1, 30, "how many squats")] = 3,
) -> Plan:
    """Squat, the arms reaching forwards."""
    targets = home.targets(round(count * period * fps) + 1)
    turns = np.linspace(0.0, count, len(targets.com))
    lower_pelvis(targets, depth * plateau(np.mod(turns, 1.0), 0.45))
    return planted(targets, fps)


def shifting(
    home: Home,
    fps: float,
    amount: Annotated[float, Within(0.1, 0.95, "1: over the middle of a foot")] = 0.8,
    move: Annotated[float, Within(0.6, 10.0, "s from the middle to a foot")] = 1.0,
    hold: Annotated[float, Within(0.0, 10.0, "s over each foot")] = 0.6,
    count: Annotated[int, Within(1, 30, "how often over each foot")] = 2,
) -> Plan:
    """Shift the weight from foot to foot and hold it there."""
    moving, holding = round(move * fps), round(hold * fps)
    way = [np.zeros(1)]
    for start, end in [(0.0, 1.0), *[(1.0, -1.0), (-1.0, 1.0)] * (count - 1), (1.0, -1.0)]:
        # From foot to foot is twice as far as from the middle, and takes √2 as long at the same
        # acceleration.
        frames = round(moving * abs(end - start) ** 0.5)
        part = np.clip(np.arange(1, frames + holding + 1) / frames, 0.0, 1.0)
        way.append(start + (end - start) * minimum_jerk(part))
    way.append(-1.0 + minimum_jerk(np.arange(1, moving + 1) / moving))
    shift = np.concatenate(way)
    targets = home.targets(len(shift))
    targets.com[:, 1] += 0.5 * amount * home.stance_width * shift
    return planted(targets, fps)


@checked
def make_stand(
    duration: Annotated[float, Within(6.0, 600.0, "s; longer is slower")] = 10.0,
    *,
    sway: Annotated[float, Within(0.0, 0.06, "m to either side")] = 0.035,
    squat: Annotated[float, Within(0.0, 0.15, "m that the pelvis goes down")] = 0.12,
    wave: Annotated[float, Within(0.0, 1.0, "0: arms hang, 1: the hand over the shoulder")] = 1.0,
    fps: Annotated[float, Within(10.0, 500.0, "frames per second")] = 50.0,
    seed: Seed = None,
    profile: RobotProfile | None = None,
    name: str = "stand",
) -> MotionClip:
    """Make a looped clip on planted feet: sway to the sides, squat, wave an arm, stand.

    A seed varies the sizes (70 to 100% of what is given), the arm and the order of the parts; None
    makes the plain clip.

    Raises:
        G1MimicError: if a parameter is out of range or a pose cannot be reached.
    """
    profile = profile or load_profile()
    order, right = [0, 1, 2], 1
    if seed is not None:
        random = np.random.default_rng(seed)
        sway, squat, wave = np.array([sway, squat, wave]) * random.uniform(0.7, 1.0, 3)
        order, right = list(random.permutation(3)), int(random.integers(2))
    count = round(duration * fps) + 1
    # Three parts of equal length, between which the robot stands for a moment.
    time = np.linspace(0.0, 1.0, count)
    local = np.stack([np.clip(time * 3.3 - 1.1 * place, 0.0, 1.0) for place in np.argsort(order)])
    targets = Home(profile).targets(count)
    targets.com[:, 1] += sway * np.sin(2.0 * np.pi * local[0]) * plateau(local[0], 0.25)
    lower_pelvis(targets, squat * plateau(local[1], 0.45))
    wave_arm(targets.upper, "right" if right else "left", wave, local[2])
    return solve(profile, planted(targets, fps), fps, name)


make_sway = maker("sway", swaying)
make_squat = maker("squat", squatting)
make_weight_shift = maker("weight_shift", shifting)
