"""The ament_python package g1_mimic; also installs with plain pip where there is no ROS."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from setuptools import find_packages, setup

NAME = "g1_mimic"

# colcon's symlink build runs a link to this file in its build folder: look in the checkout itself.
ROOT = Path(__file__).resolve().parent


def requirements(name: str) -> list[str]:
    """The requirement lines of requirements/NAME.txt."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def version() -> str:
    """The version, read without importing the package."""
    text = (ROOT / "src" / NAME / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert match, "src/g1_mimic/__init__.py names no __version__"
    return match[1]


def shared_files() -> list[tuple[str, list[str]]]:
    """What goes to share/g1_mimic, folder for folder, in the form of setuptools' data_files."""
    folders: defaultdict[str, list[str]] = defaultdict(list)
    for top in ("launch", "config", "models"):
        for path in sorted((ROOT / top).rglob("*")):
            relative = path.relative_to(ROOT)
            hidden = any(part.startswith((".", "__")) for part in relative.parts)
            if path.is_file() and not hidden:
                folders[f"share/{NAME}/{relative.parent.as_posix()}"].append(relative.as_posix())
    return list(folders.items())


setup(
    name=NAME,
    version=version(),
    description="Motion imitation for the Unitree G1: training in MuJoCo, deployment through ROS 2",
    author="g1_mimic developers",
    author_email="dev@example.com",
    maintainer="g1_mimic developers",
    maintainer_email="dev@example.com",
    license="Apache-2.0",
    python_requires=">=3.10",
    package_dir={"": "src"},
    packages=find_packages("src", include=[NAME, f"{NAME}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *shared_files(),
    ],
    install_requires=requirements("core"),
    extras_require={"dev": requirements("dev"), "test": ["pytest"]},
    entry_points={
        "console_scripts": [
            "g1-mimic = g1_mimic.cli.main:main",
            "trainer = g1_mimic.nodes.executables:trainer",
            "mujoco_sim = g1_mimic.nodes.executables:mujoco_sim",
            "policy = g1_mimic.nodes.executables:policy",
            "composed = g1_mimic.nodes.executables:composed",
            "recorder = g1_mimic.nodes.executables:recorder",
            "monitor = g1_mimic.nodes.executables:monitor",
        ],
    },
)
