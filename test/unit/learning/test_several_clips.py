"""Several clips in one training run: none runs into the next, each gets its share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from g1_mimic.comparison.curves import read_curves
from g1_mimic.comparison.plots import plot_runs
from g1_mimic.envs.config import EnvConfig, ResetConfig
from g1_mimic.envs.reference import Reference, clip_action_base
from g1_mimic.envs.starts import ClipStarts, StartSampler, StartsConfig
from g1_mimic.envs.tracking_env import TrackingEnv
from g1_mimic.errors import G1MimicError
from g1_mimic.evaluation.conditions import conditions
from g1_mimic.evaluation.episodes import evaluate, start_frames
from g1_mimic.evaluation.film import film_policy
from g1_mimic.evaluation.policy_env import motions_of_policy
from g1_mimic.evaluation.suite import Options, assess
from g1_mimic.learning.config import TrainConfig
from g1_mimic.learning.trainer import Trainer
from g1_mimic.motion.clip import MotionClip, clip_index
from g1_mimic.motion.files import load_motion
from g1_mimic.motion.library import MotionLibrary
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.profile import load_profile

PROFILE = load_profile("g1_29dof")


def clip_of(reference: Reference, frames: np.ndarray) -> np.ndarray:
    """The index of the clip that each frame is in."""
    return clip_index(np.array([span.first for span in reference.spans]), frames)


CONFIG = EnvConfig(threads=1, episode_length_s=0.5, reset=ResetConfig(noise=0.0))
STRATEGIES = ["uniform", "failure_bins", "error_bins"]


def held(name: str, frames: int) -> MotionClip:
    """The beginning of the package's squat, which does not loop."""
    clip = load_motion("squat").unrolled(frames)
    return replace(clip, name=name)


@pytest.fixture(scope="module")
def library() -> MotionLibrary:
    """Two clips that end, with a looped one between them."""
    clips = [held("short", 20), load_motion("walk"), held("long", 90)]
    return MotionLibrary.weighted(clips, [1.0, 2.0, 1.0])


@pytest.fixture
def env(library: MotionLibrary) -> Iterator[TrackingEnv]:
    env = TrackingEnv(library, PROFILE, CONFIG, 60, seed=1)
    yield env
    env.close()


def test_reference_is_the_clips_one_after_the_other(library: MotionLibrary) -> None:
    """Every array of every clip is what that clip alone would have given."""
    both = Reference(library, PROFILE, CONFIG)
    for i, (clip, span) in enumerate(zip(library.clips, both.spans, strict=True)):
        alone = Reference(clip, PROFILE, CONFIG)
        part = slice(span.first, span.last + 1)
        for name in ("qpos", "qvel", "base", "anchor_pos", "anchor_quat", "foot_contact"):
            np.testing.assert_array_equal(getattr(both, name)[part], getattr(alone, name))
        frames = np.arange(span.first, span.last + 1)
        for a, b in zip(
            vars(both.lagged_bodies(frames)).values(),
            vars(alone.lagged_bodies(frames - span.first)).values(),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)
        assert (clip_of(both, frames) == i).all()
        assert (both.last_frame[part] == span.last).all()
        assert both.num_starts[i] == alone.num_starts[0]


def test_no_episode_runs_into_the_next_clip(env: TrackingEnv) -> None:
    """Robots that stay on the reference end at their clip's last frame, truncated, not failed."""
    reference = env.reference
    starts = np.resize([span.last - 3 for span in reference.spans], env.num_envs)
    env.reset_to(np.arange(env.num_envs), starts)
    clip = clip_of(reference, starts)
    for step in range(1, 4):
        result = env.step(np.zeros((env.num_envs, 29)))
        assert (clip_of(reference, result.info["frame"]) == clip).all()
        assert not result.terminated.any()
        assert (result.truncated == (step == 3)).all()
    assert (result.info["frame"] == reference.last_frame[starts]).all()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_starts_lie_in_the_clips_and_keep_the_shares(library: MotionLibrary, strategy: Any) -> None:
    """As long as nothing speaks for a bin, clips are started in proportion to their weights."""
    env = TrackingEnv(library, PROFILE, CONFIG, 1, starts=StartsConfig(strategy=strategy))
    env.close()
    frames = env.starts.sample(20_000, np.random.default_rng(0))
    clip = clip_of(env.reference, frames)
    share = np.bincount(clip, minlength=3) / len(frames)
    assert share == pytest.approx([0.25, 0.5, 0.25], abs=0.015)
    for i, (span, starts) in enumerate(
        zip(env.reference.spans, env.reference.num_starts, strict=True)
    ):
        local = frames[clip == i] - span.first
        assert local.min() == 0 and local.max() == starts - 1
        # Uniform within the clip: the quartiles are where they should be.
        quartiles = np.quantile(local / starts, [0.25, 0.5, 0.75])
        assert quartiles == pytest.approx([0.25, 0.5, 0.75], abs=0.04)


