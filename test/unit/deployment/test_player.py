"""Switching between clips: a smooth reference, and a residual policy that still means the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from g1_mimic.control.pd_target import action_base
from g1_mimic.deployment.player import MotionPlayer, clips_for
from g1_mimic.envs.config import EnvConfig
from g1_mimic.envs.observations import DEFAULT_POLICY_TERMS, ReferenceFrame, term_slices
from g1_mimic.errors import G1MimicError
from g1_mimic.files import share_dir
from g1_mimic.learning.networks import Actor
from g1_mimic.motion.files import load_motion
from g1_mimic.motion.library import MotionLibrary
from g1_mimic.policy.export import export_tracking_policy
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.profile import load_profile
from g1_mimic.rotations import quat_error, quat_from_rpy, quat_yaw

PROFILE = load_profile("g1_29dof")
ACTIONS = term_slices(DEFAULT_POLICY_TERMS)["actions"]
KINDS = ["default", "reference", "reference_lead", "feedforward"]
UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])


def random_actor() -> Actor:
    torch.manual_seed(0)
    actor = Actor(154, 29, (32, 16), 1.0)
    nn.init.normal_(actor.mean.weight, std=0.5)
    actor.normalizer.update(0.3 + 2.0 * torch.randn(500, 154))
    return actor


def export(path: Path, names: list[str], kind: str = "reference") -> OnnxPolicy:
    """A policy with random weights that carries these clips."""
    clips = [load_motion(name) for name in names]
    export_tracking_policy(
        path,
        random_actor(),
        motions=MotionLibrary.weighted(clips, [1.0] * len(clips)),
        profile=PROFILE,
        env_config=EnvConfig.model_validate({"action_base": kind}),
    )
    return OnnxPolicy.load(path)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> OnnxPolicy:
    """Carries a walk, which loops, and a squat."""
    return export(tmp_path_factory.mktemp("player") / "both.onnx", ["walk", "squat"])


def player(policy: OnnxPolicy, motion: str = "") -> MotionPlayer:
    return MotionPlayer(policy, clips_for(policy, motion, PROFILE))


def test_within_a_clip_the_graph_is_asked_plainly(policy: OnnxPolicy) -> None:
    """Step by step at the clip's own place along time_step, over a loop's seam, without shifts."""
    for name, span in zip(("walk", "squat"), policy.metadata.spans(policy.num_frames), strict=True):
        play = player(policy)
        play.select(name)
        period = span.length - 1
        for step in (0, 1, 17, period - 1, period, period + 1, 3 * period + 5):
            asked = play.graph_input(step)
            local = step % period if span.looped else min(step, period)
            assert asked.time_step == span.first + local
            assert not asked.previous_shift.any() and not asked.action_shift.any()


def test_switch_begins_where_the_robot_is(policy: OnnxPolicy) -> None:
    """After the blend the new clip runs, its first frame moved to the robot's heading and place."""
    play = player(policy)
    play.align(np.zeros(3), UPRIGHT)
    robot = quat_from_rpy(np.array(0.05), np.array(0.0), np.array(1.5))
    play.switch("squat", 40, np.array([2.0, -1.0, 0.8]), robot, 0.5)
    assert play.current == "squat"
    alone = player(policy)
    alone.select("squat")
    alone.align(np.array([2.0, -1.0, 0.8]), robot)
    for step in (65, 70, 400):
        for got, wanted in zip(play.frame(step), alone.frame(step - 40), strict=True):
            np.testing.assert_array_equal(got, wanted)
    first = alone.frame(0)
    assert first.anchor_pos[:2] == pytest.approx([2.0, -1.0])
    assert quat_yaw(first.anchor_quat) == pytest.approx(1.5)


def test_blended_reference_is_smooth(policy: OnnxPolicy) -> None:
    """No jump in angles, place or heading, and joint_vel is the derivative of joint_pos."""
    play = player(policy)
    play.align(np.zeros(3), UPRIGHT)
    robot = quat_from_rpy(*np.array([0.0, 0.0, 0.4]))
    play.switch("squat", 30, np.array([0.3, 0.1, 0.8]), robot, 1.0)
    frames = [play.frame(step) for step in range(20, 90)]
    joints = np.array([frame.joint_pos for frame in frames])
    velocity = np.array([frame.joint_vel for frame in frames])
    middle = (joints[2:] - joints[:-2]) * 25.0
    # Central differences of what moves at up to 3 rad/s with 2 Hz.
    assert np.abs(middle - velocity[1:-1]).max() < 0.15
    assert np.abs(np.diff(joints, axis=0)).max() < 0.12
    heading = np.array([quat_yaw(frame.anchor_quat) for frame in frames])
    assert np.abs(np.diff(heading)).max() < 0.03
    assert np.abs(np.diff([frame.anchor_pos for frame in frames], axis=0)).max() < 0.03
    for frame in frames:
        assert np.linalg.norm(frame.anchor_quat) == pytest.approx(1.0)


