"""Running a policy file with onnxruntime; numpy only, for a robot's computer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

from g1_mimic.control.pd_target import NonFiniteError
from g1_mimic.errors import BadState, BadValue, G1MimicError, MissingFile
from g1_mimic.policy.contract import OWN, PolicyContract
from g1_mimic.policy.motion_frames import PolicyReference, find_rate, read_motion
from g1_mimic.policy.observation_layout import ObservationLayout
from g1_mimic.policy.readers import (
    BODIES,
    Frame,
    default_profile,
    family_of,
    output_names,
    read_contract,
)
from g1_mimic.robot.names import JOINT_NAMES

if TYPE_CHECKING:
    from g1_mimic.robot.profile import RobotProfile


class OnnxPolicy:
    """A policy file, checked on load, on one thread. Use `load`.

    Whatever the joint order in the file, everything that goes in and comes out here is in
    ``JOINT_NAMES`` order, ``metadata`` included.
    """

    metadata: PolicyContract
    """In ``JOINT_NAMES`` order."""
    observation_size: int
    """Width n of the observation."""
    motion: PolicyReference
    """All frames of the motion."""
    num_frames: int
    """T: ``time_step`` runs from 0 to T - 1."""
    path: Path
    """The file."""

    def __init__(self, session: ort.InferenceSession, contract: PolicyContract) -> None:
        self._session = session
        self._layout = ObservationLayout(contract)
        self.observation_size = self._layout.size
        _check_interface(session, contract)
        self._from_file = np.array([contract.joint_names.index(name) for name in JOINT_NAMES])
        self._obs = np.zeros((1, self.observation_size), np.float32)
        self._time_step = np.zeros((1, 1), np.float32)
        motion = output_names(contract)[1:]
        self.motion = read_motion(lambda t: self._outputs_at(t, motion), contract)
        self.num_frames = len(self.motion.joint_pos)
        self.metadata = contract.in_robot_order()
        if contract.family != OWN:
            self.metadata = replace(self.metadata, control_rate_hz=find_rate(self.motion))

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
        return self.motion[min(max(int(time_step), 0), self.num_frames - 1)]

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
            raise BadValue(
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

    def _run(self, outputs: Sequence[str]) -> list[np.ndarray]:
        feeds = {"obs": self._obs, "time_step": self._time_step}
        result: list[np.ndarray] = self._session.run(outputs, feeds)
        return result

    def _outputs_at(self, time_step: int, names: Sequence[str]) -> Frame:
        """Return outputs of the motion."""
        self._time_step[0, 0] = time_step
        try:
            return dict(zip(names, self._run(names), strict=True))
        except Exception as error:  # onnxruntime's exceptions share no narrower base
            raise BadState(f"the network does not run: {told(error)}") from error


def open_session(model: str | bytes) -> ort.InferenceSession:
    """Return the network of a file's path or content, on one thread.

    It is small: more threads only add jitter to a 20 ms control step, and in batches physics has
    the other cores.

    Raises:
        Exception: onnxruntime's exceptions share no narrower base.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def told(error: Exception) -> str:
    """Return in one short line what onnxruntime says."""
    return " ".join(str(error).split())[:160]


def open_policy(
    path: str | os.PathLike[str], profile: RobotProfile | None = None
) -> tuple[ort.InferenceSession, PolicyContract]:
    """Return a policy file's network and contract, whose action scale may be empty.

    Raises:
        G1MimicError: one line that names the file and what is wrong with it.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise MissingFile(f"policy file {path} does not exist")
    try:
        session = open_session(os.fspath(path))
    except Exception as error:
        raise BadValue(f"{path} is not a whole ONNX file: {told(error)}") from error
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
        raise BadValue(f"policy file {path}: {error}") from None


def _check_interface(session: ort.InferenceSession, contract: PolicyContract) -> None:
    """Check the shapes of inputs and outputs."""
    inputs = {value.name: list(value.shape) for value in session.get_inputs()}
    if set(inputs) != {"obs", "time_step"}:
        raise BadValue(f"inputs are {', '.join(inputs)}, expected obs and time_step")
    for value in session.get_inputs():
        if value.type != "tensor(float)":
            raise BadValue(f"input '{value.name}' is a {value.type}, expected tensor(float)")
    width, lengths = contract.observation_size, contract.history_lengths
    if inputs["obs"] != [1, width]:
        terms = ", ".join(
            name if length == 1 else f"{length} of {name}"
            for name, length in zip(contract.observation_names, lengths, strict=True)
        )
        raise BadValue(
            f"input 'obs' has shape {inputs['obs']}, but the terms {terms} make [1, {width}]"
        )
    bodies = len(contract.body_names)
    wanted = {"time_step": (1,), **family_of(contract).outputs_of(contract)}
    outputs = {value.name: list(value.shape) for value in session.get_outputs()}
    for name, rest in wanted.items():
        found = (inputs | outputs)[name]
        shape = [1, *(bodies if n == BODIES else n for n in rest)]
        # Other exporters leave axes of the outputs symbolic.
        fits = len(found) == len(shape) and all(
            not isinstance(a, int) or a == b for a, b in zip(found, shape, strict=True)
        )
        if not fits:
            raise BadValue(f"'{name}' has shape {found}, expected {shape}")
