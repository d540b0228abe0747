"""Start frames: uniform, by failures as BeyondMimic does it, and by tracking error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from g1_mimic.comparison.arms import parse_arm, strategies
from g1_mimic.envs.starts import (
    START_STRATEGIES,
    ClipStarts,
    StartSampler,
    StartsConfig,
    StartStrategy,
    cap,
    strategies_table,
)


def fail(sampler: StartSampler, frames: list[int]) -> None:
    """One control step in which all robots fail, at these frames."""
    sampler.record(
        np.array(frames, dtype=np.int64), np.ones(len(frames), bool), np.ones(len(frames))
    )


def test_uniform_reaches_every_frame_alike() -> None:
    """All frames are drawn with equal frequency (chi-square over 50 frames)."""
    sampler = StartSampler(StartsConfig(), [ClipStarts(50)], 50.0)
    counts = np.bincount(sampler.sample(50_000, np.random.default_rng(0)), minlength=50)
    chi_square = np.square(counts - 1000).sum() / 1000
    assert chi_square < 85.4  # 0.999 quantile with 49 degrees of freedom
    assert sampler.metrics()["entropy"] == pytest.approx(1.0)


def test_failures_draw_starts_to_their_bin() -> None:
    """A bin in which episodes fail is drawn in proportion; the uniform floor keeps the others."""
    config = StartsConfig(strategy="failure_bins", smoothing=0.5, uniform_ratio=0.1)
    sampler = StartSampler(config, [ClipStarts(500)], 50.0)
    fail(sampler, [310, 320])
    p = sampler.probabilities()
    floor = 0.1 / 10
    assert p[6] == pytest.approx((1.0 + floor) / (1.0 + 0.1))
    assert p[0] == pytest.approx(floor / (1.0 + 0.1))
    frames = sampler.sample(2000, np.random.default_rng(0))
    inside = ((frames >= 300) & (frames < 350)).mean()
    assert inside == pytest.approx(p[6], abs=0.03)


def test_kernel_spreads_towards_earlier_bins() -> None:
    """What fails in a bin also makes the bins before it likelier, never those after it."""
    config = StartsConfig(
        strategy="failure_bins", smoothing=1.0, kernel_size=3, kernel_decay=0.5, uniform_ratio=0.01
    )
    sampler = StartSampler(config, [ClipStarts(500)], 50.0)
    fail(sampler, [310])
    p = sampler.probabilities()
    assert p[6] > p[5] > p[4] > p[3] == pytest.approx(p[7])
    assert p[5] / p[6] == pytest.approx(0.5, abs=0.01)


def test_failures_fade() -> None:
    """Without new failures the average decays at the smoothing rate."""
    config = StartsConfig(strategy="failure_bins", smoothing=0.1)
    sampler = StartSampler(config, [ClipStarts(100)], 50.0)
    fail(sampler, [10])
    first = sampler.failures[0]
    fail(sampler, [])
    assert sampler.failures[0] == pytest.approx(0.9 * first)


@pytest.mark.parametrize(
    ("frame", "looped", "bin_"), [(310, True, 5), (20, True, 9), (20, False, 0), (500, False, 9)]
)
def test_lead_moves_failures_to_an_earlier_moment(frame: int, looped: bool, bin_: int) -> None:
    """With a lead a failure counts earlier: over the end of a looped clip, not before the start."""
    lead = 0.5 if frame < 500 else 0.0
    config = StartsConfig(strategy="failure_bins", lead_s=lead)
    sampler = StartSampler(config, [ClipStarts(500, looped)], 50.0)
    fail(sampler, [frame])
    assert sampler.probabilities().argmax() == bin_
    # what is plotted stays where it happened
    assert sampler.falls.argmax() == min(frame // 50, 9)


def reference(
    config: StartsConfig, bins: int, steps: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> list[float]:
    """The probabilities, one robot, bin and number at a time (non-looped clip of 50 Hz)."""
    frames = 50 * bins
    failures, errors, known = [0.0] * bins, [0.0] * bins, [0.0] * bins
    for where, failed, error in steps:
        for b in range(bins):
            here = [
                i for i, frame in enumerate(where)
                if min(max(frame - round(50 * config.lead_s), 0), frames - 1) // 50 == b
            ]  # fmt: skip
            count = sum(bool(failed[i]) for i in here)
            failures[b] = (1 - config.smoothing) * failures[b] + config.smoothing * count
            if here:
                mean = sum(error[i] for i in here) / len(here)
                errors[b] = (1 - config.smoothing) * errors[b] + config.smoothing * mean
                known[b] = (1 - config.smoothing) * known[b] + config.smoothing
    if config.strategy == "error_bins":
        average = [errors[b] / known[b] if known[b] else None for b in range(bins)]
        seen = [value for value in average if value is not None]
        filled = [sum(seen) / len(seen) if value is None else value for value in average]
        base = [value / sum(filled) for value in filled]
    else:
        base = failures
    floor = config.uniform_ratio / bins
    weights = []
    for b in range(bins):
        kernel = [config.kernel_decay**k for k in range(config.kernel_size)]
        ahead = [base[min(b + k, bins - 1)] + floor for k in range(config.kernel_size)]
        weights.append(sum(k * a for k, a in zip(kernel, ahead, strict=True)) / sum(kernel))
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize("strategy", ["failure_bins", "error_bins"])
@given(data=st.data())
def test_probabilities_equal_a_slow_reference(strategy: Any, data: st.DataObject) -> None:
    """Averages, floor, kernel and lead are those of plain loops, for any history of a run."""
    bins = data.draw(st.integers(1, 8))
    config = StartsConfig(
        strategy=strategy,
        smoothing=data.draw(st.floats(0.01, 1.0)),
        uniform_ratio=data.draw(st.floats(0.01, 2.0)),
        kernel_size=data.draw(st.integers(1, 4)),
        kernel_decay=data.draw(st.floats(0.1, 1.0)),
        lead_s=data.draw(st.floats(0.0, 2.0)),
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    sampler = StartSampler(config, [ClipStarts(50 * bins, looped=False)], 50.0)
    steps = []
    for _ in range(data.draw(st.integers(1, 6))):
        n = data.draw(st.integers(1, 5))
        steps.append((rng.integers(50 * bins, size=n), rng.random(n) < 0.3, rng.random(n)))
        sampler.record(*steps[-1])
    np.testing.assert_allclose(sampler.probabilities(), reference(config, bins, steps), rtol=1e-9)


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=12), st.floats(0.01, 1.0))
def test_cap_is_the_proportional_one(weights: list[float], most: float) -> None:
    """No share is above the limit, the sum is 1, and the others keep their proportions."""
    p = np.array(weights) / np.sum(weights)
    limit = max(most, 1 / len(p))
    # The slow way: the factor c for which min(c·p, limit) sums to 1, by bisection.
    low, high = 0.0, 1e9
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if np.minimum(middle * p, limit).sum() < 1 else (low, middle)
    np.testing.assert_allclose(cap(p, most), np.minimum(high * p, limit), atol=1e-6)


def test_capped_bin_leaves_starts_to_the_others() -> None:
    """A moment that always fails gets no more than max_share."""
    config = StartsConfig(strategy="failure_bins", smoothing=1.0, max_share=0.3)
    sampler = StartSampler(config, [ClipStarts(500)], 50.0)
    fail(sampler, [310] * 20)
    p = sampler.probabilities()
    assert p[6] == pytest.approx(0.3) and p[0] == pytest.approx(0.7 / 9)


def test_error_bins_follow_the_error_not_the_number_of_visits() -> None:
    """A rarely visited, badly tracked second is likelier than a busy, well tracked one."""
    config = StartsConfig(strategy="error_bins", smoothing=0.05)
    sampler = StartSampler(config, [ClipStarts(500)], 50.0)
    assert sampler.probabilities() == pytest.approx(np.full(10, 0.1))
    for step in range(100):
        frames = np.array([10, 20, 30, 310] if step % 10 == 0 else [10, 20, 30])
        sampler.record(frames, np.zeros(len(frames), bool), np.where(frames > 300, 0.3, 0.1))
    p = sampler.probabilities() - 0.1 / 10 / 1.1  # without the floor
    assert p[6] / p[0] == pytest.approx(3.0)
    assert p[6] / p[3] == pytest.approx(1.5)  # nobody has been there: an average bin


def test_counts_tell_visits_and_falls() -> None:
    """What is plotted: steps and failures per bin since the last time it was asked for."""
    sampler = StartSampler(StartsConfig(), [ClipStarts(100)], 50.0)
    sampler.record(np.array([10, 60, 61]), np.array([False, True, False]), np.zeros(3))
    visits, falls = sampler.take_counts()
    assert visits.tolist() == [1, 2] and falls.tolist() == [0, 1]
    assert sampler.take_counts()[0].tolist() == [0, 0]


def test_bins_fill_the_clip() -> None:
    """A clip that is no multiple of the bin width has wider bins, and the metrics say so."""
    config = StartsConfig(strategy="failure_bins", smoothing=1.0)
    sampler = StartSampler(config, [ClipStarts(95)], 50.0)
    assert sampler.bins == 1 and sampler.clips[0].bin_s == pytest.approx(1.9)
    assert sampler.metrics()["top_s"] == pytest.approx(0.95)


@pytest.mark.parametrize("strategy", ["failure_bins", "error_bins"])
def test_state_round_trips(strategy: Any) -> None:
    """A restored sampler has the same probabilities; one of another clip is refused."""
    config = StartsConfig(strategy=strategy)
    sampler = StartSampler(config, [ClipStarts(500)], 50.0)
    other = StartSampler(config, [ClipStarts(500)], 50.0)
    sampler.record(np.array([310, 20]), np.array([True, False]), np.array([0.3, 0.1]))
    other.load_state_dict(sampler.state_dict())
    np.testing.assert_array_equal(other.probabilities(), sampler.probabilities())
    np.testing.assert_array_equal(other.take_counts(), sampler.take_counts())
    with pytest.raises(ValueError, match="10 bins of starts"):
        StartSampler(config, [ClipStarts(100)], 50.0).load_state_dict(sampler.state_dict())


def test_one_more_strategy_is_one_more_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, arms of comparisons, the table of the documentation and the sampler know it."""
    entry = StartStrategy(
        start="where most go by", use="never", source="", weigh=lambda sampler: sampler.visits
    )
    monkeypatch.setitem(START_STRATEGIES, "busy_bins", entry)
    config = StartsConfig(strategy="busy_bins", uniform_ratio=1e-9)
    sampler = StartSampler(config, [ClipStarts(500)], 50.0)
    sampler.record(np.array([310, 320]), np.zeros(2, bool), np.zeros(2))
    assert sampler.probabilities()[6] == pytest.approx(1.0)
    assert parse_arm("per+busy_bins").settings["phase"] == {"strategy": "busy_bins"}
    assert "busy_bins" in strategies()
    assert strategies_table()[-1] == ("busy_bins", "where most go by", "never", "")
