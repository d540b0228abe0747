"""What is compared: arms, which are names of strategies or settings of their own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from g1_mimic.envs.starts import START_STRATEGIES
from g1_mimic.errors import BadValue
from g1_mimic.learning.replay_strategies import REPLAY_STRATEGIES
from g1_mimic.settings import did_you_mean, merge, parse_assignments


@dataclass(frozen=True)
class Arm:
    """A name, and the settings that make the arm."""

    name: str
    settings: dict[str, Any]


def parse_arm(text: str) -> Arm:
    """Read an arm.

    ``per``, ``failure_bins`` and ``per+failure_bins`` are strategies of the replay, of the episode
    starts, or one of each; what is not named is uniform. ``NAME:key=value,…`` gives settings by
    hand, on top of the strategies that NAME may name: ``per@7:sampling=per,replay.alpha=0.7`` or
    ``wide:learner.actor_hidden=[256,128],learner.critic_hidden=[256,128]``.

    Raises:
        G1MimicError: naming the arm, if it cannot be read.
    """
    name, colon, assignments = text.partition(":")
    if not re.fullmatch(r"[\w.+@=-]+", name):
        raise BadValue(f"arm '{text}': a name has letters, digits and _ . + @ = - only")
    settings: dict[str, Any] = {}
    parts = name.split("+")
    unknown = next((part for part in parts if not _strategy(part)), None)
    if unknown is None:
        settings = {"sampling": "uniform", "phase": {"strategy": "uniform"}}
        for part in parts:
            merge(settings, _strategy(part))
    elif not colon:
        raise BadValue(
            f"arm '{text}': '{unknown}' is none of the {strategies()}; other arms are written "
            "NAME:key=value,key=value"
            f"{did_you_mean(unknown, [*REPLAY_STRATEGIES, *START_STRATEGIES])}"
        )
    if colon:
        merge(settings, parse_assignments(_items(assignments), f"arm {name}: "))
    return Arm(name, settings)


def _items(text: str) -> list[str]:
    """Split at the commas that are not between brackets: ``a=1,b=[2,3]`` are two."""
    return re.split(r",(?![^\[]*\])", text)


def _strategy(name: str) -> dict[str, Any]:
    if name in REPLAY_STRATEGIES:
        return {"sampling": name}
    if name in START_STRATEGIES:
        return {"phase": {"strategy": name}}
    return {}


def strategies() -> str:
    """Tell the names that an arm may consist of."""
    starts = (name for name in START_STRATEGIES if name not in REPLAY_STRATEGIES)
    return (
        f"strategies of the replay ({', '.join(REPLAY_STRATEGIES)}) or of the episode starts "
        f"({', '.join(starts)})"
    )


def parse_arms(texts: list[str]) -> list[Arm]:
    """Read all arms.

    Raises:
        G1MimicError: if one cannot be read, or two have one name.
    """
    arms = [parse_arm(text) for text in texts]
    names = [arm.name for arm in arms]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BadValue(f"two arms are called '{min(twice)}'")
    return arms
