"""Policy files as other exporters write them, and what their policies should do.

Written after the exporters' sources (whole_body_tracking cd65172, mjlab 1.6.0 and 1.3.0, holosoma
fc600e7): the same graph, opset, names, number formats and joint orders, around a linear actor whose
answer is a matrix product. What a robot should observe is worked out by MuJoCo and matrices, not
by the package.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mujoco
import numpy as np
import onnx
import torch
from torch import Tensor, nn

# fmt: off
SDK = (
    "left_hip_pitch left_hip_roll left_hip_yaw left_knee left_ankle_pitch left_ankle_roll "
    "right_hip_pitch right_hip_roll right_hip_yaw right_knee right_ankle_pitch right_ankle_roll "
    "waist_yaw waist_roll waist_pitch left_shoulder_pitch left_shoulder_roll left_shoulder_yaw "
    "left_elbow left_wrist_roll left_wrist_pitch left_wrist_yaw right_shoulder_pitch "
    "right_shoulder_roll right_shoulder_yaw right_elbow right_wrist_roll right_wrist_pitch "
    "right_wrist_yaw"
)
MUJOCO_ORDER = [f"{name}_joint" for name in SDK.split()]
ISAAC_ORDER = [MUJOCO_ORDER[i] for i in (
    0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 22, 4, 10, 16, 23, 5, 11, 17, 24, 18, 25, 19, 26, 20,
    27, 21, 28)]
# fmt: on
BODIES = [
    *("pelvis", "left_hip_roll_link", "left_knee_link", "left_ankle_roll_link"),
    *("right_hip_roll_link", "right_knee_link", "right_ankle_roll_link", "torso_link"),
    *("left_shoulder_roll_link", "left_elbow_link", "left_wrist_yaw_link"),
    *("right_shoulder_roll_link", "right_elbow_link", "right_wrist_yaw_link"),
]
TORSO = BODIES.index("torso_link")
SIZES = {"command": 58, "motion_anchor_pos_b": 3, "motion_anchor_ori_b": 6, "base_lin_vel": 3}
SIZES |= {"base_ang_vel": 3, "joint_pos": 29, "joint_vel": 29, "actions": 29}
WITH_STATE_ESTIMATION = list(SIZES)  # 160 wide, in BeyondMimic's order
WITHOUT = [name for name in SIZES if name not in ("motion_anchor_pos_b", "base_lin_vel")]  # 154


@dataclass
class Motion:
    """A clip in MuJoCo's joint order; bodies are `BODIES`, quaternions w x y z."""

    joint_pos: np.ndarray
    joint_vel: np.ndarray
    body_pos_w: np.ndarray
    body_quat_w: np.ndarray

    def tensors(self, order: Sequence[str]) -> dict[str, Tensor]:
        """The outputs of BeyondMimic's and mjlab's files."""
        columns = [MUJOCO_ORDER.index(name) for name in order]
        zeros = np.zeros_like(self.body_pos_w)
        arrays = {
            "joint_pos": self.joint_pos[:, columns],
            "joint_vel": self.joint_vel[:, columns],
            "body_pos_w": self.body_pos_w,
            "body_quat_w": self.body_quat_w,
            "body_lin_vel_w": zeros,
            "body_ang_vel_w": zeros,
        }
        return {name: torch.tensor(np.array(a), dtype=torch.float32) for name, a in arrays.items()}


class MotionModel(nn.Module):
    """The graph that all three exporters write."""

    def __init__(self, actor: nn.Module, motion: dict[str, Tensor]) -> None:
        super().__init__()
        self.actor, self.names = actor, list(motion)
        for name, values in motion.items():
            self.register_buffer(name, values)

    def forward(self, x: Tensor, time_step: Tensor) -> tuple[Tensor, ...]:
        total = getattr(self, self.names[0]).shape[0]
        step = torch.clamp(time_step.long().squeeze(-1), max=total - 1)
        return (self.actor(x), *(getattr(self, name)[step] for name in self.names))


