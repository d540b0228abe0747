"""The policies that ship."""

from __future__ import annotations

from g1_mimic.files import share_dir

POLICIES = sorted((share_dir() / "models" / "policies").glob("*.onnx"))

_FREER = {"dance": 0.25}


def largest_error(name: str) -> float:
    """Return how far the joints may be from the clip, rad; a lively one is kept to less closely."""
    return _FREER.get(name, 0.15)


def start_noise(name: str) -> float:
    """Return the scale of the noise at the start of an episode that a robot can stand.

    The ankles of the guide's robot, 8 N m each, move the pressure under its feet by less than 5 cm.
    """
    return 0.1 if name == "stand_guide" else 0.25
