"""A recording on one page: tracking, torques against their limits, latency; picture or HTML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from g1_mimic.errors import BadValue
from g1_mimic.files import atomic_write, atomic_write_text
from g1_mimic.html_page import html_figure, html_heading, html_page, html_table
from g1_mimic.recording.bag_reader import Recording, read_recording
from g1_mimic.recording.run_figures import RunFigures, run_figures, summary, wall_times
from g1_mimic.robot.names import JOINT_NAMES

PICTURES = (".png", ".pdf", ".svg")
PAGES = (".html", ".htm")
_COLUMNS = 600
"""Time bins of a heat map, each with its largest value: no peak is lost."""
_MODE_COLOURS = {"damping": "#c9ccd1", "stand": "#cfe3f7", "track": "#ffffff"}
_LABELS = [name.removesuffix("_joint").replace("_", " ") for name in JOINT_NAMES]


def write_report(source: str | Path, output: str | Path) -> str:
    """Draw the recording ``source`` into ``output``; return a line for the user.

    Raises:
        G1MimicError: if the source is no recording, or the output's ending is unknown.
    """
    output = Path(output)
    suffix = output.suffix.lower()
    if suffix not in PICTURES + PAGES:
        raise BadValue(f"{output}: give a file that ends in {', '.join(PICTURES + PAGES)}")
    recording = read_recording(source)
    figures = run_figures(recording)
    figure = draw_run(recording, figures)
    if suffix in PAGES:
        atomic_write_text(output, _page(recording, figures, figure))
    else:
        with atomic_write(output) as temporary:
            figure.savefig(temporary, dpi=110, format=suffix.removeprefix("."))
    return f"{output}: {figures.time[-1]:.1f} s of {recording.path}"


def _page(recording: Recording, figures: RunFigures, figure: Figure) -> str:
    parts = [
        html_table(summary(recording, figures).items()),
        html_figure(figure, "tracking, torques and latency over time"),
        html_heading("Joints"),
        _joint_table(figures),
    ]
    if recording.warnings:
        start = int(recording.joints["joint_states"].stamp[0])
        rows = [(f"{(at - start) * 1e-9:.3f} s", text) for at, text in recording.warnings]
        parts += [html_heading("Warnings and errors"), html_table(rows, ("when", "what"))]
    motion = recording.facts.motion if recording.facts else ""
    return html_page(f"Run report: {motion or recording.path.stem}", *parts)


def _joint_table(figures: RunFigures) -> str:
    error = np.abs(figures.joint_error)
    known = bool(len(error))
    header = ("joint", "mean error, rad", "largest error, rad", "RMS torque, N·m",
              "largest torque, N·m", "limit, N·m", "margin to position limit, rad")  # fmt: skip
    rows = [
        (
            name,
            float(error[:, i].mean()) if known else "",
            float(error[:, i].max()) if known else "",
            float(np.sqrt(np.mean(figures.torque[:, i] ** 2))),
            float(np.abs(figures.torque[:, i]).max()),
            float(figures.torque_limit[i]),
            float(figures.position_margin[i]),
        )
        for i, name in enumerate(JOINT_NAMES)
    ]
    return html_table(rows, header)


def draw_run(recording: Recording, figures: RunFigures) -> Figure:
    """Draw tracking, torques and latency, each over time and as a whole."""
    figure = Figure(figsize=(13.0, 15.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        4, 2, width_ratios=[3.2, 1.0], height_ratios=[1.0, 1.9, 1.9, 1.0], squeeze=False
    )
    _draw_tracking(axes[0, 0], recording, figures)
    _draw_summary(axes[0, 1], recording, figures)
    error = np.abs(figures.joint_error)
    _draw_map(axes[1, 0], figures.reference_time, error, "joint error, rad", None)
    _draw_bars(axes[1, 1], error, "joint error, rad", None)
    share = figures.torque_share
    _draw_map(axes[2, 0], figures.time, share, "torque / limit", 1.0)
    _draw_bars(axes[2, 1], share, "torque / limit", 1.0)
    _draw_latency(axes[3, 0], figures)
    _draw_latency_share(axes[3, 1], recording, figures)
    for ax in axes[:, 0]:
        ax.set_xlim(0.0, max(figures.time[-1], 1e-3))
    axes[3, 0].set_xlabel("time of the states, s")
    return figure


def _shade_modes(ax: Axes, figures: RunFigures) -> None:
    top = ax.get_ylim()[1]
    for begin, end, mode in figures.modes:
        if mode in _MODE_COLOURS:
            ax.axvspan(begin, end, color=_MODE_COLOURS[mode], zorder=0)
        if end - begin > 0.04 * figures.time[-1]:
            ax.text(begin, top, f" {mode}", va="top", fontsize=9, color="#555c66")


def _draw_tracking(ax: Axes, recording: Recording, figures: RunFigures) -> None:
    error = np.abs(figures.joint_error)
    if len(error):
        ax.plot(figures.reference_time, error.max(axis=1), lw=0.8, label="joints, largest, rad")
        ax.plot(figures.reference_time, error.mean(axis=1), lw=1.4, label="joints, mean, rad")
    start = int(recording.joints["joint_states"].stamp[0])
    for topic, label in (("anchor_pos", "torso position, m"), ("anchor_ori", "torso angle, rad")):
        times, values = recording.scalars.get(f"policy/tracking_error/{topic}", ([], []))
        if len(times):
            ax.plot((np.asarray(times) - start) * 1e-9, values, lw=1.0, label=label)
    ax.set_ylim(bottom=0.0)
    _shade_modes(ax, figures)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=8, ncols=4, loc="upper right")
    ax.set_title("tracking error")


def _draw_summary(ax: Axes, recording: Recording, figures: RunFigures) -> None:
    ax.axis("off")
    lines = []
    for name, value in summary(recording, figures).items():
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        if name in ("recording", "policy"):
            text = Path(text).name
        lines.append(f"{name}: {text}")
    ax.text(-0.1, 1.0, "\n".join(lines), va="top", fontsize=7.5, transform=ax.transAxes)


def _binned_maximum(time: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return edges [B + 1] and the largest values [B, 29] in between; NaN where there are none."""
    count = max(min(_COLUMNS, len(time)), 1)
    edges = np.linspace(time[0], max(time[-1], time[0] + 1e-3), count + 1)
    index = np.clip(np.searchsorted(edges, time, side="right") - 1, 0, count - 1)
    result = np.full((count, values.shape[1]), -np.inf)
    np.maximum.at(result, index, values)
    result[np.isinf(result)] = np.nan
    return edges, result


