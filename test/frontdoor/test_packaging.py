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
from packaging.requirements import Requirement

import g1_mimic
from g1_mimic.nodes.executables import NODES

# Distributions whose modules have other names.
DISTRIBUTIONS = {"PIL": "pillow", "yaml": "PyYAML", "mcap_ros2": "mcap-ros2-support"}

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


def run(*command: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a command that must succeed; its standard output."""
    result = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def required(repository: Path, name: str) -> dict[str, Requirement]:
    """The requirements of requirements/NAME.txt by the name of the distribution."""
    lines = (repository / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return {r.name: r for r in (Requirement(line) for line in lines if line[:1] not in ("", "#"))}


def test_imports_are_required_or_depended_on(repository):
    """All that is imported is in requirements/, or a ROS package that package.xml names."""
    used = imported(repository / "src" / "g1_mimic") | imported(repository / "launch")
    used = {DISTRIBUTIONS.get(name, name) for name in used - sys.stdlib_module_names}
    from_pip = {*required(repository, "core"), *required(repository, "train")}
    tools = {"python3-numpy", "python3-yaml", "ros2launch"}
    ros = used - from_pip - {"g1_mimic", "__future__"}
    assert depends(repository, "exec_depend") == ros | tools
    assert from_pip - used == {"imageio-ffmpeg", "qpsolvers"}  # which imageio and mink make use of


def test_versions_agree(repository):
    """The package manifest and the Python package carry one version."""
    assert depends(repository, "version") == {g1_mimic.__version__}


def test_front_door_installs_what_setup_requires(repository):
    """The torch that the front door installs first lies in the range that the package requires."""
    door = (repository / "g1").read_text(encoding="utf-8")
    (torch,) = [line.partition("=")[2] for line in door.splitlines() if line.startswith("TORCH=")]
    assert torch in required(repository, "train")["torch"].specifier


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
    commands = prefix / "lib" / "g1_mimic"
    started = {path.name for path in commands.iterdir() if os.access(path, os.X_OK)}
    assert started == {"g1-mimic", *NODES}
    # Edits in the checkout are live through links; a copy reads the data that it carries.
    (site,) = prefix.glob("lib/python3.*/site-packages")
    modules, data = site, site / "g1_mimic" / "share"
    if links:
        modules, data = tmp_path / "build" / "g1_mimic" / "src", repository
    environment = os.environ | {
        "PYTHONPATH": f"{modules}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "G1_MIMIC_SHARE": "",
    }
    where = "import g1_mimic.files as f; print(f.share_dir())"
    told = run(sys.executable, "-c", where, cwd=tmp_path, env=environment).strip()
    assert Path(told) == data
    parameters = ("-p", "policy:=/none.onnx", "-p", "autostart:=true")
    command = [commands / "policy", "--ros-args", *parameters]
    node = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert node.returncode == 2 and "/none.onnx" in node.stderr
