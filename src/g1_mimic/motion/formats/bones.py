"""The CSV of Bones-SEED: one row of names, then centimetres and degrees.

Columns: ``Frame``, ``root_translateX/Y/Z`` (cm), ``root_rotateX/Y/Z`` (degrees, about the fixed x,
y, z axes one after the other), and 29 angles ``<joint>_dof`` (degrees). The file does not tell its
frame rate, which is 120 Hz in that collection.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.motion.formats.joints import to_joint_order
from g1_mimic.motion.formats.orders import ReadOptions
from g1_mimic.motion.trajectory import LARGEST, Trajectory
from g1_mimic.rotations import quat_from_rpy

DEFAULT_FPS = 120.0
_POSITION = ("root_translateX", "root_translateY", "root_translateZ")
_ROTATION = ("root_rotateX", "root_rotateY", "root_rotateZ")
_JOINT_SUFFIX = "_dof"


def is_bones(names: list[str]) -> bool:
    """Tell whether the names of a CSV's columns are those of Bones-SEED."""
    return set(_POSITION + _ROTATION) <= set(names)


def bones_trajectory(
    path: Path, names: list[str], table: np.ndarray, options: ReadOptions
) -> Trajectory:
    """Return the motion in a table [T, columns] with the column names of Bones-SEED.

    Raises:
        G1MimicError: if a joint is missing or a number cannot be.
    """
    options.refuse(path, "quat_order", "joints")
    if len(set(names)) != len(names):
        raise BadValue(f"{path}: a column name is there twice")
    if (abs(table) > 100.0 * LARGEST).any():
        raise BadValue(f"{path}: a value is {abs(table).max():.3g}, which cannot be")
    place = {name: i for i, name in enumerate(names)}
    rotation = np.deg2rad(table[:, [place[name] for name in _ROTATION]])
    joints = [name for name in names if name.endswith(_JOINT_SUFFIX)]
    angles = np.deg2rad(table[:, [place[name] for name in joints]])
    plain = [name.removesuffix(_JOINT_SUFFIX) for name in joints]
    notes = ["the columns of Bones-SEED: centimetres and degrees"]
    if options.source_fps is None:
        notes.append(f"no frame rate stored: {DEFAULT_FPS:g} Hz, as in that collection")
    return Trajectory(
        name=path.stem,
        fps=options.rate(DEFAULT_FPS),
        root_pos=table[:, [place[name] for name in _POSITION]] / 100.0,
        root_quat=quat_from_rpy(*rotation.T),
        joint_pos=to_joint_order(angles, plain, str(path)),
        notes=tuple(notes),
    )
