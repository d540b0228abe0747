"""Policies that others published dance in deploy_sim.

They lie in the wheel of holosoma-inference on PyPI (Apache-2.0), which is downloaded once and kept
in pytest's cache; where it cannot be had, these tests skip.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.launch, pytest.mark.slow]

WHEEL = "holosoma_inference-0.1.3-py3-none-any.whl"
REQUIREMENT = "holosoma-inference==0.1.3"
MODELS = "holosoma_inference/models/wbt"
SECONDS = 10.0
"""Of the clips' 131.5 s and 135.5 s, which both policies dance to the end."""


@pytest.fixture(scope="module")
def wheel(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, from the cache or from PyPI."""
    cache = getattr(pytestconfig, "cache", None)
    folder = cache.mkdir("holosoma") if cache else tmp_path_factory.mktemp("holosoma")
    path = Path(folder) / WHEEL
    if not zipfile.is_zipfile(path):
        path.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        command += ["--retries=0", "--timeout=15", "-q", "-d", str(folder), REQUIREMENT]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=120)
        except (subprocess.SubprocessError, OSError):
            pytest.skip(f"{REQUIREMENT} cannot be downloaded")
    return path


@pytest.fixture
def dance(wheel: Path, tmp_path: Path) -> Any:
    """Takes a policy out of the wheel; returns its path."""

    def take(name: str) -> Path:
        with zipfile.ZipFile(wheel) as archive:
            return Path(archive.extract(f"{MODELS}/{name}_g1_29dof_dancing.onnx", tmp_path))

    return take


@pytest.mark.parametrize(
    ("name", "action_scale", "most_error"), [("ppo", "effort", 0.12), ("fastsac", "1.0", 0.15)]
)
def test_holosoma_dances(
    name: str, action_scale: str, most_error: float, dance: Any, launch: Any, tmp_path: Path
) -> None:
    """The file runs as it is, under all limits, with the scale it was trained with."""
    done = launch(
        "deploy_sim.launch.py",
        f"policy:={dance(name)}",
        f"action_scale:={action_scale}",
        "realtime_factor:=0",
        f"duration:={SECONDS}",
        "report:=report.json",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["survived_s"] == SECONDS and not report["fell"], report
    assert report["joint_error_mean_rad"] < most_error
    assert report["fault"] == ""


def test_holosoma_without_its_action_scale_is_refused(
    dance: Any, launch: Any, tmp_path: Path
) -> None:
    """The file does not tell, and nothing is assumed: one line that says what to give."""
    done = launch("deploy_sim.launch.py", f"policy:={dance('ppo')}", cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert "metadata 'action_scale' is missing: give action_scale:=NUMBER (rad) or" in done.stdout
    assert "mode: " not in done.stdout
