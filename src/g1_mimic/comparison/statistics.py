"""Figures of merit of training curves, and what can be said of them with few seeds.

Curves of one arm are stacked over seeds: ``[S, K]``, K evaluations at the same environment steps.
Seeds are common to all arms, so that arms are compared seed by seed: a bootstrap draws seeds, and
takes the same ones for the arm and the baseline (Agarwal et al. 2021, arXiv 2108.13264, recommend
interquartile means with bootstrap intervals; the pairing is what common seeds add).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Statistic = Callable[[np.ndarray], np.ndarray]
"""Maps values of seeds [..., S] to one figure [...]."""


def mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over seeds [..., S]."""
    result: np.ndarray = values.mean(-1)
    return result


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean of the middle half of ``values`` [..., S].

    A quarter of the values, rounded down, is left out at either end.
    """
    cut = values.shape[-1] // 4
    ordered = np.sort(values, axis=-1)
    result: np.ndarray = ordered[..., cut : values.shape[-1] - cut].mean(-1)
    return result


def reach(x: np.ndarray, curves: np.ndarray, target: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where each curve first reaches ``target``.

    Args:
        x: environment steps, or times, of the evaluations: [K] or [S, K], ascending.
        curves: scores [S, K].
        target: the score to be reached.

    Returns:
        The interpolated x [S], and whether the target was reached [S]. A curve that never does is
        censored: it gets its last x, the least it can have taken.
    """
    x = np.broadcast_to(x, curves.shape)
    above = curves >= target
    reached = np.asarray(above.any(-1))
    first = np.where(reached, above.argmax(-1), curves.shape[-1] - 1)
    rows = np.arange(len(curves))
    before = np.maximum(first - 1, 0)
    low, high = curves[rows, before], curves[rows, first]
    # At its first evaluation a curve may be there already: when in that time is not known.
    inside = reached & (first > 0)
    share = np.where(inside, (target - low) / np.where(high > low, high - low, 1.0), 1.0)
    return x[rows, before] + share * (x[rows, first] - x[rows, before]), reached


def last_third(curves: np.ndarray, least: int = 1) -> np.ndarray:
    """Return the evaluations in the last third of the curves [S, K], at least ``least``."""
    return curves[:, -max(least, curves.shape[-1] // 3) :]


def wavering(curves: np.ndarray) -> np.ndarray:
    """Return how much each curve wavers in its last third [S]: the deviation from its own trend.

    The trend, a line, is taken out: a run that still gets better is not unstable. That takes four
    evaluations at least.
    """
    tail = last_third(curves, least=4)
    t = np.arange(tail.shape[-1]) - 0.5 * (tail.shape[-1] - 1)
    centred = tail - tail.mean(-1, keepdims=True)
    slope = (centred @ t) / max(float(t @ t), 1.0)
    result: np.ndarray = np.sqrt(np.square(centred - slope[:, None] * t).mean(-1))
    return result


def spread(values: np.ndarray) -> np.ndarray:
    """Return the standard deviation over seeds [..., S] (of the sample; 0 for one seed)."""
    result: np.ndarray = np.std(values, axis=-1, ddof=min(1, values.shape[-1] - 1))
    return result


@dataclass(frozen=True)
class Ratio:
    """A ratio with its bootstrap interval; above 1 the arm is better than the baseline."""

    value: float
    low: float
    high: float
    corrected_low: float
    """The interval as wide as it must be for several arms (Bonferroni)."""
    corrected_high: float

    @property
    def clear(self) -> bool:
        """Whether the corrected interval is on one side of 1."""
        return self.corrected_low > 1.0 or self.corrected_high < 1.0


def paired_ratio(
    better: np.ndarray,
    worse: np.ndarray,
    statistic: Statistic,
    *,
    arms: int = 1,
    draws: int = 10_000,
    seed: int = 0,
) -> Ratio:
    """Return ``statistic(better) / statistic(worse)`` with 95% bootstrap intervals over seeds.

    The intervals are NaN with fewer than three seeds: those tell nothing of chance.

    Args:
        better: values of the seeds [S] or, if the statistic takes the last axes of several rows,
            [..., S].
        worse: values of the same seeds.
        statistic: the figure, of the last axis.
        arms: how many arms are compared with the baseline.
        draws: bootstrap samples.
        seed: of the bootstrap.
    """
    count = better.shape[-1]
    index = np.random.default_rng(seed).integers(count, size=(draws, count))
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(better) / statistic(worse))
        ratios = statistic(better[..., index]) / statistic(worse[..., index])
    # Both may vanish in a draw (one seed drawn S times has no spread): that draw says nothing.
    ratios = ratios[~np.isnan(ratios)]
    if not ratios.size or count < 3:
        return Ratio(value, np.nan, np.nan, np.nan, np.nan)
    tail = 2.5
    levels = [tail, 100.0 - tail, tail / arms, 100.0 - tail / arms]
    low, high, corrected_low, corrected_high = np.percentile(ratios, levels, method="nearest")
    return Ratio(value, float(low), float(high), float(corrected_low), float(corrected_high))


def bootstrap_band(
    curves: np.ndarray, draws: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95% bootstrap band [K], [K] of the interquartile mean of ``curves`` [S, K]."""
    count = len(curves)
    index = np.random.default_rng(seed).integers(count, size=(draws, count))
    means = interquartile_mean(curves.T[:, index])  # [K, draws]
    low, high = np.percentile(means, [2.5, 97.5], axis=-1)
    return low, high
