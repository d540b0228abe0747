"""Writing a policy file: network, motions and metadata in one ONNX graph, checked before use."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from g1_mimic.envs.config import EnvConfig
from g1_mimic.envs.observations import observation_size, term_slices
from g1_mimic.errors import BadState, BadValue
from g1_mimic.files import atomic_write
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.dynamics import with_base_torque
from g1_mimic.motion.library import MotionLibrary
from g1_mimic.motion.trajectory import CONTROL_RATE
from g1_mimic.policy.action_base import action_offset, previous_offset
from g1_mimic.policy.contract import FORMAT_VERSION, PolicyContract
from g1_mimic.policy.metadata import write_metadata
from g1_mimic.policy.readers import TORQUE_OUTPUT, output_names
from g1_mimic.policy.runtime import OnnxPolicy, open_session, told
from g1_mimic.robot.names import ANCHOR_BODY_NAME, JOINT_NAMES, TRACKED_BODY_NAMES
from g1_mimic.robot.profile import RobotProfile

OPSET = 17
"""The first with LayerNormalization."""

TOLERANCE = 1e-4
"""Largest difference between the file's outputs and torch's, relative to max(1, |value|).

Both compute in float32 and sum in another order: networks of 256 units that saw noise in training,
fed with random observations, were measured to differ by up to 1.3e-5. What is exported wrongly
differs by far more; a tenth of a milliradian in a target is less than an encoder tells.
"""

JOINT_OUTPUTS = ("joint_pos", "joint_vel", TORQUE_OUTPUT)
"""The outputs of the motion that are not of bodies."""

CHECKED_FRAMES = 256
"""At most so many frames of the motion are compared, evenly spread."""


class PolicyGraph(nn.Module):
    """An actor together with its motions: (obs, time_step) → actions and reference.

    The clips lie one after the other along ``time_step``. From the outside every policy is
    default-based: target = default + scale · actions. For an actor whose actions are added to
    something else (``metadata.action_base``), the difference is folded into ``actions``, and taken
    out of the previous action in the observation. An all-zero previous action is left alone: it
    is what the start of an episode looks like.

    Args:
        actor: obs [N, n] → raw action [N, 29].
        clips: the motions.
        metadata: names and scales.
    """

    def __init__(
        self, actor: nn.Module, clips: Sequence[MotionClip], metadata: PolicyContract
    ) -> None:
        super().__init__()
        self.actor = actor
        bodies = [clips[0].body_index(name) for name in metadata.body_names]
        self.output_names = output_names(metadata)
        for name in self.output_names[1:]:
            parts = [getattr(clip, name) for clip in clips]
            values = np.concatenate([p if name in JOINT_OUTPUTS else p[:, bodies] for p in parts])
            self.register_buffer(name, torch.from_numpy(values.astype(np.float32)))
        self.last_frame = sum(clip.num_frames for clip in clips) - 1
        self.previous_action = term_slices(metadata.observation_names).get("actions")
        self.has_offset = metadata.action_base not in ("", "default")
        if self.has_offset:
            # In float64: the difference of close angles is divided by a small scale.
            offsets = [
                action_offset(metadata, clip.joint_pos, clip.joint_vel, clip.joint_torque)
                for clip in clips
            ]
            before = [
                previous_offset(offset, clip.looped)
                for offset, clip in zip(offsets, clips, strict=True)
            ]
            for name, parts in (("offset", offsets), ("previous_offset", before)):
                values = np.concatenate(parts).astype(np.float32)
                self.register_buffer(name, torch.from_numpy(values))

    def forward(self, obs: Tensor, time_step: Tensor) -> tuple[Tensor, ...]:
        """Map obs [1, n] and time_step [1, 1] to `readers.output_names`."""
        t = time_step.long().clamp(0, self.last_frame).reshape(1)

        def at(name: str) -> Tensor:
            return torch.index_select(self.get_buffer(name), 0, t)

        if self.has_offset and self.previous_action is not None:
            place = self.previous_action
            previous = obs[:, place]
            started = (previous.abs().sum(1, keepdim=True) > 0.0).to(previous.dtype)
            raw = previous - started * at("previous_offset")
            obs = torch.cat([obs[:, : place.start], raw, obs[:, place.stop :]], 1)
        actions = self.actor(obs)
        if self.has_offset:
            actions = actions + at("offset")
        return (actions, *(at(name) for name in self.output_names[1:]))


def export_policy(
    path: str | os.PathLike[str],
    actor: nn.Module,
    motions: MotionClip | MotionLibrary,
    metadata: PolicyContract,
) -> None:
    """Write a policy file, after comparing it with torch; an older file stays if anything fails.

    Args:
        path: the ONNX file.
        actor: obs [N, n] → raw action [N, 29], normalisation inside; it is not changed.
        motions: the clip or clips, one frame per control step.
        metadata: about the policy; what it says of the clips is taken from ``motions``.

    Raises:
        G1MimicError: if the parts do not fit, the file disagrees with torch or cannot be written.
    """
    path, clips = Path(path), MotionLibrary.of(motions).clips
    if metadata.joint_names != JOINT_NAMES:
        raise BadValue("a policy is exported with its joints in JOINT_NAMES order")
    if metadata.needs_torque and any(clip.joint_torque is None for clip in clips):
        raise BadValue("the torques of the clips are not known: use export_tracking_policy")
    metadata = _with_clips(metadata, clips)
    graph = PolicyGraph(copy.deepcopy(actor).cpu(), clips, metadata).eval()
    width = observation_size(metadata.observation_names)
    with atomic_write(path) as temporary:
        _write_graph(graph, width, temporary)
        model = onnx.load(temporary)
        onnx.helper.set_model_props(model, write_metadata(metadata))
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, temporary)
        OnnxPolicy.load(temporary)
        _compare(graph, width, metadata.num_frames, temporary)


def _with_clips(metadata: PolicyContract, clips: Sequence[MotionClip]) -> PolicyContract:
    """Return ``metadata`` with what is to be said of ``clips``."""
    lengths = tuple(clip.num_frames for clip in clips)
    metadata = replace(
        metadata,
        num_frames=sum(lengths),
        motion_name=",".join(clip.name for clip in clips),
        motion_looped=len(clips) == 1 and clips[0].looped,
        action_base=metadata.action_base or "default",
        format_version=1,
    )
    if len(clips) == 1:
        return metadata
    return replace(
        metadata,
        clip_names=tuple(clip.name for clip in clips),
        clip_first_frames=tuple(int(n) for n in np.cumsum((0, *lengths[:-1]))),
        clip_lengths=lengths,
        clip_looped=tuple(clip.looped for clip in clips),
        format_version=FORMAT_VERSION,
    )


def export_tracking_policy(
    path: str | os.PathLike[str],
    actor: nn.Module,
    *,
    motions: MotionClip | MotionLibrary,
    profile: RobotProfile,
    env_config: EnvConfig,
    run: str = "",
) -> None:
    """Write the policy file of an actor trained in `TrackingEnv`.

    Args:
        path: the ONNX file.
        actor: the actor.
        motions: the clip or clips that it tracks.
        profile: the robot it was trained for.
        env_config: the environment's settings.
        run: name of the training run, kept in the file.

    Raises:
        G1MimicError: as `export_policy`.
    """
    terms = env_config.policy_observation
    metadata = PolicyContract(
        joint_names=profile.joint_names,
        joint_stiffness=tuple(profile.stiffness.tolist()),
        joint_damping=tuple(profile.damping.tolist()),
        default_joint_pos=tuple(profile.default_position.tolist()),
        action_scale=tuple(profile.action_scale.tolist()),
        observation_names=terms,
        observation_history_lengths=(1,) * len(terms),
        anchor_body_name=ANCHOR_BODY_NAME,
        body_names=TRACKED_BODY_NAMES,
        run_path=run,
        robot_profile=profile.name,
        robot_profile_hash=profile.hash,
        control_rate_hz=CONTROL_RATE,
        torque_limit=tuple(profile.torque_limit.tolist()),
        velocity_limit=tuple(profile.velocity_limit.tolist()),
        action_base=env_config.action_base,
    )
    library = MotionLibrary.of(motions).map(
        lambda clip: with_base_torque(clip, profile, env_config.action_base)
    )
    export_policy(path, actor, library, metadata)


def _write_graph(graph: PolicyGraph, width: int, path: Path) -> None:
    example = (torch.zeros(1, width), torch.zeros(1, 1))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its age, and of constants it folds
            # The tracing exporter: it needs no onnxscript, works the same from torch 2.5 to 2.13,
            # and is over in a tenth of a second, which counts in training.
            torch.onnx.export(
                graph,
                example,
                str(path),
                input_names=["obs", "time_step"],
                output_names=list(graph.output_names),
                opset_version=OPSET,
                dynamo=False,
            )
    except RuntimeError as error:  # e.g. an actor of another width
        raise BadValue(f"the actor does not take {width} observations: {told(error)}") from error


@torch.no_grad()
def _compare(graph: PolicyGraph, width: int, num_frames: int, path: Path) -> None:
    """Raise if the file computes anything else than ``graph``."""
    session = open_session(str(path))
    rng = np.random.default_rng(0)
    frames = np.unique(np.linspace(0, num_frames - 1, CHECKED_FRAMES).astype(int))
    # Beyond both ends too, and (as the third of the list) at the start of an episode.
    for i, frame in enumerate([-1, num_frames + 7, 0, *frames]):
        obs = rng.standard_normal((1, width)).astype(np.float32)
        if i == 2 and graph.previous_action is not None:
            obs[:, graph.previous_action] = 0.0
        time_step = np.full((1, 1), frame, np.float32)
        got = session.run(list(graph.output_names), {"obs": obs, "time_step": time_step})
        expected = graph(torch.from_numpy(obs), torch.from_numpy(time_step))
        for name, a, b in zip(graph.output_names, got, expected, strict=True):
            reference = b.numpy()
            error = np.abs(a - reference) / np.maximum(1.0, np.abs(reference))
            # Not finite in both is no agreement either: such a policy must not be written.
            if not (error <= TOLERANCE).all():
                raise BadState(
                    f"the exported policy differs from torch in '{name}' at frame {frame} by "
                    f"{error.max():.1e}; nothing was written"
                )
