"""Exported policies in the training environment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from g1_mimic.envs.config import EnvConfig
from g1_mimic.envs.observations import term_slices
from g1_mimic.envs.reference import Reference
from g1_mimic.envs.tracking_env import TrackingEnv
from g1_mimic.errors import BadValue
from g1_mimic.evaluation.episodes import Act
from g1_mimic.motion.clip import lap_and_frame
from g1_mimic.motion.kinematics import complete_clip
from g1_mimic.motion.library import MotionLibrary
from g1_mimic.policy.action_base import rest_actions
from g1_mimic.policy.batch import PolicyBatch
from g1_mimic.policy.contract import OWN
from g1_mimic.policy.load import trained_profile
from g1_mimic.policy.observation_layout import ObservationHistory
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.kinematics import pelvis_pose
from g1_mimic.robot.names import ANCHOR_BODY_NAME, BODY_NAMES, WAIST_INDICES


def motions_of_policy(policy: OnnxPolicy) -> MotionLibrary:
    """Return the clips that an exported policy carries, with equal shares."""
    meta = policy.metadata
    root = BODY_NAMES[0] if BODY_NAMES[0] in meta.body_names else meta.anchor_body_name
    body = meta.body_names.index(root)
    clips = []
    for span in meta.spans(policy.num_frames):
        own = policy.motion[span.first : span.last + 1]
        pos, quat = own.body_pos_w[:, body], own.body_quat_w[:, body]
        if root == ANCHOR_BODY_NAME:  # holosoma's files know no other body
            pos, quat = pelvis_pose(pos, quat, own.joint_pos[:, list(WAIST_INDICES)])
        name, rate = span.name or "motion", meta.control_rate_hz
        clip = complete_clip(name, rate, pos, quat, own.joint_pos, span.looped)
        clips.append(replace(clip, joint_torque=own.joint_torque))
    return MotionLibrary.weighted(clips, [1.0] * len(clips))


def make_policy_env(
    policy: OnnxPolicy,
    robot: str,
    num_envs: int,
    config: dict[str, Any],
    armature: float | None = None,
) -> TrackingEnv:
    """Return an environment in which ``policy`` can act.

    Args:
        policy: the policy.
        robot: profile (name or path); empty: the policy's.
        num_envs: number of robots.
        config: keys of `EnvConfig`.
        armature: of every joint, kg·m²; None is the profile's.
    """
    env_config = EnvConfig(
        policy_observation=tuple(policy.metadata.observation_names),
        action_base="default",  # from the outside every exported policy is
        **config,
    )
    profile = trained_profile(policy, robot)
    if armature is not None:
        profile = replace(profile, armature=np.full_like(profile.armature, armature))
    motions = motions_of_policy(policy)
    env = TrackingEnv(motions, profile, env_config, num_envs)
    rest = []
    for clip, unrolled in zip(motions.clips, env.reference.spans, strict=True):
        own = rest_actions(
            policy.metadata, clip.joint_pos, clip.joint_vel, clip.joint_torque, clip.looped
        )
        steps = np.arange(unrolled.length)
        rest.append(own[lap_and_frame(steps, clip.num_frames, clip.looped)[1]])
    env.rest_action = np.concatenate(rest)
    return env


def batched_act(policy: OnnxPolicy, reference: Reference) -> Act:
    """Return ``policy`` as a function of observations [N, n] and frames of ``reference`` [N].

    It is for one episode of each robot: a policy that observes histories remembers them.

    Raises:
        G1MimicError: if the policy observes a velocity that its other observations do not tell.
    """
    meta = policy.metadata
    parts = term_slices(meta.observation_names)
    shifted = "base_lin_vel" in parts and any(meta.base_lin_vel_point)
    if shifted and "base_ang_vel" not in parts:
        raise BadValue(
            f"the policy of {meta.family} observes base_lin_vel without base_ang_vel: it runs in "
            "deploy_sim only"
        )
    histories: list[ObservationHistory] = []
    spans = zip(meta.spans(policy.num_frames), reference.spans, strict=True)
    time_step = np.concatenate([own.frame(np.arange(unrolled.length)) for own, unrolled in spans])

    # The environment recomputes velocities; a trainer of others had those in the file.
    command = np.concatenate([policy.motion.joint_pos, policy.motion.joint_vel], axis=1)
    given = meta.family != OWN and "command" in parts
    batch = PolicyBatch(policy)

    def act(obs: np.ndarray, frames: np.ndarray) -> np.ndarray:
        obs, times = obs.copy(), time_step[frames]
        if given:
            obs[:, parts["command"]] = command[times]
        if shifted:
            turning = obs[:, parts["base_ang_vel"]]
            obs[:, parts["base_lin_vel"]] += np.cross(turning, meta.base_lin_vel_point)
        if max(meta.history_lengths, default=1) > 1:
            if not histories:
                histories.extend(ObservationHistory(meta) for _ in obs)
            rows = zip(histories, obs, strict=True)
            obs = np.stack([history.push(row) for history, row in rows])
        return batch.act(obs, times)

    return act
