"""Mirrored transitions: what was seen on one side holds for the other.

The G1 is its own mirror image, and so are floor and rewards: a transition seen in a mirror could
have happened as well, while tracking the mirrored motion. A gait shows both sides in turn, so that
each step is learned from twice; after Mittal et al. 2024 (arXiv 2403.04359), there for on-policy
learning.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from g1_mimic.envs.observations import observation_mirror
from g1_mimic.errors import BadValue
from g1_mimic.robot.profile import RobotProfile
from g1_mimic.robot.symmetry import JOINTS, Mirror

_OBSERVATIONS = ("obs", "next_obs", "actor_obs")


class MirrorAugmentation:
    """Mirrors every other sample of a batch.

    Args:
        terms: names of the terms of the observations in the batch.
        profile: the robot.
        device: of the batches.

    Raises:
        G1MimicError: if the robot's default pose or action scale is not its own mirror image.
    """

    def __init__(self, terms: Sequence[str], profile: RobotProfile, device: torch.device) -> None:
        for name, sign in (("default_position", JOINTS.sign), ("action_scale", 1.0)):
            values = getattr(profile, name)
            if not np.allclose(values[JOINTS.source] * sign, values):
                raise BadValue(
                    f"mirror: {name} of the robot profile differs between left and right; "
                    "train with mirror false"
                )
        self._obs = _tensors(observation_mirror(terms), device)
        self._action = _tensors(JOINTS, device)

    def apply(self, batch: dict[str, Tensor]) -> None:
        """Replace, in ``batch``, every other observation and action by its mirror image."""
        for name in _OBSERVATIONS:
            if name in batch:
                _mirror_half(batch[name], *self._obs)
        _mirror_half(batch["action"], *self._action)


def _tensors(mirror: Mirror, device: torch.device) -> tuple[Tensor, Tensor]:
    source = torch.as_tensor(mirror.source, device=device)
    return source, torch.as_tensor(mirror.sign, dtype=torch.float32, device=device)


def _mirror_half(values: Tensor, source: Tensor, sign: Tensor) -> None:
    values[1::2] = values[1::2].index_select(1, source) * sign
