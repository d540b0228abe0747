"""The policies that ship."""

from __future__ import annotations

from g1_mimic.files import share_dir

POLICIES = sorted((share_dir() / "models" / "policies").glob("*.onnx"))

LEANING_ON_LIMITS = {"stand_guide"}
"""Stay up only where targets are held to this package's limits."""

_FREER = {"dance": 0.25}
_FRAILER = {"stand_guide": 0.1}  # 8 N m per ankle move the pressure under its feet by under 5 cm


def largest_error(name: str) -> float:
    """Return how far the joints may be from the clip, rad; a lively one is kept to less closely."""
    return _FREER.get(name, 0.15)


def start_noise(name: str) -> float:
    """Return the scale of the noise at the start of an episode that a robot can stand."""
    return _FRAILER.get(name, 0.25)
