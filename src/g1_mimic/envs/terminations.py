"""When an episode has failed: pure functions, batched over robots."""

from __future__ import annotations

import numpy as np

from g1_mimic.envs.config import TerminationConfig

FALL_TIME = 0.1
"""Time for which `anchor_lost` must last for a robot to count as fallen where sensors tell it, s.

Measurements are noisy: a single one is no fall. In training states are true, and what is lost once
ends the episode."""


def gravity_z(quat: np.ndarray) -> np.ndarray:
    """Return the z component of gravity's direction in the frames ``quat`` [..., 4]."""
    return 2.0 * (quat[..., 1] ** 2 + quat[..., 2] ** 2) - 1.0


def anchor_lost(
    config: TerminationConfig,
    height_error: np.ndarray | float | None,
    quat: np.ndarray,
    ref_quat: np.ndarray,
) -> np.ndarray:
    """Return where the anchor is too far from its reference in height or tilt [...].

    Args:
        config: thresholds.
        height_error: height error of the anchor [...], m; None where it is not known.
        quat: orientation of the anchor [..., 4].
        ref_quat: its reference [..., 4].
    """
    lost = np.abs(gravity_z(quat) - gravity_z(ref_quat)) > config.anchor_gravity
    if height_error is not None:
        lost = (np.abs(height_error) > config.anchor_height) | lost
    return np.asarray(lost)


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
    lost = anchor_lost(config, anchor_height_error, anchor_quat, ref_anchor_quat)
    return lost | (np.abs(end_effector_height_error) > config.end_effector_height).any(-1)
