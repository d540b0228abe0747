"""Which policy is meant when none is named. Light enough for a launch file."""

from __future__ import annotations

from pathlib import Path

from g1_mimic.errors import G1MimicError
from g1_mimic.files import share_dir


def newest_policy(runs: Path) -> Path | None:
    """Return the policy file written last in the training runs under ``runs``, if there is one."""
    files = [path for path in runs.glob("**/*.onnx") if not path.name.startswith(".")]
    return max(files, key=lambda path: path.stat().st_mtime_ns, default=None)


def default_policy(runs: Path) -> Path:
    """Return the newest policy of the training runs, else the first that the package ships.

    Raises:
        G1MimicError: if there is neither.
    """
    if newest := newest_policy(runs):
        return newest
    shipped = sorted((share_dir() / "models" / "policies").glob("*.onnx"))
    if not shipped:
        raise G1MimicError(f"no policy in {runs.resolve()}, and none ships with the package: train")
    return shipped[0]
