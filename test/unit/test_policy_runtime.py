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
import torch
from torch import Tensor, nn

from g1_mimic.control.pd_target import NonFiniteError
from g1_mimic.envs.observations import DEFAULT_POLICY_TERMS, term_slices
from g1_mimic.errors import G1MimicError
from g1_mimic.policy.contract import JOINT_FIELDS
from g1_mimic.policy.foreign import HOLOSOMA_OUTPUTS
from g1_mimic.policy.runtime import JOINT_TERMS, OUTPUT_NAMES, OnnxPolicy, policy_info
from g1_mimic.robot.names import JOINT_NAMES

BFS = [0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 22, 4, 10, 16, 23, 5, 11, 17, 24, 18, 25, 19, 26]
BFS += [20, 27, 21, 28]


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
    assert policy.reference(-5) is policy.reference(0)
    assert policy.reference(10**6) is policy.reference(policy.num_frames - 1)


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


class InFileOrder(nn.Module):
    """A policy whose joints are in another order, made from one in ours."""

    def __init__(self, made: Any) -> None:
        super().__init__()
        self.actor = made.actor
        slices = term_slices(DEFAULT_POLICY_TERMS)
        ours = []  # where each entry of our observation is in the file's
        for name, part in slices.items():
            places = np.arange(part.start, part.stop)
            if name in JOINT_TERMS:
                places = places.reshape(-1, 29)[:, np.argsort(BFS)].ravel()
            ours.append(places)
        self.register_buffer("ours", torch.from_numpy(np.concatenate(ours)))
        self.register_buffer("bfs", torch.tensor(BFS))
        policy = OnnxPolicy.load(made.path)
        frames = [policy.reference(t) for t in range(policy.num_frames)]
        for name in OUTPUT_NAMES[1:]:
            values = np.stack([getattr(frame, name) for frame in frames])
            values = values[:, BFS] if name.startswith("joint") else values
            self.register_buffer(name, torch.from_numpy(values).float())

    def forward(self, obs: Tensor, time_step: Tensor) -> tuple[Tensor, ...]:
        t = time_step.long().clamp(0, len(self.get_buffer("joint_pos")) - 1).reshape(1)
        action = self.actor(torch.index_select(obs, 1, self.get_buffer("ours")))
        motion = (torch.index_select(self.get_buffer(name), 0, t) for name in OUTPUT_NAMES[1:])
        return (torch.index_select(action, 1, self.get_buffer("bfs")), *motion)


@pytest.mark.filterwarnings("ignore")  # the exporter's, of its age
def test_breadth_first_file_runs_unchanged(make_policy: Any, tmp_path: Path) -> None:
    """A file in Isaac's joint order, with BeyondMimic's keys only, acts like ours in our order."""
    made = make_policy(tmp_path / "ours.onnx", action_base="default")
    path = tmp_path / "bfs.onnx"
    torch.onnx.export(
        InFileOrder(made).eval(),
        (torch.zeros(1, 154), torch.zeros(1, 1)),
        str(path),
        input_names=["obs", "time_step"],
        output_names=list(OUTPUT_NAMES),
        opset_version=17,
        dynamo=False,
    )
    ours = OnnxPolicy.load(made.path)
    props = ours.metadata.to_onnx_props()
    for key in ("joint_names", *JOINT_FIELDS):
        parts = props[key].split(",")
        props[key] = ",".join(parts[i] for i in BFS)
    foreign_keys = ("joint_names", *JOINT_FIELDS[:4], "observation_names", "anchor_body_name")
    with_props(path, path, {key: props[key] for key in (*foreign_keys, "body_names")})
    theirs = OnnxPolicy.load(path)
    assert theirs.metadata.joint_names == JOINT_NAMES
    assert theirs.metadata.action_scale == ours.metadata.action_scale
    assert theirs.num_frames == ours.num_frames  # found by looking
    rng = np.random.default_rng(0)
    for t in range(ours.num_frames):
        obs = rng.standard_normal(154)
        np.testing.assert_allclose(theirs.act(obs, t), ours.act(obs, t), atol=1e-6)
        np.testing.assert_array_equal(theirs.reference(t).joint_pos, ours.reference(t).joint_pos)
        np.testing.assert_array_equal(theirs.reference(t).body_pos_w, ours.reference(t).body_pos_w)


