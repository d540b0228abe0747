"""How good a policy is: many episodes side by side, without exploration or adaptive sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from g1_mimic.envs.reference import Reference
from g1_mimic.envs.tracking_env import TrackingEnv
from g1_mimic.errors import BadValue
from g1_mimic.evaluation.tracking_metrics import MetricSums
from g1_mimic.motion.trajectory import CONTROL_RATE

Act = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Maps observations [N, n] and reference frames [N] to raw actions [N, 29]."""

Disturb = Callable[[TrackingEnv, int], bool]
"""Called before every step with its number; may change the robots' state and tells if it did."""

PER_CLIP = ("survival", "success_rate", "mpkpe_m")
"""Metrics that are told for each of several clips."""

_REWARDED = ("anchor_pos", "anchor_ori", "body_pos")
"""Errors that every step of the environment computes."""


@dataclass(frozen=True)
class Episodes:
    """Episodes that were run side by side; arrays are [N], one entry per episode."""

    clip_names: tuple[str, ...]
    """The clips of the environment."""
    clip: np.ndarray
    """Index of the episode's clip."""
    start: np.ndarray
    """Frame of the reference at which the episode began."""
    steps: np.ndarray
    """Control steps until its end."""
    possible: np.ndarray
    """Control steps that it would have lasted without failing."""
    failed: np.ndarray
    """bool: tracking failed, or the simulation broke down."""
    reward: np.ndarray
    """Sum of the unscaled rewards."""
    sums: dict[str, np.ndarray]
    """Sums over the steps of each metric."""

    def of_clip(self, index: int) -> Episodes:
        """Return the episodes of one clip."""
        own = self.clip == index
        arrays = {
            name: getattr(self, name)[own]
            for name in ("clip", "start", "steps", "possible", "failed", "reward")
        }
        return replace(self, **arrays, sums={name: value[own] for name, value in self.sums.items()})


@dataclass(frozen=True)
class Evaluation:
    """Means over episodes; errors are means over the steps that were survived.

    `tracking_metrics.METRICS` tells what the metrics from ``mpkpe_m`` on are.
    """

    episodes: int
    success_rate: float
    """Fraction of episodes that ended by time or clip end rather than by failing."""
    survival: float
    """Fraction of the possible steps that was survived."""
    survival_s: float
    """Mean time until the end of the episode, s."""
    score: float
    """Reward per possible step, unscaled: falling early costs the rest of the episode."""
    anchor_position_error_m: float
    anchor_orientation_error_rad: float
    body_position_error_m: float
    """Root mean square over the bodies, averaged over time (what the reward sees)."""
    action_rate: float
    """Mean squared change of the action per step, summed over joints."""
    mpkpe_m: float
    root_relative_mpkpe_m: float
    joint_error_rad: float
    joint_velocity_error_rad_s: float
    joint_velocity_error_norm_rad_s: float
    end_effector_position_error_m: float
    end_effector_orientation_error_rad: float
    torque_nm: float
    power_w: float
    torque_limit_share: float
    speed_limit_share: float
    position_limit_share: float
    per_clip: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of several clips, those of the above that `PER_CLIP` names, by clip."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers; those of a clip are named e.g. ``survival/walk``."""
        values = asdict(self)
        for clip, numbers in values.pop("per_clip").items():
            values |= {f"{name}/{clip}": number for name, number in numbers.items()}
        return values


def evaluate(
    env: TrackingEnv, act: Act, seed: int = 0, disturb: Disturb | None = None
) -> Evaluation:
    """Run one episode in each robot of ``env``, from start frames spread evenly over the clips.

    Every clip gets as many episodes as the others (or one more), whatever its length and share.

    Args:
        env: an environment of its own (its episodes are reset).
        act: the policy.
        seed: seeds the reset noise.
        disturb: what is done to the robots on top.
    """
    return summarise(run_episodes(env, act, seed, disturb))


def run_episodes(
    env: TrackingEnv, act: Act, seed: int = 0, disturb: Disturb | None = None
) -> Episodes:
    """Run the episodes of `evaluate`."""
    n = env.num_envs
    env.reset(seed)
    clip, starts = start_frames(env.reference, n)
    env.reset_to(np.arange(n), starts)
    observations = env.observe()
    possible = np.minimum(env.config.max_steps, env.reference.last_frame[starts] - starts)
    alive = np.ones(n, dtype=bool)
    failed = np.zeros(n, dtype=bool)
    steps, reward = np.zeros(n), np.zeros(n)
    sums = {name: np.zeros(n) for name in ("action_rate", *_REWARDED)}
    metrics = MetricSums(env)
    number = 0
    while alive.any():
        if disturb is not None and disturb(env, number):
            observations = env.observe()
        actions = act(observations.policy, env.frame)
        change = np.square(actions - env.last_action).sum(-1)
        result = env.step(actions)
        observations = result.observations
        steps += alive
        reward += alive * result.reward / env.config.reward.scale
        sums["action_rate"] += alive * change
        for name in _REWARDED:
            sums[name] += alive * result.info["errors"][name]
        metrics.add(result, alive)
        failed |= alive & result.terminated
        alive &= ~(result.terminated | result.truncated)
        number += 1
    names = tuple(span.name for span in env.reference.spans)
    return Episodes(names, clip, starts, steps, possible, failed, reward, sums | metrics.take())


def start_frames(reference: Reference, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return clips [count] and start frames [count], spread evenly over every clip.

    Raises:
        G1MimicError: if there are fewer episodes than clips.
    """
    clips = len(reference.spans)
    if count < clips:
        raise BadValue(f"{count} episodes are too few for {clips} clips: at least one each")
    clip = np.sort(np.arange(count) % clips)
    counts = np.bincount(clip)
    rank = np.arange(count) - (np.cumsum(counts) - counts)[clip]
    local = (rank + 0.5) / counts[clip] * np.array(reference.num_starts)[clip]
    first = np.array([span.first for span in reference.spans])
    return clip, first[clip] + local.astype(np.int64)


def summarise(episodes: Episodes) -> Evaluation:
    """Return the means over episodes and survived steps, of several clips also for each."""
    result = _means(episodes)
    if len(episodes.clip_names) == 1:
        return result
    by_clip = {name: _means(episodes.of_clip(i)) for i, name in enumerate(episodes.clip_names)}
    chosen = {
        clip: {name: getattr(means, name) for name in PER_CLIP} for clip, means in by_clip.items()
    }
    return replace(result, per_clip=chosen)


def _means(episodes: Episodes) -> Evaluation:
    total = episodes.steps.sum()
    mean = {name: float(value.sum() / total) for name, value in episodes.sums.items()}
    return Evaluation(
        episodes=len(episodes.start),
        success_rate=float(1.0 - episodes.failed.mean()),
        survival=float((episodes.steps / episodes.possible).mean()),
        survival_s=float(episodes.steps.mean() / CONTROL_RATE),
        score=float((episodes.reward / episodes.possible).mean()),
        anchor_position_error_m=mean.pop("anchor_pos"),
        anchor_orientation_error_rad=mean.pop("anchor_ori"),
        body_position_error_m=mean.pop("body_pos"),
        per_clip={},
        **mean,
    )