def _draw_map(
    ax: Axes, time: np.ndarray, values: np.ndarray, title: str, top: float | None
) -> None:
    """Draw 29 joints over time, the largest value of each bin."""
    ax.set_title(title)
    ax.set_yticks(range(len(_LABELS)), _LABELS, fontsize=7)
    ax.set_ylim(len(_LABELS) - 0.5, -0.5)
    if not len(time):
        ax.text(0.5, 0.5, "not in the recording", ha="center", transform=ax.transAxes)
        return
    edges, largest = _binned_maximum(time, values)
    rows = np.arange(len(_LABELS) + 1) - 0.5
    mesh: Any = ax.pcolormesh(edges, rows, largest.T, cmap="inferno", vmin=0.0, vmax=top)
    figure = ax.get_figure()
    assert figure is not None
    figure.colorbar(mesh, ax=ax, pad=0.01, aspect=30)


def _draw_bars(ax: Axes, values: np.ndarray, title: str, limit: float | None) -> None:
    """Draw the root mean square and the largest value of each joint."""
    ax.set_title(f"{title}: RMS, largest")
    ax.set_yticks([])
    ax.set_ylim(len(_LABELS) - 0.5, -0.5)
    if not len(values):
        return
    rows = np.arange(len(_LABELS))
    ax.barh(rows, np.nanmax(values, axis=0), color="#f2c08a")
    ax.barh(rows, np.sqrt(np.nanmean(values**2, axis=0)), color="#b5651d")
    if limit is not None:
        ax.axvline(limit, color="#b2172e", lw=1.0)


def _draw_latency(ax: Axes, figures: RunFigures) -> None:
    ax.plot(figures.latency_time, figures.latency_ms, ".", ms=1.5, color="#2a6fb0")
    ax.set_title("state to target, ms of wall time")
    if len(figures.latency_ms) and figures.latency_ms.min() > 0.0:
        ax.set_yscale("log")


def _draw_latency_share(ax: Axes, recording: Recording, figures: RunFigures) -> None:
    """Draw which share of the times is longer than what."""
    for label, values in wall_times(recording, figures).items():
        ordered = np.sort(values)
        share = 1.0 - np.arange(len(ordered)) / len(ordered)
        ax.loglog(np.maximum(ordered, 1e-3), share, label=label)
    ax.set_title("share of longer times")
    ax.set_xlabel("ms")
    ax.grid(alpha=0.3)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=8)
