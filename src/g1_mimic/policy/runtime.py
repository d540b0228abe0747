"""Running a policy file with onnxruntime; numpy only, for a robot's computer."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from g1_mimic.control.pd_target import NonFiniteError
from g1_mimic.envs.observations import observation_size, term_slices
from g1_mimic.errors import G1MimicError
from g1_mimic.policy.contract import PolicyContract
from g1_mimic.policy.foreign import HOLOSOMA_OUTPUTS, beyondmimic_props, is_holosoma
from g1_mimic.robot.names import JOINT_NAMES, NUM_JOINTS

OUTPUT_NAMES: tuple[str, ...] = (
    "actions",
    "joint_pos",
    "joint_vel",
    "body_pos_w",
    "body_quat_w",
    "body_lin_vel_w",
    "body_ang_vel_w",
)
"""Outputs of a policy file, in order (BeyondMimic's exporter)."""

JOINT_TERMS = ("command", "joint_pos", "joint_vel", "joint_pos_error", "actions")
"""Observation terms that are one or two values per joint."""

_MAX_FRAMES = 1 << 20


@dataclass(frozen=True)
class PolicyReference:
    """One frame of the motion in a policy: joints in ``JOINT_NAMES`` order, SI, world frame."""

    joint_pos: np.ndarray
    """[29] rad."""
    joint_vel: np.ndarray
    """[29] rad/s."""
    anchor_pos: np.ndarray
    """[3] m."""
    anchor_quat: np.ndarray
    """[4] w x y z."""
    body_pos_w: np.ndarray
    """[B, 3] m; the bodies are ``metadata.body_names``."""
    body_quat_w: np.ndarray
    """[B, 4] w x y z."""
    body_lin_vel_w: np.ndarray
    """[B, 3] m/s; NaN in a file of holosoma, which has none."""
    body_ang_vel_w: np.ndarray
    """[B, 3] rad/s; NaN in a file of holosoma, which has none."""


class OnnxPolicy:
    """A policy file, checked on load, on one thread. Use `load`.

    Whatever the joint order in the file, everything that goes in and comes out here is in
    ``JOINT_NAMES`` order, ``metadata`` included.
    """

    metadata: PolicyContract
    """In ``JOINT_NAMES`` order."""
    observation_size: int
    """Width n of the observation."""
    num_frames: int
    """T: ``time_step`` runs from 0 to T - 1."""

    def __init__(self, session: ort.InferenceSession, metadata: PolicyContract) -> None:
        self._session = session
        self._outputs = _output_names(session)
        self.metadata = metadata.in_robot_order()
        self.observation_size = _check_interface(session, metadata)
        self._from_file = np.array([metadata.joint_names.index(name) for name in JOINT_NAMES])
        self._to_file = np.argsort(self._from_file)
        self._obs_order = _observation_order(metadata.observation_names, self._to_file)
        self._obs = np.zeros((1, self.observation_size), np.float32)
        self._time_step = np.zeros((1, 1), np.float32)
        self._anchor = metadata.body_names.index(metadata.anchor_body_name)
        self.num_frames = metadata.num_frames or self._find_num_frames()
        self._frames = [self._read_frame(t) for t in range(self.num_frames)]

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        supplement: Mapping[str, Sequence[float]] | None = None,
    ) -> OnnxPolicy:
        """Read and check a policy file of this package, BeyondMimic, mjlab or holosoma.

        Args:
            path: the file.
            supplement: joint fields of the metadata, [29] in ``JOINT_NAMES`` order, for files
                that lack them: holosoma's have no ``default_joint_pos``, older ones no
                ``action_scale`` either. What the file tells comes first.

        Raises:
            G1MimicError: one line that names the file and what is wrong with it.
        """
        path = Path(path)
        if not path.is_file():
            raise G1MimicError(f"policy file {path} does not exist")
        options = ort.SessionOptions()
        # The network is small: more threads only add jitter to a 20 ms control step.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            session = ort.InferenceSession(
                os.fspath(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no narrower base
            detail = " ".join(str(error).split())[:160]
            raise G1MimicError(f"{path} is not a whole ONNX file: {detail}") from error
        try:
            props = session.get_modelmeta().custom_metadata_map
            outputs = [output.name for output in session.get_outputs()]
            props = beyondmimic_props(props, outputs, supplement or {})
            return cls(session, PolicyContract.from_onnx_props(props))
        except G1MimicError as error:
            raise G1MimicError(f"policy file {path}: {error}") from None

    def reference(self, time_step: int) -> PolicyReference:
        """Return a frame of the motion; beyond the ends, the first or the last one."""
        return self._frames[min(max(int(time_step), 0), self.num_frames - 1)]

    def act(self, obs: np.ndarray, time_step: int) -> np.ndarray:
        """Return the raw action [29], float64, for one observation.

        Args:
            obs: observation [n], the terms ``metadata.observation_names`` one after the other.
            time_step: frame of the motion that the observation refers to.

        Raises:
            G1MimicError: if the observation has another width.
            NonFiniteError: if the observation or the action holds NaN or infinity.
        """
        obs = np.asarray(obs)
        if obs.shape != (self.observation_size,):
            raise G1MimicError(
                f"the policy takes {self.observation_size} observations, got shape {obs.shape}"
            )
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
            self._obs[0] = obs[self._obs_order]
        if not np.isfinite(self._obs).all():
            raise NonFiniteError("an observation is not finite")
        self._time_step[0, 0] = min(max(int(time_step), 0), self.num_frames - 1)
        action = self._run(["actions"])[0][0].astype(np.float64)
        if not np.isfinite(action).all():
            raise NonFiniteError(f"the policy's action at frame {time_step} is not finite")
        result: np.ndarray = action[self._from_file]
        return result

    def _run(self, outputs: list[str]) -> list[np.ndarray]:
        feeds = {"obs": self._obs, "time_step": self._time_step}
        result: list[np.ndarray] = self._session.run(outputs, feeds)
        return result

    def _raw_frame(self, time_step: int) -> list[np.ndarray]:
        self._time_step[0, 0] = time_step
        return self._run(list(self._outputs[1:]))

    def _read_frame(self, time_step: int) -> PolicyReference:
        values = [part[0].astype(np.float64) for part in self._raw_frame(time_step)]
        if not all(np.isfinite(part).all() for part in values):
            raise G1MimicError(f"frame {time_step} of the motion is not finite")
        if self._outputs == HOLOSOMA_OUTPUTS:
            pos, xyzw = values[2:]
            unknown = np.full((1, 3), np.nan)
            values[2:] = [pos[None], np.roll(xyzw, 1)[None], unknown, unknown]
        for part in values:
            part.setflags(write=False)
        joint_pos, joint_vel, pos, quat, lin_vel, ang_vel = values
        return PolicyReference(
            joint_pos[self._from_file],
            joint_vel[self._from_file],
            pos[self._anchor],
            quat[self._anchor],
            pos,
            quat,
            lin_vel,
            ang_vel,
        )

    def _find_num_frames(self) -> int:
        """Return the number of frames of a file that does not tell.

        Such files hold their last frame for ever: look for a stretch [s, 2s) that equals it.
        """
        last = self._raw_frame(_MAX_FRAMES)
        differing, start = -1, 0
        while start < _MAX_FRAMES:
            stop = max(2 * start, 64)
            found = [
                t
                for t in range(start, stop)
                if not all(map(np.array_equal, self._raw_frame(t), last))
            ]
            if not found:
                return differing + 2
            differing, start = found[-1], stop
        raise G1MimicError(f"the motion has more than {_MAX_FRAMES} frames")


def policy_info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a person wants to know about a policy file, as plain values.

    Raises:
        G1MimicError: if the file is no policy.
    """
    policy = OnnxPolicy.load(path)
    meta = policy.metadata

    def span(row: tuple[float, ...], unit: str) -> str:
        return f"{min(row):.4g} to {max(row):.4g} {unit}" if row else "not told"

    return {
        "file": os.fspath(path),
        "motion": meta.motion_name or "not told",
        "frames": policy.num_frames,
        "duration_s": (policy.num_frames - 1) / meta.control_rate_hz,
        "looped": meta.motion_looped,
        "control_rate_hz": meta.control_rate_hz,
        "observation": ", ".join(meta.observation_names),
        "observation_size": policy.observation_size,
        "anchor_body": meta.anchor_body_name,
        "bodies": len(meta.body_names),
        "robot_profile": meta.robot_profile or "not told",
        "robot_profile_hash": meta.robot_profile_hash or "not told",
        "stiffness": span(meta.joint_stiffness, "N·m/rad"),
        "damping": span(meta.joint_damping, "N·m·s/rad"),
        "action_scale": span(meta.action_scale, "rad"),
        "torque_limit": span(meta.torque_limit, "N·m"),
        "velocity_limit": span(meta.velocity_limit, "rad/s"),
        "run": meta.run_path or "not told",
        "format_version": meta.format_version,
    }


def _output_names(session: ort.InferenceSession) -> tuple[str, ...]:
    """Return the outputs that are read.

    Raises:
        G1MimicError: if one is missing.
    """
    given = [output.name for output in session.get_outputs()]
    if is_holosoma(given):
        return HOLOSOMA_OUTPUTS
    if missing := [name for name in OUTPUT_NAMES if name not in given]:
        raise G1MimicError(f"output '{missing[0]}' is missing; export the policy anew")
    return OUTPUT_NAMES


def _check_interface(session: ort.InferenceSession, metadata: PolicyContract) -> int:
    """Check names and shapes of inputs and outputs; return the observation's width."""
    inputs = {value.name: list(value.shape) for value in session.get_inputs()}
    if set(inputs) != {"obs", "time_step"}:
        raise G1MimicError(f"inputs are {', '.join(inputs)}, expected obs and time_step")
    width = observation_size(metadata.observation_names)
    if inputs["obs"] != [1, width]:
        raise G1MimicError(
            f"input 'obs' has shape {inputs['obs']}, but the terms "
            f"{', '.join(metadata.observation_names)} make [1, {width}]"
        )
    bodies = len(metadata.body_names)
    expected: dict[str, list[int]] = {"time_step": [1, 1], "ref_pos_xyz": [1, 3]}
    expected |= {name: [1, NUM_JOINTS] for name in OUTPUT_NAMES[:3]}
    expected |= {name: [1, bodies, 3] for name in OUTPUT_NAMES[3:]}
    expected |= {"body_quat_w": [1, bodies, 4], "ref_quat_xyzw": [1, 4]}
    outputs = {value.name: list(value.shape) for value in session.get_outputs()}
    for name in ("time_step", *_output_names(session)):
        found, shape = (inputs | outputs)[name], expected[name]
        # Other exporters leave axes of the outputs symbolic.
        fits = len(found) == len(shape) and all(
            not isinstance(a, int) or a == b for a, b in zip(found, shape, strict=True)
        )
        if not fits:
            raise G1MimicError(f"'{name}' has shape {found}, expected {shape}")
    return width


def _observation_order(names: tuple[str, ...], to_file: np.ndarray) -> np.ndarray:
    """Return where each entry of the file's observation is in ours."""
    parts = []
    for name, part in term_slices(names).items():
        places = np.arange(part.start, part.stop)
        if name in JOINT_TERMS:
            places = places.reshape(-1, NUM_JOINTS)[:, to_file].reshape(-1)
        parts.append(places)
    return np.concatenate(parts)
