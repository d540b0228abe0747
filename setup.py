"""The ament_python package g1_mimic; also installs with plain pip where there is no ROS."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import setuptools
from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

NAME = "g1_mimic"
FOLDERS = ("launch", "config", "models")
"""What the package reads and launches. It carries a copy of its own, so that it finds these however
it was installed; another one is in share/, where ROS looks."""

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


def files_under(*tops: str) -> dict[str, list[str]]:
    """The files of these folders, by the folder that they are in; paths from the root."""
    folders: defaultdict[str, list[str]] = defaultdict(list)
    for top in tops:
        for path in sorted((ROOT / top).rglob("*")):
            relative = path.relative_to(ROOT)
            hidden = any(part.startswith((".", "__")) for part in relative.parts)
            if path.is_file() and not hidden:
                folders[relative.parent.as_posix()].append(relative.as_posix())
    return folders


class BuildWithData(build_py):
    """Builds the package with its data in g1_mimic/share; a link to the checkout needs none."""

    def run(self) -> None:
        """Copy the modules, then the data."""
        super().run()
        if getattr(self, "editable_mode", False):
            return
        share = Path(self.build_lib) / NAME / "share"
        for folder, files in files_under(*FOLDERS).items():
            self.mkpath(str(share / folder))
            for file in files:
                self.copy_file(str(ROOT / file), str(share / file), preserve_mode=False)


def licence() -> dict[str, str]:
    """The licence, as an SPDX expression where this setuptools knows these (from 77 on)."""
    known = int(setuptools.__version__.split(".")[0]) >= 77
    return {"license_expression" if known else "license": "Apache-2.0"}


setup(
    name=NAME,
    version=version(),
    description="Motion imitation for the Unitree G1: training in MuJoCo, deployment through ROS 2",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="g1_mimic developers",
    author_email="dev@example.com",
    maintainer="g1_mimic developers",
    maintainer_email="dev@example.com",
    **licence(),
    license_files=["LICENSE", "NOTICE"],
    keywords=["humanoid", "imitation learning", "motion tracking", "mujoco", "ros2", "unitree g1"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    package_dir={"": "src"},
    packages=find_packages("src", include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed"]},
    zip_safe=False,
    cmdclass={"build_py": BuildWithData},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *((f"share/{NAME}/{folder}", files) for folder, files in files_under(*FOLDERS).items()),
        # What `ros2 run` and launch start; not on the PATH, where such names belong to nobody.
        (f"lib/{NAME}", files_under("resource/executables")["resource/executables"]),
    ],
    install_requires=requirements("core"),
    extras_require={
        "train": requirements("train"),
        "dev": requirements("dev"),
        "test": ["pytest"],  # colcon looks here for what runs the tests
    },
    entry_points={"console_scripts": ["g1-mimic = g1_mimic.__main__:main"]},
)
