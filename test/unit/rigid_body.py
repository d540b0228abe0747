"""Rigid-body dynamics written out in numpy from the facts file alone, to check the model against.

Slow and plain on purpose: forward kinematics body by body, geometric Jacobians, and from them the
mass matrix and the gravity torques. Nothing is shared with MuJoCo or with the package.
"""

from __future__ import annotations

from typing import Any

import numpy as np

GRAVITY = np.array([0.0, 0.0, -9.81])


def rotation(quat: Any) -> np.ndarray:
    """Return the matrix of a quaternion w x y z: v ↦ (w² − u·u)v + 2u(u·v) + 2w u×v."""
    quat = np.asarray(quat, float) / np.linalg.norm(quat)
    w, u = quat[0], quat[1:]
    return (w * w - u @ u) * np.eye(3) + 2 * np.outer(u, u) + 2 * w * skew(u)


def skew(v: np.ndarray) -> np.ndarray:
    """Return the matrix of the cross product with ``v``."""
    return np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])


def axis_rotation(axis: Any, angle: float) -> np.ndarray:
    """Rodrigues' formula."""
    k = skew(np.asarray(axis, float))
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


class Robot:
    """The kinematic tree of the facts file in one pose.

    Velocities are ordered as MuJoCo's: pelvis linear (world), pelvis angular (pelvis frame),
    joints.
    """

    def __init__(self, facts: dict[str, Any], qpos: np.ndarray) -> None:
        self.bodies = facts["bodies"]
        self.pos: dict[str, np.ndarray] = {}
        self.rot: dict[str, np.ndarray] = {}
        self.chain: dict[str, list[tuple[int, np.ndarray, np.ndarray]]] = {}
        for i, body in enumerate(self.bodies):
            name = body["name"]
            if i == 0:
                self.pos[name], self.rot[name] = qpos[:3].copy(), rotation(qpos[3:7])
                self.chain[name] = []
                continue
            parent = body["parent"]
            rot = self.rot[parent] @ rotation(body["quat_wxyz"])
            self.pos[name] = self.pos[parent] + self.rot[parent] @ np.array(body["pos"])
            joint = body["joint"]
            assert joint["pos"] == [0.0, 0.0, 0.0]
            self.rot[name] = rot @ axis_rotation(joint["axis"], qpos[6 + i])
            hinge = (5 + i, self.pos[name], rot @ np.array(joint["axis"]))
            self.chain[name] = [*self.chain[parent], hinge]

    def jacobians(self, name: str, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return linear and angular Jacobian [3, 35] of a point fixed to a body."""
        linear, angular = np.zeros((3, 35)), np.zeros((3, 35))
        root = self.bodies[0]["name"]
        linear[:, :3] = np.eye(3)
        angular[:, 3:6] = self.rot[root]
        linear[:, 3:6] = -skew(point - self.pos[root]) @ self.rot[root]
        for column, origin, axis in self.chain[name]:
            angular[:, column] = axis
            linear[:, column] = np.cross(axis, point - origin)
        return linear, angular

    def mass_matrix_and_gravity(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the mass matrix [35, 35] without armature, and the torques holding gravity."""
        mass, torque = np.zeros((35, 35)), np.zeros(35)
        for body in self.bodies:
            name, m = body["name"], body["mass"]
            centre = self.pos[name] + self.rot[name] @ np.array(body["com"])
            linear, angular = self.jacobians(name, centre)
            axes = self.rot[name] @ rotation(body["inertia_quat_wxyz"])
            inertia = axes @ np.diag(body["principal_inertia"]) @ axes.T
            mass += m * linear.T @ linear + angular.T @ inertia @ angular
            torque -= linear.T @ (m * GRAVITY)
        return mass, torque
