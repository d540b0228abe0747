"""What BeyondMimic's C++ controller does with a policy file.

Written after motion_tracking_controller 6beda6d (MotionOnnxPolicy, MotionCommandTerm,
MotionTrackingController) and independent of the package: metadata are split at commas and read as
``std::istringstream`` reads numbers, terms are looked up by name, the reference is the network's
last output, moved to the robot by yaw, x and y, and ``time_step`` counts the calls.
"""

from __future__ import annotations

import re
from pathlib import Path

import mujoco
import numpy as np
import onnxruntime as ort

_NUMBER = re.compile(r"\s*[-+]?(\d+(\.\d*)?|\.\d+)")


def parse_strings(text: str) -> list[str]:
    return text.split(",")


def parse_numbers(text: str) -> list[float]:
    """Like ``>>`` into a double, but for exponents, which BeyondMimic never writes."""
    numbers = []
    for token in text.split(","):
        match = _NUMBER.fullmatch(token)
        if match is None:
            raise ValueError(f"not a plain decimal number: {token!r}")
        numbers.append(float(token))
    return numbers


class MotionOnnxPolicy:
    """The network and its metadata."""

    def __init__(self, path: Path) -> None:
        self.session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        props = self.session.get_modelmeta().custom_metadata_map
        self.joint_names = parse_strings(props["joint_names"])
        self.stiffness = np.array(parse_numbers(props["joint_stiffness"]))
        self.damping = np.array(parse_numbers(props["joint_damping"]))
        self.default = np.array(parse_numbers(props["default_joint_pos"]))
        self.scale = np.array(parse_numbers(props["action_scale"]))
        self.command_names = parse_strings(props["command_names"])
        self.observation_names = parse_strings(props["observation_names"])
        self.histories = [int(x) for x in parse_numbers(props["observation_history_lengths"])]
        self.anchor_body = props["anchor_body_name"]
        self.body_names = parse_strings(props["body_names"])
        names = [value.name for value in self.session.get_inputs()]
        assert names == ["obs", "time_step"]
        self.size = self.session.get_inputs()[0].shape[1]

    def reset(self) -> None:
        self.time_step, self.last_action = 0, np.zeros(29)
        self.forward(np.zeros(self.size))

    def forward(self, observation: np.ndarray) -> np.ndarray:
        feeds = {
            "obs": observation[None].astype(np.float32),
            "time_step": np.array([[self.time_step]], np.float32),
        }
        self.time_step += 1
        names = ["actions", "joint_pos", "joint_vel", "body_pos_w", "body_quat_w"]
        values = [v[0].astype(float) for v in self.session.run(names, feeds)]
        self.last_action, self.joint_pos, self.joint_vel, self.body_pos, self.body_quat = values
        return self.last_action


class MotionTrackingController:
    """The observation manager around it; the robot's pose comes from MuJoCo, not Pinocchio."""

    def __init__(self, path: Path, model: mujoco.MjModel) -> None:
        self.policy, self.model = MotionOnnxPolicy(path), model
        assert self.policy.command_names == ["motion"]
        for name in self.policy.observation_names:
            if name not in TERMS:
                raise ValueError(f"unknown observation term {name}")
        assert self.policy.anchor_body in self.policy.body_names
        self.anchor = self.policy.body_names.index(self.policy.anchor_body)
        self.joints = [model.joint(name).qposadr[0] for name in self.policy.joint_names]
        self.dofs = [model.joint(name).dofadr[0] for name in self.policy.joint_names]

    def activate(self, data: mujoco.MjData) -> None:
        """Align the first frame with the robot."""
        self.policy.reset()
        robot, robot_pos = self._pose(data)
        clip = _matrix(self.policy.body_quat[self.anchor])
        turn = _yaw(robot) @ _yaw(clip).T
        self.turn, self.shift = turn, robot_pos - turn @ self.policy.body_pos[self.anchor]

    def update(self, data: mujoco.MjData) -> np.ndarray:
        """Return the target angles [29] in MuJoCo's order of joints."""
        parts = [TERMS[name](self, data) for name in self.policy.observation_names]
        action = self.policy.forward(np.concatenate(parts))
        target = self.policy.default + self.policy.scale * action
        result = np.zeros(29)
        result[np.array(self.joints) - 7] = target
        return result

    def _pose(self, data: mujoco.MjData) -> tuple[np.ndarray, np.ndarray]:
        body = data.body(self.policy.anchor_body)
        return body.xmat.reshape(3, 3).copy(), body.xpos.copy()

    def _anchor_pos(self, data: mujoco.MjData) -> np.ndarray:
        robot, pos = self._pose(data)
        return robot.T @ (self.turn @ self.policy.body_pos[self.anchor] + self.shift - pos)

    def _anchor_ori(self, data: mujoco.MjData) -> np.ndarray:
        robot, _ = self._pose(data)
        relative = robot.T @ self.turn @ _matrix(self.policy.body_quat[self.anchor])
        return relative[:, :2].reshape(-1)

    def _lin_vel(self, data: mujoco.MjData) -> np.ndarray:
        return _matrix(data.qpos[3:7]).T @ data.qvel[:3]


TERMS = {
    "command": lambda c, d: np.concatenate([c.policy.joint_pos, c.policy.joint_vel]),
    "motion_anchor_pos_b": lambda c, d: c._anchor_pos(d),
    "motion_anchor_ori_b": lambda c, d: c._anchor_ori(d),
    "base_lin_vel": lambda c, d: c._lin_vel(d),
    "base_ang_vel": lambda c, d: d.qvel[3:6],
    "joint_pos": lambda c, d: d.qpos[c.joints] - c.policy.default,
    "joint_vel": lambda c, d: d.qvel[c.dofs],
    "actions": lambda c, d: c.policy.last_action,
    "projected_gravity": lambda c, d: _matrix(d.qpos[3:7]).T @ np.array([0.0, 0.0, -1.0]),
}
"""Terms that the controller knows."""


def _matrix(quat: np.ndarray) -> np.ndarray:
    result = np.zeros(9)
    mujoco.mju_quat2Mat(result, quat)
    return result.reshape(3, 3)


def _yaw(matrix: np.ndarray) -> np.ndarray:
    angle = np.arctan2(matrix[1, 0], matrix[0, 0])
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
