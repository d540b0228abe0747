"""Pictures of training runs: learning curves, what the replay did, which second of a clip is hard.

Runs can be plotted while they go on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from g1_mimic.comparison.curves import RunCurves, read_curves
from g1_mimic.errors import BadValue
from g1_mimic.files import atomic_write

_MOST_NAMED = 16
"""With more clips their names are not written into the pictures."""

SUFFIXES = (".png", ".pdf", ".svg")

CURVES = (
    ("eval/survival", "evaluation: survived share"),
    ("eval/score", "evaluation: reward per step"),
    ("train/return", "training: return (scaled)"),
)
REPLAY = (
    ("replay/beta", "importance exponent β"),
    ("replay/entropy", "sampling entropy / log N"),
    ("replay/weight_ess", "effective share of a batch"),
    ("replay/age", "age of samples (steps)"),
)


PER_CLIP = (
    ("eval/survival/", "survived share by clip"),
    ("starts/clip_share/", "share of the episode starts by clip"),
)
"""Beginnings of the names of what is told for each of several clips."""


def plot_runs(paths: list[str], output: str | Path) -> str:
    """Draw the runs in ``paths`` into ``output``; return a line for the user.

    Raises:
        G1MimicError: if a run cannot be read or the file cannot be written.
    """
    output = Path(output)
    if output.suffix.lower() not in SUFFIXES:
        raise BadValue(f"{output}: plots end in {', '.join(SUFFIXES)}")
    runs = [read_curves(path) for path in paths]
    figure = draw(runs)
    with atomic_write(output) as temporary:
        figure.savefig(temporary, dpi=120)
    return f"{output}: {len(runs)} run{'s' if len(runs) > 1 else ''}"


def draw(runs: list[RunCurves]) -> Figure:
    """Return the figure: learning curves, replay, and what each run tells about its clips."""
    pictured = [run for run in runs if run.starts is not None]
    several = [run for run in runs if run.per_clip(PER_CLIP[0][0])]
    rows = 3 + len(several) + len(pictured)
    legend_height = 0.1 + 0.08 * -(-len(runs) // 4)
    figure = Figure(figsize=(16, 3.6 * (rows + legend_height)), layout="constrained")
    FigureCanvasAgg(figure)
    heights = [legend_height] + [1.0] * rows
    top, *parts = figure.subfigures(1 + rows, 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, against_time in zip(parts, (False, True), strict=False):
        for axes, (name, title) in zip(part.subplots(1, len(CURVES)), CURVES, strict=True):
            _curve(axes, runs, name, title, against_time)
    for axes, (name, title) in zip(parts[2].subplots(1, len(REPLAY)), REPLAY, strict=True):
        _curve(axes, runs, name, title, against_time=False)
    for part, run in zip(parts[3 : 3 + len(several)], several, strict=True):
        for axes, (prefix, title) in zip(part.subplots(1, 2), PER_CLIP, strict=True):
            _by_clip(axes, run, prefix, title)
    for part, run in zip(parts[3 + len(several) :], pictured, strict=True):
        for axes, kind in zip(part.subplots(1, 2), ("probabilities", "failure_rate"), strict=True):
            _starts(axes, run, kind)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    top.legend(handles, labels, loc="center", ncols=4)
    return figure


def _curve(axes: Axes, runs: list[RunCurves], name: str, title: str, against_time: bool) -> None:
    empty = (np.zeros(0), np.zeros(0))
    for i, run in enumerate(runs):
        steps, values = run.scalars.get(name, empty)  # β, say, is not in every strategy
        x = run.minutes(steps) if against_time else steps / 1000.0
        axes.plot(x, values, color=f"C{i}", label=run.name, marker="." if len(x) < 30 else "")
    if not any(len(run.scalars.get(name, empty)[0]) for run in runs):
        axes.text(0.5, 0.5, "not in these runs", ha="center", transform=axes.transAxes)
    axes.set_title(title)
    axes.set_xlabel("training time (min)" if against_time else "environment steps (1000)")
    axes.grid(alpha=0.3)


def _by_clip(axes: Axes, run: RunCurves, prefix: str, title: str) -> None:
    curves = run.per_clip(prefix)
    for name, (steps, values) in curves.items():
        axes.plot(steps / 1000.0, values, label=name, marker="." if len(steps) < 30 else "")
    axes.set_title(f"{run.name}: {title}")
    axes.set_xlabel("environment steps (1000)")
    axes.set_ylim(bottom=0.0)
    axes.grid(alpha=0.3)
    if len(curves) <= _MOST_NAMED:
        axes.legend(fontsize="small")


def _starts(axes: Axes, run: RunCurves, kind: str) -> None:
    """Time of the clips on x, progress on y (upwards), colour: where starts or failures are."""
    history = run.starts
    assert history is not None
    values: Any = getattr(history, kind)
    if kind == "probabilities":
        title, label = "where episodes start", "times as likely as uniform"
        values, least = values * values.shape[1], 2.0  # so that uniform is no extreme
    else:
        title, label = "where they fail (grey: nobody was there)", "failures per robot and second"
        least = 1e-9
    x = np.concatenate([np.full(clip.count, clip.bin_s) for clip in history.clips]).cumsum()
    x = np.concatenate([[0.0], x])
    # An entry tells of the time since the one before it.
    y = np.concatenate([[0.0], history.env_steps]) / 1000.0
    axes.set_facecolor("0.8")
    top = max(float(np.nanmax(values, initial=0.0)), least)
    mesh = axes.pcolormesh(x, y, np.ma.masked_invalid(values), vmin=0.0, vmax=top, cmap="inferno")
    assert axes.figure is not None
    axes.figure.colorbar(mesh, ax=axes, label=label)
    axes.set_title(f"{run.name}: {title}")
    axes.set_xlabel("time in the clip (s)")
    if len(history.clips) > 1:
        axes.set_xlabel("time (s), the clips one after the other")
        starts = np.cumsum([0.0] + [clip.count * clip.bin_s for clip in history.clips])
        for clip, start in zip(history.clips, starts, strict=False):
            axes.axvline(start, color="w", linewidth=1.0)
            if len(history.clips) <= _MOST_NAMED:
                axes.text(start, y[-1], f" {clip.name}", color="w", va="top", fontsize="small")
    axes.set_ylabel("environment steps (1000)")
