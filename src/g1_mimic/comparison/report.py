"""The report of a comparison: figures with intervals, as Markdown, JSON and a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from g1_mimic.comparison.findings import MEASURES, Curves, Findings, find
from g1_mimic.comparison.results import RunResult
from g1_mimic.comparison.statistics import Ratio, bootstrap_band, interquartile_mean
from g1_mimic.files import atomic_write, atomic_write_text

REPORT, FIGURES, PICTURE = "report.md", "report.json", "curves.png"


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
    for name, measure in MEASURES.items():
        cells = [_cell(ratios[name]) for ratios in findings.ratios.values()]
        lines.append(f"| {measure.title} | {measure.promise} | {' | '.join(cells)} |")
    memory = [f"{100 * arms[arm].priority_share:.2f} %" for arm in findings.ratios]
    lines.append(f"| memory of the priorities | 10 to 15 % | {' | '.join(memory)} |")
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


def _draw(findings: Findings, curves: Mapping[str, Curves]) -> Figure:
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
    axes.set_yticks([-k for k in range(len(shown))], [MEASURES[key].title for key in shown])
    axes.set_title(f"ratio to {findings.baseline}: right of the line is better")
