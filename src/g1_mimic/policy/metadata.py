"""A contract as the texts of an ONNX file's ``metadata_props``, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.policy.contract import OWN, REQUIRED_KEYS, PolicyContract


def write_metadata(contract: PolicyContract) -> dict[str, str]:
    """Return the ``metadata_props`` of a file of ours.

    Raises:
        G1MimicError: if the contract is not that of a file of ours.
    """
    if contract.family != OWN:
        raise BadValue(f"a policy of {contract.family} is not written again")
    complete = replace(contract, observation_history_lengths=contract.history_lengths)
    return {key: _write(getattr(complete, key)) for key in _READERS}


def read_metadata(props: Mapping[str, str], **others: Any) -> PolicyContract:
    """Read ``metadata_props``; unknown keys are ignored.

    Args:
        props: keys and texts.
        others: fields that are not written, taken as they are.

    Raises:
        G1MimicError: if a key is missing or a value makes no sense; the message begins with the
            key and does not name the file.
    """
    values: dict[str, Any] = {}
    for key, read in _READERS.items():
        text = props.get(key)
        if text is None or (text == "" and key in REQUIRED_KEYS):
            if key in REQUIRED_KEYS:
                raise BadValue(f"metadata '{key}' is missing; export the policy anew")
            continue
        try:
            values[key] = read(text)
        except ValueError:
            raise BadValue(f"metadata '{key}' has the bad value '{text[:60]}'") from None
    if "format_version" not in values:  # of another exporter: none of them folds
        values.setdefault("action_base", "default")
    # mjlab writes one number if all joints have the same scale.
    scale = values.setdefault("action_scale", ())
    if len(scale) == 1:
        values["action_scale"] = scale * len(values["joint_names"])
    contract = PolicyContract(**values, **others)
    contract.check()
    return contract


def _write(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(_write(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        # As "%.3f" where that is exact, else with the digits that the number needs.
        return np.format_float_positional(value, trim="k", min_digits=3)
    return str(value)


def _names(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",")) if text.strip() else ()


def _floats(text: str) -> tuple[float, ...]:
    return tuple(float(item) for item in _names(text))


def _int(text: str) -> int:
    number = float(text)  # other exporters write integers as 1.000
    if not number.is_integer():
        raise ValueError(text)
    return int(number)


def _ints(text: str) -> tuple[int, ...]:
    return tuple(_int(item) for item in _names(text))


def _bools(text: str) -> tuple[bool, ...]:
    return tuple(_bool(item) for item in _names(text))


def _bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


_READERS: dict[str, Callable[[str], Any]] = {
    "joint_names": _names,
    "joint_stiffness": _floats,
    "joint_damping": _floats,
    "default_joint_pos": _floats,
    "action_scale": _floats,
    "observation_names": _names,
    "anchor_body_name": str,
    "body_names": _names,
    "observation_history_lengths": _ints,
    "command_names": _names,
    "run_path": str,
    "robot_profile": str,
    "robot_profile_hash": str,
    "control_rate_hz": float,
    "torque_limit": _floats,
    "velocity_limit": _floats,
    "motion_name": str,
    "motion_looped": _bool,
    "num_frames": _int,
    "clip_names": _names,
    "clip_first_frames": _ints,
    "clip_lengths": _ints,
    "clip_looped": _bools,
    "action_base": str,
    "format_version": _int,
}
