"""Policies of BeyondMimic, mjlab and holosoma do here what they do where they were trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import foreign_files as ff
import mujoco
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g1_mimic.control.state import RobotState
from g1_mimic.deployment.controller import PolicyController
from g1_mimic.deployment.safety import ControllerSettings
from g1_mimic.errors import G1MimicError
from g1_mimic.evaluation.policy_env import batched_act, make_policy_env, motions_of_policy
from g1_mimic.policy import readers
from g1_mimic.policy.contract import REQUIRED_KEYS, PolicyContract
from g1_mimic.policy.info import policy_info
from g1_mimic.policy.metadata import read_metadata, write_metadata
from g1_mimic.policy.readers import OUTPUTS, Family, families_table, read_contract
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.kinematics import PELVIS_CENTER_OF_MASS, PELVIS_IMU
from g1_mimic.robot.model import build_model
from g1_mimic.robot.profile import load_profile

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's exporter, of its age

PROFILE = load_profile("g1_29dof")
GAINS = np.stack([PROFILE.stiffness, PROFILE.damping])
DEFAULT = PROFILE.default_position
FRAMES = 12
STATE, PERIOD = 2_000_000, 20_000_000  # ns


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return build_model(PROFILE)


@pytest.fixture(scope="module")
def motion(model: mujoco.MjModel) -> ff.Motion:
    """Joints that swing on a robot that walks a curve, leaning, at 50 frames/s."""
    data, t = mujoco.MjData(model), np.arange(FRAMES) / 50.0
    rate = np.linspace(2.0, 6.0, 29)
    joint_pos = DEFAULT + 0.1 * np.sin(np.outer(t, rate))
    poses, quats = [], []
    for i in range(FRAMES):
        turn = 0.8 + 2.0 * t[i]
        half = np.array([np.cos(turn / 2), 0.0, 0.0, np.sin(turn / 2)])
        lean = np.array([np.cos(0.05), 0.02, np.sin(0.05), 0.0])
        data.qpos[:3] = [1.0 + t[i], -2.0 + t[i] ** 2, 0.75]
        mujoco.mju_mulQuat(data.qpos[3:7], half, lean / np.linalg.norm(lean))
        data.qpos[7:] = joint_pos[i]
        mujoco.mj_forward(model, data)
        poses.append([data.body(name).xpos.copy() for name in ff.BODIES])
        quats.append([data.body(name).xquat.copy() for name in ff.BODIES])
    joint_vel = 0.1 * rate * np.cos(np.outer(t, rate))
    return ff.Motion(joint_pos, joint_vel, np.array(poses), np.array(quats))


def states(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Poses and velocities of a robot near the default pose that moves about at random."""
    rng, result = np.random.default_rng(3), []
    for _ in range(count):
        qpos, qvel = np.zeros(36), np.zeros(35)
        qpos[:3] = [4.0, 5.0, 0.76] + 0.05 * rng.standard_normal(3)
        qpos[3:7] = np.array([0.6, 0.0, 0.0, -0.8]) + 0.05 * rng.standard_normal(4)
        qpos[3:7] /= np.linalg.norm(qpos[3:7])
        qpos[7:] = DEFAULT + 0.02 * rng.standard_normal(29)
        qvel[:] = 0.5 * rng.standard_normal(35)
        result.append((qpos, qvel))
    return result


