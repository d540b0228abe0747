"""One reader per family of policy files; each returns a `PolicyContract` or says what is missing.

Families are told apart by names alone: those of outputs and metadata keys, and the order of the
joint names. Nothing is guessed from values.

| family | outputs | metadata |
|---|---|---|
| g1_mimic | actions and six of the motion | BeyondMimic's keys and more, e.g. ``format_version`` |
| BeyondMimic | the same | lists joined by commas, three decimals |
| mjlab | the same | BeyondMimic's keys; MuJoCo's joint order, or keys ``observation_term…`` |
| holosoma | actions, two of the joints, two of the torso | JSON |

Read in the exporters' sources: whole_body_tracking cd65172, mjlab 1.0 to 1.6, holosoma 0.0.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from g1_mimic.errors import G1MimicError
from g1_mimic.policy.action_base import needs_torque
from g1_mimic.policy.contract import OWN, REQUIRED_KEYS, PolicyContract
from g1_mimic.policy.holosoma import HOLOSOMA_KEYS, HOLOSOMA_OUTPUTS, holosoma_props
from g1_mimic.robot.kinematics import PELVIS_CENTER_OF_MASS, PELVIS_IMU
from g1_mimic.robot.names import JOINT_NAMES

if TYPE_CHECKING:
    from g1_mimic.robot.profile import RobotProfile

INPUT_NAMES: tuple[str, ...] = ("obs", "time_step")
"""Inputs of every tracking policy."""

TORQUE_OUTPUT = "joint_torque"
"""Output [1, 29] N·m of files whose actions are added to what computed torque control says."""

OUTPUT_NAMES: tuple[str, ...] = (
    "actions",
    "joint_pos",
    "joint_vel",
    "body_pos_w",
    "body_quat_w",
    "body_lin_vel_w",
    "body_ang_vel_w",
)
"""Outputs of a policy file, in order (BeyondMimic's exporter)."""


def output_names(contract: PolicyContract) -> tuple[str, ...]:
    """Return the outputs of a file of this package, in order."""
    return (*OUTPUT_NAMES, TORQUE_OUTPUT) if needs_torque(contract) else OUTPUT_NAMES


Read = Callable[[Mapping[str, str], "RobotProfile | None"], PolicyContract]


@dataclass(frozen=True)
class Family:
    """What every file of a family has, and how its metadata are read."""

    name: str
    outputs: tuple[str, ...]
    keys: tuple[str, ...]
    read: Read

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
    names = {"input": inputs, "output": outputs, "metadata": props.keys()}
    nearest = max(FAMILIES, key=lambda family: family.share(names))
    if missing := nearest.missing(names):
        lacking = "; ".join(f"{kind} {_listed(absent)}" for kind, absent in missing.items())
        raise G1MimicError(f"is of no known family; nearest is {nearest.name}, it lacks {lacking}")
    try:
        contract = nearest.read(props, profile)
        if needs_torque(contract) and TORQUE_OUTPUT not in outputs:
            raise G1MimicError(f"it lacks the output '{TORQUE_OUTPUT}' of its action_base")
        return contract
    except G1MimicError as error:
        detail = " ".join(str(error).split())  # which quotes the file
        raise G1MimicError(f"(read as {nearest.name}) {detail}") from None
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        detail = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise G1MimicError(f"(read as {nearest.name}) malformed metadata: {detail}") from error


def default_profile() -> RobotProfile:
    """Return the G1 as it is built."""
    from g1_mimic.robot.profile import load_profile  # YAML, which other policies need not

    return load_profile()


def _listed(names: list[str], limit: int = 4) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(f"'{name}'" for name in names[:limit]) + more


def _read_own(props: Mapping[str, str], profile: RobotProfile | None) -> PolicyContract:
    return PolicyContract.from_onnx_props(props)


def _read_beyondmimic(props: Mapping[str, str], profile: RobotProfile | None) -> PolicyContract:
    """Read BeyondMimic's keys.

    Isaac Lab's ``root_lin_vel_b``, which the term ``base_lin_vel`` is made of, is the velocity of
    the centre of mass.
    """
    return PolicyContract.from_onnx_props(
        props, family="BeyondMimic", base_lin_vel_point=PELVIS_CENTER_OF_MASS
    )


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
            raise G1MimicError(
                "metadata 'observation_terms_flatten_history_dim' keeps a history unflattened, "
                "which no vector of observations can hold"
            )
    others: dict[str, Any] = {"observation_scales": _groups(props, "observation_terms_scale")}
    # The second key, with the bounds of a term in brackets, is that of builds before 1.6.
    for key in ("observation_terms_clip", "observation_term_clip"):
        clips = _groups(props, key)
        if any(len(bounds) != 2 for bounds in clips):
            raise G1MimicError(f"metadata '{key}' has the bad value '{props[key][:60]}'")
        others["observation_clips"] = clips or others.get("observation_clips", ())
    return PolicyContract.from_onnx_props(
        props, family="mjlab", base_lin_vel_point=PELVIS_IMU, **others
    )


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
        raise G1MimicError(f"metadata '{key}' has the bad value '{props[key][:60]}'") from None
    return groups


def _read_either(props: Mapping[str, str], profile: RobotProfile | None) -> PolicyContract:
    """Read a file of the keys that both exporters write.

    Isaac Lab orders joints breadth first, MuJoCo depth first.
    """
    marked = any(key.startswith("observation_term") for key in props)
    ours = tuple(name.strip() for name in props["joint_names"].split(",")) == JOINT_NAMES
    read = _read_mjlab if marked or ours else _read_beyondmimic
    return read(props, profile)


def _read_holosoma(props: Mapping[str, str], profile: RobotProfile | None) -> PolicyContract:
    """Read holosoma's JSON; where it names no default pose, the robot's is taken, as there."""
    position = (profile or default_profile()).default_position
    pose = dict(zip(JOINT_NAMES, position.tolist(), strict=True))
    texts, others = holosoma_props(props, pose)
    return PolicyContract.from_onnx_props(texts, family="holosoma", **others)


FAMILIES = (
    Family(OWN, OUTPUT_NAMES, (*REQUIRED_KEYS, "format_version"), _read_own),
    Family("BeyondMimic or mjlab", OUTPUT_NAMES, REQUIRED_KEYS, _read_either),
    Family("holosoma", HOLOSOMA_OUTPUTS, HOLOSOMA_KEYS, _read_holosoma),
)
"""Families of files; of two that fit, the first."""
