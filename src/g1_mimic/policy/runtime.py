"""Running a policy file with onnxruntime; numpy only, for a robot's computer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

from g1_mimic.control.pd_target import NonFiniteError
from g1_mimic.errors import G1MimicError
from g1_mimic.policy.contract import OWN, PolicyContract
from g1_mimic.policy.holosoma import HOLOSOMA_OUTPUTS
from g1_mimic.policy.observation_layout import ObservationLayout
from g1_mimic.policy.readers import (
    OUTPUT_NAMES,
    TORQUE_OUTPUT,
    default_profile,
    output_names,
    read_contract,
)
from g1_mimic.robot.names import JOINT_NAMES, NUM_JOINTS

if TYPE_CHECKING:
    from g1_mimic.robot.profile import RobotProfile

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
    joint_torque: np.ndarray
    """[29] N·m; zero in a file that does not tell."""


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
    path: Path
    """The file."""

    def __init__(self, session: ort.InferenceSession, contract: PolicyContract) -> None:
        self._session = session
        self._outputs = _motion_outputs(contract)
        self._layout = ObservationLayout(contract)
        self.observation_size = self._layout.size
        _check_interface(session, contract)
        self._from_file = np.array([contract.joint_names.index(name) for name in JOINT_NAMES])
        self._obs = np.zeros((1, self.observation_size), np.float32)
        self._time_step = np.zeros((1, 1), np.float32)
        self._anchor = contract.body_names.index(contract.anchor_body_name)
        motion = self._read_motion(contract.num_frames)
        self.num_frames = len(motion)
        self._frames = [self._frame(t, values) for t, values in enumerate(motion)]
        self.metadata = contract.in_robot_order()
        if contract.family != OWN:
            self.metadata = replace(self.metadata, control_rate_hz=self._find_rate())

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        action_scale: str = "",
        profile: RobotProfile | None = None,
    ) -> OnnxPolicy:
        """Read and check a policy file of this package, BeyondMimic, mjlab or holosoma.

        Args:
            path: the file.
            action_scale: for files without one: a number (rad) for all joints, or ``effort``
                (0.25 · effort / stiffness).
            profile: the robot, for what a file leaves to it: its efforts, and the default pose
                of some files of holosoma; None is the G1 as it is built.

        Raises:
            G1MimicError: one line that names the file and what is wrong with it.
        """
        session, contract = open_policy(path, profile)
        path = Path(path)
        effort: list[float] = []
        if action_scale == "effort":
            effort = (profile or default_profile()).action_scale_nm.tolist()
        with naming(path):
            policy = cls(session, contract.with_action_scale(action_scale, effort))
        policy.path = path
        return policy

    def reference(self, time_step: int) -> PolicyReference:
        """Return a frame of the motion; beyond the ends, the first or the last one."""
        return self._frames[min(max(int(time_step), 0), self.num_frames - 1)]

    def act(self, obs: np.ndarray, time_step: int) -> np.ndarray:
        """Return the raw action [29], float64, for one observation.

        Args:
            obs: observation [n], the terms ``metadata.observation_names`` one after the other,
                each with its history (`ObservationHistory`), neither clipped nor scaled.
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
        self._obs[0] = self.network_input(obs)
        self._time_step[0, 0] = min(max(int(time_step), 0), self.num_frames - 1)
        return self.robot_action(self._run(["actions"])[0][0], f"at frame {time_step}")

    def network_input(self, obs: np.ndarray) -> np.ndarray:
        """Return what the network takes [..., n], float32, for observations [..., n].

        Raises:
            NonFiniteError: if one holds NaN or infinity.
        """
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
            result = self._layout.to_file(obs).astype(np.float32)
        # Clipping would hide an infinite observation.
        if not (np.isfinite(obs).all() and np.isfinite(result).all()):
            raise NonFiniteError("an observation is not finite")
        return result

    def robot_action(self, actions: np.ndarray, where: str) -> np.ndarray:
        """Return raw actions [..., 29], float64, in our order, from those of the network.

        Raises:
            NonFiniteError: if one holds NaN or infinity; ``where`` says of which it is.
        """
        if not np.isfinite(actions).all():
            raise NonFiniteError(f"the policy's action {where} is not finite")
        result: np.ndarray = actions[..., self._from_file].astype(np.float64)
        return result

    def _run(self, outputs: list[str]) -> list[np.ndarray]:
        feeds = {"obs": self._obs, "time_step": self._time_step}
        result: list[np.ndarray] = self._session.run(outputs, feeds)
        return result

    def _raw_frame(self, time_step: int) -> list[np.ndarray]:
        self._time_step[0, 0] = time_step
        try:
            return self._run(list(self._outputs))
        except Exception as error:  # onnxruntime's exceptions share no narrower base
            detail = " ".join(str(error).split())[:160]
            raise G1MimicError(f"the network does not run: {detail}") from error

    def _frame(self, time_step: int, raw: list[np.ndarray]) -> PolicyReference:
        values = [part[0].astype(np.float64) for part in raw]
        if not all(np.isfinite(part).all() for part in values):
            raise G1MimicError(f"frame {time_step} of the motion is not finite")
        if len(values) == len(HOLOSOMA_OUTPUTS) - 1:
            pos, xyzw = values[2:]
            unknown = np.full((1, 3), np.nan)
            values[2:] = [pos[None], np.roll(xyzw, 1)[None], unknown, unknown]
        if len(values) == len(OUTPUT_NAMES) - 1:
            values.append(np.zeros(NUM_JOINTS))
        for part in values:
            part.setflags(write=False)
        joint_pos, joint_vel, pos, quat, lin_vel, ang_vel, torque = values
        return PolicyReference(
            joint_pos[self._from_file],
            joint_vel[self._from_file],
            pos[self._anchor],
            quat[self._anchor],
            pos,
            quat,
            lin_vel,
            ang_vel,
            torque[self._from_file],
        )

    def _read_motion(self, num_frames: int) -> list[list[np.ndarray]]:
        """Return the outputs for every frame; ``num_frames`` is 0 if the file does not tell.

        Such files hold their last frame for ever: look for a stretch [s, 2s) that equals it.
        """
        if num_frames:
            return [self._raw_frame(t) for t in range(num_frames)]
        last = self._raw_frame(_MAX_FRAMES)
        frames: list[list[np.ndarray]] = []
        differing = -1
        while len(frames) < _MAX_FRAMES:
            start, stop = len(frames), max(2 * len(frames), 64)
            frames += [self._raw_frame(t) for t in range(start, stop)]
            found = [t for t in range(start, stop) if not all(map(np.array_equal, frames[t], last))]
            if not found:
                return frames[: differing + 2]
            differing = found[-1]
        raise G1MimicError(f"the motion has more than {_MAX_FRAMES} frames")

    def _find_rate(self) -> float:
        """Return the control rate of a file that does not tell, from its motion's velocities.

        Other trainers run at 50 Hz, a variant of BeyondMimic at 25.

        Raises:
            G1MimicError: if the velocities fit neither.
        """
        pos = np.array([frame.joint_pos for frame in self._frames])
        vel = np.array([frame.joint_vel for frame in self._frames])
        moved, meant = 0.5 * (pos[2:] - pos[:-2]), vel[1:-1]
        if not np.abs(moved).max(initial=0.0) > 1e-4:
            return 50.0  # nothing moves: no rate is wrong
        rate = float((moved * meant).sum() / (moved * moved).sum())
        for known in (50.0, 25.0):
            if abs(rate / known - 1.0) < 0.2:
                return known
        raise G1MimicError(
            f"the motion's velocities fit {rate:.3g} frames/s; a policy of others runs at 50 or 25"
        )


