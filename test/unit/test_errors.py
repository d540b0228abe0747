"""Errors are what the standard library calls them, and one line for the user."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from g1_mimic.envs.deepmimic_env import DeepMimicEnv
from g1_mimic.errors import G1MimicError, missing_package
from g1_mimic.learning.experience_buffer import ExperienceBuffer
from g1_mimic.motion.files import load_motion
from g1_mimic.policy.locate import find_policy
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.profile import load_profile


def file(folder: Path, name: str) -> Path:
    """A file that is not what its name says."""
    path = folder / name
    path.write_text("[]")
    return path


@pytest.mark.parametrize(
    ("kind", "mistake"),
    [
        (FileNotFoundError, lambda folder: load_profile("no_robot")),
        (FileNotFoundError, lambda folder: load_motion("moonwalk")),
        (FileNotFoundError, lambda folder: load_motion(folder / "none.csv")),
        (FileNotFoundError, lambda folder: OnnxPolicy.load(folder / "none.onnx")),
        (FileNotFoundError, lambda folder: DeepMimicEnv(str(folder / "none.json"))),
        (ValueError, lambda folder: load_profile(file(folder, "robot.yaml"))),
        (ValueError, lambda folder: load_motion(file(folder, "motion.json"))),
        (ValueError, lambda folder: OnnxPolicy.load(file(folder, "policy.onnx"))),
        (ValueError, lambda folder: DeepMimicEnv(str(file(folder, "task.json")))),
        (ValueError, lambda folder: ExperienceBuffer(buffer_len=0, batch_size=4)),
        (ValueError, lambda folder: ExperienceBuffer(8, 4).get_data("reward")),
        (RuntimeError, lambda folder: ExperienceBuffer(8, 4).sample(1)),
        # Names that no file can have.
        (OSError, lambda folder: load_profile("x" * 300)),
        (OSError, lambda folder: load_motion("x" * 300)),
        (OSError, lambda folder: find_policy("x" * 300)),
        (OSError, lambda folder: OnnxPolicy.load("x" * 300)),
    ],
)  # fmt: skip
def test_mistakes_are_standard_exceptions(
    kind: type[Exception], mistake: Callable[[Path], Any], tmp_path: Path
) -> None:
    """Whoever catches ValueError, FileNotFoundError or RuntimeError catches ours, in one line."""
    with pytest.raises(kind) as caught:
        mistake(tmp_path)
    assert isinstance(caught.value, G1MimicError)
    assert "\n" not in str(caught.value) and len(str(caught.value)) > 10


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("mujoco", r"pip install 'g1_mimic\[train\]'$"),
        ("torch.nn", "build for the CPU"),
        ("rclpy", "ROS 2"),
        ("sensor_msgs.msg", "ROS 2"),
    ],
)
def test_missing_packages_come_with_the_remedy(name: str, remedy: str) -> None:
    """What is not installed is named with the command that installs it."""
    (said,) = missing_package(ModuleNotFoundError("", name=name)).splitlines()
    assert name.partition(".")[0] in said
    assert re.search(remedy, said)


def test_missing_part_of_the_package_is_a_bug() -> None:
    """A module of our own that is not there is no matter of installation."""
    with pytest.raises(ModuleNotFoundError):
        missing_package(ModuleNotFoundError("", name="g1_mimic.gone"))
