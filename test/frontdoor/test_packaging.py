"""The package as colcon, pip and ROS 2's tools see it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec
from pathlib import Path

import pytest

import g1_mimic

# Python modules of ROS 2 that this package may import, each from the ROS package of its name.
ROS_MODULES = {
    "diagnostic_msgs", "geometry_msgs", "launch", "launch_ros", "lifecycle_msgs", "nav_msgs",
    "rcl_interfaces", "rclpy", "rosgraph_msgs", "sensor_msgs", "std_msgs", "std_srvs",
    "trajectory_msgs", "visualization_msgs",
}  # fmt: skip

needs_colcon = pytest.mark.skipif(not find_spec("colcon"), reason="colcon is not installed")


def depends(repository: Path, kind: str) -> set[str]:
    """The dependencies of a kind that package.xml names."""
    tree = ElementTree.parse(repository / "package.xml")
    return {element.text or "" for element in tree.iter(kind)}


def imported(folder: Path) -> set[str]:
    """The top-level names of all modules imported in the Python files of a folder."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names


def run(*command: str, cwd: Path) -> str:
    """Run a command that must succeed; its standard output."""
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_exec_depends_are_what_is_imported(repository):
    """package.xml names every ROS package that the code imports and none that it does not."""
    used = (
        imported(repository / "src" / "g1_mimic") | imported(repository / "launch")
    ) & ROS_MODULES
    tools = {"python3-numpy", "python3-yaml", "ros2launch"}
    assert depends(repository, "exec_depend") == used & ROS_MODULES | tools


def test_versions_agree(repository):
    """The package manifest and the Python package carry one version."""
    assert depends(repository, "version") == {g1_mimic.__version__}


def test_front_door_installs_what_setup_requires(repository):
    """The torch that the front door installs first lies in the range that the package requires."""
    from packaging.requirements import Requirement

    door = (repository / "g1").read_text(encoding="utf-8")
    (torch,) = [line.partition("=")[2] for line in door.splitlines() if line.startswith("TORCH=")]
    text = (repository / "requirements" / "core.txt").read_text(encoding="utf-8")
    requirements = [line for line in text.splitlines() if not line.startswith("#")]
    ranges = {r.name: r.specifier for r in map(Requirement, requirements)}
    assert torch in ranges["torch"]


@needs_colcon
def test_colcon_sees_a_ros_package(repository, tmp_path):
    """colcon takes the root for an ament_python package (a bad manifest makes it plain Python)."""
    out = run(sys.executable, "-m", "colcon", "--log-base", str(tmp_path), "list", cwd=repository)
    assert out.split("\t")[::2] == ["g1_mimic", "(ros.ament_python)\n"]


@needs_colcon
@pytest.mark.parametrize("links", [True, False], ids=["symlink-install", "install"])
def test_colcon_build_installs_the_whole_share(repository, tmp_path, links):
    """A build installs each launch, config and model file, linked so that edits take effect."""
    folders = [f"--{name}-base={tmp_path / name}" for name in ("build", "install")]
    option = ["--symlink-install"] if links else []
    run(sys.executable, "-m", "colcon", "--log-base", str(tmp_path / "log"), "build", *folders,
        *option, cwd=repository)  # fmt: skip
    prefix = tmp_path / "install" / "g1_mimic"
    sources = {
        path.relative_to(repository)
        for top in ("launch", "config", "models")
        for path in (repository / top).rglob("*")
        if path.is_file() and not {"__pycache__"} & set(path.parts)
    }
    share = prefix / "share" / "g1_mimic"
    for source in sources | {Path("package.xml")}:
        installed = share / source
        assert installed.read_bytes() == (repository / source).read_bytes()
        if links:
            assert installed.resolve() == repository / source
    assert (prefix / "share/ament_index/resource_index/packages/g1_mimic").exists()
    for name in ("g1-mimic", "trainer", "mujoco_sim", "policy"):
        assert os.access(prefix / "lib" / "g1_mimic" / name, os.X_OK)
