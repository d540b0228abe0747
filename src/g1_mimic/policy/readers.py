"""One entry per family of policy files: how they are told apart, and how each is read.

Families are told apart by names alone: those of outputs and metadata keys, and the order of the
joint names. Nothing is guessed from values. Adding a family is an entry in `FAMILIES`.

Read in the exporters' sources: whole_body_tracking cd65172, mjlab 1.0 to 1.6, holosoma 0.0.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from g1_mimic.errors import BadValue, G1MimicError
from g1_mimic.policy.contract import OWN, REQUIRED_KEYS, PolicyContract
from g1_mimic.policy.holosoma import (
    HOLOSOMA_KEYS,
    HOLOSOMA_OUTPUTS,
    holosoma_frames,
    holosoma_props,
)
from g1_mimic.policy.metadata import read_metadata
from g1_mimic.robot.kinematics import PELVIS_CENTER_OF_MASS, PELVIS_IMU
from g1_mimic.robot.names import JOINT_NAMES, NUM_JOINTS

if TYPE_CHECKING:
    from g1_mimic.robot.profile import RobotProfile

INPUT_NAMES: tuple[str, ...] = ("obs", "time_step")
"""Inputs of every tracking policy."""

TORQUE_OUTPUT = "joint_torque"
"""Output [1, 29] N·m of files whose actions are added to what computed torque control says."""

BODIES = "bodies"
"""In the shape of an output: as many as the file has bodies."""

OUTPUTS: dict[str, tuple[int | str, ...]] = {
    "actions": (NUM_JOINTS,),
    "joint_pos": (NUM_JOINTS,),
    "joint_vel": (NUM_JOINTS,),
    "body_pos_w": (BODIES, 3),
    "body_quat_w": (BODIES, 4),
    "body_lin_vel_w": (BODIES, 3),
    "body_ang_vel_w": (BODIES, 3),
}
"""Outputs of BeyondMimic's exporter, in order, each with its shape (behind an axis of length 1)."""

Frame = Mapping[str, np.ndarray]
"""Outputs of a file, by name."""


