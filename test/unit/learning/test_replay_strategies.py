"""Replay strategies: their probabilities and weights against slow references."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from one_more import help_of, rclpy_is_there
from small_runs import config as small_config

from g1_mimic.comparison.arms import parse_arm
from g1_mimic.errors import G1MimicError
from g1_mimic.learning.config import ReplayConfig, TrainConfig
from g1_mimic.learning.networks import CriticEnsemble
from g1_mimic.learning.replay_strategies import (
    REPLAY_STRATEGIES,
    ReplayStrategy,
    strategies_table,
)
from g1_mimic.learning.replays import HISTOGRAM_EDGES, RecencyReplay, Replay, make_replay
from g1_mimic.learning.session import open_trainer
from g1_mimic.settings import validate

STRATEGIES = list(REPLAY_STRATEGIES)
ENVS, ROWS, SCALE = 3, 10, 0.02


def replay(sampling: str, steps: int = 14, **settings: Any) -> Replay:
    """A replay after ``steps`` vector steps: by default a full ring whose head is in the middle.

    Field ``obs`` is the number of the step, ``env`` that of the environment.
    """
    config = TrainConfig.model_validate(
        {
            "num_envs": ENVS,
            "sampling": sampling,
            "replay": {"capacity": ENVS * ROWS, **settings},
        }
    )
    result = make_replay(config, SCALE, torch.device("cpu"))
    for step in range(steps):
        add_row(result, step)
    return result


def add_row(it: Replay, step: int) -> None:
    it.buffer.record("obs", torch.full((ENVS, 1), float(step)))
    it.buffer.record("env", torch.arange(ENVS))
    it.buffer.inc()


def reference(sampling: str, errors: np.ndarray, ages: np.ndarray) -> np.ndarray:
    """The probabilities of the papers, with the default settings, one transition at a time."""
    weights = []
    for error, age in zip(errors, ages, strict=True):
        if sampling == "uniform":
            weights.append(1.0)
        elif sampling in ("per", "per_critic"):
            weights.append((error + 1e-6) ** 0.6)
        elif sampling == "lap":
            weights.append(max(error, 1.0 * SCALE) ** 0.4)
        else:
            weights.append(0.5 ** (age / (0.5 * ROWS)))
    p = np.array(weights) / sum(weights)
    return 0.5 / len(p) + 0.5 * p if sampling == "per_critic" else p


@pytest.mark.parametrize("sampling", STRATEGIES)
@pytest.mark.parametrize("steps", [1, 4, 10, 14, 25])
def test_probabilities_are_those_of_the_papers(sampling: str, steps: int) -> None:
    """For a ring that is filling, just full and turning over, and errors over six decades."""
    it = replay(sampling, steps)
    count = min(steps, ROWS) * ENVS
    errors = 10.0 ** np.random.default_rng(steps).uniform(-4, 2, count)
    it.learn_errors(torch.arange(count), torch.from_numpy(errors).float())
    ages = steps - 1 - it.buffer.get_data_flat("obs")[:count, 0].numpy()
    expected = reference(sampling, errors, ages)
    np.testing.assert_allclose(it.probabilities(), expected, rtol=2e-4)


@pytest.mark.parametrize("sampling", STRATEGIES)
def test_draws_have_these_probabilities(sampling: str) -> None:
    """Frequencies over 100,000 draws agree with `probabilities` (chi-square)."""
    torch.manual_seed(0)
    it = replay(sampling)
    it.learn_errors(torch.arange(30), torch.linspace(0.001, 0.5, 30))
    drawn = torch.cat([it.sample(500, ())["indices"] for _ in range(200)])
    counts = np.bincount(drawn.numpy(), minlength=30)
    p = it.probabilities().numpy()
    chi_square = (np.square(counts - 1e5 * p) / (1e5 * p)).sum()
    assert chi_square < 58.3  # 0.999 quantile with 29 degrees of freedom
    if sampling != "uniform":
        assert (np.square(counts - 1e5 / 30) / (1e5 / 30)).sum() > 1000  # it can tell


def test_lap_errors_below_the_threshold_are_alike_and_new_ones_come_first() -> None:
    """The threshold follows the reward scale; a new transition has the highest priority so far."""
    it = replay("lap", steps=4)
    assert it.probabilities().numpy() == pytest.approx(np.full(12, 1 / 12))
    it.learn_errors(torch.arange(3), torch.tensor([0.0, 0.5 * SCALE, SCALE]))
    assert it.probabilities().numpy() == pytest.approx(np.full(12, 1 / 12))
    it.learn_errors(torch.arange(1), torch.tensor([32.0 * SCALE]))
    p = it.probabilities()
    assert float(p[0] / p[1]) == pytest.approx(32**0.4)  # = 4
    add_row(it, 4)
    assert it.probabilities()[12:].numpy() == pytest.approx(float(it.probabilities()[0]))


def test_lap_and_recency_have_no_weights() -> None:
    """Their losses are not weighted, however uneven the draws."""
    for sampling in ("uniform", "lap", "recency"):
        it = replay(sampling)
        it.learn_errors(torch.arange(30), torch.linspace(0.0, 50.0, 30))
        for _ in range(3):
            assert it.sample(16, ())["weights"].tolist() == [1.0] * 16
        assert it.metrics()["weight_ess"] == 1.0 and "beta" not in it.metrics()


def test_cross_entropy_is_linear_in_small_errors_and_bounded_in_large_ones() -> None:
    """Why LAP needs no Huber loss here: the gradient in the logits has Huber's shape."""
    critic = CriticEnsemble(1, 1, (4,), 1.0, atoms=201, value_range=(-10.0, 10.0))
    logits = (-0.5 * (critic.support / 0.5).square())[None]  # a value of 0 ± 0.5

    def gradient(shift: float) -> float:
        target = critic.project(torch.softmax(logits, -1), torch.tensor([shift]), torch.ones(1))
        guess = logits.clone().requires_grad_()
        (-(target * torch.log_softmax(guess, -1)).sum()).backward()
        assert guess.grad is not None
        return float(guess.grad.norm())

    assert gradient(0.2) / gradient(0.1) == pytest.approx(2.0, rel=0.05)
    assert gradient(8.0) / gradient(4.0) == pytest.approx(1.0, rel=0.01)
    assert gradient(8.0) <= math.sqrt(2.0)


