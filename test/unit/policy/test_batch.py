"""A batch of observations gives what one after the other gives, for files of whoever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import foreign_files as ff
import numpy as np
import pytest

from g1_mimic.control.pd_target import NonFiniteError
from g1_mimic.policy.batch import PolicyBatch
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.profile import load_profile

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's exporter, of its age

PROFILE = load_profile("g1_29dof")


def hold_to_single(policy: OnnxPolicy) -> None:
    rng = np.random.default_rng(0)
    batch = PolicyBatch(policy)
    for count in (1, 2, 17):
        obs = rng.standard_normal((count, policy.observation_size))
        steps = rng.integers(-3, policy.num_frames + 3, count)
        expected = np.stack([policy.act(o, int(t)) for o, t in zip(obs, steps, strict=True)])
        np.testing.assert_array_equal(batch.act(obs, steps), expected)
    assert np.ptp(expected, axis=0).min() > 0.0


@pytest.mark.parametrize("base", ["default", "reference", "reference_lead", "feedforward"])
def test_a_batch_acts_like_its_rows(make_policy: Any, tmp_path: Path, base: str) -> None:
    """Our own files: to the bit, beyond both ends of the motion too, in batches of any size."""
    policy = OnnxPolicy.load(make_policy(tmp_path / "policy.onnx", action_base=base).path)
    hold_to_single(policy)
    obs = np.zeros((3, policy.observation_size))  # the beginning of an episode
    expected = np.stack([policy.act(row, 4) for row in obs])
    np.testing.assert_array_equal(PolicyBatch(policy).act(obs, np.full(3, 4)), expected)


@pytest.mark.parametrize("family", ["beyondmimic", "holosoma"])
def test_a_batch_of_a_foreign_policy_acts_like_its_rows(tmp_path: Path, family: str) -> None:
    """Files in other joint orders and opsets, too."""
    rng = np.random.default_rng(1)
    frames = 9
    pos = np.cumsum(rng.uniform(-0.01, 0.01, (frames, 29)), 0)
    quat = np.tile([1.0, 0.0, 0.0, 0.0], (frames, 14, 1))
    motion = ff.Motion(pos, np.gradient(pos, 0.02, axis=0), rng.uniform(size=(frames, 14, 3)), quat)
    order = ff.ISAAC_ORDER if family == "beyondmimic" else ff.MUJOCO_ORDER
    columns = [ff.MUJOCO_ORDER.index(name) for name in order]
    foreign = ff.Policy(
        family, order, ff.WITHOUT, 0.1 * rng.standard_normal((29, 154)),
        PROFILE.default_position[columns], PROFILE.action_scale[columns],
    )  # fmt: skip
    gains = np.stack([PROFILE.stiffness, PROFILE.damping])
    if family == "beyondmimic":
        path = ff.write_beyondmimic(tmp_path / "policy.onnx", foreign, motion, gains)
        hold_to_single(OnnxPolicy.load(path))
    else:
        path = ff.write_holosoma(tmp_path / "policy.onnx", foreign, motion, gains)
        hold_to_single(OnnxPolicy.load(path, "0.5"))


def test_a_row_that_is_not_finite_is_refused(make_policy: Any, tmp_path: Path) -> None:
    """As in a single observation."""
    policy = OnnxPolicy.load(make_policy(tmp_path / "policy.onnx").path)
    obs = np.zeros((4, policy.observation_size))
    obs[2, 5] = np.nan
    with pytest.raises(NonFiniteError, match="an observation is not finite"):
        PolicyBatch(policy).act(obs, np.zeros(4))
