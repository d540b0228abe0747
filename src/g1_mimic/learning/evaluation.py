"""How good a policy is: many episodes side by side, without exploration or adaptive sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from g1_mimic.envs.tracking_env import TrackingEnv
from g1_mimic.motion.trajectory import CONTROL_RATE

Act = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Maps observations [N, n] and reference frames [N] to raw actions [N, 29]."""


@dataclass(frozen=True)
class Evaluation:
    """Means over episodes; errors are means over the steps that were survived."""

    episodes: int
    success_rate: float
    """Fraction of episodes that ended by time or clip end rather than by failing."""
    survival: float
    """Fraction of the possible steps that was survived."""
    survival_s: float
    """Mean time until the end of the episode, s."""
    score: float
    """Reward per possible step, unscaled: falling early costs the rest of the episode."""
    joint_error_rad: float
    anchor_position_error_m: float
    anchor_orientation_error_rad: float
    body_position_error_m: float
    action_rate: float
    """Mean squared change of the action per step, summed over joints."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers."""
        return asdict(self)


def evaluate(env: TrackingEnv, act: Act, seed: int = 0) -> Evaluation:
    """Run one episode in each robot of ``env``, from start frames spread evenly over the clip.

    Args:
        env: an environment of its own (its episodes are reset).
        act: the policy.
        seed: seeds the reset noise.
    """
    n = env.num_envs
    env.reset(seed)
    starts = ((np.arange(n) + 0.5) / n * env.reference.num_starts).astype(np.int64)
    env.reset_to(np.arange(n), starts)
    observations = env.observe()
    possible = np.minimum(env.config.max_steps, env.reference.num_frames - 1 - starts)
    alive = np.ones(n, dtype=bool)
    failed = np.zeros(n, dtype=bool)
    steps, reward, rate = np.zeros(n), np.zeros(n), np.zeros(n)
    errors: dict[str, np.ndarray] = {}
    while alive.any():
        actions = act(observations.policy, env.frame)
        change = np.square(actions - env.last_action).sum(-1)
        result = env.step(actions)
        observations = result.observations
        steps += alive
        reward += alive * result.reward / env.config.reward.scale
        rate += alive * change
        for name, value in result.info["errors"].items():
            errors[name] = errors.get(name, 0.0) + alive * value
        failed |= alive & result.terminated
        alive &= ~(result.terminated | result.truncated)
    total = steps.sum()
    mean = {name: float(value.sum() / total) for name, value in errors.items()}
    return Evaluation(
        episodes=n,
        success_rate=float(1.0 - failed.mean()),
        survival=float((steps / possible).mean()),
        survival_s=float(steps.mean() / CONTROL_RATE),
        score=float((reward / possible).mean()),
        joint_error_rad=mean["joint_pos"],
        anchor_position_error_m=mean["anchor_pos"],
        anchor_orientation_error_rad=mean["anchor_ori"],
        body_position_error_m=mean["body_pos"],
        action_rate=float(rate.sum() / total),
    )