def measured(stamp: int, qpos: np.ndarray, qvel: np.ndarray) -> RobotState:
    """What perfect sensors tell; MuJoCo's linear velocity is in the world's frame."""
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, qpos[3:7])
    trembling = 1e-9 * (stamp // STATE % 7)  # sensors that always tell the same are frozen
    return RobotState(
        stamp=stamp,
        joint_pos=qpos[7:] + trembling,
        joint_vel=qvel[6:] + trembling,
        base_quat=qpos[3:7],
        base_ang_vel=qvel[3:6] + trembling,
        base_pos=qpos[:3],
        base_lin_vel=rotation.reshape(3, 3).T @ qvel[:3],
    )


def policy_like(family: str, terms: list[str], **choices: Any) -> ff.Policy:
    """A policy with a random linear actor, whose targets stay near the default pose."""
    order = ff.ISAAC_ORDER if family == "BeyondMimic" else ff.MUJOCO_ORDER
    columns = [ff.MUJOCO_ORDER.index(name) for name in order]
    scale = 0.25 * PROFILE.action_scale_nm[columns] / PROFILE.stiffness[columns]
    if family != "holosoma":  # the others write three decimals
        scale = np.round(scale, 3)
    policy = ff.Policy(family, order, terms, np.zeros(0), DEFAULT[columns], scale)
    policy = replace(policy, **choices)
    weight = 0.02 * np.random.default_rng(7).standard_normal((29, policy.width()))
    return replace(policy, weight=weight)


def compare(path: Path, policy: ff.Policy, motion: ff.Motion, model: Any, **load: Any) -> None:
    """The controller's actions and targets are those of the trainer, over the clip's end."""
    loaded = OnnxPolicy.load(path, **load)
    assert loaded.metadata.family == policy.family and loaded.num_frames == FRAMES
    # The states are made up: no robot stands still to the last digit, or jumps.
    choices = ControllerSettings(
        stand_time=0.1,
        tilt_limit=3.1,
        frozen_time=10.0,
        encoder_tolerance=10.0,
        following_error_time=10.0,
        joint_speed_limit=2.0,
    )
    control = PolicyController(loaded, PROFILE, choices)
    control.activate()
    trainer = ff.Trainer(policy, motion, model)
    sequence = states(FRAMES + 4)
    stamp = 0
    while control.tick is None:  # stand first
        command = control.step(measured(stamp, *sequence[0]))
        stamp += STATE
        assert stamp < 200_000_000, control.mode_state.fault
    for step, (qpos, qvel) in enumerate(sequence):
        if step > 0:
            command = control.step(measured(stamp, qpos, qvel))
            stamp += STATE
        tick = control.tick
        assert tick is not None and tick.step == step, control.mode_state.fault
        action, target = trainer.act(step, qpos, qvel)
        np.testing.assert_allclose(tick.action, action, atol=2e-5)
        for _ in range(PERIOD // STATE - 1):  # while the target slews there
            command = control.step(measured(stamp, qpos, qvel))
            stamp += STATE
        assert control.hits is not None
        free = ~(control.hits.position | control.hits.velocity | control.hits.torque)
        assert free.mean() > 0.5
        np.testing.assert_allclose(command.position[free], target[free], atol=2e-5)


@pytest.mark.parametrize("terms", [ff.WITH_STATE_ESTIMATION, ff.WITHOUT], ids=["160", "154"])
def test_beyondmimic(terms: list[str], motion: Any, model: Any, tmp_path: Path) -> None:
    """Isaac's joint order, three decimals, 160 and 154 numbers, velocity of the mass centre."""
    policy = policy_like("BeyondMimic", terms, velocity_of="centre of mass")
    path = ff.write_beyondmimic(tmp_path / "bm.onnx", policy, motion, GAINS)
    compare(path, policy, motion, model)


def test_beyondmimic_with_histories(motion: Any, model: Any, tmp_path: Path) -> None:
    """Its newer exporter tells history lengths, as 1.000 and 4.000."""
    history = {"base_ang_vel": 4, "joint_pos": 4, "actions": 2}
    policy = policy_like("BeyondMimic", ff.WITHOUT, history=history)
    path = ff.write_beyondmimic(tmp_path / "bm.onnx", policy, motion, GAINS)
    compare(path, policy, motion, model)


@pytest.mark.parametrize("bracketed", [False, True], ids=["min;max", "[min, max]"])
def test_mjlab(bracketed: bool, motion: Any, model: Any, tmp_path: Path) -> None:
    """Histories, scales of a term and of its entries, clips in both encodings; the IMU's velocity.

    mjlab clips, then scales, then appends to the history, whose first value fills it.
    """
    policy = policy_like(
        "mjlab",
        ff.WITH_STATE_ESTIMATION,
        velocity_of="imu",
        history={"base_ang_vel": 3, "joint_pos": 2, "joint_vel": 5, "command": 1},
        scales={
            "base_ang_vel": [0.25, 0.5, 2.0],
            "joint_vel": 0.05,
            "joint_pos": [0.5 + 0.125 * i for i in range(29)],
        },
        clips={"joint_vel": (-0.4, 0.3), "base_lin_vel": (-0.25, 0.5)},
    )
    path = ff.write_mjlab(tmp_path / "mjlab.onnx", policy, motion, GAINS, bracketed)
    compare(path, policy, motion, model)


@pytest.mark.parametrize("terms", [ff.WITH_STATE_ESTIMATION, ff.WITHOUT], ids=["160", "154"])
def test_mjlab_with_one_action_scale(
    terms: list[str], motion: Any, model: Any, tmp_path: Path
) -> None:
    """Its configuration may hold one number, which then is all that the file has."""
    policy = policy_like("mjlab", terms, velocity_of="imu", scale=np.full(29, 0.5))
    path = ff.write_mjlab(tmp_path / "mjlab.onnx", policy, motion, GAINS)
    assert {p.key: p.value for p in onnx.load(path).metadata_props}["action_scale"] == "0.5"
    compare(path, policy, motion, model)


def test_mjlab_before_it_told_of_terms(motion: Any, model: Any, tmp_path: Path) -> None:
    """Files of mjlab 1.0 to 1.5 have BeyondMimic's keys only: the joint order tells them."""
    policy = policy_like("mjlab", ff.WITH_STATE_ESTIMATION, velocity_of="imu")
    path = ff.write_mjlab(tmp_path / "mjlab.onnx", policy, motion, GAINS)
    change_props(path, lambda key: key.startswith("observation_term"))
    compare(path, policy, motion, model)


@pytest.mark.parametrize("choice", ["effort", "0.5"])
def test_holosoma(choice: str, motion: Any, model: Any, tmp_path: Path) -> None:
    """Alphabetical terms, JSON, x y z w; its file tells neither default pose nor action scale."""
    policy = policy_like("holosoma", list(ff.HOLOSOMA_NAMES))
    if choice != "effort":
        policy = replace(policy, scale=np.full(29, 0.5))
    path = ff.write_holosoma(tmp_path / "holosoma.onnx", policy, motion, GAINS)
    compare(path, policy, motion, model, action_scale=choice)


def test_holosoma_with_its_configuration(motion: Any, model: Any, tmp_path: Path) -> None:
    """Newer files tell default pose, scales, clips (after scaling) and history (from zeros)."""
    policy = policy_like(
        "holosoma",
        list(ff.HOLOSOMA_NAMES),
        default=DEFAULT + 0.01 * np.arange(29),
        history=dict.fromkeys(ff.HOLOSOMA_NAMES, 4),
        scales={"base_ang_vel": 0.25, "joint_vel": 0.05},
        clips={"joint_vel": (-0.02, 0.01)},
        scale_first=True,
        zeros_before=True,
    )
    scale = policy.scale.tolist()
    path = ff.write_holosoma(
        tmp_path / "h.onnx", policy, motion, GAINS, config=True, action_scale=scale
    )
    compare(path, policy, motion, model)


@pytest.mark.parametrize("text", ["0.25", "[0.25]", '"0.25"', ",".join(["0.25"] * 29)])
def test_holosoma_action_scale_has_many_forms(text: str, motion: Any, tmp_path: Path) -> None:
    """One number, a list, a string, or numbers joined by commas, as its own deployment takes."""
    policy = policy_like("holosoma", list(ff.HOLOSOMA_NAMES))
    path = ff.write_holosoma(tmp_path / "holosoma.onnx", policy, motion, GAINS)
    change_props(path, lambda key: False, action_scale=text)
    assert OnnxPolicy.load(path).metadata.action_scale == (0.25,) * 29


def test_without_an_action_scale_a_file_is_refused(motion: Any, tmp_path: Path) -> None:
    """A scale must be in the file or be given, not both and not anything: else the robot falls."""
    policy = policy_like("holosoma", list(ff.HOLOSOMA_NAMES))
    path = ff.write_holosoma(tmp_path / "holosoma.onnx", policy, motion, GAINS)
    for choice, words in (
        ("", r"holosoma\.onnx: metadata 'action_scale' is missing: give action_scale:=NUMBER"),
        ("much", "action_scale:=much is neither a positive number nor 'effort'"),
        ("-1", "action_scale:=-1 is neither"),
        ("nan", "action_scale:=nan is neither"),
        ("inf", "action_scale:=inf is neither"),
    ):
        with pytest.raises(G1MimicError, match=words) as caught:
            OnnxPolicy.load(path, choice)
        assert "\n" not in str(caught.value)
    for by_effort, told in ((True, "effort"), (False, "0.25")):
        control = {"action_scale": 0.25, "action_scales_by_effort_limit_over_p_gain": by_effort}
        config = json.dumps({"robot": {"control": control}})
        change_props(path, lambda key: False, experiment_config=config)
        with pytest.raises(G1MimicError, match=f"; its experiment_config has action_scale:={told}"):
            OnnxPolicy.load(path)
    change_props(path, lambda key: False, action_scale="[0.5]")
    with pytest.raises(G1MimicError, match="has an action scale of its own"):
        OnnxPolicy.load(path, "effort")


def test_evaluation_feeds_a_policy_as_its_trainer(motion: Any, model: Any, tmp_path: Path) -> None:
    """Side by side, each robot with a history of its own, and the velocity of the IMU."""
    policy = policy_like(
        "mjlab",
        ff.WITH_STATE_ESTIMATION,
        velocity_of="imu",
        history={"base_ang_vel": 3, "joint_vel": 2},
        scales={"joint_vel": 0.05},
    )
    path = ff.write_mjlab(tmp_path / "mjlab.onnx", policy, motion, GAINS)
    loaded = OnnxPolicy.load(path)
    env = make_policy_env(loaded, "", 2, {"episode_length_s": 1.0})
    act = batched_act(loaded, env.reference)
    trainers = [ff.Trainer(policy, motion, model) for _ in range(2)]
    for trainer in trainers:  # the robots stand where the clip is
        trainer.aligned, trainer.turn, trainer.shift = True, np.eye(3), np.zeros(3)
    try:
        env.reset(0)
        env.reset_to(np.arange(2), np.array([0, 3]))
        observations = env.observe()
        for _ in range(5):
            actions = act(observations.policy, env.frame)
            for i, trainer in enumerate(trainers):
                qpos, qvel = env.physics.qpos[i].copy(), env.physics.qvel[i].copy()
                wanted, _ = trainer.act(int(env.frame[i]), qpos, qvel)
                np.testing.assert_allclose(actions[i], wanted, atol=1e-4)
            observations = env.step(actions).observations
    finally:
        env.close()


def test_a_clip_is_found_from_the_torso_alone(files: dict[str, Path], motion: Any) -> None:
    """holosoma's files do not have the pelvis: it follows from torso and waist."""
    clip = motions_of_policy(OnnxPolicy.load(files["holosoma"], "effort")).clips[0]
    pelvis = clip.body_index("pelvis")
    np.testing.assert_allclose(clip.body_pos_w[:, pelvis], motion.body_pos_w[:, 0], atol=1e-5)
    same = (clip.body_quat_w[:, pelvis] * motion.body_quat_w[:, 0]).sum(-1)
    np.testing.assert_allclose(np.abs(same), 1.0, atol=1e-6)


# Refusals --------------------------------------------------------------------------------------


def change_props(path: Path, drop: Any, **added: str) -> None:
    """Rewrite metadata in place: without the keys that ``drop`` says, with those ``added``."""
    file = onnx.load(path)
    props = {p.key: p.value for p in file.metadata_props if not drop(p.key)} | added
    del file.metadata_props[:]
    onnx.helper.set_model_props(file, props)
    onnx.save(file, path)


@pytest.fixture
def files(motion: Any, tmp_path: Path) -> dict[str, Path]:
    """A good file of each family."""
    result = {}
    for family, writer in ff.WRITERS.items():
        terms = list(ff.HOLOSOMA_NAMES) if family == "holosoma" else ff.WITH_STATE_ESTIMATION
        path = tmp_path / f"{family}.onnx"
        result[family] = writer(path, policy_like(family, terms), motion, GAINS)
    return result


def refusal(path: Path) -> str:
    """Load a file that must not pass; return the one line."""
    with pytest.raises(G1MimicError) as caught:
        OnnxPolicy.load(path, "effort" if path.stem == "holosoma" else "")
    message = str(caught.value)
    assert path.name in message and "\n" not in message and len(message) < 500
    return message


@pytest.mark.parametrize(
    ("family", "nearest", "absent"),
    [
        ("BeyondMimic", "BeyondMimic or mjlab", "'joint_names', 'joint_stiffness'"),
        ("mjlab", "BeyondMimic or mjlab", "'joint_names', 'joint_stiffness'"),
        ("holosoma", "holosoma", "'dof_names', 'kp', 'kd'"),
    ],
)
def test_a_file_without_metadata_is_refused(
    family: str, nearest: str, absent: str, files: dict[str, Path]
) -> None:
    """Which family it comes nearest to, and what is missing (BeyondMimic's play.py writes none)."""
    change_props(files[family], lambda key: True)
    message = refusal(files[family])
    assert f"; nearest is {nearest}, it lacks metadata {absent}" in message


@pytest.mark.parametrize(
    ("family", "key"),
    [("BeyondMimic", "default_joint_pos"), ("mjlab", "anchor_body_name"), ("holosoma", "kd")],
)
def test_a_missing_key_is_named(family: str, key: str, files: dict[str, Path]) -> None:
    """One key less is enough to refuse."""
    change_props(files[family], lambda other: other == key)
    assert f"it lacks metadata '{key}'" in refusal(files[family])


def test_another_kind_of_policy_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    """A walking policy of holosoma has other inputs and outputs."""
    file = onnx.load(files["holosoma"])
    for value in (file.graph.input[0], *(node.input for node in file.graph.node)):
        if isinstance(value, onnx.ValueInfoProto):
            value.name = "actor_obs"
        else:
            value[:] = ["actor_obs" if name == "obs" else name for name in value]
    onnx.save(file, tmp_path / "holosoma.onnx")
    message = refusal(tmp_path / "holosoma.onnx")
    assert "nearest is holosoma, it lacks input 'obs'" in message


@pytest.mark.parametrize(
    ("family", "changes", "words"),
    [
        ("BeyondMimic", {"observation_history_lengths": ",".join(["2.000"] * 8)}, "make [1, 320]"),
        ("mjlab", {"observation_terms_history_length": "3" + ",0.000" * 7}, "make [1, 276]"),
        ("mjlab", {"observation_terms_scale": "1.000,1.000"}, "2 values for 8 observation terms"),
        ("mjlab", {"observation_terms_scale": "0.000" + ",1.000" * 7}, "'command' is scaled by 0"),
        ("mjlab", {"observation_terms_clip": "-inf;inf,1"}, "'observation_terms_clip' has the bad"),
        ("mjlab", {"observation_terms_clip": "-inf;x"}, "'observation_terms_clip' has the bad"),
        ("mjlab", {"observation_terms_clip": "1;-1" + ",-inf;inf" * 7}, "clipped to nothing"),
        (
            "mjlab",
            {
                "observation_terms_history_length": "3" + ",0.000" * 7,
                "observation_terms_flatten_history_dim": ",".join(["0.000"] * 8),
            },
            "keeps a history unflattened",
        ),
        ("mjlab", {"command_names": "twist"}, "only 'motion' is known"),
        ("holosoma", {"kp": "1.0, 2.0"}, "'kp' is not JSON"),
        ("holosoma", {"dof_names": '["tail_joint"]'}, "unknown 'tail_joint'"),
        ("holosoma", {"experiment_config": "{"}, "'experiment_config' is not JSON"),
        (
            "holosoma",
            {"experiment_config": '{"observation": {"groups": {"actor_obs": {"terms": [1]}}}}'},
            "a form that is not known",
        ),
        (
            "holosoma",
            {"experiment_config": json.dumps(
                {"observation": {"groups": {"actor_obs": {"terms": {"smell": {}}}}}}
            )},
            "'smell' is not known",
        ),
    ],
)  # fmt: skip
def test_what_a_reader_cannot_use_is_refused(
    family: str, changes: dict[str, str], words: str, files: dict[str, Path]
) -> None:
    """Widths that do not fit and values that make no sense, with the family they were read as."""
    change_props(files[family], lambda key: False, **changes)
    assert words in refusal(files[family])


@pytest.mark.parametrize("family", list(ff.WRITERS))
@settings(deadline=None)
@given(data=st.data())
def test_no_metadata_break_a_reader(family: str, data: Any) -> None:
    """Whatever stands in a value, the answer is a sound contract or one line."""
    props, outputs = ff.sound_props(family)
    numbers = st.sampled_from(["nan", "1e999", "-1", "", "1;2", "[1, 2]", "null", "{}", "[[1]]"])
    text = st.one_of(numbers, st.text(max_size=20), st.lists(numbers).map(",".join))
    values = st.one_of(text, st.recursive(text, st.lists).map(json.dumps))
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(props)), values, min_size=1))
    try:
        contract = read_contract(("obs", "time_step"), outputs, props | changes, None)
    except G1MimicError as error:
        assert "\n" not in str(error)
    else:
        assert contract.observation_size > 0 and len(contract.joint_stiffness) == 29


