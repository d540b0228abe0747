"""Inner loops of `SuccessorField`: plain loops over numpy arrays, which numba compiles.

Values come as rows of words, whatever their type, and are copied bit by bit.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from g1_mimic.learning.replay.compiled.compilation import compiled, load


@compiled
def queue(
    ended: Any, newest: Any, finals: Any, numbers: Any, start: int, first: int, number: int
) -> int:
    """Queue what followed the ends in a row; return how many there are.

    Nothing is changed if the queue has no room for them.

    Args:
        ended: whether an episode ended [environments].
        newest: what followed the row [environments, words].
        finals: what followed ends [size, words]; number k is in slot k % size.
        numbers: of each slot's end, -1 where none is [capacity]; those of the row are set.
        start: the row's first slot.
        first: number of the oldest end in the queue.
        number: of the next one.
    """
    count = 0
    for i in range(len(ended)):
        count += ended[i]
    if number + count - first > len(finals):
        return count
    for i in range(len(ended)):
        numbers[start + i] = -1
        if ended[i]:
            slot = number % len(finals)
            for j in range(newest.shape[1]):
                finals[slot, j] = newest[i, j]
            numbers[start + i] = number
            number += 1
    return count


@compiled
def follow(
    source: Any, finals: Any, newest: Any, numbers: Any, start: int, indices: Any, own: Any,
    out: Any,
) -> bool:  # fmt: skip
    """Write what followed the transitions ``indices``; return whether there are such transitions.

    Their own values are written on the way if they are asked for: with ascending indices many of
    those have just been read as what followed another.

    Args:
        source: the source field of all slots [capacity, words].
        finals: what followed ends [size, words]; number k is in slot k % size.
        newest: what followed the newest row [environments, words].
        numbers: of the end of each slot's transition, -1 where none ended [capacity].
        start: the newest row's first slot.
        indices: flat indices [n].
        own: result, the source field of the transitions [n, words], or nothing [0, words].
        out: result, what followed them [n, words].
    """
    capacity, environments, words = len(source), len(newest), out.shape[1]
    for i in range(len(indices)):
        k = indices[i]
        if k < 0 or k >= capacity:
            return False
        if len(own):
            for j in range(words):
                own[i, j] = source[k, j]
        if start <= k < start + environments:
            for j in range(words):
                out[i, j] = newest[k - start, j]
        elif numbers[k] >= 0:
            slot = numbers[k] % len(finals)
            for j in range(words):
                out[i, j] = finals[slot, j]
        else:
            k += environments
            if k >= capacity:
                k -= capacity
            for j in range(words):
                out[i, j] = source[k, j]
    return True


@cache
def prepare() -> None:
    """Load or compile the kernels for both kinds of words."""
    load(globals(), _call_all)


def _call_all() -> None:
    for word in (np.uint8, np.float32):
        values, index = np.zeros((1, 1), word), np.zeros(1, np.int64)
        queue(np.zeros(1, np.bool_), values, values, index.copy(), 0, 0, 0)
        follow(values, values, values, index, 0, index, values, values)
