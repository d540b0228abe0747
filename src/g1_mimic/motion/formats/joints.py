"""Joint and body orders of the world outside, brought into this package's order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.robot.names import BODY_NAMES, JOINT_NAMES

# Isaac Lab numbers joints breadth first, left before right; entry i is the index in JOINT_NAMES.
_ISAAC_TO_MJCF = (
    0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 22, 4, 10, 16, 23, 5, 11, 17, 24, 18, 25, 19, 26, 20,
    27, 21, 28,
)  # fmt: skip

ISAAC_JOINT_NAMES: tuple[str, ...] = tuple(JOINT_NAMES[i] for i in _ISAAC_TO_MJCF)
"""The 29 joints as Isaac Lab (BeyondMimic, unitree_rl_lab, SONIC) orders them."""

# Every body but the pelvis hangs on one joint, so the bodies follow the joints.
ISAAC_BODY_NAMES: tuple[str, ...] = (BODY_NAMES[0], *(BODY_NAMES[i + 1] for i in _ISAAC_TO_MJCF))
"""The 30 bodies as Isaac Lab orders them."""

JOINT_ORDERS: dict[str, tuple[str, ...]] = {"mjcf": JOINT_NAMES, "isaac": ISAAC_JOINT_NAMES}
BODY_ORDERS: dict[str, tuple[str, ...]] = {"mjcf": BODY_NAMES, "isaac": ISAAC_BODY_NAMES}
"""The orders that files without names may have, by the names under which users tell them."""

WRIST_JOINT_NAMES = tuple(name for name in JOINT_NAMES if "_wrist_" in name)
"""The six joints that the G1 with 23 joints lacks."""


def to_joint_order(values: np.ndarray, names: Sequence[str], source: str) -> np.ndarray:
    """Return ``values`` [T, 29], whose columns are called ``names``, in ``JOINT_NAMES`` order.

    Raises:
        G1MimicError: if a joint is missing, unknown or named twice; the message begins with
            ``source``.
    """
    if missing := [name for name in JOINT_NAMES if name not in names]:
        raise BadValue(f"{source}: {_some('joint', missing)} missing from joint_names")
    if unknown := [name for name in names if name not in JOINT_NAMES]:
        raise BadValue(f"{source}: {_some('joint', unknown)} not known to the G1 with 29 joints")
    if len(names) != len(JOINT_NAMES):
        twice = sorted({name for name in names if list(names).count(name) > 1})
        raise BadValue(f"{source}: {_some('joint', twice)} named twice")
    return values[:, [list(names).index(name) for name in JOINT_NAMES]]


def with_default_wrists(values: np.ndarray) -> np.ndarray:
    """Return ``values`` [T, 23], joints of the G1 without wrists, as [T, 29].

    The six wrist joints stand at their default position.
    """
    from g1_mimic.robot.profile import load_profile

    full = np.tile(load_profile().default_position, (len(values), 1))
    full[:, [i for i, name in enumerate(JOINT_NAMES) if name not in WRIST_JOINT_NAMES]] = values
    return full


def _some(what: str, names: Sequence[str], limit: int = 6) -> str:
    shown = ", ".join(names[:limit])
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{what}{'s' if len(names) > 1 else ''} {shown}{more}"
