"""Inner loops of `CompiledPriorityTree`: plain loops over numpy arrays, which numba compiles.

Three levels: leaves (float32), lines (sums of 16 leaves, a cache line; float64) and blocks (sums of
64 lines, float64). A sum is always taken anew from the level below it and always in the same order,
so it depends on the leaves alone: nothing drifts, and a restored tree draws like the saved one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from g1_mimic.learning.replay.compiled.compilation import compiled

LEVELS = "f4[::1], f8[::1], f8[::1]"
"""Types of the arrays of leaves, lines and blocks."""
LEAVES = 16
"""Leaves per line."""
LINES = 64
"""Lines per block: both levels are then a few kB for a million leaves."""
PIECE = 1024
"""Numbers that are taken together where each step goes through all of them."""

ROOT_HALF = 0x3FE6A09E667F3BCD
"""Bits of √½: a number is written as m·2^k with m from √½ to √2."""
SHIFT = 1.5 * 2.0**52
"""Added to a number below 2^51 it rounds it to a whole one, which is then in its lowest bits."""
LOG = tuple(2.0 / math.log(2.0) / (2 * k + 1) for k in range(11))
"""log2 m = f·Σ LOG[k]·f^2k with f = (m - 1) / (m + 1), up to 2^-60 of it."""
EXP = tuple(math.log(2.0) ** k / math.factorial(k) for k in range(14))
"""2^r = Σ EXP[k]·r^k for |r| up to ½, up to 2^-57 of it."""
HALF, BELOW = 1 << 28, (1 << 29) - 1
"""A float64 whose bits below those of a float32 are half is between two float32."""
DOUBT = 16
"""Units of the last place of a float64; errors here are at most 2 of them."""


@compiled()
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


@compiled()
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


@compiled(f"void({LEVELS}, i8, i8)")
def sum_slots(leaves: Any, lines: Any, blocks: Any, start: int, stop: int) -> None:
    """Re-sum what the leaves ``start`` … ``stop - 1`` are in."""
    first, last = start // LEAVES, (stop - 1) // LEAVES
    for line in range(first, last + 1):
        lines[line] = sum_line(leaves, line)
    for block in range(first // LINES, last // LINES + 1):
        blocks[block] = sum_block(lines, block)


@compiled(f"void({LEVELS}, i8, i8, f8)")
def fill(leaves: Any, lines: Any, blocks: Any, start: int, stop: int, value: float) -> None:
    """Give the leaves ``start`` … ``stop - 1`` one value; re-sum."""
    for k in range(start, stop):
        leaves[k] = value
    sum_slots(leaves, lines, blocks, start, stop)


@compiled()
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


@compiled()
def sum_blocks(lines: Any, blocks: Any, touched: Any) -> None:
    """Re-sum the blocks that are marked as touched, and take the marks away."""
    for block in range(blocks.size):
        if touched[block]:
            touched[block] = 0
            blocks[block] = sum_block(lines, block)


@compiled("void(f8[::1], f8, f4[::1])")
def powers(values: Any, exponent: float, out: Any) -> None:
    """Write values^exponent, rounded to float32 as the C library's are, in a fifth of its time.

    The loop has no branch and calls nothing, so the compiler turns it into instructions for several
    numbers at once. Its float64 results err by up to 2 units of the last place. They round to the
    same float32 as those of a library (and of a GPU), which err by less than 1, but where they are
    next to the middle between two float32, about once in 2^24: then the library decides.

    Args:
        values: positive, normal float64 [n].
        exponent: such that results are normal float32.
        out: result, float32 [n].
    """
    # Times a whole number of up to 11 bits, the upper part is exact.
    upper = np.float64(np.float32(exponent))
    lower = exponent - upper
    doubtful = 0
    for i in range(values.size):
        bits = np.float64(values[i]).view(np.int64)
        k = (bits - ROOT_HALF) >> 52
        m = np.int64(bits - (k << 52)).view(np.float64)
        f = (m - 1.0) / (m + 1.0)
        log = 0.0
        for j in range(len(LOG) - 1, -1, -1):
            log = log * (f * f) + LOG[j]
        # The result is 2^(whole + rest).
        large, small = upper * k, exponent * (f * log)
        shifted = large + small + SHIFT
        rest = (large - (shifted - SHIFT)) + (lower * k + small)
        exp = 0.0
        for j in range(len(EXP) - 1, -1, -1):
            exp = exp * rest + EXP[j]
        result = np.float64(exp).view(np.int64) + (np.float64(shifted).view(np.int64) << 52)
        out[i] = np.int64(result).view(np.float64)
        doubtful += int(abs((result & BELOW) - HALF) < DOUBT)
    if doubtful:
        for i in range(values.size):
            out[i] = values[i] ** exponent


@compiled(
    *(
        f"i8({LEVELS}, u1[::1], f4[::1], i8[::1], {errors}[::1], i8, f8, f8, f8, f8)"
        for errors in ("f4", "f8")
    )
)
def learn(
    leaves: Any, lines: Any, blocks: Any, touched: Any, highest: Any, indices: Any, errors: Any,
    stored: int, epsilon: float, low: float, high: float, alpha: float,
) -> int:  # fmt: skip
    """Set positive leaves to (|error| + ε, kept in range)^α one after the other, then re-sum.

    Nothing is changed if an error is not finite or an index not stored: the position of the first
    such entry is returned, else -1.
    """
    good = True
    for i in range(indices.size):  # without a branch
        good &= (indices[i] >= 0) & (indices[i] < stored) & (abs(errors[i]) < np.inf)
    if not good:
        for i in range(indices.size):
            if not ((indices[i] >= 0) & (indices[i] < stored) & (abs(errors[i]) < np.inf)):
                return i
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
    return -1


@compiled(f"f8({LEVELS}, f8[::1], i8, i8[::1], f8[::1])")
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


@compiled("void(f4[::1], i8[::1], f8, f4[::1])")
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
