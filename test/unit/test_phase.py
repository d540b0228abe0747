"""Start frames: uniform, and by failures as BeyondMimic does it."""

from __future__ import annotations

import numpy as np
import pytest

from g1_mimic.motion.phase import PhaseConfig, PhaseSampler


def test_uniform_reaches_every_frame_alike() -> None:
    """All frames are drawn with equal frequency (chi-square over 50 frames)."""
    sampler = PhaseSampler(PhaseConfig(), 50, 50.0)
    counts = np.bincount(sampler.sample(50_000, np.random.default_rng(0)), minlength=50)
    chi_square = np.square(counts - 1000).sum() / 1000
    assert chi_square < 85.4  # 0.999 quantile with 49 degrees of freedom
    assert sampler.metrics()["phase_entropy"] == pytest.approx(1.0)


def test_failures_draw_starts_to_their_bin() -> None:
    """A bin in which episodes fail is drawn in proportion; the uniform floor keeps the others."""
    config = PhaseConfig(strategy="failure_bins", smoothing=0.5, uniform_ratio=0.1)
    sampler = PhaseSampler(config, 500, 50.0)
    sampler.record(np.array([310, 320]))
    p = sampler.probabilities()
    floor = 0.1 / 10
    assert p[6] == pytest.approx((1.0 + floor) / (1.0 + 0.1))
    assert p[0] == pytest.approx(floor / (1.0 + 0.1))
    frames = sampler.sample(2000, np.random.default_rng(0))
    inside = ((frames >= 300) & (frames < 350)).mean()
    assert inside == pytest.approx(p[6], abs=0.03)


def test_kernel_spreads_towards_earlier_bins() -> None:
    """What fails in a bin also makes the bins before it likelier, never those after it."""
    config = PhaseConfig(
        strategy="failure_bins", smoothing=1.0, kernel_size=3, kernel_decay=0.5, uniform_ratio=0.01
    )
    sampler = PhaseSampler(config, 500, 50.0)
    sampler.record(np.array([310]))
    p = sampler.probabilities()
    assert p[6] > p[5] > p[4] > p[3] == pytest.approx(p[7])
    assert p[5] / p[6] == pytest.approx(0.5, abs=0.01)


def test_failures_fade() -> None:
    """Without new failures the average decays at the smoothing rate."""
    sampler = PhaseSampler(PhaseConfig(strategy="failure_bins", smoothing=0.1), 100, 50.0)
    sampler.record(np.array([10]))
    first = sampler.failures[0]
    sampler.record(np.array([], dtype=np.int64))
    assert sampler.failures[0] == pytest.approx(0.9 * first)


def test_state_round_trips() -> None:
    """A restored sampler has the same probabilities; one of another clip is refused."""
    config = PhaseConfig(strategy="failure_bins")
    sampler, other = PhaseSampler(config, 500, 50.0), PhaseSampler(config, 500, 50.0)
    sampler.record(np.array([310, 20]))
    other.load_state_dict(sampler.state_dict())
    np.testing.assert_array_equal(other.probabilities(), sampler.probabilities())
    with pytest.raises(ValueError, match="10 failure bins"):
        PhaseSampler(config, 100, 50.0).load_state_dict(sampler.state_dict())
