"""What a policy file contains, for people."""

from __future__ import annotations

import math
import os
from typing import Any

from g1_mimic.motion.formats.joints import JOINT_ORDERS
from g1_mimic.policy.contract import OWN, PolicyContract
from g1_mimic.policy.runtime import OnnxPolicy, naming, open_policy

NO_SCALE = "not told: needs action_scale:=NUMBER (rad) or action_scale:=effort"


def policy_info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a person wants to know about a policy file, as plain values.

    Raises:
        G1MimicError: if the file is no policy.
    """
    session, contract = open_policy(path)
    with naming(path):
        policy = OnnxPolicy(session, contract)
    meta = policy.metadata
    orders = {names: f"{order} order" for order, names in JOINT_ORDERS.items()}

    def span(row: tuple[float, ...], unit: str) -> str:
        return f"{min(row):.4g} to {max(row):.4g} {unit}" if row else "not told"

    clips = [
        f"{clip.name} ({clip.first} to {clip.last}{', looped' if clip.looped else ''})"
        for clip in meta.spans(policy.num_frames)
    ]
    return {
        "file": os.fspath(path),
        "family": meta.family,
        "motion": (clips if len(clips) > 1 else meta.motion_name) or "not told",
        "frames": policy.num_frames,
        "duration_s": (policy.num_frames - 1) / meta.control_rate_hz,
        "looped": meta.motion_looped,
        "control_rate_hz": meta.control_rate_hz,
        "observation": ", ".join(_terms(meta)),
        "observation_size": policy.observation_size,
        "joints": orders.get(contract.joint_names, "an order of their own"),
        "anchor_body": meta.anchor_body_name,
        "bodies": len(meta.body_names),
        "robot_profile": meta.robot_profile or "not told",
        "robot_profile_hash": meta.robot_profile_hash or "not told",
        "stiffness": span(meta.joint_stiffness, "N·m/rad"),
        "damping": span(meta.joint_damping, "N·m·s/rad"),
        "action_base": meta.action_base or "not told",
        "action_scale": span(meta.action_scale, "rad") if meta.action_scale else NO_SCALE,
        "torque_limit": span(meta.torque_limit, "N·m"),
        "velocity_limit": span(meta.velocity_limit, "rad/s"),
        "run": meta.run_path or "not told",
        "format_version": meta.format_version if meta.family == OWN else "not told",
    }


def _terms(contract: PolicyContract) -> list[str]:
    """Return each term of the observation with what is done to it."""
    names = contract.observation_names
    scales = contract.observation_scales or ((1.0,),) * len(names)
    clips = contract.observation_clips or ((-math.inf, math.inf),) * len(names)
    lines = []
    for name, length, scale, (low, high) in zip(
        names, contract.history_lengths, scales, clips, strict=True
    ):
        parts = [f"{length} steps"] if length > 1 else []
        if low > -math.inf or high < math.inf:
            parts.append(f"clipped to {low:g} … {high:g}")
        if set(scale) != {1.0}:
            span = {min(scale), max(scale)}
            parts.append("times " + " to ".join(f"{factor:g}" for factor in sorted(span)))
        lines.append(f"{name} ({'; '.join(parts)})" if parts else name)
    return lines
