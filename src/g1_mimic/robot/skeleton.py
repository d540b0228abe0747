"""The robot as plain arrays: the tree of bodies, their masses and the contact points of the feet.

Read once from the file that the MuJoCo model is built from, which stays the one definition of the
robot, but without MuJoCo: a robot's computer has none.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from g1_mimic.errors import BadValue, ReadError
from g1_mimic.files import share_dir
from g1_mimic.robot.names import BODY_NAMES, JOINT_NAMES

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
    """Return the skeleton of the G1, the numbers that MuJoCo has to the last digit.

    Raises:
        G1MimicError: if the model file is missing or does not have the G1's bodies.
    """
    path = share_dir() / "models" / "g1" / "g1.xml"
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise ReadError(f"{path} cannot be read: {error}") from error
    bodies = {body.get("name", ""): body for body in root.iter("body")}
    hinges = {joint.get("name", ""): joint for joint in root.iter("joint")}
    # The batched kinematics rely on this order, and on each joint at the origin of its body.
    turning = [body.find("joint") for body in list(bodies.values())[1:]]
    if (tuple(bodies), tuple(hinges)) != (BODY_NAMES, JOINT_NAMES) or (
        turning != list(hinges.values()) or any(joint.get("pos") for joint in hinges.values())
    ):
        raise BadValue(f"{path} does not have the G1's bodies, each with its joint, in order")
    index = {body: i for i, body in enumerate(bodies.values())}
    above = {body: index[parent] for parent in index for body in parent.findall("body")}
    masses = [body.find("inertial") for body in index]
    feet = [_foot_spheres(bodies[name]) for name in FOOT_BODY_NAMES]
    return Skeleton(
        parents=tuple(above.get(body, -1) for body in index),
        pos=_numbers(index, "pos", 3),
        quat=_orientations(index),
        axis=np.concatenate([np.zeros((1, 3)), _numbers(hinges.values(), "axis", 3)]),
        mass=_numbers(masses, "mass", 1)[:, 0],
        com=_numbers(masses, "pos", 3),
        inertia=_numbers(masses, "diaginertia", 3),
        inertia_quat=_orientations(masses),
        foot_points=np.stack([points for points, _ in feet]),
        foot_radius=np.stack([radius for _, radius in feet]),
    )


def _numbers(
    elements: Iterable[ElementTree.Element | None], name: str, count: int, default: str = ""
) -> np.ndarray:
    """Return an attribute of ``count`` numbers of each element.

    Raises:
        G1MimicError: if an element lacks it.
    """
    rows = [(e.get(name, default) if e is not None else "").split() for e in elements]
    if any(len(row) != count for row in rows):
        raise BadValue(f"the robot's model: {name} is not {count} number(s) everywhere")
    return np.array(rows, float)


def _orientations(elements: Iterable[ElementTree.Element | None]) -> np.ndarray:
    """Return the unit quaternions [..., 4] of the elements; without one they are not turned."""
    quat = _numbers(elements, "quat", 4, "1 0 0 0")
    return np.asarray(quat / np.linalg.norm(quat, axis=1, keepdims=True))


def _foot_spheres(ankle: ElementTree.Element) -> tuple[np.ndarray, np.ndarray]:
    """Return centres [P, 3] and radii [P] of the ends of the sole's capsules."""
    capsules = [geom for geom in ankle.findall("geom") if geom.get("class") == "foot_capsule"]
    centre, size = _numbers(capsules, "pos", 3), _numbers(capsules, "size", 2)
    w, x, y, z = _orientations(capsules).T
    axis = np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), w * w - x * x - y * y + z * z], 1)
    half = axis * size[:, 1:]
    points = np.stack([centre - half, centre + half], axis=1).reshape(-1, 3)
    return points, np.repeat(size[:, 0], 2)