def sampler(**config: Any) -> StartSampler:
    """Two clips of 2 s and 4 s; the first one has three quarters of the starts."""
    clips = [
        ClipStarts(100, looped=True, first=0, share=0.75, name="a"),
        ClipStarts(200, looped=False, first=500, share=0.25, name="b"),
    ]
    return StartSampler(StartsConfig(**config), clips, 50.0)


@pytest.mark.parametrize("strategy", ["failure_bins", "error_bins"])
def test_weights_are_a_prior(strategy: Any) -> None:
    """Of bins that do equally badly, one of a clip with the larger weight is likelier by it."""
    phase = sampler(strategy=strategy, smoothing=0.5)
    for first in (0, 50, 500, 550, 600, 650):
        frames = np.array([first + 10])
        phase.record(frames, np.array([True]), np.array([0.2]))
    phase.failures[:] = 1.0
    phase.errors[:] = phase._known[:] = 1.0
    p = phase.probabilities()
    assert p == pytest.approx([0.375, 0.375, 0.0625, 0.0625, 0.0625, 0.0625])
    assert phase.metrics()["clip_share/a"] == pytest.approx(0.75)


def test_failures_count_in_their_own_clip_only() -> None:
    """Lead and kernel never blame the end of the clip before: a looped clip's own end instead."""
    phase = sampler(strategy="failure_bins", smoothing=1.0, lead_s=1.0, uniform_ratio=1e-9)
    phase.record(np.array([510]), np.array([True]), np.zeros(1))  # b does not loop
    assert phase.probabilities().argmax() == 2
    phase.record(np.array([310]), np.array([True]), np.zeros(1))  # a's fourth lap
    assert phase.probabilities().argmax() == 1
    spread = sampler(strategy="failure_bins", smoothing=1.0, kernel_size=3, uniform_ratio=1e-9)
    spread.record(np.array([510]), np.array([True]), np.zeros(1))
    assert spread.probabilities()[:2] == pytest.approx([0.0, 0.0], abs=1e-6)


