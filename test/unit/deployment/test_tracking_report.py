"""What the report of a deployment counts, and what it calls a fall."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from g1_mimic.control.modes import Mode
from g1_mimic.control.pd_target import LimitHits
from g1_mimic.deployment.tick import Tick
from g1_mimic.deployment.tracking_report import TrackingReport
from g1_mimic.envs.observations import ObservationInputs, ReferenceFrame

ZERO, ORIGIN, UPRIGHT = np.zeros(29), np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0])
LEANING = np.array([np.cos(1.0), np.sin(1.0), 0.0, 0.0])
HITS = LimitHits(ZERO > 0, ZERO == 0, ZERO > 0)
"""All joints are at their velocity limit."""


def tick(height: float | None, quat: np.ndarray = UPRIGHT) -> Tick:
    """A step of 0.1 rad of joint error with the torso ``height`` m above its reference."""
    position = None if height is None else np.array([0.0, 0.0, height])
    seen = ObservationInputs(
        ZERO + 0.1, ZERO, UPRIGHT, ORIGIN, quat, ZERO, ZERO, UPRIGHT, ZERO, ZERO, position, ORIGIN
    )
    return Tick(0, ReferenceFrame(ZERO, ZERO, ORIGIN, UPRIGHT), seen, ZERO, 0.0)


def report_of(ticks: list[Tick]) -> TrackingReport:
    report = TrackingReport(0.02)
    for one in ticks:
        report.add_hits(HITS)
        report.add_tick(one)
    return report


@pytest.mark.parametrize("lost", [tick(-0.3), tick(None, LEANING)], ids=["height", "tilt"])
def test_a_fall_lasts_and_ends_the_report_where_it_began(lost: Tick) -> None:
    """A tenth of a second, five steps; what comes during and after it does not count."""
    good = [tick(0.0), tick(0.2)]
    report = report_of([*good, *[lost] * 5, *good])
    figures = report.figures()
    assert report.fell and figures["fell"] and figures["survived_s"] == pytest.approx(0.04)
    assert figures["joint_error_mean_rad"] == pytest.approx(0.1)
    assert figures["anchor_position_error_m"] == pytest.approx(0.1)
    assert figures["velocity_limit_hits"] == 3 * 29  # the last before the first bad step


@pytest.mark.parametrize("count", [1, 4])
def test_what_passes_is_no_fall_and_counts(count: int) -> None:
    """One noisy measurement, or four, and the robot is there again."""
    figures = report_of([tick(0.0), *[tick(-0.3)] * count, tick(0.0)]).figures()
    assert not figures["fell"]
    assert figures["survived_s"] == pytest.approx(0.02 * (count + 2))
    assert figures["anchor_position_error_m"] == pytest.approx(0.3 * count / (count + 2))
    assert figures["velocity_limit_hits"] == 29 * (count + 2)


def test_a_robot_that_is_lost_when_tracking_ends_has_fallen() -> None:
    """Nobody saw it come back: at the end of a run, or where a fault or the operator stopped it."""
    report = report_of([tick(0.0), tick(-0.3)])
    assert report.fell and report.figures()["survived_s"] == pytest.approx(0.02)
    stopped: Any = SimpleNamespace(mode=Mode.DAMPING, hits=None, tick=None, tilted=False)
    report.add(stopped)
    again: Any = SimpleNamespace(mode=Mode.TRACK, hits=HITS, tick=tick(0.0), tilted=False)
    report.add(again)
    assert report.fell and report.figures()["survived_s"] == pytest.approx(0.02)


def test_a_fault_for_tilt_is_a_fall() -> None:
    """The controller damps a robot that leans too far at once: no step of the policy follows."""
    report = report_of([tick(0.0)])
    tilted: Any = SimpleNamespace(mode=Mode.DAMPING, hits=None, tick=None, tilted=True)
    report.add(tilted)
    assert report.fell and report.figures()["survived_s"] == pytest.approx(0.02)
