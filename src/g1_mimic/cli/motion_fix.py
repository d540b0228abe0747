"""``g1-mimic motion fix``: repair a clip, and say what was changed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from g1_mimic.cli.motion_source import add_robot, add_source, add_target, tell, told
from g1_mimic.cli.options import Command
from g1_mimic.errors import BadValue, G1MimicError

if TYPE_CHECKING:
    from g1_mimic.motion.repair.repair import Repaired
    from g1_mimic.motion.trajectory import Trajectory
    from g1_mimic.robot.profile import RobotProfile

_AUTO_CUTOFF = 8.0
"""Hz: people move slower; retargeting noise is faster."""


def add_fix(commands: Any) -> None:
    """Add the command to what ``ArgumentParser.add_subparsers`` returned."""
    commands.add_parser(
        "fix",
        help="repair a clip: floor, limits, glitches, noise, ends, left and right",
        description="Repair a clip with the options given, in the order in which they are listed "
        "here, and write it. Every change is printed with figures; without options nothing is "
        "changed. 'motion info' names the options that help.",
        fill=_options,
    )


def _options(parser: Command) -> None:
    add_source(parser, fps=0.0)
    add_target(parser)
    add_robot(parser)
    repairs = parser.add_argument_group("repairs")
    repairs.add_argument("--auto", action="store_true", help="do what 'motion info' hints at")
    repairs.add_argument("--trim", metavar="A:B", help="keep A to B seconds; either may be empty")
    repairs.add_argument("--glitches", action="store_true", help="replace frames that stick out")
    repairs.add_argument("--smooth", type=float, metavar="HZ", help="low-pass without delay")
    repairs.add_argument("--clamp", action="store_true", help="move joints to their limits")
    repairs.add_argument("--mirror", action="store_true", help="exchange left and right")
    repairs.add_argument(
        "--ground", action="store_true", help="put the feet on the floor, by one height for all"
    )
    repairs.add_argument(
        "--follow-ground",
        action="store_true",
        help="put each standing foot on the floor, for captures whose floor drifts",
    )
    repairs.add_argument(
        "--loop", action="store_true", help="make it looped: lead its end to its start"
    )
    for end, help_text in (("in", "from standing"), ("out", "into standing")):
        repairs.add_argument(
            f"--blend-{end}", type=float, metavar="S", help=f"add S seconds {help_text}"
        )
    parser.set_defaults(run=_fix)


def _fix(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from g1_mimic.motion.files import inspect_motion, require_writable, save_motion
    from g1_mimic.motion.kinematics import complete_trajectory
    from g1_mimic.motion.trajectory import Trajectory, resample
    from g1_mimic.motion.validate import validate_clip
    from g1_mimic.robot.profile import load_profile

    require_writable(args.output)
    if args.loop and (args.blend_in is not None or args.blend_out is not None):
        raise BadValue("a looped clip neither begins nor ends: --loop or --blend-in/--blend-out")
    profile = load_profile(args.robot)
    # At the file's own rate: resampling would spread a glitch over several frames.
    clip, report = inspect_motion(args.motion, profile=profile, **{**told(args), "fps": None})
    if report.errors and not report.hints:
        raise BadValue(f"{args.motion}: {report.errors[0]}")
    trajectory = Trajectory(
        args.name or args.output.stem,
        clip.fps,
        clip.root_pos,
        clip.root_quat,
        clip.joint_pos,
        clip.looped,
        clip.notes,
    )
    trajectory, changes = repair(trajectory, args, profile)
    if args.fps:
        trajectory = resample(trajectory, args.fps)
    fixed = replace(complete_trajectory(trajectory), notes=())
    after = validate_clip(fixed, profile)
    for change in changes or ["nothing was changed"]:
        print(change)
    if after.errors:
        raise BadValue(f"not written, the result would be refused: {after.errors[0]}")
    save_motion(fixed, args.output)
    tell(fixed, args.output)
    for warning in after.warnings:
        print(f"still: {warning}")
    print(f"verdict: {report.verdict} before, {after.verdict} after")
    return 0


def repair(
    trajectory: Trajectory, args: argparse.Namespace, profile: RobotProfile
) -> tuple[Trajectory, list[str]]:
    """Return the repaired trajectory and a line for every change.

    Args:
        trajectory: the motion.
        args: the options of the command.
        profile: the robot.

    Raises:
        G1MimicError: if a repair that was asked for is refused. One that ``--auto`` chose is
            left out, and its line says why.
    """
    from g1_mimic.motion.repair import repair as fixes
    from g1_mimic.motion.repair.blend import blend_in, blend_out, close_loop
    from g1_mimic.motion.repair.mirror import mirror

    changes: list[str] = []

    def step(
        option: str, wanted: bool, act: Callable[[Trajectory], Repaired], *, auto: bool = True
    ) -> None:
        nonlocal trajectory
        hinted = args.auto and auto and not wanted and option in _hints(trajectory, profile)
        if not wanted and not hinted:
            return
        try:
            trajectory, text = act(trajectory)
        except G1MimicError as error:
            if wanted:
                raise
            text = f"left as it is: {error}"
        changes.append(f"--{option}: {text}")

    cutoff = min(_AUTO_CUTOFF, 0.4 * trajectory.fps) if args.smooth is None else args.smooth
    step("trim", args.trim is not None, lambda t: fixes.trim(t, *_span(args.trim)), auto=False)
    step("glitches", args.glitches, fixes.remove_glitches)
    step("smooth", args.smooth is not None, lambda t: fixes.smooth(t, cutoff))
    step("clamp", args.clamp, lambda t: fixes.clamp(t, profile))
    step("mirror", args.mirror, lambda t: (mirror(t), "left and right exchanged"), auto=False)
    step("ground", args.ground, fixes.ground)
    step("follow-ground", args.follow_ground, fixes.follow_ground)
    step("loop", args.loop, close_loop)
    for option, seconds, act in (
        ("blend-in", args.blend_in, blend_in),
        ("blend-out", args.blend_out, blend_out),
    ):
        if seconds is not None:
            trajectory, text = act(trajectory, seconds, profile)
            changes.append(f"--{option}: {text}")
    return trajectory, changes


def _hints(trajectory: Trajectory, profile: RobotProfile) -> set[str]:
    """Return the options that the report on a trajectory names."""
    from g1_mimic.motion.kinematics import complete_trajectory
    from g1_mimic.motion.validate import validate_clip

    hints = validate_clip(complete_trajectory(trajectory), profile).hints
    return {hint.split()[0].lstrip("-") for hint in hints}


def _span(text: str) -> tuple[float | None, float | None]:
    try:
        first, last = (float(part) if part else None for part in text.split(":"))
    except ValueError:
        raise BadValue(f"--trim is A:B in seconds, not '{text}'") from None
    return first, last
