"""The policies that ship."""

from __future__ import annotations

from g1_mimic.files import share_dir

POLICIES = sorted((share_dir() / "models" / "policies").glob("*.onnx"))

_FREER = {"dance": 0.25}


def largest_error(name: str) -> float:
    """Return how far the joints may be from the clip, rad; a lively one is kept to less closely."""
    return _FREER.get(name, 0.15)