class LikeHolosoma(nn.Module):
    """A policy with holosoma's alphabetical terms and outputs, made from one in ours."""

    def __init__(self, made: Any) -> None:
        super().__init__()
        self.actor = made.actor
        theirs = term_slices(
            ("actions", "base_ang_vel", "joint_pos", "joint_vel", "command", "motion_anchor_ori_b")
        )
        places = [np.arange(theirs[name].start, theirs[name].stop) for name in DEFAULT_POLICY_TERMS]
        self.register_buffer("ours", torch.from_numpy(np.concatenate(places)))
        torso = made.clip.body_index("torso_link")
        xyzw = np.roll(made.clip.body_quat_w[:, torso], -1, axis=1)
        pos = made.clip.body_pos_w[:, torso]
        for name, values in zip(
            HOLOSOMA_OUTPUTS[1:], (made.clip.joint_pos, made.clip.joint_vel, pos, xyzw), strict=True
        ):
            self.register_buffer(name, torch.tensor(np.array(values), dtype=torch.float32))

    def forward(self, obs: Tensor, time_step: Tensor) -> tuple[Tensor, ...]:
        t = time_step.long().clamp(0, 24).reshape(1)
        action = self.actor(torch.index_select(obs, 1, self.get_buffer("ours")))
        return (
            action,
            *(torch.index_select(self.get_buffer(name), 0, t) for name in HOLOSOMA_OUTPUTS[1:]),
        )


@pytest.mark.filterwarnings("ignore")  # the exporter's, of its age
def test_holosoma_file_runs_unchanged(make_policy: Any, tmp_path: Path) -> None:
    """JSON metadata, alphabetical terms and x y z w: the same actions and anchor as ours.

    What such a file lacks must be given, and is not guessed.
    """
    made = make_policy(tmp_path / "ours.onnx", action_base="default")
    path = tmp_path / "holosoma.onnx"
    torch.onnx.export(
        LikeHolosoma(made).eval(),
        (torch.zeros(1, 154), torch.zeros(1, 1)),
        str(path),
        input_names=["obs", "time_step"],
        output_names=list(HOLOSOMA_OUTPUTS),
        opset_version=17,
        dynamo=False,
    )
    ours = OnnxPolicy.load(made.path)
    meta = ours.metadata
    props = {
        "dof_names": json.dumps(JOINT_NAMES),
        "kp": json.dumps([round(x, 9) for x in meta.joint_stiffness]),
        "kd": json.dumps([round(x, 9) for x in meta.joint_damping]),
        "robot_urdf": json.dumps("<robot/>"),
    }
    with_props(path, path, dict(props))
    with pytest.raises(G1MimicError, match="'default_joint_pos' is missing"):
        OnnxPolicy.load(path)
    supplement = {"default_joint_pos": meta.default_joint_pos}
    with pytest.raises(G1MimicError, match="'action_scale' is missing"):
        OnnxPolicy.load(path, supplement)
    supplement["action_scale"] = (0.25,) * 29
    assert OnnxPolicy.load(path, supplement).metadata.action_scale == (0.25,) * 29
    with_props(path, path, {"action_scale": json.dumps(meta.action_scale)})
    theirs = OnnxPolicy.load(path, supplement)
    assert theirs.metadata.action_scale == meta.action_scale  # the file's own comes first
    assert theirs.metadata.joint_stiffness == pytest.approx(meta.joint_stiffness, abs=1e-9)
    assert theirs.num_frames == ours.num_frames
    parts = term_slices(DEFAULT_POLICY_TERMS)
    rng = np.random.default_rng(0)
    for t in range(ours.num_frames):
        obs = rng.standard_normal(154)
        shuffled = np.concatenate([obs[parts[name]] for name in theirs.metadata.observation_names])
        np.testing.assert_allclose(theirs.act(shuffled, t), ours.act(obs, t), atol=1e-6)
        for name in ("joint_pos", "joint_vel", "anchor_pos", "anchor_quat"):
            np.testing.assert_array_equal(
                getattr(theirs.reference(t), name), getattr(ours.reference(t), name)
            )
    assert theirs.reference(0).body_pos_w.shape == (1, 3)
    assert np.isnan(theirs.reference(0).body_lin_vel_w).all()


def test_mjlab_metadata_is_read(made: Any, tmp_path: Path) -> None:
    """mjlab's keys for histories, scales and limits of terms are understood or refused."""
    n = len(DEFAULT_POLICY_TERMS)
    mjlab: dict[str, str | None] = {
        "observation_history_lengths": None,
        "observation_terms_history_length": ",".join(["0.000"] * n),
        "observation_terms_flatten_history_dim": ",".join(["1.000"] * n),
        "observation_terms_scale": ",".join(["1.000"] * n),
        "observation_terms_clip": ",".join(["-inf;inf"] * n),
        "num_frames": None,
    }
    path = with_props(made.path, tmp_path / "mjlab.onnx", mjlab)
    assert OnnxPolicy.load(path).num_frames == 25
    for key, value, message in (
        ("observation_terms_scale", "1.000,0.250,1.000", "scales or clips"),
        ("observation_terms_clip", "-inf;inf,-5.0;5.0", "scales or clips"),
        ("observation_terms_history_length", "0.000,5.000", "histories"),
    ):
        with_props(made.path, path, mjlab | {key: value})
        with pytest.raises(G1MimicError, match=message):
            OnnxPolicy.load(path)


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
    path = with_props(made.path, tmp_path / "q.onnx", {"observation_names": terms})
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
    with pytest.raises(G1MimicError, match="output 'body_quat_w' is missing"):
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