def test_the_control_rate_is_that_of_the_motion(motion: Any, tmp_path: Path) -> None:
    """BeyondMimic's files do not tell their rate, but velocities do: 25 Hz for its slow variant."""
    policy = policy_like("BeyondMimic", ff.WITHOUT)
    for factor, rate in ((1.0, 50.0), (0.5, 25.0)):
        slowed = replace(motion, joint_vel=factor * motion.joint_vel)
        path = ff.write_beyondmimic(tmp_path / "bm.onnx", policy, slowed, GAINS)
        assert OnnxPolicy.load(path).metadata.control_rate_hz == rate
    slowed = replace(motion, joint_vel=3.0 * motion.joint_vel)
    path = ff.write_beyondmimic(tmp_path / "bm.onnx", policy, slowed, GAINS)
    assert "velocities fit 15" in refusal(path)


def test_a_network_with_other_numbers_is_refused(motion: Any, tmp_path: Path) -> None:
    """Inputs are float32 in every family."""
    policy = policy_like("mjlab", ff.WITHOUT)
    path = ff.write_mjlab(tmp_path / "mjlab.onnx", policy, motion, GAINS)
    file = onnx.load(path)
    file.graph.input[1].type.tensor_type.elem_type = onnx.TensorProto.INT64
    onnx.save(file, path)
    assert "input 'time_step' is a tensor(int64)" in refusal(path)