def open_policy(
    path: str | os.PathLike[str], profile: RobotProfile | None = None
) -> tuple[ort.InferenceSession, PolicyContract]:
    """Return a policy file's network and contract, whose action scale may be empty.

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
        session = ort.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no narrower base
        detail = " ".join(str(error).split())[:160]
        raise G1MimicError(f"{path} is not a whole ONNX file: {detail}") from error
    inputs = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]
    props = session.get_modelmeta().custom_metadata_map
    with naming(path):
        return session, read_contract(inputs, outputs, props, profile)


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Put the file's name before the message of a `G1MimicError`."""
    try:
        yield
    except G1MimicError as error:
        raise G1MimicError(f"policy file {path}: {error}") from None


def _motion_outputs(contract: PolicyContract) -> tuple[str, ...]:
    """Return the outputs that are a frame of the motion."""
    if contract.family == "holosoma":
        return HOLOSOMA_OUTPUTS[1:]
    return output_names(contract)[1:]


def _check_interface(session: ort.InferenceSession, contract: PolicyContract) -> None:
    """Check the shapes of inputs and outputs."""
    inputs = {value.name: list(value.shape) for value in session.get_inputs()}
    if set(inputs) != {"obs", "time_step"}:
        raise G1MimicError(f"inputs are {', '.join(inputs)}, expected obs and time_step")
    for value in session.get_inputs():
        if value.type != "tensor(float)":
            raise G1MimicError(f"input '{value.name}' is a {value.type}, expected tensor(float)")
    width, lengths = contract.observation_size, contract.history_lengths
    if inputs["obs"] != [1, width]:
        terms = ", ".join(
            name if length == 1 else f"{length} of {name}"
            for name, length in zip(contract.observation_names, lengths, strict=True)
        )
        raise G1MimicError(
            f"input 'obs' has shape {inputs['obs']}, but the terms {terms} make [1, {width}]"
        )
    bodies = len(contract.body_names)
    expected: dict[str, list[int]] = {"time_step": [1, 1], "ref_pos_xyz": [1, 3]}
    expected |= {name: [1, NUM_JOINTS] for name in (*OUTPUT_NAMES[:3], TORQUE_OUTPUT)}
    expected |= {name: [1, bodies, 3] for name in OUTPUT_NAMES[3:]}
    expected |= {"body_quat_w": [1, bodies, 4], "ref_quat_xyzw": [1, 4]}
    outputs = {value.name: list(value.shape) for value in session.get_outputs()}
    for name in ("time_step", "actions", *_motion_outputs(contract)):
        found, shape = (inputs | outputs)[name], expected[name]
        # Other exporters leave axes of the outputs symbolic.
        fits = len(found) == len(shape) and all(
            not isinstance(a, int) or a == b for a, b in zip(found, shape, strict=True)
        )
        if not fits:
            raise G1MimicError(f"'{name}' has shape {found}, expected {shape}")
