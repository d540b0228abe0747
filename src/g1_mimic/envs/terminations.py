"""When an episode has failed: pure functions, batched over robots."""

from __future__ import annotations

import numpy as np

from g1_mimic.envs.config import TerminationConfig


def gravity_z(quat: np.ndarray) -> np.ndarray:
    """Return the z component of gravity's direction in the frames ``quat`` [..., 4]."""
    return 2.0 * (quat[..., 1] ** 2 + quat[..., 2] ** 2) - 1.0


def tracking_failed(
    config: TerminationConfig,
    anchor_height_error: np.ndarray,
    anchor_quat: np.ndarray,
    ref_anchor_quat: np.ndarray,
    end_effector_height_error: np.ndarray,
) -> np.ndarray:
    """Return where tracking has failed [N] (BeyondMimic, mdp/terminations.py).

    Args:
        config: thresholds.
        anchor_height_error: height error of the torso [N], m.
        anchor_quat: orientation of the torso [N, 4].
        ref_anchor_quat: reference orientation of the torso [N, 4].
        end_effector_height_error: height errors of feet and hands [N, 4], m.
    """
    return (
        (np.abs(anchor_height_error) > config.anchor_height)
        | (np.abs(gravity_z(anchor_quat) - gravity_z(ref_anchor_quat)) > config.anchor_gravity)
        | (np.abs(end_effector_height_error) > config.end_effector_height).any(-1)
    )