@given(
    share=st.floats(0.0, 0.95),
    n=st.integers(1, 64),
    beta=st.floats(0.0, 1.0),
    seed=st.integers(0, 9),
)
def test_critics_weights_are_those_of_the_mixture(
    share: float, n: int, beta: float, seed: int
) -> None:
    """weights = (N·Q(i))^-β over the batch's largest, with the share that the batch really has."""
    torch.manual_seed(seed)
    it = replay("per_critic", uniform_share=share, beta=beta, beta_increment=0.0)
    errors = np.random.default_rng(seed).exponential(1.0, 30) + 1e-3
    it.learn_errors(torch.arange(30), torch.from_numpy(errors).float())
    batch = it.sample(n, ("obs",))
    assert len(batch["indices"]) == len(batch["obs"]) == len(batch["actor_obs"]) == n
    p = errors**0.6 / (errors**0.6).sum()
    uniform = min(round(n * share), n - 1) / n
    q = uniform / 30 + (1 - uniform) * p[batch["indices"]]
    expected = (30 * q) ** -beta
    np.testing.assert_allclose(batch["weights"], expected / expected.max(), rtol=1e-3)


def test_actor_learns_from_uniform_samples() -> None:
    """Whatever the priorities, each transition is as likely for the actor (chi-square)."""
    torch.manual_seed(0)
    it = replay("per_critic")
    it.learn_errors(torch.arange(30), torch.linspace(0.0, 50.0, 30))
    drawn = torch.cat([it.sample(500, ("obs",))["actor_obs"] for _ in range(100)])
    counts = np.bincount(drawn[:, 0].long().numpy(), minlength=14)[4:]
    assert (np.square(counts - 5000) / 5000).sum() < 27.9  # 0.999, 9 degrees of freedom


def test_weighted_mixture_is_unbiased_at_beta_one() -> None:
    """With β = 1 the critic's weighted mean is that over the whole buffer."""
    torch.manual_seed(0)
    it = replay("per_critic", alpha=1.0, beta=1.0)
    it.learn_errors(torch.arange(30), torch.linspace(0.1, 5.0, 30))
    batch = it.sample(200_000, ())
    values = batch["indices"].double()
    weights = batch["weights"].double()
    assert float((weights * values).sum() / weights.sum()) == pytest.approx(14.5, abs=0.1)
    assert float(values.mean()) > 16.0  # without weights it is far off


@pytest.mark.parametrize("sampling", STRATEGIES)
def test_metrics_are_their_definitions(sampling: str) -> None:
    """Entropy, effective share, age and the effective size of the weights, by plain formulas."""
    torch.manual_seed(0)
    it = replay(sampling)
    it.learn_errors(torch.arange(30), torch.linspace(0.0, 1.0, 30))
    batch = it.sample(64, ("obs",))
    metrics, p = it.metrics(), it.probabilities().numpy()
    assert metrics["transitions"] == 30
    assert metrics["entropy"] == pytest.approx(-(p * np.log(p)).sum() / np.log(30))
    assert metrics["effective_share"] == pytest.approx(1 / (30 * (p**2).sum()))
    assert metrics["age"] == pytest.approx(float((13 - batch["obs"]).mean()) * ENVS, rel=1e-5)
    w = batch["weights"].double().numpy()
    assert metrics["weight_ess"] == pytest.approx(w.sum() ** 2 / (w**2).sum() / 64)
    shares = it.histogram()
    assert shares.sum() == pytest.approx(1.0)
    inside = (np.log10(30 * p) >= HISTOGRAM_EDGES[12]) & (np.log10(30 * p) < HISTOGRAM_EDGES[13])
    assert shares[12] == pytest.approx(inside.mean(), abs=1e-9)


