"""What a comparison found: figures of every arm, and their ratios to the baseline's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from g1_mimic.comparison.results import RunResult
from g1_mimic.comparison.statistics import (
    Ratio,
    Statistic,
    interquartile_mean,
    last_third,
    mean,
    paired_ratio,
    reach,
    spread,
    wavering,
)
from g1_mimic.errors import BadState

TARGET_SHARE = 0.9
"""The default target score, as a share of the baseline's final one."""

Curves = Mapping[str, np.ndarray]
"""An arm's curves: ``env_steps`` [K], the others [S, K]."""


def _both(values: np.ndarray) -> np.ndarray:
    """The geometric mean of both kinds of variation, of [2, ..., S]: finals, waverings."""
    return np.sqrt(spread(values[0]) * mean(values[1]))


class Measure(NamedTuple):
    """A figure by which an arm is compared with the baseline."""

    title: str
    of: str
    """What it is a figure of, in `by_seed`."""
    statistic: Statistic
    less_is_better: bool = False
    promise: str = ""
    """What the guide promises of adaptive sampling."""


MEASURES = {
    "steps": Measure("training speed, environment steps", "steps", mean, True, "+20 to 30 %"),
    "cpu_s": Measure("training speed, computing time", "cpu_s", mean, True),
    "area": Measure("mean score over the whole training", "area", interquartile_mean),
    "spread": Measure("stability over seeds", "final", spread, True),
    "wavering": Measure("stability over the last third of training", "wavering", mean, True),
    "stability": Measure("stability, both", "variations", _both, True, "+15 to 25 %"),
    "final": Measure("final performance", "final", interquartile_mean, promise="+5 to 10 %"),
}
"""What is compared: each ratio is above 1 where the arm is better."""


def by_seed(curves: Curves, target: float) -> dict[str, np.ndarray]:
    """Return values of the seeds [S], and of ``variations`` two rows of them."""
    score = curves["eval/score"]
    final, waver = last_third(score).mean(-1), wavering(score)
    return {
        "steps": reach(curves["env_steps"], score, target)[0],
        "cpu_s": reach(curves["train/cpu_s"], score, target)[0],
        "area": score.mean(-1),
        "final": final,
        "wavering": waver,
        "variations": np.stack([final, waver]),
    }


def _ratios(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], arms: int
) -> dict[str, Ratio]:
    result = {}
    for name, measure in MEASURES.items():
        pair = ours[measure.of], theirs[measure.of]
        if measure.less_is_better:
            pair = pair[::-1]
        result[name] = paired_ratio(*pair, measure.statistic, arms=arms)
    return result


@dataclass(frozen=True)
class ArmFigures:
    """Figures of one arm; lists have one entry per seed."""

    final: float
    """Interquartile mean over seeds of the mean score in the last third."""
    survival: float
    """The same of the survived share."""
    final_by_seed: list[float]
    steps_to_target: list[float]
    reached: list[bool]
    cpu_s_to_target: list[float]
    spread: float
    """Standard deviation over seeds of the mean score in the last third."""
    wavering: float
    """Mean over seeds of the deviation from the trend in the last third."""
    area: float
    """Interquartile mean over seeds of the mean score over all evaluations."""
    cpu_s: float
    """Mean computing time of a run, s, over all cores, without evaluations."""
    priority_share: float
    """Memory of the priorities over that of the transitions."""


@dataclass(frozen=True)
class Findings:
    """All that the report says."""

    baseline: str
    target: float
    """Score to be reached."""
    seeds: list[int]
    """Seeds that are finished in all arms."""
    arms: dict[str, ArmFigures]
    ratios: dict[str, dict[str, Ratio]]
    """To the baseline, by arm and `MEASURES`."""


def find(
    results: Mapping[str, Mapping[int, RunResult]], target: float | None = None
) -> tuple[Findings, dict[str, Curves]]:
    """Work out the findings.

    Args:
        results: finished runs by arm, the baseline first, and seed.
        target: the score that speed is measured to; by default 0.9 of the baseline's final one.

    Returns:
        The findings, and by arm the curves that were compared.

    Raises:
        G1MimicError: if no seed is finished in all arms, or runs were evaluated at different steps.
    """
    baseline = next(iter(results))
    seeds = sorted(set.intersection(*(set(runs) for runs in results.values())))
    if not seeds:
        raise BadState("no seed is finished in all arms yet: nothing to report")
    runs = {arm: [of_arm[seed] for seed in seeds] for arm, of_arm in results.items()}
    curves = {arm: _stack(arm, own) for arm, own in runs.items()}
    if target is None:
        finals = last_third(curves[baseline]["eval/score"]).mean(-1)
        target = TARGET_SHARE * float(interquartile_mean(finals))
    values = {arm: by_seed(c, target) for arm, c in curves.items()}
    arms = {arm: _figures(curves[arm], values[arm], target, runs[arm][-1].sizes) for arm in runs}
    others = [arm for arm in runs if arm != baseline]
    ratios = {arm: _ratios(values[arm], values[baseline], len(others)) for arm in others}
    return Findings(baseline, target, seeds, arms, ratios), curves


def _stack(arm: str, runs: list[RunResult]) -> Curves:
    steps = runs[0].env_steps
    if any(not np.array_equal(run.env_steps, steps) for run in runs):
        raise BadState(f"runs of arm {arm} were evaluated at different steps")
    names = runs[0].curves
    return {"env_steps": steps} | {n: np.stack([run.curves[n] for run in runs]) for n in names}


def _figures(
    curves: Curves, values: Mapping[str, np.ndarray], target: float, sizes: Mapping[str, float]
) -> ArmFigures:
    figures = {name: float(m.statistic(values[m.of])) for name, m in MEASURES.items()}
    return ArmFigures(
        final=figures["final"],
        survival=float(interquartile_mean(last_third(curves["eval/survival"]).mean(-1))),
        final_by_seed=values["final"].tolist(),
        steps_to_target=values["steps"].tolist(),
        reached=[bool((curve >= target).any()) for curve in curves["eval/score"]],
        cpu_s_to_target=values["cpu_s"].tolist(),
        spread=figures["spread"],
        wavering=figures["wavering"],
        area=figures["area"],
        cpu_s=float(curves["train/cpu_s"][:, -1].mean()),
        priority_share=sizes["replay/priority_bytes"] / sizes["replay/bytes"],
    )
