"""The policies that ship do what their page says."""

from __future__ import annotations

from pathlib import Path

import pytest
from shipped import POLICIES, largest_error, start_noise

from g1_mimic.envs.config import ResetConfig
from g1_mimic.evaluation.conditions import conditions
from g1_mimic.evaluation.suite import Options, assess
from g1_mimic.motion.files import load_motion
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.profile import load_profile


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_it_stays_up(path: Path) -> None:
    """No fall in 16 ten-second episodes from all over its clip, which it keeps to."""
    config = {"reset": ResetConfig(noise=start_noise(path.stem))}
    options = Options(episodes=16, seconds=10.0, seed=11, config=config)
    result = assess(OnnxPolicy.load(path), path.stem, conditions([]), options).nominal
    assert result.success_rate == 1.0
    assert result.joint_error_rad < largest_error(path.stem)


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_it_belongs_to_this_package(path: Path) -> None:
    """Its robot and its clip are those that ship, and it says where it comes from."""
    policy = OnnxPolicy.load(path)
    meta = policy.metadata
    assert meta.robot_profile_hash == load_profile(meta.robot_profile).hash
    clip = load_motion(meta.motion_name)
    assert policy.num_frames == clip.num_frames
    frame = policy.reference(clip.num_frames // 2)
    assert abs(frame.joint_pos - clip.joint_pos[clip.num_frames // 2]).max() < 1e-5
    assert meta.run_path


def test_there_is_one_to_deploy() -> None:
    """deploy_sim has a policy to run before anything was trained."""
    assert POLICIES