def base_of(kind: str, frame: ReferenceFrame) -> np.ndarray:
    return action_base(
        kind,
        frame.joint_pos,
        frame.joint_vel,
        frame.joint_torque,
        PROFILE.default_position,
        PROFILE.stiffness,
        PROFILE.damping,
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("motion", ["", "walk,wave"], ids=["carried", "from outside"])
def test_actions_mean_the_same_across_a_switch(tmp_path: Path, kind: str, motion: str) -> None:
    """target = base of the blended reference + scale·raw, with the raw action seen as before.

    Before, during and after going over to a clip that the policy carries, or does not carry; the
    other side of the comparison is the network itself, without file, fed as in training.
    """
    policy = export(tmp_path / "p.onnx", ["walk", "squat"], kind)
    play = player(policy, motion)
    other = play.names[1]
    play.align(np.zeros(3), UPRIGHT)
    actor, rng = random_actor(), np.random.default_rng(0)
    raw = action = np.zeros(29)
    for step in range(60):
        if step == 15:
            play.switch(other, step, np.zeros(3), UPRIGHT, 0.5)
        frame, asked = play.frame(step), play.graph_input(step)
        obs = rng.standard_normal(154)
        obs[ACTIONS] = raw
        with torch.no_grad():
            raw = actor(torch.from_numpy(obs[None].astype(np.float32)))[0].double().numpy()
        obs[ACTIONS] = action + asked.previous_shift
        action = policy.act(obs, asked.time_step) + asked.action_shift
        got = PROFILE.default_position + PROFILE.action_scale * action
        np.testing.assert_allclose(
            got, base_of(kind, frame) + PROFILE.action_scale * raw, atol=1e-5
        )


def test_a_clip_from_outside_alone(policy: OnnxPolicy) -> None:
    """From the first step on, with the zero previous action that an episode starts with."""
    play = player(policy, "wave")
    assert play.names == ("wave",)
    play.align(np.zeros(3), UPRIGHT)
    obs = np.random.default_rng(1).standard_normal(154)
    obs[ACTIONS] = 0.0
    with torch.no_grad():
        raw = random_actor()(torch.from_numpy(obs[None].astype(np.float32)))[0].double().numpy()
    asked = play.graph_input(0)
    assert not asked.previous_shift.any()
    action = policy.act(obs, asked.time_step) + asked.action_shift
    wanted = play.frame(0).joint_pos + PROFILE.action_scale * raw
    got = PROFILE.default_position + PROFILE.action_scale * action
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    wave = load_motion("wave")
    np.testing.assert_array_equal(play.frame(7).joint_pos, wave.joint_pos[7])
    assert quat_error(play.frame(0).anchor_quat, UPRIGHT) < 0.2


def test_requests_that_make_no_sense_are_refused(policy: OnnxPolicy) -> None:
    """An unknown clip names the known ones; a switch during a switch says when."""
    play = player(policy)
    play.align(np.zeros(3), UPRIGHT)
    with pytest.raises(G1MimicError, match="no motion 'dance' here; there is: walk, squat"):
        play.switch("dance", 3, None, UPRIGHT, 1.0)
    assert play.current == "walk" and play.graph_input(5).time_step == 5
    play.switch("squat", 10, None, UPRIGHT, 1.0)
    with pytest.raises(G1MimicError, match=r"still going over to 'squat': again in 0\.6 s"):
        play.switch("walk", 30, None, UPRIGHT, 1.0)
    play.switch("walk", 60, None, UPRIGHT, 1.0)
    assert play.current == "walk"


def test_motion_names_the_policys_own_clips_first(policy: OnnxPolicy, tmp_path: Path) -> None:
    """A name or a path stands for the policy's clip of that name; others are looked for."""
    shutil.copy(share_dir() / "models" / "motions" / "wave.json", tmp_path / "mine.json")
    squat = load_motion("walk").num_frames  # which lies before it in the file
    own = clips_for(policy, "/anywhere/squat.csv,walk", PROFILE)
    assert [clip.first for clip in own] == [squat, 0]
    mixed = clips_for(policy, f"squat,{tmp_path}/mine.json", PROFILE)
    assert [clip.first is None for clip in mixed] == [False, True]
    with pytest.raises(G1MimicError, match="'nothing' not found"):
        clips_for(policy, "nothing", PROFILE)


def test_files_that_do_not_tell_their_base_track_only_their_own(tmp_path: Path) -> None:
    """An older residual file could only be guessed at with a clip from outside: one line."""
    path = tmp_path / "old.onnx"
    export(path, ["squat"])
    model = onnx.load(path)
    kept = [p for p in model.metadata_props if p.key != "action_base"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, path)
    policy: Any = OnnxPolicy.load(path)
    assert player(policy).names == ("squat",)
    with pytest.raises(G1MimicError, match="'wave' is not in the policy, whose file does not tell"):
        player(policy, "squat,wave")
