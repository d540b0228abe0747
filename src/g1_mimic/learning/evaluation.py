"""How good a policy is: many episodes side by side, without exploration or adaptive sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from g1_mimic.envs.tracking_env import TrackingEnv
from g1_mimic.learning.tracking_metrics import MetricSums
from g1_mimic.motion.trajectory import CONTROL_RATE

Act = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Maps observations [N, n] and reference frames [N] to raw actions [N, 29]."""

Disturb = Callable[[TrackingEnv, int], bool]
"""Called before every step with its number; may change the robots' state and tells if it did."""

_REWARDED = ("anchor_pos", "anchor_ori", "body_pos")
"""Errors that every step of the environment computes."""


@dataclass(frozen=True)
class Episodes:
    """Episodes that were run side by side; arrays are [N], one entry per episode."""

    start: np.ndarray
    """Frame of the clip at which the episode began."""
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

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers."""
        return asdict(self)


def evaluate(
    env: TrackingEnv, act: Act, seed: int = 0, disturb: Disturb | None = None
) -> Evaluation:
    """Run one episode in each robot of ``env``, from start frames spread evenly over the clip.

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
    starts = ((np.arange(n) + 0.5) / n * env.reference.num_starts).astype(np.int64)
    env.reset_to(np.arange(n), starts)
    observations = env.observe()
    possible = np.minimum(env.config.max_steps, env.reference.num_frames - 1 - starts)
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
    return Episodes(starts, steps, possible, failed, reward, sums | metrics.take())


def summarise(episodes: Episodes) -> Evaluation:
    """Return the means over episodes and survived steps."""
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
        **mean,
    )
