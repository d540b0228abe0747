"""Running policy files: foreign ones alike, damaged ones refused in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from torch import Tensor, nn

from g1_mimic.control.pd_target import NonFiniteError
from g1_mimic.envs.observations import DEFAULT_POLICY_TERMS
from g1_mimic.errors import G1MimicError
from g1_mimic.policy.info import policy_info
from g1_mimic.policy.runtime import OnnxPolicy


@pytest.fixture(scope="module")
def made(make_policy: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A policy with a reference base."""
    return make_policy(tmp_path_factory.mktemp("policy") / "p.onnx")


def with_props(source: Path, target: Path, change: dict[str, str | None]) -> Path:
    """Copy a policy file with other metadata; None removes a key."""
    model = onnx.load(source)
    props = {p.key: p.value for p in model.metadata_props}
    props = {k: v for k, v in (props | change).items() if v is not None}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, props)
    onnx.save(model, target)
    return target


def test_reference_is_the_clip(made: Any) -> None:
    """Frames come out in double precision, read-only, with the anchor picked, and clamped."""
    policy = OnnxPolicy.load(made.path)
    anchor = made.clip.body_index("torso_link")
    for t in range(policy.num_frames):
        frame = policy.reference(t)
        np.testing.assert_allclose(frame.joint_pos, made.clip.joint_pos[t], atol=1e-6)
        np.testing.assert_allclose(frame.joint_vel, made.clip.joint_vel[t], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(frame.anchor_pos, made.clip.body_pos_w[t, anchor], atol=1e-6)
        np.testing.assert_allclose(frame.anchor_quat, made.clip.body_quat_w[t, anchor], atol=1e-6)
        assert frame.joint_pos.dtype == np.float64 and not frame.body_pos_w.flags.writeable
    for beyond, end in ((-5, 0), (10**6, policy.num_frames - 1)):
        np.testing.assert_array_equal(
            policy.reference(beyond).joint_pos, policy.reference(end).joint_pos
        )


def test_action_does_not_depend_on_history(made: Any) -> None:
    """The same observation gives the same action, in new memory each time."""
    policy, obs = OnnxPolicy.load(made.path), np.linspace(-1, 1, 154)
    first = policy.act(obs, 3)
    kept = first.copy()
    policy.act(-obs, 7)
    policy.reference(2)
    np.testing.assert_array_equal(policy.act(obs, 3), kept)
    np.testing.assert_array_equal(first, kept)
    assert first.dtype == np.float64 and first.shape == (29,)


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_file_is_refused(made: Any, tmp_path: Path, keep: float) -> None:
    """A file that is cut short anywhere is one line that names it."""
    data = made.path.read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(G1MimicError, match=r"cut\.onnx") as caught:
        OnnxPolicy.load(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A missing file, a folder and a text file are each one line."""
    text = tmp_path / "a.onnx"
    text.write_text("hello")
    with pytest.raises(G1MimicError, match="not a whole ONNX file"):
        OnnxPolicy.load(text)
    for path in (tmp_path, tmp_path / "none.onnx"):
        with pytest.raises(G1MimicError, match="does not exist"):
            OnnxPolicy.load(path)


def test_missing_metadata_is_named(made: Any, tmp_path: Path) -> None:
    """Without its action scale a policy must not run: with a wrong one the robot falls."""
    path = with_props(made.path, tmp_path / "q.onnx", {"action_scale": None})
    with pytest.raises(G1MimicError, match=r"q\.onnx: metadata 'action_scale' is missing"):
        OnnxPolicy.load(path)


def test_width_mismatch_is_explained(made: Any, tmp_path: Path) -> None:
    """Terms that do not make the input's width are refused with both numbers."""
    terms = ",".join((*DEFAULT_POLICY_TERMS, "base_lin_vel"))
    change = {"observation_names": terms, "observation_history_lengths": None}
    path = with_props(made.path, tmp_path / "q.onnx", change)
    with pytest.raises(G1MimicError, match=r"shape \[1, 154\], but .* make \[1, 157\]"):
        OnnxPolicy.load(path)
    path = with_props(made.path, path, {"observation_names": "command,smell"})
    with pytest.raises(G1MimicError, match="unknown observation term 'smell'"):
        OnnxPolicy.load(path)


def test_wrong_bodies_are_refused(made: Any, tmp_path: Path) -> None:
    """Body names must match the width of the body outputs."""
    path = with_props(made.path, tmp_path / "q.onnx", {"body_names": "pelvis,torso_link"})
    with pytest.raises(G1MimicError, match=r"'body_pos_w' has shape \[1, 14, 3\], expected \[1, 2"):
        OnnxPolicy.load(path)


def test_missing_output_is_named(made: Any, tmp_path: Path) -> None:
    """A network without the motion inside is refused."""
    model = onnx.load(made.path)
    kept = [output for output in model.graph.output if output.name != "body_quat_w"]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    onnx.save(model, tmp_path / "q.onnx")
    message = "nearest is g1_mimic, it lacks output 'body_quat_w'"
    with pytest.raises(G1MimicError, match=message):
        OnnxPolicy.load(tmp_path / "q.onnx")


class Reciprocal(nn.Module):
    """Not finite where the first observation is 0."""

    def forward(self, obs: Tensor) -> Tensor:
        return obs[:, 1:30] / obs[:, :1]


def test_nothing_that_is_not_finite_passes(make_policy: Any, tmp_path: Path) -> None:
    """NaN in, or infinity out, raises; a wrong width too."""
    policy = OnnxPolicy.load(make_policy(tmp_path / "p.onnx", actor=Reciprocal()).path)
    obs = np.ones(154)
    policy.act(obs, 0)
    for bad in (np.nan, np.inf, 1e300):  # the last does not fit the file's float32
        broken = obs.copy()
        broken[80] = bad
        with pytest.raises(NonFiniteError, match="observation is not finite"):
            policy.act(broken, 0)
    obs[0] = 0.0
    with pytest.raises(NonFiniteError, match="action at frame 4 is not finite"):
        policy.act(obs, 4)
    with pytest.raises(G1MimicError, match=r"takes 154 observations, got shape \(153,\)"):
        policy.act(np.ones(153), 0)


def test_info_is_plain(made: Any) -> None:
    """policy_info is JSON, and tells motion, width and frames."""
    info = json.loads(json.dumps(policy_info(made.path)))
    assert (info["motion"], info["frames"], info["observation_size"]) == ("sway", 25, 154)
    assert info["duration_s"] == pytest.approx(0.48) and info["robot_profile"] == "g1_29dof"


def test_robot_computer_needs_numpy_only() -> None:
    """Neither torch nor mujoco nor onnx is imported to run a policy."""
    code = (
        "import sys, g1_mimic.policy.runtime; "
        "print([m for m in ('torch', 'mujoco', 'onnx', 'pydantic') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
