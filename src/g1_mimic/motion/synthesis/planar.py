"""Motions of the floor's plane: poses (x, y, yaw) of feet and laps."""

from __future__ import annotations

import numpy as np


def turn(points: np.ndarray, yaw: np.ndarray | float) -> np.ndarray:
    """Return points [..., 2] turned about the origin by ``yaw`` [...] rad."""
    cosine, sine = np.cos(yaw), np.sin(yaw)
    x, y = points[..., 0], points[..., 1]
    return np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def move(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return points [..., 2] m given in the frame ``pose`` [..., 3] in the frame that holds it."""
    return np.asarray(turn(points, pose[..., 2]) + pose[..., :2])


def compose(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the pose ``second`` [..., 3], given in the frame ``first``, in the frame of that."""
    yaw = first[..., 2:] + second[..., 2:]
    return np.concatenate([move(first, second[..., :2]), yaw], axis=-1)


def inverse(pose: np.ndarray) -> np.ndarray:
    """Return the pose [..., 3] that undoes ``pose``."""
    return np.concatenate([-turn(pose[..., :2], -pose[..., 2]), -pose[..., 2:]], axis=-1)


def arc(twist: np.ndarray, length: np.ndarray | float) -> np.ndarray:
    """Return where steady way and turn ``twist`` [3] lead after ``length`` [...] units of it.

    Way and turn are in the moving frame: the path is a circle's arc, or straight.
    """
    yaw = np.asarray(twist[2] * length)
    # The chord of an arc: sinc is sin(yaw / 2) / (yaw / 2), and 1 on a straight way.
    chord = np.multiply.outer(length * np.sinc(yaw / (2.0 * np.pi)), twist[:2])
    return np.concatenate([turn(chord, 0.5 * yaw), yaw[..., None]], axis=-1)
