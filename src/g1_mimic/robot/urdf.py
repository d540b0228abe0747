"""The robot as URDF, from the same MuJoCo model and profile as everything else."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np

from g1_mimic.robot.model import IMU_SITE, build_model
from g1_mimic.robot.names import BODY_NAMES, JOINT_NAMES
from g1_mimic.robot.profile import RobotProfile
from g1_mimic.robot.shapes import Shape, robot_shapes
from g1_mimic.rotations import quat_multiply, quat_to_matrix

IMU_LINK = "imu_in_pelvis"
_COLUMN_TO_Z = {
    0: (np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0),
    1: (np.sqrt(0.5), -np.sqrt(0.5), 0.0, 0.0),
}
"""Turns that lay a cylinder's axis along x or y."""


def robot_urdf(profile: RobotProfile) -> str:
    """Return the URDF of the robot, root link ``pelvis``.

    Frames, masses and inertias are the model's, limits the profile's (``torque_limit`` is the
    effort, ``velocity_limit`` the velocity). URDF has neither capsules nor ellipsoids: a capsule
    is a cylinder with two spheres, an ellipsoid the capsule of its longest axis and mean width.

    Raises:
        G1MimicError: if the profile does not fit the model.
    """
    model = build_model(profile, scene=False, feet="capsules", self_collision=True)
    robot = ET.Element("robot", name="g1")
    visuals, collisions = robot_shapes(collision=False), robot_shapes(collision=True)
    _add_materials(robot, visuals)
    for body, name in enumerate(BODY_NAMES, 1):
        link = ET.SubElement(robot, "link", name=name)
        inertial = ET.SubElement(link, "inertial")
        _add_origin(inertial, model.body_ipos[body], np.array([1.0, 0.0, 0.0, 0.0]))
        ET.SubElement(inertial, "mass", value=_number(model.body_mass[body]))
        turn = quat_to_matrix(model.body_iquat[body])
        tensor = turn @ np.diag(model.body_inertia[body]) @ turn.T
        names = {
            "ixx": (0, 0),
            "ixy": (0, 1),
            "ixz": (0, 2),
            "iyy": (1, 1),
            "iyz": (1, 2),
            "izz": (2, 2),
        }
        ET.SubElement(inertial, "inertia", {key: _number(tensor[at]) for key, at in names.items()})
        for tag, shapes in (("visual", visuals), ("collision", collisions)):
            for shape in shapes:
                if shape.link == name:
                    _add_shape(link, tag, shape)
    for i, name in enumerate(JOINT_NAMES):
        body = i + 2  # after the world and the pelvis
        joint = ET.SubElement(robot, "joint", name=name, type="revolute")
        _add_origin(joint, model.body_pos[body], model.body_quat[body])
        ET.SubElement(joint, "parent", link=BODY_NAMES[model.body_parentid[body] - 1])
        ET.SubElement(joint, "child", link=BODY_NAMES[body - 1])
        ET.SubElement(joint, "axis", xyz=_numbers(model.jnt_axis[i + 1]))
        ET.SubElement(
            joint,
            "limit",
            lower=_number(profile.position_lower[i]),
            upper=_number(profile.position_upper[i]),
            effort=_number(profile.torque_limit[i]),
            velocity=_number(profile.velocity_limit[i]),
        )
    _add_imu(robot, model.site(IMU_SITE).pos)
    ET.indent(robot)
    return '<?xml version="1.0"?>\n' + ET.tostring(robot, encoding="unicode") + "\n"


def _add_imu(robot: ET.Element, pos: np.ndarray) -> None:
    ET.SubElement(robot, "link", name=IMU_LINK)
    joint = ET.SubElement(robot, "joint", name=f"{IMU_LINK}_joint", type="fixed")
    _add_origin(joint, pos, np.array([1.0, 0.0, 0.0, 0.0]))
    ET.SubElement(joint, "parent", link=BODY_NAMES[0])
    ET.SubElement(joint, "child", link=IMU_LINK)


def _add_materials(robot: ET.Element, shapes: tuple[Shape, ...]) -> None:
    for name, rgba in {_material(shape): shape.rgba for shape in shapes}.items():
        material = ET.SubElement(robot, "material", name=name)
        ET.SubElement(material, "color", rgba=_numbers(rgba))


def _material(shape: Shape) -> str:
    return "colour_" + "".join(f"{round(255 * value):02x}" for value in shape.rgba)


def _add_shape(link: ET.Element, tag: str, shape: Shape) -> None:
    if shape.kind == "ellipsoid":
        for part in _capsule_of(shape):
            _add_shape(link, tag, part)
        return
    element = ET.SubElement(link, tag)
    _add_origin(element, shape.pos, shape.quat)
    geometry = ET.SubElement(element, "geometry")
    if shape.kind == "box":
        ET.SubElement(geometry, "box", size=_numbers(shape.size))
    elif shape.kind == "sphere":
        ET.SubElement(geometry, "sphere", radius=_number(shape.size[0] / 2))
    else:
        size = {"radius": _number(shape.size[0] / 2), "length": _number(shape.size[2])}
        ET.SubElement(geometry, "cylinder", size)
    if tag == "visual":
        ET.SubElement(element, "material", name=_material(shape))


def _capsule_of(shape: Shape) -> list[Shape]:
    """Return cylinder and spheres with the ellipsoid's length and mean width."""
    long = int(np.argmax(shape.size))
    width = float(np.delete(shape.size, long).mean())
    half = (float(shape.size[long]) - width) / 2
    direction = quat_to_matrix(shape.quat)[:, long]
    quat = shape.quat
    if long in _COLUMN_TO_Z:
        quat = quat_multiply(quat, np.array(_COLUMN_TO_Z[long]))
    ball = np.full(3, width)
    parts = [
        Shape(shape.link, "sphere", ball, shape.pos + sign * half * direction, quat, shape.rgba)
        for sign in (1, -1)
    ]
    cylinder = np.array([width, width, 2 * half])
    return [Shape(shape.link, "cylinder", cylinder, shape.pos, quat, shape.rgba), *parts]


def _add_origin(element: ET.Element, pos: np.ndarray, quat: np.ndarray) -> None:
    matrix = quat_to_matrix(quat)
    pitch = np.arctan2(-matrix[2, 0], np.hypot(matrix[0, 0], matrix[1, 0]))
    roll = np.arctan2(matrix[2, 1], matrix[2, 2])
    yaw = np.arctan2(matrix[1, 0], matrix[0, 0])
    ET.SubElement(element, "origin", xyz=_numbers(pos), rpy=_numbers([roll, pitch, yaw]))


def _numbers(values: object) -> str:
    return " ".join(_number(value) for value in np.asarray(values, float))


def _number(value: float) -> str:
    return f"{float(value) + 0.0:.12g}"