@dataclass(frozen=True)
class Family:
    """What every file of a family has, and how it is read."""

    name: str
    keys: tuple[str, ...]
    """Metadata that every file has."""
    read: Callable[[Mapping[str, str], RobotProfile | None], PolicyContract]
    """Reads the metadata; the profile is for what a family leaves to the robot."""
    about: str
    """What is particular about it, for people."""
    outputs: Mapping[str, tuple[int | str, ...]] = field(default_factory=OUTPUTS.copy)
    """The first one are the actions, the others a frame of the motion."""
    frames: Callable[[Frame], dict[str, np.ndarray]] = dict
    """Brings those others, each [T, …], under the names of `OUTPUTS`."""
    fits: Callable[[Mapping[str, str]], bool] = lambda props: True
    """Whether the metadata of a file that has all names are of this family and not another one."""

    def outputs_of(self, contract: PolicyContract) -> dict[str, tuple[int | str, ...]]:
        """Return the outputs of a file, in order, each with its shape."""
        torque = {TORQUE_OUTPUT: (NUM_JOINTS,)} if contract.needs_torque else {}
        return {**self.outputs, **torque}

    def missing(self, names: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
        """Return what a file with these inputs, outputs and metadata keys lacks, by kind."""
        wanted = {"input": INPUT_NAMES, "output": self.outputs, "metadata": self.keys}
        return {
            kind: lacking
            for kind, wanted_names in wanted.items()
            if (lacking := [name for name in wanted_names if name not in names[kind]])
        }

    def share(self, names: Mapping[str, Collection[str]]) -> float:
        """Return the share of this family's names that a file has."""
        lacking = sum(map(len, self.missing(names).values()))
        return 1.0 - lacking / (len(INPUT_NAMES) + len(self.outputs) + len(self.keys))


class FamilyRow(NamedTuple):
    """One family, as people read of it."""

    name: str
    outputs: tuple[str, ...]
    metadata: tuple[str, ...]
    """Keys that every file has."""
    about: str


def families_table() -> list[FamilyRow]:
    """Return a row for each family."""
    return [FamilyRow(f.name, tuple(f.outputs), f.keys, f.about) for f in FAMILIES]


def family_of(contract: PolicyContract) -> Family:
    """Return the family of a contract that `read_contract` has made."""
    return next(family for family in FAMILIES if family.name == contract.family)


def output_names(contract: PolicyContract) -> tuple[str, ...]:
    """Return the outputs of a file, in order."""
    return tuple(family_of(contract).outputs_of(contract))


def read_contract(
    inputs: Collection[str],
    outputs: Collection[str],
    props: Mapping[str, str],
    profile: RobotProfile | None,
) -> PolicyContract:
    """Return the contract of a policy file; its ``action_scale`` is empty if the file has none.

    Args:
        inputs: names of the network's inputs.
        outputs: names of the network's outputs.
        props: the file's ``metadata_props``.
        profile: the robot, whose default pose is taken where a family leaves it to the robot;
            None is the G1 as it is built.

    Raises:
        G1MimicError: if the file is of no known family, or its reader cannot make sense of it.
    """
    family = _find_family({"input": inputs, "output": outputs, "metadata": props.keys()}, props)
    try:
        contract = replace(family.read(props, profile), family=family.name)
        if contract.needs_torque and TORQUE_OUTPUT not in outputs:
            raise BadValue(f"it lacks the output '{TORQUE_OUTPUT}' of its action_base")
        return contract
    except G1MimicError as error:
        detail = " ".join(str(error).split())  # which quotes the file
        raise BadValue(f"(read as {family.name}) {detail}") from None
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        detail = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise BadValue(f"(read as {family.name}) malformed metadata: {detail}") from error


def _find_family(names: Mapping[str, Collection[str]], props: Mapping[str, str]) -> Family:
    """Return the family of a file with these names; of several that fit, the first.

    Raises:
        G1MimicError: if there is none; names those that come nearest, and all that are known.
    """
    whole = [family for family in FAMILIES if not family.missing(names)]
    if found := next((family for family in whole if family.fits(props)), None):
        return found
    share = max(family.share(names) for family in FAMILIES)
    nearest = [family for family in FAMILIES if family.share(names) == share]
    missing = nearest[0].missing(names).items()
    lacking = "; ".join(f"{kind} {_listed(absent)}" for kind, absent in missing)
    raise BadValue(
        f"is of no known family ({', '.join(family.name for family in FAMILIES)}); nearest is "
        f"{' or '.join(family.name for family in nearest)}, it lacks {lacking}"
    )


def default_profile() -> RobotProfile:
    """Return the G1 as it is built."""
    from g1_mimic.robot.profile import load_profile  # YAML, which other policies need not

    return load_profile()


def _listed(names: list[str], limit: int = 4) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(f"'{name}'" for name in names[:limit]) + more


def _read_own(props: Mapping[str, str], profile: RobotProfile | None) -> PolicyContract:
    return read_metadata(props)


def _read_beyondmimic(props: Mapping[str, str], profile: RobotProfile | None) -> PolicyContract:
    """Read BeyondMimic's keys.

    Isaac Lab's ``root_lin_vel_b``, which the term ``base_lin_vel`` is made of, is the velocity of
    the centre of mass.
    """
    return read_metadata(props, base_lin_vel_point=PELVIS_CENTER_OF_MASS)


def _read_mjlab(props: Mapping[str, str], profile: RobotProfile | None) -> PolicyContract:
    """Read BeyondMimic's keys, and those about terms that mjlab 1.6 adds.

    The velocity in ``base_lin_vel`` is that of a sensor at the pelvis' IMU.
    """
    props = dict(props)
    lengths = props.get("observation_terms_history_length")
    if lengths is not None:
        props["observation_history_lengths"] = lengths
        flat = _groups(props, "observation_terms_flatten_history_dim")
        lengths_flat = zip(_groups(props, "observation_terms_history_length"), flat, strict=False)
        if any(length > (1.0,) and flattened == (0.0,) for length, flattened in lengths_flat):
            raise BadValue(
                "metadata 'observation_terms_flatten_history_dim' keeps a history unflattened, "
                "which no vector of observations can hold"
            )
    others: dict[str, Any] = {"observation_scales": _groups(props, "observation_terms_scale")}
    # The second key, with the bounds of a term in brackets, is that of builds before 1.6.
    for key in ("observation_terms_clip", "observation_term_clip"):
        clips = _groups(props, key)
        if any(len(bounds) != 2 for bounds in clips):
            raise BadValue(f"metadata '{key}' has the bad value '{props[key][:60]}'")
        others["observation_clips"] = clips or others.get("observation_clips", ())
    return read_metadata(props, base_lin_vel_point=PELVIS_IMU, **others)


def _groups(props: Mapping[str, str], key: str) -> tuple[tuple[float, ...], ...]:
    """Read numbers, or groups of numbers: ``1.0,0.5;0.25`` or ``1.0,[0.5, 0.25]``."""
    items = re.findall(r"\[[^\[\]]*\]|[^,\[\]]+", props.get(key, ""))
    try:
        groups = tuple(
            tuple(float(number) for number in re.split("[;,]", item.strip(" []")))
            for item in items
            if item.strip()
        )
    except ValueError:
        raise BadValue(f"metadata '{key}' has the bad value '{props[key][:60]}'") from None
    return groups


def _is_mjlab(props: Mapping[str, str]) -> bool:
    """Tell a file of mjlab from one of BeyondMimic, which has the same names.

    It tells of its terms (from 1.6 on), or has MuJoCo's joint order, depth first; Isaac Lab orders
    joints breadth first.
    """
    if any(key.startswith("observation_term") for key in props):
        return True
    return tuple(name.strip() for name in props["joint_names"].split(",")) == JOINT_NAMES


def _read_holosoma(props: Mapping[str, str], profile: RobotProfile | None) -> PolicyContract:
    """Read holosoma's JSON; where it names no default pose, the robot's is taken, as there."""
    position = (profile or default_profile()).default_position
    pose = dict(zip(JOINT_NAMES, position.tolist(), strict=True))
    texts, others = holosoma_props(props, pose)
    return read_metadata(texts, **others)


FAMILIES: tuple[Family, ...] = (
    Family(
        OWN,
        (*REQUIRED_KEYS, "format_version"),
        _read_own,
        "BeyondMimic's keys and more, in full precision",
    ),
    Family(
        "BeyondMimic",
        REQUIRED_KEYS,
        _read_beyondmimic,
        "lists joined by commas, three decimals; Isaac Lab's joint order",
        fits=lambda props: not _is_mjlab(props),
    ),
    Family(
        "mjlab",
        REQUIRED_KEYS,
        _read_mjlab,
        "BeyondMimic's keys; MuJoCo's joint order, or keys observation_term…",
        fits=_is_mjlab,
    ),
    Family(
        "holosoma",
        HOLOSOMA_KEYS,
        _read_holosoma,
        "JSON; of the bodies only the torso",
        HOLOSOMA_OUTPUTS,
        holosoma_frames,
    ),
)
"""The families of files; of several that fit, the first."""
