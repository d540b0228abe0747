"""Exported policies compute what training computed, and are written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from g1_mimic.envs.observations import DEFAULT_POLICY_TERMS, term_slices
from g1_mimic.errors import G1MimicError
from g1_mimic.policy.readers import OUTPUTS
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.names import TRACKED_BODY_NAMES

ACTIONS = term_slices(DEFAULT_POLICY_TERMS)["actions"]
KINDS = ["default", "reference", "reference_lead", "feedforward"]


@pytest.mark.parametrize("kind_of_base", KINDS)
def test_names_types_and_shapes_are_beyondmimics(
    make_policy: Any, tmp_path: Path, kind_of_base: Any
) -> None:
    """obs [1, n] and time_step [1, 1] in; actions first, then the reference of 14 bodies.

    One output more, at the end, if actions are added to torques.
    """
    model = onnx.load(make_policy(tmp_path / "p.onnx", action_base=kind_of_base).path)
    onnx.checker.check_model(model, full_check=True)

    def signature(values: Any) -> list[tuple[str, int, list[int]]]:
        return [
            (
                v.name,
                v.type.tensor_type.elem_type,
                [d.dim_value for d in v.type.tensor_type.shape.dim],
            )
            for v in values
        ]

    kind = onnx.TensorProto.FLOAT
    assert signature(model.graph.input) == [("obs", kind, [1, 154]), ("time_step", kind, [1, 1])]
    assert signature(model.graph.output) == [
        ("actions", kind, [1, 29]),
        ("joint_pos", kind, [1, 29]),
        ("joint_vel", kind, [1, 29]),
        ("body_pos_w", kind, [1, 14, 3]),
        ("body_quat_w", kind, [1, 14, 4]),
        ("body_lin_vel_w", kind, [1, 14, 3]),
        ("body_ang_vel_w", kind, [1, 14, 3]),
        *([("joint_torque", kind, [1, 29])] if kind_of_base == "feedforward" else []),
    ]


def test_motion_is_inside_and_clamped(make_policy: Any, tmp_path: Path) -> None:
    """Every frame is the clip's; before the first and after the last, time stands still."""
    made = make_policy(tmp_path / "p.onnx")
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    bodies = [made.clip.body_index(name) for name in TRACKED_BODY_NAMES]
    last = made.clip.num_frames - 1
    for asked, frame in [(t, t) for t in range(last + 1)] + [(-3, 0), (last + 50, last)]:
        feeds = {
            "obs": np.zeros((1, 154), np.float32),
            "time_step": np.array([[asked]], np.float32),
        }
        outputs = dict(zip(OUTPUTS, session.run(list(OUTPUTS), feeds), strict=True))
        for name in list(OUTPUTS)[1:]:
            expected = getattr(made.clip, name)[frame]
            expected = expected if name.startswith("joint") else expected[bodies]
            np.testing.assert_array_equal(outputs[name][0], expected.astype(np.float32))


@pytest.mark.parametrize("looped", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_targets_are_those_of_training(
    make_policy: Any, tmp_path: Path, kind: Any, looped: bool
) -> None:
    """Step by step, also over the loop's seam: default + scale·action = base + scale·raw.

    The file is fed with its own previous actions, training with its raw ones, as each would be.
    """
    made = make_policy(tmp_path / "p.onnx", looped=looped, action_base=kind)
    policy = OnnxPolicy.load(made.path)
    rng = np.random.default_rng(0)
    scale, default = made.profile.action_scale, made.profile.default_position
    period = made.clip.num_frames - 1 if looped else made.clip.num_frames
    raw_before, action_before, folded = np.zeros(29), np.zeros(29), 0.0
    for step in range(2 * period if looped else period):
        frame = step % period
        obs = rng.standard_normal(154)
        obs[ACTIONS] = raw_before
        raw = made.raw(obs)
        obs[ACTIONS] = action_before
        action = policy.act(obs, frame)
        np.testing.assert_allclose(
            default + scale * action, made.base[frame] + scale * raw, atol=2e-6
        )
        raw_before, action_before = raw, action
        folded = max(folded, float(np.abs(action - raw).max()))
    assert (folded > 0.1) == (kind != "default")


def test_without_previous_action_in_the_observation(make_policy: Any, tmp_path: Path) -> None:
    """A policy that does not see its actions needs no unfolding."""
    made = make_policy(tmp_path / "p.onnx", policy_observation=("command", "joint_pos"))
    obs = np.random.default_rng(0).standard_normal(87)
    offset = (made.base[3] - made.profile.default_position) / made.profile.action_scale
    action = OnnxPolicy.load(made.path).act(obs, 3)
    np.testing.assert_allclose(action, made.raw(obs) + offset, atol=1e-5)


def test_metadata_tells_robot_and_motion(make_policy: Any, tmp_path: Path) -> None:
    """The file carries the robot's numbers in full, the terms, and the motion's name."""
    made = make_policy(tmp_path / "p.onnx")
    meta = OnnxPolicy.load(made.path).metadata
    assert meta.action_scale == tuple(made.profile.action_scale)
    assert meta.joint_stiffness == tuple(made.profile.stiffness)
    assert meta.torque_limit == tuple(made.profile.torque_limit)
    assert meta.observation_names == DEFAULT_POLICY_TERMS
    assert meta.robot_profile_hash == made.profile.hash
    assert (meta.motion_name, meta.motion_looped, meta.num_frames) == ("sway", True, 25)
    assert (meta.run_path, meta.control_rate_hz) == ("test@1", 50.0)


class Branching(nn.Module):
    """Does something that tracing cannot see: the file would differ from torch."""

    def forward(self, obs: Tensor) -> Tensor:
        action = obs[:, :29] * 1.0
        return action if float(obs.sum()) == 0.0 else action + 1.0


class Broken(nn.Module):
    """Diverged."""

    def forward(self, obs: Tensor) -> Tensor:
        return obs[:, :29] * torch.nan


@pytest.mark.filterwarnings("ignore")  # the tracer's, about the branch
@pytest.mark.parametrize("actor", [Branching(), Broken()])
def test_file_that_disagrees_is_not_written(
    make_policy: Any, tmp_path: Path, actor: nn.Module
) -> None:
    """If the comparison fails, the error names the output, and the older file stays as it is."""
    path = make_policy(tmp_path / "p.onnx").path
    before = path.read_bytes()
    with pytest.raises(G1MimicError, match="differs from torch in 'actions'"):
        make_policy(path, actor=actor)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_actor_of_another_width_is_refused(make_policy: Any, tmp_path: Path) -> None:
    """One line says which width the observation terms make; nothing is written."""
    with pytest.raises(G1MimicError, match="does not take 154 observations") as caught:
        make_policy(tmp_path / "p.onnx", actor=nn.Linear(10, 29))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_actor_of_another_robot_is_refused(make_policy: Any, tmp_path: Path) -> None:
    """Actions must be 29."""
    with pytest.raises(G1MimicError, match=r"'actions' has shape \[1, 12\]"):
        make_policy(tmp_path / "p.onnx", actor=nn.Linear(154, 12), action_base="default")


def test_training_goes_on_with_the_same_actor(make_policy: Any, tmp_path: Path) -> None:
    """Exporting does not touch the actor: mode, gradients and statistics stay."""
    actor = nn.Sequential(nn.Linear(154, 29), nn.Dropout(0.5)).train()
    before = {name: value.clone() for name, value in actor.state_dict().items()}
    make_policy(tmp_path / "p.onnx", actor=actor)
    assert actor.training and actor[0].weight.requires_grad
    assert all(torch.equal(before[k], v) for k, v in actor.state_dict().items())
