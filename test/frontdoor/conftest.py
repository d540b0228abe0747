"""A checkout of the front door whose Python, pip and colcon are fakes that only keep a record."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

FAKE_PYTHON = r"""#!/usr/bin/env bash
# Takes the place of every Python that the front door calls; a file in $FAKE changes what it does.
echo "$*" >>"$FAKE/calls"
option() { while [[ $1 != "$name" ]]; do shift; done; echo "$2"; }
case "$1 $2" in
  '-m venv')
    mkdir -p "${@: -1}/bin"
    cp "$0" "${@: -1}/bin/python" ;;
  '-m pip')
    while [[ -e $FAKE/pip-hangs ]]; do echo "$$" >"$FAKE/pip-pid"; sleep 0.02; done
    if [[ -e $FAKE/pip-fails ]]; then cat "$FAKE/pip-fails"; exit 1; fi
    if [[ $* == *--target* ]]; then
      target=$(name=--target option "$@")
      mkdir -p "$target/bin"
      printf '#!/bin/sh\necho stand-in\n' >"$target/bin/ros2"
      chmod +x "$target/bin/ros2"
    fi ;;
  '-m colcon')
    install=$(name=--install-base option "$@")
    mkdir -p "$install/g1_mimic/lib/g1_mimic"
    printf '#!/bin/sh\necho g1-mimic\n' >"$install/g1_mimic/lib/g1_mimic/g1-mimic"
    chmod +x "$install/g1_mimic/lib/g1_mimic/g1-mimic"
    echo "export AMENT_PREFIX_PATH=$install/g1_mimic" >"$install/local_setup.bash" ;;
  -c*)
    case $2 in
      *cpython*) [[ ! -e $FAKE/wrong-python ]] ;;
      *numpy*) [[ :$PYTHONPATH: != */kilted/* ]] || echo 1 ;;
      *rclpy*) exec "$REAL_PYTHON" "$@" ;;
    esac ;;
esac
"""

CHECKOUT = ("g1", "setup.py", "setup.cfg", "package.xml", "colcon.meta", "requirements", "resource")


@dataclass
class FrontDoor:
    """A checkout in a temporary folder, and how it is called."""

    root: Path
    fake: Path
    environment: dict[str, str]

    def start(self, *command: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start ``./g1 command`` in a process group of its own."""
        return subprocess.Popen(
            [str(self.root / "g1"), *command],
            cwd=cwd or self.root,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def call(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``./g1 command`` to its end."""
        process = self.start(*command, cwd=cwd)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def calls(self, part: str) -> list[str]:
        """The calls of the fake Python that contain ``part``."""
        record = self.fake / "calls"
        lines = record.read_text().splitlines() if record.exists() else []
        return [line for line in lines if part in line]

    def folders(self, kind: str) -> set[str]:
        """The names of the folders ``.g1/kind-*``."""
        return {path.name for path in (self.root / ".g1").glob(f"{kind}-*")}

    def make_pip(self, manner: str, text: str = "") -> Path:
        """Make pip hang or fail from now on; returns the file whose removal ends that."""
        path = self.fake / f"pip-{manner}"
        path.write_text(text)
        return path

    def command(self, name: str, text: str) -> None:
        """Put a command of that name on the PATH."""
        path = self.fake / "bin" / name
        path.write_text(text)
        path.chmod(0o755)


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds; a test that waits in vain fails by name."""
    deadline = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


@pytest.fixture(name="wait_for")
def wait_for_fixture() -> Callable[[Callable[[], object], str], None]:
    """The function that waits for a condition."""
    return wait_for


@pytest.fixture
def door(tmp_path: Path, repository: Path) -> FrontDoor:
    """A front door in a fresh checkout on a machine without ROS and without an environment."""
    root, fake = tmp_path / "checkout", tmp_path / "fake"
    (root / "src" / "g1_mimic").mkdir(parents=True)
    (root / "src" / "ros2_standin" / "launch").mkdir(parents=True)
    (root / "launch").mkdir()
    (fake / "bin").mkdir(parents=True)
    for name in CHECKOUT:
        copy = shutil.copytree if (repository / name).is_dir() else shutil.copy
        copy(repository / name, root / name)
    (root / "launch" / "train.launch.py").write_text("first\n")
    (root / "src" / "g1_mimic" / "__init__.py").write_text('__version__ = "1"\n')
    (root / "src" / "ros2_standin" / "pyproject.toml").write_text("[project]\n")
    (root / "src" / "ros2_standin" / "launch" / "__init__.py").write_text("first\n")
    environment = {
        "PATH": f"{fake / 'bin'}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "FAKE": str(fake),
        "REAL_PYTHON": sys.executable,
        "G1_ROS_ROOT": str(tmp_path / "no-ros"),
    }
    # The wheels' Python starts itself again unless it finds both of these.
    for name in ("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "LD_LIBRARY_PATH"):
        if name in os.environ:
            environment[name] = os.environ[name]
    result = FrontDoor(root, fake, environment)
    for name in ("python3.11", "python3", "python"):
        result.command(name, FAKE_PYTHON)
    return result
