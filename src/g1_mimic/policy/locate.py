"""Which policy file is meant. Light enough for a launch file."""

from __future__ import annotations

import os
from pathlib import Path

from g1_mimic.errors import MissingFile
from g1_mimic.files import find_file, share_dir

POLICY_FILE = "policy.onnx"
"""The best policy of a run so far, by its own evaluations."""


def find_policy(name: str) -> Path:
    """Return the ONNX file that ``name`` means: a file, a run folder, or a shipped policy.

    Raises:
        G1MimicError: if there is none.
    """
    folder = Path(name).expanduser()
    if os.path.isdir(folder):
        if not (folder / POLICY_FILE).is_file():
            raise MissingFile(f"run folder {name} has no {POLICY_FILE} yet")
        return folder / POLICY_FILE
    return find_file(name, subdirs=["models/policies"], suffixes=[".onnx"], what="policy")


def default_policy(runs: Path) -> Path:
    """Return the policy of the newest run under ``runs`` that has one, else the shipped one.

    Raises:
        G1MimicError: if there is neither.
    """
    trained = list(runs.glob(f"*/{POLICY_FILE}"))
    if trained:
        return max(trained, key=lambda path: path.stat().st_mtime_ns)
    shipped = sorted((share_dir() / "models" / "policies").glob("*.onnx"))
    if not shipped:
        raise MissingFile(f"no policy in {runs.resolve()}, and none ships with the package: train")
    return shipped[0]
