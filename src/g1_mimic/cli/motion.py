"""``g1-mimic motion``: look at motion clips, convert them, make them, show them."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from g1_mimic.cli.motion_fix import add_fix
from g1_mimic.cli.motion_make import add_make
from g1_mimic.cli.motion_source import add_robot, add_source, add_target, tell, told
from g1_mimic.cli.options import Command
from g1_mimic.errors import BadValue

if TYPE_CHECKING:
    from g1_mimic.motion.clip import MotionClip


def add_parser(commands: Any) -> None:
    """Add the commands to what ``ArgumentParser.add_subparsers`` returned."""
    parser = commands.add_parser("motion", help="inspect, show, convert and make motion clips")
    clips = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    clips.add_parser(
        "info",
        help="check a clip against the robot and print what it is",
        description="Check a clip against the robot's limits and print what it is. "
        "Ends with status 1 if the clip has errors.",
        fill=_info_options,
    )
    add_fix(clips)
    clips.add_parser(
        "convert",
        help="convert a clip to .npz (exchange), .csv or .json (readable)",
        description="Read a clip, resample it, recompute all velocities, and write it as .npz "
        "(BeyondMimic's layout with names), .csv (36 columns, names in comments) or .json.",
        fill=_convert_options,
    )
    add_make(clips)
    clips.add_parser(
        "show",
        help="render a clip as a picture (.png) or film (.mp4, .gif)",
        description="Render a clip: a .png with poses side by side, or a film.",
        fill=_show_options,
    )


def _info_options(parser: Command) -> None:
    add_source(parser, fps=0.0)
    add_robot(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=_info)


def _convert_options(parser: Command) -> None:
    add_source(parser)
    add_target(parser)
    parser.add_argument(
        "--frames",
        metavar="FIRST:LAST",
        help="keep these frames of the result, counted from 0, LAST not included",
    )
    parser.add_argument(
        "--order",
        choices=("mjcf", "isaac"),
        default="mjcf",
        help="joint and body order in an .npz: mjcf (mjlab) or isaac (BeyondMimic) (%(default)s)",
    )
    parser.add_argument(
        "--csv-quat-order",
        choices=("xyzw", "wxyz"),
        default="xyzw",
        help="quaternion columns in a .csv: xyzw (LAFAN1) or wxyz (ProtoMotions) (%(default)s)",
    )
    parser.set_defaults(run=_convert)


def _show_options(parser: Command) -> None:
    add_source(parser)
    parser.add_argument("output", type=Path, metavar="OUT", help="file to write: .png, .mp4, .gif")
    parser.add_argument("--poses", type=int, default=18, help="poses in a .png (%(default)s)")
    parser.add_argument(
        "--azimuth", type=float, default=140.0, help="camera, degrees (%(default)s)"
    )
    parser.set_defaults(run=_show)


def _load(args: argparse.Namespace) -> MotionClip:
    from g1_mimic.motion.files import load_motion

    return load_motion(args.motion, **told(args))


def _info(args: argparse.Namespace) -> int:
    from g1_mimic.motion.files import inspect_motion
    from g1_mimic.robot.profile import load_profile

    _, report = inspect_motion(args.motion, profile=load_profile(args.robot), **told(args))
    data = {"verdict": report.verdict, **asdict(report)}
    print(json.dumps(data, indent=2) if args.json else report)
    return 1 if report.errors else 0


def _convert(args: argparse.Namespace) -> int:
    from g1_mimic.motion.files import require_writable, save_csv, save_motion, save_npz

    require_writable(args.output)
    clip = replace(_load(args), name=args.name or args.output.stem)
    if args.frames is not None:
        clip = _cut(clip, args.frames)
    if args.output.suffix.lower() == ".npz":
        save_npz(clip, args.output, order=args.order)
    elif args.output.suffix.lower() == ".csv":
        save_csv(clip, args.output, quat_order=args.csv_quat_order)
    else:
        save_motion(clip, args.output)
    tell(clip, args.output)
    return 0


def _cut(clip: MotionClip, frames: str) -> MotionClip:
    from g1_mimic.motion.kinematics import complete_clip

    try:
        first, last = (int(part) if part else None for part in frames.split(":"))
    except ValueError:
        raise BadValue(f"--frames is FIRST:LAST, not '{frames}'") from None
    kept = range(clip.num_frames)[first:last]
    if len(kept) < 2:
        raise BadValue(f"--frames {frames} keeps {len(kept)} of {clip.num_frames} frames")
    whole = len(kept) == clip.num_frames
    part = slice(kept.start, kept.stop)
    return complete_clip(
        clip.name,
        clip.fps,
        clip.root_pos[part],
        clip.root_quat[part],
        clip.joint_pos[part],
        clip.looped and whole,
        notes=clip.notes,
    )


def _show(args: argparse.Namespace) -> int:
    from g1_mimic.robot.render import check_picture_path, render_motion

    check_picture_path(args.output)
    if args.poses < 1:
        raise BadValue(f"--poses is {args.poses}; at least 1 is needed")
    clip = _load(args)
    render_motion(args.output, clip.qpos(), clip.fps, poses=args.poses, azimuth=args.azimuth)
    tell(clip, args.output)
    return 0
