"""Gymnasium's vector API over the tracking environment."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from g1_mimic.envs.tracking_env import TrackingEnv


class G1VectorEnv(VectorEnv):
    """N robots as a `gymnasium.vector.VectorEnv` with autoreset in the same step.

    Observations are the policy's. ``infos`` has ``critic_obs``, and where an episode ended
    ``final_obs`` and ``final_critic_obs`` (rows of the others equal the observations returned).

    Args:
        env: the environment to wrap.
    """

    def __init__(self, env: TrackingEnv) -> None:
        super().__init__()
        self.env = env
        self.num_envs = env.num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        bound = env.config.action_bound
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, (env.policy_size,))
        self.single_action_space = gym.spaces.Box(-bound, bound, (env.last_action.shape[1],))
        self.observation_space = gym.vector.utils.batch_space(
            self.single_observation_space, self.num_envs
        )
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, self.num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start all episodes anew."""
        first = seed[0] if isinstance(seed, list) else seed
        observations = self.env.reset(first)
        return observations.policy, {"critic_obs": observations.critic}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Apply actions [N, 29], clipped to the action space."""
        bound = self.env.config.action_bound
        result = self.env.step(np.clip(actions, -bound, bound))
        infos = {
            "critic_obs": result.observations.critic,
            "final_obs": result.final_observations.policy,
            "final_critic_obs": result.final_observations.critic,
            "_final_obs": result.terminated | result.truncated,
            **{f"error_{name}": value for name, value in result.info["errors"].items()},
        }
        return (
            result.observations.policy,
            result.reward,
            result.terminated,
            result.truncated,
            infos,
        )

    def close_extras(self, **kwargs: Any) -> None:
        """End the physics threads."""
        self.env.close()