# What people see -------------------------------------------------------------------------------


def test_info_shows_the_contract_of_any_family(files: dict[str, Path]) -> None:
    """Family, terms with history, scale and clip, and an action scale that is missing."""
    infos = {family: policy_info(path) for family, path in files.items()}
    assert {family: info["family"] for family, info in infos.items()} == {
        family: family for family in infos
    }
    assert json.loads(json.dumps(infos)) == infos
    assert "action_scale:=" in infos["holosoma"]["action_scale"]
    assert infos["BeyondMimic"]["action_scale"].startswith("0.075 to 0.548")
    assert infos["BeyondMimic"]["joints"] == "isaac order"
    assert infos["mjlab"]["joints"] == "mjcf order"


def test_info_shows_what_is_done_to_terms(motion: Any, tmp_path: Path) -> None:
    """One line of the observation per term."""
    policy = policy_like(
        "mjlab",
        ff.WITHOUT,
        history={"joint_vel": 5},
        scales={"joint_vel": 0.05},
        clips={"joint_vel": (-10.0, 10.0)},
    )
    path = ff.write_mjlab(tmp_path / "mjlab.onnx", policy, motion, GAINS)
    lines = policy_info(path)["observation"].split(", ")
    assert lines[0] == "command"
    assert lines[4] == "joint_vel (5 steps; clipped to -10 … 10; times 0.05)"


