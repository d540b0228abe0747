"""Reading the metadata of policy files that mjlab and holosoma write, in BeyondMimic's keys."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence

from g1_mimic.errors import G1MimicError
from g1_mimic.robot.names import ANCHOR_BODY_NAME, JOINT_NAMES

HOLOSOMA_OUTPUTS: tuple[str, ...] = (
    "actions",
    "joint_pos",
    "joint_vel",
    "ref_pos_xyz",
    "ref_quat_xyzw",
)
"""Outputs of holosoma's whole-body tracking policies: of the bodies only the torso, x y z w."""

# holosoma concatenates its terms in alphabetical order of its own names, which the file does not
# hold: actions, base_ang_vel, dof_pos, dof_vel, motion_command, motion_ref_ori_b.
_HOLOSOMA_TERMS = "actions,base_ang_vel,joint_pos,joint_vel,command,motion_anchor_ori_b"
_HOLOSOMA_KEYS = {"dof_names": "joint_names", "kp": "joint_stiffness", "kd": "joint_damping"}


def is_holosoma(outputs: Collection[str]) -> bool:
    """Return whether a network with these outputs is one of holosoma's tracking policies."""
    return set(HOLOSOMA_OUTPUTS) <= set(outputs)


def beyondmimic_props(
    props: Mapping[str, str], outputs: Collection[str], supplement: Mapping[str, Sequence[float]]
) -> dict[str, str]:
    """Return metadata in BeyondMimic's keys.

    Args:
        props: the file's ``metadata_props``.
        outputs: names of the network's outputs.
        supplement: joint fields in ``JOINT_NAMES`` order, taken where the file has none.

    Raises:
        G1MimicError: if a value cannot be read or asks for something that is not supported.
    """
    result = _from_holosoma(props) if is_holosoma(outputs) else _from_mjlab(props)
    names = result.get("joint_names", "").split(",")
    for key, row in supplement.items():
        if key not in result and set(names) == set(JOINT_NAMES):
            numbers = (float(row[JOINT_NAMES.index(name)]) for name in names)
            result[key] = ",".join(repr(number) for number in numbers)
    return result


def _from_mjlab(props: Mapping[str, str]) -> dict[str, str]:
    """Take mjlab's history key; refuse scaled or clipped terms, which would be fed wrongly."""
    result = dict(props)
    history = props.get("observation_terms_history_length")
    if history is not None:
        result.setdefault("observation_history_lengths", history)
    for key, neutral in (
        ("observation_terms_scale", lambda number: number == 1.0),
        ("observation_terms_clip", math.isinf),
        ("observation_term_clip", math.isinf),  # earlier versions
    ):
        numbers = re.findall(r"[-+]?(?:inf|\d[\d.eE+-]*)", props.get(key, ""))
        if not all(neutral(float(number)) for number in numbers):
            raise G1MimicError(
                f"metadata '{key}' scales or clips observation terms, which is not supported: "
                f"{props[key][:60]}"
            )
    return result


def _from_holosoma(props: Mapping[str, str]) -> dict[str, str]:
    """Translate holosoma's JSON values."""
    result = {
        "observation_names": _HOLOSOMA_TERMS,
        "anchor_body_name": ANCHOR_BODY_NAME,
        "body_names": ANCHOR_BODY_NAME,
    }
    for key in (*_HOLOSOMA_KEYS, "action_scale"):
        if key not in props:
            continue
        try:
            value = json.loads(props[key])
        except ValueError:
            value = props[key]  # an action scale may be a comma list
        items = value if isinstance(value, list) else [value]
        result[_HOLOSOMA_KEYS.get(key, key)] = ",".join(str(item) for item in items)
    return result
