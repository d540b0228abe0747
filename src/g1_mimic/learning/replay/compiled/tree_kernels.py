"""Inner loops of `CompiledPriorityTree`: plain loops over numpy arrays, which numba compiles.

Three levels: leaves (float32), lines (sums of 16 leaves, a cache line; float64) and blocks (sums of
64 lines, float64). A sum is always taken anew from the level below it and always in the same order,
so it depends on the leaves alone: nothing drifts, and a restored tree draws like the saved one.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from g1_mimic.learning.replay.compiled.compilation import compiled, load
from g1_mimic.learning.replay.compiled.power_kernels import powers

LEAVES = 16
"""Leaves per line."""
LINES = 64
"""Lines per block: both levels are then a few kB for a million leaves."""
PIECE = 1024
"""Numbers that are taken together where each step goes through all of them."""


@compiled
def sum_line(leaves: Any, line: int) -> float:
    """Sum the 16 leaves of a line: eight sums at once, which the compiler does in one register."""
    k = line * LEAVES
    s0 = np.float64(leaves[k]) + np.float64(leaves[k + 8])
    s1 = np.float64(leaves[k + 1]) + np.float64(leaves[k + 9])
    s2 = np.float64(leaves[k + 2]) + np.float64(leaves[k + 10])
    s3 = np.float64(leaves[k + 3]) + np.float64(leaves[k + 11])
    s4 = np.float64(leaves[k + 4]) + np.float64(leaves[k + 12])
    s5 = np.float64(leaves[k + 5]) + np.float64(leaves[k + 13])
    s6 = np.float64(leaves[k + 6]) + np.float64(leaves[k + 14])
    s7 = np.float64(leaves[k + 7]) + np.float64(leaves[k + 15])
    return ((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7))


@compiled
def sum_block(lines: Any, block: int) -> float:
    """Sum the 64 lines of a block, in four chains that do not wait for each other."""
    k = block * LINES
    s0 = s1 = s2 = s3 = 0.0
    for j in range(k, k + LINES, 4):
        s0 += lines[j]
        s1 += lines[j + 1]
        s2 += lines[j + 2]
        s3 += lines[j + 3]
    return (s0 + s1) + (s2 + s3)


@compiled
def fill(leaves: Any, lines: Any, blocks: Any, start: int, stop: int, value: float) -> None:
    """Give the leaves ``start`` … ``stop - 1`` one value (a negative one: keep theirs); re-sum."""
    if value >= 0.0:
        for k in range(start, stop):
            leaves[k] = value
    first, last = start // LEAVES, (stop - 1) // LEAVES
    for line in range(first, last + 1):
        lines[line] = sum_line(leaves, line)
    for block in range(first // LINES, last // LINES + 1):
        blocks[block] = sum_block(lines, block)


@compiled
def renew(leaves: Any, lines: Any, blocks: Any, start: int, stop: int, highest: Any) -> None:
    """Give the leaves ``start`` … ``stop - 1`` the highest priority so far; re-sum."""
    fill(leaves, lines, blocks, start, stop, np.float64(highest[0]))


@compiled
def sum_lines(leaves: Any, lines: Any, touched: Any, indices: Any) -> None:
    """Re-sum the lines that leaves ``indices`` are in, and mark their blocks as touched.

    In a pass of its own: a line that is read right after a leaf of it is written stalls the CPU.
    """
    done = -1
    for i in range(indices.size):
        line = indices[i] >> 4
        if line != done:  # sampled indices come sorted
            lines[line] = sum_line(leaves, line)
            touched[line >> 6] = 1
            done = line


@compiled
def sum_blocks(lines: Any, blocks: Any, touched: Any) -> None:
    """Re-sum the blocks that are marked as touched, and take the marks away."""
    for block in range(blocks.size):
        if touched[block]:
            touched[block] = 0
            blocks[block] = sum_block(lines, block)


@compiled
def put(
    leaves: Any, lines: Any, blocks: Any, touched: Any, highest: Any, indices: Any, values: Any
) -> None:
    """Set leaves one after the other, so that the last of duplicates counts, then re-sum."""
    top = highest[0]
    for i in range(indices.size):
        leaves[indices[i]] = values[i]
        top = max(top, values[i])
    highest[0] = top
    sum_lines(leaves, lines, touched, indices)
    sum_blocks(lines, blocks, touched)


@compiled
def learn(
    leaves: Any, lines: Any, blocks: Any, touched: Any, highest: Any, indices: Any, errors: Any,
    stored: int, epsilon: float, low: float, high: float, alpha: float,
) -> bool:  # fmt: skip
    """Set positive leaves to (|error| + ε, kept in range)^α as `put` does, then re-sum.

    Nothing is changed, and False returned, if an error is not finite or an index not stored.
    """
    good = True
    for i in range(indices.size):
        good &= (indices[i] >= 0) & (indices[i] < stored) & (abs(errors[i]) < np.inf)
    if not good:
        return False
    top = highest[0]
    magnitudes, new = np.empty(PIECE), np.empty(PIECE, np.float32)
    for start in range(0, indices.size, PIECE):
        size = min(PIECE, indices.size - start)
        for i in range(size):
            magnitudes[i] = min(max(abs(np.float64(errors[start + i])) + epsilon, low), high)
        powers(magnitudes[:size], alpha, new)
        for i in range(size):
            k = indices[start + i]
            if leaves[k] > 0.0:
                leaves[k] = new[i]
                top = max(top, new[i])
        # Here, while the leaves are in the cache; what a later piece changes is summed anew there.
        sum_lines(leaves, lines, touched, indices[start : start + size])
    highest[0] = top
    sum_blocks(lines, blocks, touched)
    return True


@compiled
def find(
    leaves: Any, lines: Any, blocks: Any, jitter: Any, fallback: int, out: Any, rest: Any
) -> float:
    """Find the leaf into whose part of the total each stratified mass falls.

    The masses ascend, so one walk along blocks and lines serves them all. It leaves a line in
    ``out`` and the rest of the mass in ``rest``; the second pass counts leaves without branches.

    Returns:
        Nothing of use: it keeps the compiler from leaving out what fetches leaves.
    """
    n = jitter.size
    total = 0.0
    for block in range(blocks.size):
        total += blocks[block]
    scale = total / n
    block = line = 0
    before = inside = 0.0  # mass of the blocks before, and of the block's lines before
    for i in range(n):
        mass = (i + jitter[i]) * scale
        end = before + blocks[block]
        if mass >= end and block < blocks.size - 1:
            while mass >= end and block < blocks.size - 1:
                before = end
                block += 1
                end = before + blocks[block]
            line = block * LINES
            inside = 0.0
        residual = mass - before
        last = block * LINES + LINES - 1
        while line < last and residual >= inside + lines[line]:
            inside += lines[line]
            line += 1
        out[i] = line
        rest[i] = residual - inside
    fetched = 0.0
    if 4 * n < lines.size:
        # Draws are far apart, so their leaves come from memory: many at once here, where no load
        # waits for another's sums.
        for i in range(n):
            fetched += leaves[out[i] * LEAVES]
    for i in range(n):
        k = out[i] * LEAVES
        residual = rest[i]
        end = 0.0
        count = 0
        for j in range(k, k + LEAVES):
            end += leaves[j]
            count += end <= residual
        k += min(count, LEAVES - 1)
        out[i] = k if leaves[k] > 0.0 else fallback
    return fetched


@compiled
def weigh(leaves: Any, indices: Any, beta: float, out: Any) -> None:
    """Write (lowest of the leaves ``indices`` / each one of them)^beta."""
    lowest = np.float32(np.inf)
    for i in range(indices.size):
        out[i] = leaves[indices[i]]
        lowest = min(lowest, out[i])
    quotients = np.empty(PIECE)
    for start in range(0, indices.size, PIECE):
        size = min(PIECE, indices.size - start)
        for i in range(size):
            quotients[i] = np.float64(lowest) / np.float64(out[start + i])
        powers(quotients[:size], beta, out[start : start + size])


@cache
def prepare() -> None:
    """Load or compile the kernels, so that no later call can fail for want of machine code."""
    load(globals(), _call_all)


def _call_all() -> None:
    leaves, lines, blocks = np.zeros(LEAVES * LINES, np.float32), np.zeros(LINES), np.zeros(1)
    index, value = np.zeros(1, np.int64), np.zeros(1, np.float32)
    fill(leaves, lines, blocks, 0, 1, 1.0)
    renew(leaves, lines, blocks, 0, 1, value)
    touched = np.zeros(1, np.uint8)
    put(leaves, lines, blocks, touched, value, index, value)
    learn(leaves, lines, blocks, touched, value, index, value, 1, 1.0, 1.0, 1.0, 1.0)
    find(leaves, lines, blocks, np.zeros(1), 0, index, np.zeros(1))
    weigh(leaves, index, 1.0, value)
