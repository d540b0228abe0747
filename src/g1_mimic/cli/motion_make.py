"""``g1-mimic motion make``: the options of every kind of clip come from the function that makes it.

Those functions need MuJoCo; they are imported only once a kind has been named, so that the rest of
the command line answers at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from g1_mimic.cli.motion_source import add_target, tell
from g1_mimic.cli.options import Command

if TYPE_CHECKING:
    from g1_mimic.motion.clip import MotionClip

KINDS = {
    "stand": "sway, squat and wave on planted feet",
    "sway": "sway to the sides, or in circles",
    "squat": "squats, the arms reaching forwards",
    "weight_shift": "shift the weight from foot to foot",
    "wave": "raise an arm, or both, and wave",
    "punch": "straight punches from a guard",
    "march": "march in place",
    "walk": "walk forwards, backwards, sideways or in a curve",
    "turn": "turn in place, step by step",
    "dance": "figures and gestures to a beat, in seeded order",
    "mix": "parts of all kinds, in seeded size and order",
}
"""What ``make`` makes, each with the function ``synthesis.make_KIND``."""
_ANY = 1e6
"""A range that ends above this (a seed's) is not worth telling."""


def add_make(commands: Any) -> None:
    """Add the command ``make`` to what ``ArgumentParser.add_subparsers`` returned."""
    parser = commands.add_parser(
        "make",
        help="make a clip from scratch: stand, walk, dance …",
        description="Make a looped clip from scratch: balanced, with planted feet, within the "
        "limits of joints and motors. All but walk start and end in the standing pose.",
    )
    kinds = parser.add_subparsers(title="kinds", required=True, metavar="KIND", dest="kind")
    for kind, text in KINDS.items():
        about = f"Make a clip: {text}."
        kinds.add_parser(kind, help=text, description=about, fill=partial(_options, kind))


def _options(kind: str, parser: Command) -> None:
    from g1_mimic.motion.synthesis.parameters import parameters

    known = parameters(_maker(kind))
    for parameter in known:
        text = parameter.text
        if parameter.high < _ANY:
            text += f", {parameter.low:g} to {parameter.high:g}"
        parser.add_argument(
            f"--{parameter.name.replace('_', '-')}",
            type=parameter.kind,
            default=parameter.default,
            choices=parameter.choices or None,
            help=text if parameter.default is None else f"{text} (%(default)s)",
        )
    add_target(parser, "--out", required=True)
    parser.set_defaults(run=_make, options=[parameter.name for parameter in known])


def _maker(kind: str) -> Callable[..., MotionClip]:
    from g1_mimic.motion import synthesis

    make: Callable[..., MotionClip] = getattr(synthesis, f"make_{kind}")
    return make


def _make(args: argparse.Namespace) -> int:
    from g1_mimic.motion.dynamics import effort
    from g1_mimic.motion.files import require_writable, save_motion
    from g1_mimic.robot.profile import load_profile

    require_writable(args.out)
    given = {option: getattr(args, option) for option in args.options}
    clip = _maker(args.kind)(**given, name=args.name or args.out.stem)
    save_motion(clip, args.out)
    tell(clip, args.out)
    print(f"asks at most for: {effort(clip, load_profile())}")
    return 0
