"""The guide's environment: one robot, one task file, the classic reset/step loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from g1_mimic.envs.task import Task
from g1_mimic.envs.tracking_env import TrackingEnv


class DeepMimicEnv:
    """One G1 imitating one clip, as in the guide (§5.2, §6.1).

    ``config`` is the task file's content as a dictionary. For many robots at once use
    `envs.vector_env.G1VectorEnv`, for the whole step's result `envs.tracking_env.TrackingEnv`.

    Args:
        task: path of the task JSON, e.g. ``tasks/g1_task.json``.
        seed: seeds start frames and reset noise.
    """

    def __init__(self, task: str | Path, seed: int = 0) -> None:
        self.task = Task(task)
        self.config: dict[str, Any] = self.task.data
        self.core = TrackingEnv(
            self.task.clip(), self.task.profile(), self.task.env_config(), num_envs=1, seed=seed
        )
        self.observation_size = self.core.policy_size
        self.action_size = self.core.last_action.shape[1]

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Start an episode and return its first state [observation_size], float32."""
        return self.core.reset(seed).policy[0]

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, dict[str, Any]]:
        """Apply an action [29] for one control step (20 ms).

        Returns:
            next_state [observation_size], reward, done, info. ``info`` has ``terminated``
            (failed), ``truncated`` (out of time), and ``terms``, the reward's parts. When done,
            ``next_state`` is the last state of the episode: call `reset` for the next.
        """
        batch = np.asarray(action, dtype=np.float64).reshape(1, self.action_size)
        result = self.core.step(batch)
        terminated, truncated = bool(result.terminated[0]), bool(result.truncated[0])
        info = {
            "terminated": terminated,
            "truncated": truncated,
            "terms": {name: float(value[0]) for name, value in result.info["terms"].items()},
        }
        done = terminated or truncated
        return result.final_observations.policy[0], float(result.reward[0]), done, info

    def close(self) -> None:
        """End the physics threads."""
        self.core.close()
