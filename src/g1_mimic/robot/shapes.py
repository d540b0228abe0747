"""The robot's look and its collision geometry as simple shapes, link by link."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import mujoco
import numpy as np

from g1_mimic.robot.model import build_model
from g1_mimic.robot.names import BODY_NAMES
from g1_mimic.robot.profile import load_profile
from g1_mimic.rotations import quat_apply

ShapeKind = Literal["box", "sphere", "cylinder", "ellipsoid"]


@dataclass(frozen=True)
class Shape:
    """One shape, fixed to a link.

    Attributes:
        link: the link's name.
        kind: what it is.
        size: [3] m, extents along its own axes (a cylinder's axis is z).
        pos: [3] m, its centre in the link's frame.
        quat: [4] w x y z in the link's frame.
        rgba: [4] colour.
    """

    link: str
    kind: ShapeKind
    size: np.ndarray
    pos: np.ndarray
    quat: np.ndarray
    rgba: np.ndarray


@lru_cache(maxsize=2)
def robot_shapes(collision: bool) -> tuple[Shape, ...]:
    """Return what the robot looks like, or what of it may touch (soles as capsules).

    Capsules become a cylinder and two spheres.

    Raises:
        G1MimicError: if the model files are missing.
    """
    profile = load_profile()  # shapes do not depend on it
    model = build_model(profile, scene=False, feet="capsules", self_collision=True)
    touching = (model.geom_contype | model.geom_conaffinity) != 0
    shapes: list[Shape] = []
    for geom in np.flatnonzero(touching == collision):
        shapes += _of_geom(model, int(geom))
    return tuple(shapes)


def _of_geom(model: mujoco.MjModel, geom: int) -> list[Shape]:
    link = BODY_NAMES[model.geom_bodyid[geom] - 1]
    size, kind = model.geom_size[geom], model.geom_type[geom]
    pos, quat = model.geom_pos[geom].copy(), model.geom_quat[geom].copy()
    material = model.geom_matid[geom]
    rgba = (model.mat_rgba[material] if material >= 0 else model.geom_rgba[geom]).copy()

    def shape(name: ShapeKind, extents: list[float], at: np.ndarray = pos) -> Shape:
        return Shape(link, name, np.array(extents, float), at, quat, rgba)

    types = mujoco.mjtGeom
    if kind == types.mjGEOM_BOX:
        return [shape("box", [2 * x for x in size])]
    if kind == types.mjGEOM_ELLIPSOID:
        return [shape("ellipsoid", [2 * x for x in size])]
    width, half = 2 * size[0], size[1]
    if kind == types.mjGEOM_SPHERE:
        return [shape("sphere", [width] * 3)]
    cylinder = shape("cylinder", [width, width, 2 * half])
    if kind == types.mjGEOM_CYLINDER:
        return [cylinder]
    if kind != types.mjGEOM_CAPSULE:
        raise ValueError(f"geom {geom} of link {link} is no primitive: type {kind}")
    axis = quat_apply(quat, np.array([0.0, 0.0, half]))
    return [cylinder, *(shape("sphere", [width] * 3, pos + end) for end in (axis, -axis))]