def test_one_more_family_is_one_more_entry(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading, `info`, the refusal of others' files and the page's table all know it then."""
    path, other = files["BeyondMimic"], OnnxPolicy.load(files["BeyondMimic"])
    file = onnx.load(path)
    for prop in file.metadata_props:
        prop.key = f"their_{prop.key}"
    file.graph.output[3].name = "places"
    for node in file.graph.node:
        node.output[:] = ["places" if name == "body_pos_w" else name for name in node.output]
    onnx.save(file, path)
    assert "no known family (g1_mimic, BeyondMimic, mjlab, holosoma)" in refusal(path)

    def read(props: Mapping[str, str], profile: Any) -> PolicyContract:
        return read_metadata({key.removeprefix("their_"): text for key, text in props.items()})

    theirs = Family(
        "theirs",
        tuple(f"their_{key}" for key in REQUIRED_KEYS),
        read,
        "keys and places of their own",
        {"places" if name == "body_pos_w" else name: shape for name, shape in OUTPUTS.items()},
        lambda frame: {"body_pos_w" if k == "places" else k: v for k, v in frame.items()},
    )
    monkeypatch.setattr(readers, "FAMILIES", (*readers.FAMILIES, theirs))
    policy = OnnxPolicy.load(path)
    np.testing.assert_array_equal(policy.reference(3).body_pos_w, other.reference(3).body_pos_w)
    assert policy.metadata == replace(
        other.metadata, family="theirs", base_lin_vel_point=(0.0, 0.0, 0.0)
    )
    assert policy_info(path)["family"] == "theirs"
    assert families_table()[-1].name == "theirs" and "places" in families_table()[-1].outputs
    change_props(path, lambda key: key == "their_joint_names")
    message = refusal(path)
    assert "mjlab, holosoma, theirs); nearest is theirs, it lacks metadata 'their_joint" in message


def test_points_of_the_pelvis_are_those_of_the_model(model: mujoco.MjModel) -> None:
    """Where others measure the pelvis' velocity."""
    np.testing.assert_allclose(model.body("pelvis").ipos, PELVIS_CENTER_OF_MASS, atol=1e-9)
    np.testing.assert_allclose(model.site("imu_in_pelvis").pos, PELVIS_IMU, atol=1e-9)


def test_a_contract_of_others_is_not_written(files: dict[str, Path]) -> None:
    """What our metadata have no key for must not get lost on the way."""
    contract: PolicyContract = OnnxPolicy.load(files["mjlab"]).metadata
    with pytest.raises(G1MimicError, match="a policy of mjlab is not written"):
        write_metadata(contract)
