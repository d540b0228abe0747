"""The page of an evaluation: tables, plots and pictures in one HTML file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from g1_mimic.errors import G1MimicError
from g1_mimic.evaluation.conditions import ABOUT
from g1_mimic.evaluation.film import film_policy
from g1_mimic.evaluation.suite import Assessment
from g1_mimic.evaluation.tables import COLUMNS, push_line
from g1_mimic.evaluation.tracking_metrics import METRICS
from g1_mimic.files import atomic_write_text
from g1_mimic.html_page import (
    html_figure,
    html_film,
    html_heading,
    html_page,
    html_picture,
    html_table,
    html_text,
)
from g1_mimic.motion.trajectory import CONTROL_RATE
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.render import render_motion


def write_page(
    path: Path, found: Sequence[Assessment], policies: Sequence[OnnxPolicy], film: bool
) -> list[str]:
    """Write the page; return lines for the user.

    Args:
        path: the file.
        found: one for each policy.
        policies: the policies, in the same order.
        film: show films rather than contact sheets.

    Raises:
        WriteError: if it cannot be written.
    """
    parts, lines = [], []
    parts.append(html_figure(_curves(found), "success rate against push and delay"))
    for assessment, policy in zip(found, policies, strict=True):
        parts.append(html_heading(f"{assessment.name}: {assessment.motion}"))
        try:
            parts.append(_pictures(assessment, policy, film))
        except G1MimicError as error:
            parts.append(html_text(f"No pictures: {error}."))
            lines.append(f"no pictures of {assessment.name}: {error}")
        parts.append(_table(assessment))
        if sentence := push_line(assessment):
            parts.append(html_text(sentence))
        parts.append(html_figure(_survival(assessment), "survived time by start in the clip"))
    shown = dict.fromkeys(o.condition.part for a in found for o in a.outcomes)
    rows = [[part.replace("_", " "), ABOUT[part]] for part in shown]
    parts += [html_heading("Conditions"), html_table(rows)]
    parts += [html_heading("All metrics, on the robot of training"), _all_metrics(found)]
    options = found[0].options
    parts.append(
        html_text(
            f"{options.episodes} episodes per condition, at most {options.seconds:g} s, starts "
            f"spread evenly over the clip, seed {options.seed}. Errors are means over the time "
            "that was survived: a policy that falls early has no errors after that."
        )
    )
    title = "Policy evaluation: " + ", ".join(assessment.name for assessment in found)
    atomic_write_text(path, html_page(title, *parts))
    return [*lines, f"page: {path}"]


def _table(assessment: Assessment) -> str:
    rows = []
    for outcome in assessment.outcomes:
        condition, values = outcome.condition, outcome.evaluation.as_dict()
        rows.append([condition.title, *(values[key] for key in COLUMNS.values())])
    return html_table(rows, ["condition", *COLUMNS])


def _all_metrics(found: Sequence[Assessment]) -> str:
    nominal = [assessment.nominal.as_dict() for assessment in found]
    rows = [
        [name, *(values.get(name, "") for values in nominal), METRICS.get(name, "")]
        for name in nominal[0]
    ]
    return html_table(rows, ["metric", *(a.name for a in found), "what it is"])


def _pictures(assessment: Assessment, policy: OnnxPolicy, film: bool) -> str:
    clips = [span.name for span in policy.metadata.spans(policy.num_frames)]
    return "\n".join(_picture(assessment, policy, film, clip) for clip in clips)


def _picture(assessment: Assessment, policy: OnnxPolicy, film: bool, clip: str) -> str:
    options = assessment.options
    robot, reference = film_policy(policy, options.seconds, options.seed, clip)
    words = (
        f"{assessment.name}, {len(robot) / CONTROL_RATE:.1f} s from the start of "
        f"{clip or 'the clip'}; the ghost is the reference"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("film.mp4" if film else "moments.png")
        render_motion(path, robot, CONTROL_RATE, reference_qpos=reference)
        data = path.read_bytes()
    return html_film(data, words) if film else html_picture(data, words)


def _curves(found: Sequence[Assessment]) -> Figure:
    """Success against push and delay, and by condition, of all policies."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    push, delay, bars = figure.subplots(1, 3)
    for assessment in found:
        for axes, part, factor in ((push, "pushes", 1.0), (delay, "delay", 1e3)):
            if assessment.of(part):
                values, success = assessment.curve(part)
                axes.plot(factor * values, success, "o-", label=assessment.name)
        half = assessment.half_failure_push if assessment.of("pushes") else None
        if half is not None:
            push.plot([half], [0.5], "k|", markersize=12)
    _share_axes(push, "push, m/s")
    _share_axes(delay, "delay, ms")
    single = ("nominal", "randomised", "second_robot")
    width = 0.8 / len(found)
    for i, assessment in enumerate(found):
        shown = [o for o in assessment.outcomes if o.condition.part in single]
        places = np.arange(len(shown)) + (i - (len(found) - 1) / 2) * width
        heights = [outcome.evaluation.success_rate for outcome in shown]
        bars.bar(places, heights, width, label=assessment.name)
        bars.set_xticks(range(len(shown)), [o.condition.name for o in shown], rotation=20)
    bars.set_ylim(0.0, 1.05)
    bars.set_title("success rate")
    if len(found) > 1:
        bars.legend(fontsize="small")
    return figure


def _share_axes(axes: Axes, label: str) -> None:
    axes.axhline(0.5, color="0.7", linewidth=0.8)
    axes.set_ylim(-0.02, 1.05)
    axes.set_xlabel(label)
    axes.set_title("success rate")
    if not axes.lines[1:]:
        axes.text(0.5, 0.7, "not run", ha="center", transform=axes.transAxes)


def _survival(assessment: Assessment) -> Figure:
    """How long episodes lasted by where in the clip they began, where any failed."""
    figure = Figure(figsize=(11, 2.8), layout="constrained")
    axes = figure.subplots()
    nominal, *others = assessment.outcomes
    for outcome in [nominal, *(o for o in others if o.episodes.failed.any())][:8]:
        episodes = outcome.episodes
        order = np.argsort(episodes.start, kind="stable")
        share = episodes.steps / episodes.possible
        name = outcome.condition.title
        axes.plot(episodes.start[order] / CONTROL_RATE, share[order], ".-", label=name)
    axes.set_ylim(-0.02, 1.05)
    axes.set_xlabel("start of the episode in the clip, s")
    axes.set_ylabel("survived share")
    axes.legend(fontsize="small", ncols=2)
    return figure
