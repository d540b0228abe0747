"""Several clips that one policy learns: how users name them, and how often each is practised.

A text names them: ``walk``, ``walk:2,stand:1`` (with weights), ``clips/`` (all in a folder). The
weight is a clip's share of the episode starts relative to the others', 1 where none is given; a
folder's weight is that of each of its clips.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from g1_mimic.errors import BadValue
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.files import find_motion, load_motion, motions_in
from g1_mimic.motion.formats.csv import is_number


class Choice(NamedTuple):
    """One item of a list of motions."""

    motion: str
    """Name or path of a clip, or a folder of clips."""
    weight: float = 1.0


@dataclass(frozen=True)
class MotionLibrary:
    """Clips with the shares of the episode starts that they get."""

    clips: tuple[MotionClip, ...]
    """With names of their own, if there are several."""
    shares: tuple[float, ...]
    """Their sum is 1."""

    @classmethod
    def of(cls, motions: MotionClip | MotionLibrary) -> MotionLibrary:
        """Return the library, of a single clip one of that clip."""
        return motions if isinstance(motions, MotionLibrary) else cls((motions,), (1.0,))

    @classmethod
    def weighted(cls, clips: Sequence[MotionClip], weights: Sequence[float]) -> MotionLibrary:
        """Return the library of ``clips``; ``weights`` count relative to one another."""
        if len(clips) > 1:
            names = distinct_names([clip.name for clip in clips])
            clips = [replace(c, name=name) for c, name in zip(clips, names, strict=True)]
        total = sum(weights)
        return cls(tuple(clips), tuple(weight / total for weight in weights))

    def map(self, function: Callable[[MotionClip], MotionClip]) -> MotionLibrary:
        """Return the library of what ``function`` makes of each clip."""
        return replace(self, clips=tuple(function(clip) for clip in self.clips))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the clips."""
        return tuple(clip.name for clip in self.clips)


def distinct_names(names: Sequence[str]) -> list[str]:
    """Return ``names`` as words that can be parts of topics and services, each there once."""
    words = [topic_word(name) for name in names]
    counts: Counter[str] = Counter()
    result: list[str] = []
    for word in words:
        counts[word] += 1
        candidate = word if counts[word] == 1 else f"{word}_{counts[word]}"
        while candidate in result or (candidate != word and candidate in words):
            counts[word] += 1
            candidate = f"{word}_{counts[word]}"
        result.append(candidate)
    return result


def topic_word(name: str) -> str:
    """Return ``name`` as one word of a ROS name: letters, digits and _, no digit first."""
    word = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    return word if word and not word[0].isdigit() else f"clip_{word}".rstrip("_")


def parse_choices(text: str) -> list[Choice]:
    """Read a list such as ``walk:2,clips/``; a text that names an existing file is that file.

    Raises:
        G1MimicError: if an item is empty or a weight is not above 0.
    """
    if _exists(text):
        return [Choice(text)]
    choices = []
    for item in text.split(","):
        name, colon, weight = item.strip().rpartition(":")
        if not colon or _exists(item.strip()) or not is_number(weight):
            name, weight = item.strip(), "1"
        if not name.strip():
            raise BadValue(f"motion '{text}': an item is empty; write e.g. walk:2,stand")
        choices.append(Choice(name.strip(), _checked_weight(name, float(weight))))
    return choices


def choices_text(value: Any) -> str:
    """Return a setting (a text, or a list of texts and ``{motion, weight}``) as one text.

    Raises:
        G1MimicError: if it is none of these.
    """
    if isinstance(value, str):
        return value
    items = value if isinstance(value, list | tuple) else [value]
    if not items:
        raise BadValue("the list of motions is empty")
    texts = []
    for item in items:
        if isinstance(item, dict):
            if "motion" not in item or set(item) - {"motion", "weight"}:
                raise BadValue(f"a motion in a list has the keys motion and weight: {item}")
            try:
                weight = float(item.get("weight", 1.0))
            except (TypeError, ValueError):
                raise BadValue(f"the weight of {item['motion']} is no number") from None
            weight = _checked_weight(item["motion"], weight)
            item = f"{item['motion']}:{weight:g}"
        if not isinstance(item, str):
            raise BadValue(f"a motion is a name, a file or a folder, not {item!r}")
        if len(items) > 1 and "," in item:
            raise BadValue(f"'{item}': a file in a list of motions has no comma in its path")
        texts.append(item)
    return ",".join(texts)


def whole_paths(text: str) -> str:
    """Return the list with the user's own files and folders by whole paths."""
    items: list[Any] = []
    for name, weight in parse_choices(text):
        path = Path(name).expanduser()
        if os.path.isfile(path) or (os.path.isdir(path) and find_motion(name).is_dir()):
            name = str(path.resolve())
        items.append(name if weight == 1.0 else {"motion": name, "weight": weight})
    return choices_text(items)


def load_motions(text: str, beside: Path | None = None) -> MotionLibrary:
    """Find, read and check the clips that ``text`` names, at the control rate.

    Args:
        text: as `parse_choices` reads it.
        beside: a folder that relative paths are tried against first.

    Raises:
        G1MimicError: if a file is missing, wrong, or no clip that the robot could show.
    """
    clips, weights = [], []
    for name, weight in parse_choices(text):
        found = motions_in(name, beside)
        clips += [load_motion(path, beside=beside) for path in found]
        weights += [weight] * len(found)
    return MotionLibrary.weighted(clips, weights)


def _exists(name: str) -> bool:
    try:
        return bool(name.strip()) and os.path.exists(os.path.expanduser(name))
    except (OSError, ValueError):
        return False


def _checked_weight(name: Any, weight: float) -> float:
    if not (math.isfinite(weight) and weight > 0.0):
        raise BadValue(f"the weight of motion '{name}' must be above 0, not {weight:g}")
    return weight
