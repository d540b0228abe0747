"""The robot as plain arrays: the tree of bodies, their masses and the contact points of the feet.

Read once from the MuJoCo model, so that the model files stay the one definition of the robot.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from g1_mimic.robot.names import BODY_NAMES, JOINT_NAMES

if TYPE_CHECKING:
    import mujoco

FOOT_BODY_NAMES = ("left_ankle_roll_link", "right_ankle_roll_link")


@dataclass(frozen=True)
class Skeleton:
    """Constants of the 30 bodies; body ``i`` > 0 hangs on joint ``i - 1``."""

    parents: tuple[int, ...]
    """[30] index of the parent body; -1 for the pelvis."""
    pos: np.ndarray
    """[30, 3] m: origin in the parent's frame."""
    quat: np.ndarray
    """[30, 4]: orientation in the parent's frame at joint angle 0."""
    axis: np.ndarray
    """[30, 3]: the joint's axis in the body's frame (the pelvis: unused)."""
    mass: np.ndarray
    """[30] kg."""
    com: np.ndarray
    """[30, 3] m: centre of mass in the body's frame."""
    inertia: np.ndarray
    """[30, 3] kg m²: principal moments."""
    inertia_quat: np.ndarray
    """[30, 4]: principal axes in the body's frame."""
    foot_points: np.ndarray
    """[2, P, 3] m: centres of the spheres (or of the capsules' ends) that carry each foot, in the
    frame of the ankle roll link; left foot first."""
    foot_radius: np.ndarray
    """[2, P] m: radii of the same."""


@lru_cache(maxsize=1)
def load_skeleton() -> Skeleton:
    """Return the skeleton of the G1.

    Raises:
        G1MimicError: if the model files are missing or do not have the G1's bodies.
    """
    from g1_mimic.robot.model import build_model  # MuJoCo, wanted only where clips are completed
    from g1_mimic.robot.profile import load_profile

    # The tree does not depend on the profile. Capsules describe the whole rim of the sole.
    return skeleton_from_model(build_model(load_profile(), feet="capsules"))


def skeleton_from_model(model: mujoco.MjModel) -> Skeleton:
    """Read the constants of the G1's bodies from a compiled MuJoCo model."""
    bodies = [model.body(name).id for name in BODY_NAMES]
    joints = [model.joint(name).id for name in JOINT_NAMES]
    for joint, body in zip(joints, bodies[1:], strict=True):
        # The batched kinematics rely on this pairing and on joints at the body's origin.
        if model.jnt_bodyid[joint] != body or np.any(model.jnt_pos[joint] != 0.0):
            raise ValueError(f"joint {model.joint(joint).name} is not at the origin of its body")
    index = {body: i for i, body in enumerate(bodies)}
    feet = [_foot_spheres(model, model.body(name).id) for name in FOOT_BODY_NAMES]
    return Skeleton(
        parents=tuple(index.get(int(model.body_parentid[body]), -1) for body in bodies),
        pos=model.body_pos[bodies].copy(),
        quat=model.body_quat[bodies].copy(),
        axis=np.concatenate([np.zeros((1, 3)), model.jnt_axis[joints]]),
        mass=model.body_mass[bodies].copy(),
        com=model.body_ipos[bodies].copy(),
        inertia=model.body_inertia[bodies].copy(),
        inertia_quat=model.body_iquat[bodies].copy(),
        foot_points=np.stack([points for points, _ in feet]),
        foot_radius=np.stack([radius for _, radius in feet]),
    )


def _foot_spheres(model: mujoco.MjModel, body: int) -> tuple[np.ndarray, np.ndarray]:
    """Return centres [P, 3] and radii [P] of the spheres whose hull the foot's contacts are."""
    import mujoco

    points, radii = [], []
    for geom in range(model.ngeom):
        if (
            model.geom_bodyid[geom] != body
            or not model.geom_contype[geom] | model.geom_conaffinity[geom]
        ):
            continue
        kind, size, centre = model.geom_type[geom], model.geom_size[geom], model.geom_pos[geom]
        if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
            points.append(centre.copy())
            radii.append(size[0])
        elif kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
            matrix = np.zeros(9)
            mujoco.mju_quat2Mat(matrix, model.geom_quat[geom])
            half = matrix.reshape(3, 3)[:, 2] * size[1]
            points += [centre - half, centre + half]
            radii += [size[0], size[0]]
    return np.array(points), np.array(radii)
