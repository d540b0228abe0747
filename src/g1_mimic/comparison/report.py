"""What a comparison found: figures with intervals, as Markdown, JSON and a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from g1_mimic.comparison.results import RunResult
from g1_mimic.comparison.statistics import (
    Ratio,
    bootstrap_band,
    interquartile_mean,
    last_third,
    paired_ratio,
    reach,
    spread,
    wavering,
)
from g1_mimic.errors import G1MimicError
from g1_mimic.files import atomic_write, atomic_write_text

REPORT, FIGURES, PICTURE = "report.md", "report.json", "curves.png"
TARGET_SHARE = 0.9
"""The default target score, as a share of the baseline's final one."""
RATIOS = {
    "steps": "training speed, environment steps",
    "cpu_s": "training speed, computing time",
    "area": "mean score over the whole training",
    "spread": "stability over seeds",
    "wavering": "stability over the last third of training",
    "stability": "stability, both",
    "final": "final performance",
}
"""What is compared with the baseline: each ratio is above 1 where the arm is better."""
PROMISES = {"steps": "+20 to 30 %", "stability": "+15 to 25 %", "final": "+5 to 10 %"}
"""What the guide promises of adaptive sampling."""


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
    """To the baseline, by arm and `RATIOS`."""


def find(
    results: Mapping[str, Mapping[int, RunResult]], target: float | None = None
) -> tuple[Findings, dict[str, dict[str, np.ndarray]]]:
    """Work out the findings.

    Args:
        results: finished runs by arm, the baseline first, and seed.
        target: the score that speed is measured to; by default 0.9 of the baseline's final one.

    Returns:
        The findings, and by arm the curves that were compared: ``env_steps`` [K], the others
        [S, K].

    Raises:
        G1MimicError: if no seed is finished in all arms, or runs were evaluated at different steps.
    """
    baseline = next(iter(results))
    seeds = sorted(set.intersection(*(set(runs) for runs in results.values())))
    if not seeds:
        raise G1MimicError("no seed is finished in all arms yet: nothing to report")
    curves = {arm: _stack(arm, [runs[s] for s in seeds]) for arm, runs in results.items()}
    if target is None:
        target = TARGET_SHARE * float(_final(curves[baseline]))
    arms = {
        arm: _figures(c, target, [runs[s] for s in seeds])
        for (arm, c), runs in zip(curves.items(), results.values(), strict=True)
    }
    others = [arm for arm in results if arm != baseline]
    ratios = {arm: _ratios(curves[arm], curves[baseline], target, len(others)) for arm in others}
    return Findings(baseline, target, seeds, arms, ratios), curves


def _stack(arm: str, runs: list[RunResult]) -> dict[str, np.ndarray]:
    steps = runs[0].env_steps
    if any(not np.array_equal(run.env_steps, steps) for run in runs):
        raise G1MimicError(f"runs of arm {arm} were evaluated at different steps")
    names = runs[0].curves
    return {"env_steps": steps} | {n: np.stack([run.curves[n] for run in runs]) for n in names}


def _final(curves: dict[str, np.ndarray], name: str = "eval/score") -> np.ndarray:
    return interquartile_mean(last_third(curves[name]).mean(-1))


def _figures(curves: dict[str, np.ndarray], target: float, runs: list[RunResult]) -> ArmFigures:
    score = curves["eval/score"]
    steps, reached = reach(curves["env_steps"], score, target)
    cpu, _ = reach(curves["train/cpu_s"], score, target)
    by_seed = last_third(score).mean(-1)
    return ArmFigures(
        final=float(interquartile_mean(by_seed)),
        survival=float(_final(curves, "eval/survival")),
        final_by_seed=by_seed.tolist(),
        steps_to_target=steps.tolist(),
        reached=reached.tolist(),
        cpu_s_to_target=cpu.tolist(),
        spread=float(spread(by_seed)),
        wavering=float(wavering(score).mean()),
        area=float(interquartile_mean(score.mean(-1))),
        cpu_s=float(curves["train/cpu_s"][:, -1].mean()),
        priority_share=runs[-1].sizes["replay/priority_bytes"] / runs[-1].sizes["replay/bytes"],
    )


