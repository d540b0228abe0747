"""What the metadata of holosoma's whole-body tracking policies say, in BeyondMimic's keys.

Values are JSON. Files with an ``experiment_config`` tell everything but the action scale, those
without leave observation and default pose to holosoma's own configuration of the robot.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from g1_mimic.errors import BadValue, G1MimicError
from g1_mimic.robot.names import ANCHOR_BODY_NAME, NUM_JOINTS

HOLOSOMA_OUTPUTS: dict[str, tuple[int | str, ...]] = {
    "actions": (NUM_JOINTS,),
    "joint_pos": (NUM_JOINTS,),
    "joint_vel": (NUM_JOINTS,),
    "ref_pos_xyz": (3,),
    "ref_quat_xyzw": (4,),
}
"""Outputs of holosoma's tracking policies, each with its shape: of the bodies only the torso."""

HOLOSOMA_KEYS: tuple[str, ...] = ("dof_names", "kp", "kd")
"""Metadata of every file of holosoma."""

_TERMS = {
    "actions": "actions",
    "base_ang_vel": "base_ang_vel",
    "base_lin_vel": "base_lin_vel",
    "dof_pos": "joint_pos",
    "dof_vel": "joint_vel",
    "motion_command": "command",
    "motion_ref_ori_b": "motion_anchor_ori_b",
    "motion_ref_pos_b": "motion_anchor_pos_b",
    "projected_gravity": "projected_gravity",
}
"""Our names of holosoma's terms."""

_STANDARD_TERMS: dict[str, dict[str, Any]] = {
    name: {}
    for name in (
        "motion_command",
        "motion_ref_ori_b",
        "base_ang_vel",
        "dof_pos",
        "dof_vel",
        "actions",
    )
}
"""What holosoma's deployment feeds a tracking policy."""


def holosoma_frames(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the motion [T, …] as other files have it; the torso's velocities are NaN."""
    position = values["ref_pos_xyz"][:, None]
    unknown = np.full_like(position, np.nan)
    return {
        "joint_pos": values["joint_pos"],
        "joint_vel": values["joint_vel"],
        "body_pos_w": position,
        "body_quat_w": np.roll(values["ref_quat_xyzw"], 1, axis=1)[:, None],
        "body_lin_vel_w": unknown,
        "body_ang_vel_w": unknown,
    }


def holosoma_props(
    props: Mapping[str, str], default_pose: Mapping[str, float]
) -> tuple[dict[str, str], dict[str, Any]]:
    """Return metadata in BeyondMimic's keys, and fields of `PolicyContract` that have no key.

    Args:
        props: the file's ``metadata_props``.
        default_pose: angle by joint (rad), for files that do not tell.

    Raises:
        G1MimicError: if a value cannot be read.
    """
    names = _list(props, "dof_names")
    config = _json(props, "experiment_config") if "experiment_config" in props else {}
    pose = _find(config, "robot", "init_state", "default_joint_angles") or default_pose
    if missing := [name for name in names if name not in pose]:
        raise BadValue(f"metadata 'dof_names' has the unknown '{missing[0]}'")
    texts = {
        "joint_names": _text(names),
        "joint_stiffness": _text(_list(props, "kp")),
        "joint_damping": _text(_list(props, "kd")),
        "default_joint_pos": _text([pose[name] for name in names]),
        "anchor_body_name": ANCHOR_BODY_NAME,
        "body_names": ANCHOR_BODY_NAME,
        "run_path": str(_json(props, "wandb_run_path")) if "wandb_run_path" in props else "",
    }
    if "action_scale" in props:
        texts["action_scale"] = _text(_list(props, "action_scale"))
    group = _find(config, "observation", "groups", "actor_obs") or {"terms": _STANDARD_TERMS}
    try:
        return texts, {**_observation(texts, group), "action_scale_hint": _hint(config)}
    except G1MimicError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError):
        raise BadValue(
            "metadata 'experiment_config' describes the observation in a form that is not known"
        ) from None


def _observation(texts: dict[str, str], group: Mapping[str, Any]) -> dict[str, Any]:
    """Add the observation to ``texts``; return what of it has no key.

    holosoma sorts the terms by their names, scales before it clips, and begins a history with
    zeros.
    """
    terms = dict(sorted(group["terms"].items()))
    if unknown := [name for name in terms if name not in _TERMS]:
        raise BadValue(f"observation term '{unknown[0]}' is not known; known: {list(_TERMS)}")
    history = int(group.get("history_length") or 1)
    texts["observation_names"] = _text([_TERMS[name] for name in terms])
    texts["observation_history_lengths"] = _text([history] * len(terms))
    scales, clips = [], []
    for term in terms.values():
        scale = term.get("scale", 1.0)
        scales.append(tuple(map(float, scale)) if isinstance(scale, list) else (float(scale),))
        clip = term.get("clip")
        if clip is not None and (len(scales[-1]) > 1 or scales[-1][0] <= 0.0):
            raise BadValue("an observation term is clipped after scaling entry by entry")
        bounds = (float("-inf"), float("inf")) if clip is None else clip
        clips.append((bounds[0] / scales[-1][0], bounds[1] / scales[-1][0]))
    return {
        "observation_scales": tuple(scales),
        "observation_clips": tuple(clips),
        "history_start": "zeros",
    }


def _hint(config: Any) -> str:
    """Say what the training configuration holds about the action scale; it is not acted upon."""
    control = _find(config, "robot", "control") or {}
    scale, by_effort = (
        control.get(key) for key in ("action_scale", "action_scales_by_effort_limit_over_p_gain")
    )
    if not isinstance(scale, int | float) or not isinstance(by_effort, bool):
        return ""
    if not by_effort:
        return f"its experiment_config has action_scale:={scale}"
    return "its experiment_config has action_scale:=effort" if scale == 0.25 else ""


def _json(props: Mapping[str, str], key: str) -> Any:
    try:
        return json.loads(props[key])
    except ValueError:
        raise BadValue(f"metadata '{key}' is not JSON: '{props[key][:60]}'") from None


def _list(props: Mapping[str, str], key: str) -> list[Any]:
    """Read a list; an action scale may also be one number, or numbers joined by commas."""
    text = props[key]
    value = text.split(",") if key == "action_scale" and text[:1] not in '["' else _json(props, key)
    if isinstance(value, str):
        value = value.split(",")
    return value if isinstance(value, list) else [value]


def _text(items: list[Any]) -> str:
    return ",".join(str(item) for item in items)


def _find(config: Any, *path: str) -> Any:
    """Return what lies at ``path``, or None."""
    for key in path:
        config = config.get(key) if isinstance(config, dict) else None
    return config
