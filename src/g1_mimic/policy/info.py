"""What a policy file contains, for people."""

from __future__ import annotations

import os
from typing import Any

from g1_mimic.policy.runtime import OnnxPolicy


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