def test_evaluation_tells_each_clip_apart(library: MotionLibrary) -> None:
    """A policy that is good at one clip and fails another: survival by clip says which."""
    env = TrackingEnv(library, PROFILE, CONFIG, 12, seed=1)
    clips, starts = start_frames(env.reference, 12)
    assert np.bincount(clips).tolist() == [4, 4, 4]
    assert (clip_of(env.reference, starts) == clips).all()

    def act(obs: np.ndarray, frames: np.ndarray) -> np.ndarray:
        kick = np.zeros((len(frames), 29))
        kick[clip_of(env.reference, frames) == 1] = 40.0
        return kick

    result = evaluate(env, act)
    env.close()
    numbers = result.as_dict()
    assert numbers["survival/walk"] < 0.8 and numbers["success_rate/walk"] == 0.0
    assert numbers["survival/short"] == numbers["success_rate/long"] == 1.0
    assert result.success_rate == pytest.approx(2 / 3)
    with pytest.raises(G1MimicError, match="too few for 3 clips"):
        start_frames(env.reference, 2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A tiny run of two package clips, to its end."""
    path = tmp_path_factory.mktemp("run") / "both"
    config = TrainConfig.model_validate(
        {
            "motion": "walk,squat:3",
            "num_envs": 8,
            "total_env_steps": 640,
            "warmup_env_steps": 160,
            "updates_per_step": 1,
            "device": "cpu",
            "env": {"threads": 1, "episode_length_s": 0.5},
            "phase": {"strategy": "failure_bins"},
            "replay": {"capacity": 800, "batch_size": 32},
            "learner": {"actor_hidden": [16], "critic_hidden": [16], "atoms": 21},
            "evaluation": {"interval_env_steps": 320, "episodes": 1},
            "run_dir": str(path),
        }
    )
    trainer = Trainer(config, path)
    trainer.run()
    return trainer


def test_run_exports_all_clips_in_one_file(run: Trainer) -> None:
    """Along time_step lie both clips, to the bit of float32; names, lengths and loops are told."""
    policy = OnnxPolicy.load(run.folder.policy)
    meta = policy.metadata
    assert meta.clip_names == ("walk", "squat") and meta.format_version == 2
    walk, squat = run.experiment.motions.clips
    assert meta.clip_first_frames == (0, walk.num_frames)
    assert policy.num_frames == walk.num_frames + squat.num_frames
    assert meta.clip_looped == (walk.looped, squat.looped)
    for span, clip in zip(meta.spans(policy.num_frames), (walk, squat), strict=True):
        got = np.array([policy.reference(t).joint_pos for t in range(span.first, span.last + 1)])
        np.testing.assert_array_equal(got, clip.joint_pos.astype(np.float32))
    carried = motions_of_policy(policy)
    assert carried.names == ("walk", "squat")
    np.testing.assert_allclose(carried.clips[1].body_pos_w, squat.body_pos_w, atol=1e-5)


def test_exported_actions_are_those_of_training(run: Trainer, tmp_path: Path) -> None:
    """In every clip, from its first frame over the seam of a loop: default-based from outside."""
    policy = OnnxPolicy.load(run.folder.latest_policy)
    actor = run.learner.actor
    chosen = max(("raw", "averaged"), key=lambda name: run.log.metrics[f"eval/score_{name}"])
    actor = run.learner.actor if chosen == "raw" else run.learner.average_actor
    rng = np.random.default_rng(0)
    width, place = policy.observation_size, slice(policy.observation_size - 29, None)
    default, scale = PROFILE.default_position, PROFILE.action_scale
    spans, clips = policy.metadata.spans(policy.num_frames), run.experiment.motions.clips
    for span, clip in zip(spans, clips, strict=True):
        bases = clip_action_base(clip, PROFILE, run.config.env.action_base)
        period = clip.num_frames - 1 if clip.looped else clip.num_frames
        frames = [t % period for t in range(period - 5, period + 5)] if clip.looped else range(9)
        raw = action = np.zeros(29)
        for t in frames:
            obs = rng.standard_normal(width)
            obs[place] = raw
            with torch.no_grad():
                raw = actor(torch.from_numpy(obs[None].astype(np.float32)))[0].numpy()
            obs[place] = action
            action = policy.act(obs, span.first + t)
            base = bases[t]
            np.testing.assert_allclose(default + scale * action, base + scale * raw, atol=5e-5)


def test_run_and_evaluation_tell_each_clip(run: Trainer, tmp_path: Path) -> None:
    """Metrics, `g1-mimic evaluate` and the plot have a number for every clip."""
    scalars = read_curves(run.folder.path)
    assert set(scalars.per_clip("eval/survival/")) == {"walk", "squat"}
    assert set(scalars.per_clip("starts/clip_share/")) == {"walk", "squat"}
    assert scalars.starts is not None
    assert [clip.name for clip in scalars.starts.clips] == ["walk", "squat"]
    plot_runs([str(run.folder.path)], tmp_path / "plot.png")
    policy, options = OnnxPolicy.load(run.folder.policy), Options(episodes=4, seconds=0.5)
    result = assess(policy, "policy", conditions([]), options).nominal
    assert set(result.per_clip) == {"walk", "squat"}


def test_a_film_is_of_the_clip_that_was_chosen(run: Trainer) -> None:
    """By default of the first; the reference of each begins with its own first frame."""
    policy = OnnxPolicy.load(run.folder.policy)
    walk, squat = run.experiment.motions.clips
    for name, clip in (("", walk), ("walk", walk), ("squat", squat)):
        robot, reference = film_policy(policy, 0.1, seed=0, motion=name)
        assert robot.shape == reference.shape == (5, 36)
        np.testing.assert_allclose(reference[:, 7:], clip.joint_pos[:5], atol=1e-5)
    with pytest.raises(G1MimicError, match="no clip 'stand'; it carries walk, squat"):
        film_policy(policy, 0.1, seed=0, motion="stand")