@pytest.mark.parametrize("sampling", STRATEGIES)
def test_an_empty_replay_has_no_metrics(sampling: str) -> None:
    """Logging before the first row neither fails nor invents numbers."""
    assert set(replay(sampling, steps=0).metrics()) <= {"beta"}
    assert set(replay(sampling, steps=1).metrics()) >= {"entropy", "transitions"}


@given(rows=st.integers(1, 200), half_life=st.floats(0.01, 1e6))
def test_recency_stays_in_the_buffer(rows: int, half_life: float) -> None:
    """For any half-life and fill all draws are stored transitions, also at the ends of u."""
    torch.manual_seed(rows)
    it = replay("recency", steps=rows, half_life=half_life)
    assert isinstance(it, RecencyReplay)
    indices = it.sample(1000, ())["indices"]
    assert int(indices.min()) >= 0 and int(indices.max()) < it.buffer.get_sample_count()


def test_recencys_default_keeps_the_entropy_high() -> None:
    """In a full buffer the newest are about 4 times as likely as the oldest.

    That costs 0.077 nats in a buffer of any size: less than a hundredth of the default's entropy.
    """
    it = replay("recency", steps=ROWS)
    p = it.probabilities()
    assert float(p[-1] / p[0]) == pytest.approx(2.0 ** ((ROWS - 1) / (0.5 * ROWS)))
    lost = (1.0 - it.metrics()["entropy"]) * math.log(30)
    assert lost == pytest.approx(0.077, abs=0.003)
    assert lost / math.log(131072) < 0.01


class NewestReplay(Replay):
    """Draws from the newest row alone, and tells what it has drawn."""

    drawn: list[torch.Tensor]

    def _draw(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.drawn = [torch.randint(self.buffer.batch_size, (n,))]
        row = self.buffer.get_sample_count() // self.buffer.batch_size - 1
        return self.drawn[0] + row * self.buffer.batch_size, torch.ones(n)


def test_one_more_strategy_is_one_more_entry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Settings, arms of comparisons, --help, rqt, the documentation's table and runs know it."""
    entry = ReplayStrategy(
        drawn="the newest", use="never", source="", settings=(), kind=f"{__name__}:NewestReplay"
    )
    monkeypatch.setitem(REPLAY_STRATEGIES, "newest", entry)
    assert validate(TrainConfig, {"sampling": "newest"}, "x.yaml").sampling == "newest"
    with pytest.raises(G1MimicError, match=r"sampling: 'new' is none of .*did you mean 'newest'"):
        validate(TrainConfig, {"sampling": "new"}, "x.yaml")
    assert parse_arm("newest+error_bins").settings["sampling"] == "newest"
    with pytest.raises(G1MimicError, match=r"'newst' is none of .*did you mean 'newest'"):
        parse_arm("newst")
    assert "recency, newest" in help_of("compare")
    assert "--sampling {uniform,per,lap,per_critic,recency,newest}" in help_of("train")
    if rclpy_is_there():
        from g1_mimic.nodes.shared.parameters import descriptors

        assert "newest" in descriptors(TrainConfig)["sampling"].additional_constraints
    assert strategies_table()[-1] == ("newest", "the newest", "never", "", "")
    trainer = open_trainer(small_config(tmp_path / "run", sampling="newest"))
    trainer.run()
    assert isinstance(trainer.replay, NewestReplay) and len(trainer.replay.drawn[0]) == 32


@pytest.mark.parametrize("sampling", STRATEGIES)
def test_a_strategy_reads_the_settings_that_its_entry_tells(sampling: str) -> None:
    """Another value of any other setting of the replay makes the same draws and weights."""
    other = {"alpha": 0.9, "beta": 0.9, "beta_increment": 0.1, "epsilon": 0.1, "lap_alpha": 0.9,
             "lap_threshold": 0.1, "uniform_share": 0.9, "half_life": 0.1}  # fmt: skip
    assert {*other, "capacity", "batch_size"} == set(ReplayConfig.model_fields)

    def outcome(**settings: float) -> list[torch.Tensor]:
        torch.manual_seed(0)
        it = replay(sampling, **settings)
        it.learn_errors(torch.arange(30), torch.linspace(0.0, 1.0, 30))
        return [value for _ in range(2) for value in it.sample(64, ()).values()]

    def changes(name: str) -> bool:
        return not all(map(torch.equal, outcome(), outcome(**{name: other[name]})))

    read = {name for name in other if changes(name)}
    assert read == set(REPLAY_STRATEGIES[sampling].settings)


def test_settings_are_checked_without_torch() -> None:
    """Help and mistakes in settings answer at once."""
    program = (
        "import sys; from g1_mimic.learning.config import load_train_config\n"
        "load_train_config(None, {'sampling': 'per'})\n"
        "print(sorted({'torch', 'numba', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
