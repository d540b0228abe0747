"""What the tests of the launch files share: the real `ros2 launch` on the installed package."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

TIMEOUT = 120.0
"""Wall time that a launch may take on a busy machine, s."""

Launch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    """Skip without the ros2 command or without the installed package."""
    if shutil.which("ros2") is None:
        pytest.skip("no ros2 command")
    found = subprocess.run(["ros2", "pkg", "prefix", "g1_mimic"], capture_output=True)
    if found.returncode != 0:
        pytest.skip("g1_mimic is not installed (colcon build)")


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a launch; its logs go to a folder of the tests."""
    return {**os.environ, "ROS_LOG_DIR": str(tmp_path_factory.mktemp("ros") / "log")}


@pytest.fixture(scope="session")
def launch(environment: dict[str, str]) -> Launch:
    """Runs ``ros2 launch g1_mimic FILE ARGUMENTS`` in a folder, to its end."""

    def run(file: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ros2", "launch", "g1_mimic", file, *arguments],
            env=environment,
            cwd=cwd,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT,
        )

    return run