def write(path: Path, model: MotionModel, width: int, opset: int, props: dict[str, str]) -> Path:
    """Export as the exporters do and append the metadata entry by entry."""
    torch.onnx.export(
        model,
        (torch.zeros(1, width), torch.zeros(1, 1)),
        str(path),
        export_params=True,
        opset_version=opset,
        input_names=["obs", "time_step"],
        output_names=["actions", *model.names],
        dynamic_axes={},
        dynamo=False,
    )
    file = onnx.load(path)
    for key, value in props.items():
        file.metadata_props.add(key=key, value=value)
    onnx.save(file, path)
    return path


def csv(values: Sequence[Any]) -> str:
    """BeyondMimic's and mjlab's lists: three decimals; a list within one is joined by ``;``."""

    def scalar(x: Any) -> str:
        return f"{x:.3f}" if isinstance(x, int | float) else str(x)

    return ",".join(
        ";".join(map(scalar, x)) if isinstance(x, list | tuple) else scalar(x) for x in values
    )


@dataclass
class Policy:
    """A foreign policy: an actor ``actions = weight · obs``, and how its trainer observes."""

    family: str
    order: list[str]
    terms: list[str]
    """In the order of the observation, by BeyondMimic's names."""
    weight: np.ndarray
    default: np.ndarray
    """[29] in the file's order, as the file has it."""
    scale: np.ndarray
    velocity_of: str = "pelvis"
    """What ``base_lin_vel`` is measured at: the pelvis' frame, its centre of mass, its IMU."""
    history: dict[str, int] = field(default_factory=dict)
    scales: dict[str, Any] = field(default_factory=dict)
    clips: dict[str, tuple[float, float]] = field(default_factory=dict)
    scale_first: bool = False
    zeros_before: bool = False

    def width(self) -> int:
        return sum(SIZES[name] * max(self.history.get(name, 1), 1) for name in self.terms)