def _ratios(
    arm: dict[str, np.ndarray], baseline: dict[str, np.ndarray], target: float, arms: int
) -> dict[str, Ratio]:
    def of(curves: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        score = curves["eval/score"]
        return {
            "steps": reach(curves["env_steps"], score, target)[0],
            "cpu_s": reach(curves["train/cpu_s"], score, target)[0],
            "area": score.mean(-1),
            "final": last_third(score).mean(-1),
            "wavering": wavering(score),
        }

    def mean(values: np.ndarray) -> np.ndarray:
        result: np.ndarray = values.mean(-1)
        return result

    def both(values: np.ndarray) -> np.ndarray:
        """The geometric mean of both kinds of variation, of [2, ..., S]: finals, waverings."""
        return np.sqrt(spread(values[0]) * mean(values[1]))

    ours, theirs = of(arm), of(baseline)
    pair = [np.stack([v["final"], v["wavering"]]) for v in (theirs, ours)]
    # Less is better of steps, times and variations: there the baseline's is over the arm's.
    return {
        "steps": paired_ratio(theirs["steps"], ours["steps"], mean, arms=arms),
        "cpu_s": paired_ratio(theirs["cpu_s"], ours["cpu_s"], mean, arms=arms),
        "area": paired_ratio(ours["area"], theirs["area"], interquartile_mean, arms=arms),
        "spread": paired_ratio(theirs["final"], ours["final"], spread, arms=arms),
        "wavering": paired_ratio(theirs["wavering"], ours["wavering"], mean, arms=arms),
        "stability": paired_ratio(pair[0], pair[1], both, arms=arms),
        "final": paired_ratio(ours["final"], theirs["final"], interquartile_mean, arms=arms),
    }


# -- writing --------------------------------------------------------------------------------------


def write_report(
    folder: Path,
    results: Mapping[str, Mapping[int, RunResult]],
    about: dict[str, Any],
    target: float | None = None,
) -> Findings:
    """Write `REPORT`, `FIGURES` and `PICTURE` into ``folder``.

    Args:
        folder: where to.
        results: finished runs by arm, the baseline first, and seed.
        about: what was run, told at the head of the report: text by text.
        target: as of `find`.

    Raises:
        G1MimicError: as `find`, or if a file cannot be written.
    """
    findings, curves = find(results, target)
    with atomic_write(folder / PICTURE) as temporary:
        _draw(findings, curves).savefig(temporary, dpi=110)
    content = {"about": about, **asdict(findings)}
    text = json.dumps(content, indent=1, default=str).replace("NaN", "null")
    atomic_write_text(folder / FIGURES, text.replace("Infinity", "null") + "\n")
    atomic_write_text(folder / REPORT, to_markdown(findings, about))
    return findings


def to_markdown(findings: Findings, about: dict[str, Any]) -> str:
    """Return the report."""
    arms, baseline = findings.arms, findings.baseline
    lines = [f"# {' · '.join(arms)}", ""]
    lines += [f"- {name}: {value}" for name, value in about.items()]
    lines += [
        f"- seeds finished in all arms: {', '.join(map(str, findings.seeds))}",
        "",
        f"![learning curves]({PICTURE})",
        "",
        f"## Compared with {baseline}",
        "",
        f"Above 1 the arm is better. In brackets 95 % bootstrap intervals over seeds (common to "
        f"arm and {baseline}); **bold** where the interval is clear of 1 even when widened for "
        f"{max(len(arms) - 1, 1)} arms (Bonferroni).",
        "",
        f"| | the guide | {' | '.join(findings.ratios)} |",
        f"|---|---|{'---|' * len(findings.ratios)}",
    ]
    for key, title in RATIOS.items():
        cells = [_cell(ratios[key]) for ratios in findings.ratios.values()]
        lines.append(f"| {title} | {PROMISES.get(key, '')} | {' | '.join(cells)} |")
    names = list(arms)
    memory = {name: f"{100 * arms[name].priority_share:.2f} %" for name in names}
    lines.append(
        f"| memory of the priorities | 10 to 15 % | "
        f"{' | '.join(memory[name] for name in findings.ratios)} |"
    )
    lines += [
        "",
        f"Speed is the cost until an evaluation first reaches a score of {findings.target:.3g}; a "
        "run that never does counts with all it took. Stability is the baseline's variation over "
        "the arm's: over seeds, the standard deviation of the mean score in the last third; over "
        "the last third (four evaluations at least), their deviation from their own trend; both, "
        "the geometric mean. Final performance is the interquartile mean over seeds of the mean "
        "score in the last third.",
        "",
        "## Figures",
        "",
        "| arm | final score | by seed | survived | steps to the target (1000) | reached | "
        "spread over seeds | wavering | computing time of a run (s) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, arm in arms.items():
        lines.append(
            f"| {name} | {arm.final:.3f} | {' '.join(f'{v:.2f}' for v in arm.final_by_seed)} "
            f"| {arm.survival:.0%} | {' '.join(f'{v / 1000:.0f}' for v in arm.steps_to_target)} "
            f"| {sum(arm.reached)} of {len(arm.reached)} | {arm.spread:.3f} | {arm.wavering:.3f} "
            f"| {arm.cpu_s:.0f} |"
        )
    return "\n".join(lines) + "\n"


def _cell(ratio: Ratio) -> str:
    if np.isnan(ratio.value):
        return "–"
    if np.isnan(ratio.low):
        return f"{ratio.value:.2f}"
    text = f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
    return f"**{text}**" if ratio.clear else text


def _draw(findings: Findings, curves: dict[str, dict[str, np.ndarray]]) -> Figure:
    figure = Figure(figsize=(16, 9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    for axis, (name, title) in zip(
        axes[0], (("eval/score", "score"), ("eval/survival", "survived share")), strict=True
    ):
        for i, (arm, c) in enumerate(curves.items()):
            _band(axis, c["env_steps"] / 1000.0, c[name], f"C{i}", arm)
        axis.set_title(f"evaluation: {title} (interquartile mean, 95 % band)")
        axis.set_xlabel("environment steps (1000)")
    axes[0, 0].axhline(findings.target, color="0.5", linestyle=":", label="target")
    axes[0, 0].legend()
    for i, (arm, c) in enumerate(curves.items()):
        minutes = c["train/cpu_s"].mean(0) / 60.0
        _band(axes[1, 0], minutes, c["eval/score"], f"C{i}", arm)
    axes[1, 0].set_title("evaluation: score against computing time")
    axes[1, 0].set_xlabel("computing time (min of one core)")
    _ratio_plot(axes[1, 1], findings)
    for axis in axes.flat:
        axis.grid(alpha=0.3)
    return figure


def _band(axes: Axes, x: np.ndarray, values: np.ndarray, colour: str, label: str) -> None:
    axes.plot(x, interquartile_mean(values.T), color=colour, label=label, marker=".")
    axes.fill_between(x, *bootstrap_band(values), color=colour, alpha=0.15, linewidth=0)


def _ratio_plot(axes: Axes, findings: Findings) -> None:
    shown = ("steps", "area", "stability", "final")
    for i, ratios in enumerate(findings.ratios.values()):
        for k, key in enumerate(shown):
            ratio = ratios[key]
            if not np.isfinite([ratio.value, ratio.low, ratio.high]).all():
                continue
            y = -k + 0.6 * ((i + 0.5) / len(findings.ratios) - 0.5)
            colour = f"C{i + 1}"
            axes.plot([ratio.low, ratio.high], [y, y], color=colour)
            axes.plot([ratio.value], [y], marker="o", color=colour)
    axes.axvline(1.0, color="0.5", linestyle=":")
    axes.set_xscale("log")
    axes.set_yticks([-k for k in range(len(shown))], [RATIOS[key] for key in shown])
    axes.set_title(f"ratio to {findings.baseline}: right of the line is better")