class Trainer:
    """What a policy's own environment would feed it and how it would move the joints."""

    def __init__(self, policy: Policy, motion: Motion, model: mujoco.MjModel) -> None:
        self.policy, self.motion = policy, motion
        self.model, self.data = model, mujoco.MjData(model)
        self.columns = [MUJOCO_ORDER.index(name) for name in policy.order]
        self.last = np.zeros(29)
        self.past: dict[str, deque[np.ndarray]] = {}
        self.aligned = False

    def act(self, step: int, qpos: np.ndarray, qvel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return actions and target angles [29], both in MuJoCo's order.

        Args:
            step: frame of the motion.
            qpos: [36] of MuJoCo.
            qvel: [35] of MuJoCo.
        """
        observation = self._observe(step, qpos, qvel)
        # The exporters' networks run in float32.
        action = self.policy.weight.astype(np.float32) @ observation.astype(np.float32)
        self.last = action.astype(np.float64)
        back = [self.policy.order.index(name) for name in MUJOCO_ORDER]
        target = self.policy.default + self.policy.scale * self.last
        return self.last[back], target[back]

    def _observe(self, step: int, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        policy, data = self.policy, self.data
        data.qpos[:], data.qvel[:] = qpos, qvel
        mujoco.mj_forward(self.model, data)
        torso = self.model.body("torso_link").id
        robot, robot_pos = data.xmat[torso].reshape(3, 3), data.xpos[torso]
        frame = min(step, len(self.motion.joint_pos) - 1)
        reference = _matrix(self.motion.body_quat_w[frame, TORSO])
        place = self.motion.body_pos_w[frame, TORSO]
        if not self.aligned:
            self.turn = _about_z(_yaw(robot) - _yaw(reference))
            self.shift = robot_pos - self.turn @ place
            self.shift[2] = 0.0
            self.aligned = True
        values = {
            "command": np.concatenate(
                [a[frame, self.columns] for a in (self.motion.joint_pos, self.motion.joint_vel)]
            ),
            "motion_anchor_pos_b": robot.T @ (self.turn @ place + self.shift - robot_pos),
            "motion_anchor_ori_b": (robot.T @ self.turn @ reference)[:, :2].reshape(-1),
            "base_lin_vel": self._velocity(),
            "base_ang_vel": qvel[3:6],
            "joint_pos": qpos[7:][self.columns] - policy.default,
            "joint_vel": qvel[6:][self.columns],
            "actions": self.last,
        }
        return np.concatenate([self._term(name, values[name]) for name in policy.terms])

    def _term(self, name: str, value: np.ndarray) -> np.ndarray:
        """Clip, scale, and put behind the past."""
        policy = self.policy
        scale = np.array(policy.scales.get(name, 1.0))
        low, high = policy.clips.get(name, (-np.inf, np.inf))
        if policy.scale_first:
            value = np.clip(value * scale, low, high)
        else:
            value = np.clip(value, low, high) * scale
        length = max(policy.history.get(name, 1), 1)
        if name not in self.past:
            before = np.zeros_like(value) if policy.zeros_before else value
            self.past[name] = deque([before] * length, maxlen=length)
        self.past[name].append(value)
        return np.stack(self.past[name]).reshape(-1)

    def _velocity(self) -> np.ndarray:
        """Linear velocity in the pelvis' frame."""
        kind = {
            "pelvis": (mujoco.mjtObj.mjOBJ_XBODY, self.model.body("pelvis").id),
            "centre of mass": (mujoco.mjtObj.mjOBJ_BODY, self.model.body("pelvis").id),
            "imu": (mujoco.mjtObj.mjOBJ_SITE, self.model.site("imu_in_pelvis").id),
        }[self.policy.velocity_of]
        six, turned = np.zeros(6), self.data.xmat[self.model.body("pelvis").id].reshape(3, 3)
        mujoco.mj_objectVelocity(self.model, self.data, *kind, six, 0)
        return turned.T @ six[3:]


def write_beyondmimic(path: Path, policy: Policy, motion: Motion, gains: np.ndarray) -> Path:
    """``exporter.py`` of whole_body_tracking; ``gains`` [2, 29] are in MuJoCo's order."""
    columns = [MUJOCO_ORDER.index(name) for name in policy.order]
    props = {
        "run_path": "lucky-sun-7",
        "joint_names": csv(policy.order),
        "joint_stiffness": csv(gains[0, columns].tolist()),
        "joint_damping": csv(gains[1, columns].tolist()),
        "default_joint_pos": csv(policy.default.tolist()),
        "command_names": csv(["motion"]),
        "observation_names": csv(policy.terms),
        "observation_history_lengths": csv([policy.history.get(n, 1) for n in policy.terms]),
        "action_scale": csv(policy.scale.tolist()),
        "anchor_body_name": "torso_link",
        "body_names": csv(BODIES),
    }
    model = MotionModel(linear(policy.weight), motion.tensors(policy.order))
    return write(path, model, policy.width(), 11, props)


def write_mjlab(
    path: Path, policy: Policy, motion: Motion, gains: np.ndarray, bracketed: bool = False
) -> Path:
    """``exporter_utils.py`` of mjlab 1.6; ``bracketed`` is its earlier way to write clips."""
    clips = [list(policy.clips.get(name, (-np.inf, np.inf))) for name in policy.terms]
    scalar = np.ptp(policy.scale) == 0.0
    props = {
        "run_path": "local",
        "joint_names": csv(policy.order),
        "joint_stiffness": csv(gains[0].tolist()),
        "joint_damping": csv(gains[1].tolist()),
        "default_joint_pos": csv(policy.default.tolist()),
        "command_names": csv(["motion"]),
        "observation_names": csv(policy.terms),
        "observation_terms_scale": csv([policy.scales.get(n, 1.0) for n in policy.terms]),
        "observation_terms_flatten_history_dim": csv([True for _ in policy.terms]),
        "observation_terms_history_length": csv([policy.history.get(n, 0) for n in policy.terms]),
        "observation_terms_clip": csv(clips),
        "action_scale": str(float(policy.scale[0])) if scalar else csv(policy.scale.tolist()),
        "anchor_body_name": "torso_link",
        "body_names": csv(BODIES),
    }
    if bracketed:
        del props["observation_terms_clip"]
        props["observation_term_clip"] = ",".join(str(clip) for clip in clips)
    model = MotionModel(linear(policy.weight), motion.tensors(policy.order))
    return write(path, model, policy.width(), 18, props)


HOLOSOMA_NAMES = {
    "actions": "actions",
    "base_ang_vel": "base_ang_vel",
    "joint_pos": "dof_pos",
    "joint_vel": "dof_vel",
    "command": "motion_command",
    "motion_anchor_ori_b": "motion_ref_ori_b",
}
"""In alphabetical order of holosoma's names, which is that of its observation."""


def write_holosoma(
    path: Path, policy: Policy, motion: Motion, gains: np.ndarray, config: bool = False, **more: Any
) -> Path:
    """``inference_helpers.py`` of holosoma; ``config`` adds the newer ``experiment_config``."""
    metadata: dict[str, Any] = {
        "dof_names": policy.order,
        "kp": [round(x, 9) for x in gains[0].tolist()],
        "kd": [round(x, 9) for x in gains[1].tolist()],
        "command_ranges": None,
        "robot_urdf": "<robot name='g1'/>",
        **more,
    }
    if config:
        # The order of declaration there, which is not that of the observation.
        names = ["command", "motion_anchor_ori_b", "base_ang_vel", "joint_pos", "joint_vel"]
        terms = {
            HOLOSOMA_NAMES[name]: {
                "scale": policy.scales.get(name, 1.0),
                "clip": policy.clips.get(name),
                "noise": 0.05,
            }
            for name in [*names, "actions"]
        }
        group = {"terms": terms, "history_length": max(policy.history.values(), default=1)}
        pose = dict(zip(policy.order, policy.default.tolist(), strict=True))
        metadata["experiment_config"] = {
            "observation": {"groups": {"actor_obs": group, "critic_obs": {"terms": {}}}},
            "robot": {"init_state": {"default_joint_angles": pose}},
        }
    quat = np.roll(motion.body_quat_w[:, TORSO], -1, axis=1)  # x y z w
    arrays = {
        "joint_pos": motion.joint_pos,
        "joint_vel": motion.joint_vel,
        "ref_pos_xyz": motion.body_pos_w[:, TORSO],
        "ref_quat_xyzw": quat,
    }
    tensors = {name: torch.tensor(np.array(a), dtype=torch.float32) for name, a in arrays.items()}
    props = {key: json.dumps(value) for key, value in metadata.items()}
    return write(path, MotionModel(linear(policy.weight), tensors), policy.width(), 13, props)


WRITERS: dict[str, Callable[..., Path]] = {
    "BeyondMimic": write_beyondmimic,
    "mjlab": write_mjlab,
    "holosoma": write_holosoma,
}


@cache
def sound_props(family: str) -> tuple[dict[str, str], list[str]]:
    """Metadata and output names of a sound file of a family, without the file."""
    terms = list(HOLOSOMA_NAMES) if family == "holosoma" else WITH_STATE_ESTIMATION
    order = ISAAC_ORDER if family == "BeyondMimic" else MUJOCO_ORDER
    ones, gains = np.ones(29), np.ones((2, 29))
    policy = Policy(family, order, terms, np.zeros((29, 1)), ones, ones)
    policy.weight = np.zeros((29, policy.width()))
    pose = np.zeros((2, len(BODIES), 4))
    motion = Motion(np.ones((2, 29)), np.ones((2, 29)), pose[..., :3], pose)
    with TemporaryDirectory() as folder:
        options = {"config": True} if family == "holosoma" else {}
        path = WRITERS[family](Path(folder) / "policy.onnx", policy, motion, gains, **options)
        file = onnx.load(path)
    return {p.key: p.value for p in file.metadata_props}, [o.name for o in file.graph.output]


def linear(weight: np.ndarray) -> nn.Module:
    """An actor that is a matrix product."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
    return layer


def _matrix(quat: np.ndarray) -> np.ndarray:
    result = np.zeros(9)
    mujoco.mju_quat2Mat(result, quat)
    return result.reshape(3, 3)


def _yaw(matrix: np.ndarray) -> float:
    return float(np.arctan2(matrix[1, 0], matrix[0, 0]))


def _about_z(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
