"""Prioritized sampling: the formulas of the guide, and its troubleshooting table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from g1_mimic.errors import G1MimicError
from g1_mimic.learning.experience_buffer import PrioritizedExperienceBuffer
from g1_mimic.learning.nstep import gather_nstep
from g1_mimic.learning.replay.priority_tree import PriorityTree

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    ),
]


def filled(rows: int, envs: int = 1, **options: Any) -> PrioritizedExperienceBuffer:
    """Return a full buffer whose field ``x`` is the flat index."""
    buffer = PrioritizedExperienceBuffer(rows, envs, **{"seed": 0, **options})
    for row in range(rows):
        buffer.record("x", torch.arange(envs) + row * envs)
        buffer.inc()
    return buffer


def chi_square(counts: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the statistic in standard deviations above its mean."""
    expected = counts.sum() * probabilities
    freedom = len(counts) - 1
    return float((np.square(counts - expected) / expected).sum() - freedom) / (2 * freedom) ** 0.5


class TestProbabilities:
    @pytest.mark.parametrize("device", DEVICES)
    @pytest.mark.parametrize("batch", [1, 7, 500])
    def test_frequencies_are_priorities_to_the_alpha(self, device: str, batch: int) -> None:
        """Slot i is drawn with probability (|e_i| + ε)^α / Σ, for any batch size (chi-square)."""
        buffer = filled(10, 5, alpha=0.7, device=device)
        errors = torch.linspace(0.02, 3.0, 50) * torch.tensor([1.0, -1.0]).repeat(25)
        buffer.update_priorities(torch.arange(50), errors)
        weights = (errors.abs().double().numpy() + 1e-6) ** 0.7
        expected = weights / weights.sum()
        np.testing.assert_allclose(buffer.get_probabilities().cpu(), expected, rtol=1e-6)
        calls = 4000 if batch == 1 else 40_000 // batch
        drawn = torch.cat([buffer.sample(batch)["x"] for _ in range(calls)]).cpu()
        counts = np.bincount(drawn.numpy(), minlength=50)
        assert chi_square(counts, expected) < 4.0
        assert chi_square(counts, np.full(50, 0.02)) > 10.0  # the test can tell them apart

    def test_alpha_zero_is_uniform(self) -> None:
        """Without α all samples are equally likely, and weights are 1."""
        buffer = filled(20, alpha=0.0)
        buffer.update_priorities(torch.arange(20), torch.rand(20) * 100)
        np.testing.assert_allclose(buffer.get_probabilities(), 0.05)
        assert buffer.sample(9)["weights"].tolist() == [1.0] * 9

    def test_weights_are_the_papers(self) -> None:
        """weights = (N·P(i))^-β divided by the largest of the batch."""
        buffer = filled(8, 4, beta=0.55)
        buffer.update_priorities(torch.arange(32), torch.linspace(0.0, 5.0, 32))
        p = buffer.get_probabilities()
        batch = buffer.sample(64)
        expected = (32 * p[batch["indices"]]) ** -0.55
        np.testing.assert_allclose(batch["weights"], expected / expected.max(), rtol=1e-5)
        assert batch["weights"].max() == 1.0

    def test_weighted_mean_is_unbiased_at_beta_one(self) -> None:
        """With β = 1 the weighted batch mean estimates the mean over the buffer."""
        buffer = filled(200, beta=1.0, alpha=1.0)
        buffer.update_priorities(torch.arange(200), torch.linspace(0.5, 5.0, 200))
        batch = buffer.sample(100_000)
        estimate = (batch["weights"] * batch["x"]).sum() / batch["weights"].sum()
        assert float(estimate) == pytest.approx(99.5, abs=1.0)
        assert float(batch["x"].float().mean()) > 120.0  # without weights it is far off

    def test_hard_samples_come_first(self) -> None:
        """The guide's aim: large errors are drawn more often than small ones."""
        buffer = filled(100)
        errors = torch.full((100,), 0.01)
        errors[40:50] = 2.0
        buffer.update_priorities(torch.arange(100), errors)
        drawn = buffer.sample(2000)["indices"]
        share = float(((drawn >= 40) & (drawn < 50)).float().mean())
        assert share == pytest.approx(2.0**0.6 / (2.0**0.6 + 9 * 0.01**0.6), abs=0.02)


class TestBeta:
    def test_beta_grows_to_one_and_stays(self) -> None:
        """β is used, then grows by the increment with every call, up to exactly 1."""
        buffer = filled(4, beta=0.4, beta_increment=0.25)
        betas = []
        for _ in range(5):
            betas.append(buffer.beta)
            buffer.sample(2)
        assert betas == pytest.approx([0.4, 0.65, 0.9, 1.0, 1.0])
        assert buffer.beta == 1.0

    def test_guide_defaults(self) -> None:
        """The defaults are the guide's: after 600 samples β is 1."""
        buffer = filled(4)
        assert (buffer.alpha, buffer.beta) == (0.6, 0.4)
        for _ in range(601):
            buffer.sample_indices(1)
        assert buffer.beta == 1.0


class TestPriorities:
    def test_new_samples_get_the_highest_priority_so_far(self) -> None:
        """1 at first, later the largest (|e| + ε)^α ever seen, also after it is gone."""
        buffer = filled(4, alpha=0.5)
        assert buffer.get_priorities().tolist() == [1.0] * 4
        buffer.update_priorities([0, 1, 2, 3], [-9.0, 0.1, 0.1, 0.1])
        buffer.update_priorities([0], [0.1])
        buffer.record("x", torch.tensor([7]))
        buffer.inc()
        assert float(buffer.get_priorities()[0]) == pytest.approx(3.0)

    def test_small_errors_do_not_lower_what_new_samples_get(self) -> None:
        """Before any large error, new samples still come before learned ones."""
        buffer = filled(4)
        buffer.update_priorities([0, 1, 2, 3], [0.01] * 4)
        buffer.record("x", torch.tensor([7]))
        buffer.inc()
        priorities = buffer.get_priorities()
        assert priorities[0] == 1.0 and priorities[1:].max() < 0.1

    def test_last_of_duplicates_wins(self) -> None:
        """An index given more than once has the last of its errors, at any batch size."""
        for n in (8, 100_000):
            buffer = filled(5, alpha=1.0)
            indices = torch.arange(n) % 4
            errors = torch.arange(n).float() + 1.0
            buffer.update_priorities(indices, errors)
            expected = [n - 3.0, n - 2.0, n - 1.0, float(n), 1.0]
            np.testing.assert_allclose(buffer.get_priorities(), expected, rtol=1e-5)

    def test_errors_may_be_a_column_or_plain_lists(self) -> None:
        """Critics return [n, 1]; lists and arrays are taken too; gradients are dropped."""
        buffer = filled(3, alpha=1.0)
        errors = torch.tensor([[2.0], [3.0]], requires_grad=True)
        buffer.update_priorities(np.array([0, 1]), errors)
        np.testing.assert_allclose(buffer.get_priorities(), [2.0, 3.0, 1.0], rtol=1e-5)
        buffer.update_priorities([], [])
        with pytest.raises(G1MimicError, match="2 indices but 3 errors"):
            buffer.update_priorities([0, 1], [1.0, 2.0, 3.0])

    def test_replaced_data_count_as_new(self) -> None:
        """set_data and push drop priorities that were measured on other data."""
        buffer = filled(4, alpha=1.0)
        buffer.update_priorities(torch.arange(4), [5.0, 0.1, 0.1, 0.1])
        buffer.push({"x": torch.zeros(2, 1, dtype=torch.long)})  # rows 0 and 1
        np.testing.assert_allclose(buffer.get_priorities(), [5.0, 5.0, 0.1, 0.1], rtol=1e-4)
        buffer.set_data("x", torch.ones(4, 1, dtype=torch.long))
        np.testing.assert_allclose(buffer.get_priorities(), [5.0] * 4, rtol=1e-5)

    def test_row_that_is_being_replaced_has_no_priority(self) -> None:
        """Neither a draw nor a late update touches a half recorded row; inc() makes it new."""
        buffer = filled(3, 2, alpha=1.0)
        buffer.record("x", torch.tensor([90, 91]))
        buffer.update_priorities([0, 1, 2], [50.0, 50.0, 3.0])  # sampled before the record
        np.testing.assert_allclose(buffer.get_priorities()[2:], [3.0, 1.0, 1.0, 1.0], rtol=1e-5)
        assert set(buffer.sample(200)["x"].tolist()) == {2, 3, 4, 5}
        buffer.update_priorities([0, 1], [50.0, 50.0])
        assert buffer.get_priorities()[:2].tolist() == [0.0, 0.0]
        buffer.inc()
        assert {90, 91} <= set(buffer.sample(200)["x"].tolist())


class TestTroubleshooting:
    """The rows of the guide's §8.1."""

    @pytest.mark.parametrize("device", DEVICES)
    @pytest.mark.parametrize("epsilon", [1e-6, 1e-300])
    def test_probabilities_never_sum_to_zero(self, device: str, epsilon: float) -> None:
        """All errors 0, for ever: ε keeps every sample in reach, and weights finite."""
        buffer = filled(6, 3, epsilon=epsilon, alpha=1.0, device=device)
        for _ in range(20):
            batch = buffer.sample(16)
            assert torch.isfinite(batch["weights"]).all()
            buffer.update_priorities(torch.arange(18), torch.zeros(18))
        assert float(buffer.get_probabilities().min()) == pytest.approx(1 / 18)

    @pytest.mark.parametrize("epsilon", [0.0, -1e-6, float("nan"), float("inf")])
    def test_epsilon_must_be_positive(self, epsilon: float) -> None:
        """The cause of the zero sum is refused where it is set."""
        with pytest.raises(G1MimicError, match="epsilon must be above 0"):
            PrioritizedExperienceBuffer(4, 1, epsilon=epsilon)

    def test_negative_errors_count_by_magnitude(self) -> None:
        """The sign of a TD error makes no difference."""
        one, other = filled(5), filled(5)
        one.update_priorities(torch.arange(5), torch.arange(5.0))
        other.update_priorities(torch.arange(5), -torch.arange(5.0))
        assert torch.equal(one.get_priorities(), other.get_priorities())

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
    def test_errors_that_are_not_finite_are_refused(self, value: float) -> None:
        """The first bad entry is named, and no priority changes."""
        buffer = filled(5)
        before = buffer.get_priorities()
        with pytest.raises(G1MimicError, match=r"entry 1 \(index 3\) has the error -?(nan|inf)"):
            buffer.update_priorities([4, 3, 2], [1.0, value, value])
        assert torch.equal(buffer.get_priorities(), before)
        buffer.update_priorities([4], [1.0])  # and the buffer goes on

    @pytest.mark.parametrize("index", [-1, 6, 10, 10**9])
    def test_indices_without_a_sample_are_refused(self, index: int) -> None:
        """An index outside what is stored does not become reachable."""
        buffer = PrioritizedExperienceBuffer(10, 1)
        for _ in range(6):
            buffer.record("x", 1.0)
            buffer.inc()
        with pytest.raises(G1MimicError, match=rf"entry 0 \(index {index}\) is no stored sample"):
            buffer.update_priorities([index], [1.0])
        with pytest.raises(G1MimicError, match="must be integers"):
            buffer.update_priorities([0.5], [1.0])

    def test_weights_are_bounded_however_small_an_error(self) -> None:
        """Weights never exceed 1, and one tiny error elsewhere does not shrink a batch's."""
        buffer = filled(1000, beta=1.0)
        errors = torch.ones(1000)
        errors[0] = 0.0
        buffer.update_priorities(torch.arange(1000), errors)
        batch = buffer.sample(8)
        assert 0 not in batch["indices"].tolist()
        np.testing.assert_allclose(batch["weights"], 1.0)

    def test_first_weights_are_one(self) -> None:
        """Before any update all samples are alike."""
        assert filled(10).sample(5)["weights"].tolist() == [1.0] * 5

    @pytest.mark.parametrize("magnitude", [1e-300, 1e-38, 1e30, 1e38, 1e300])
    def test_extreme_errors_stay_in_range(self, magnitude: float) -> None:
        """Errors at the ends of floating point neither overflow a sum nor vanish from it."""
        buffer = filled(4, alpha=1.0, epsilon=1e-40)
        errors = torch.full((4,), magnitude, dtype=torch.float64)
        buffer.update_priorities(torch.arange(4), errors)
        np.testing.assert_allclose(buffer.get_probabilities(), 0.25)
        assert sorted(set(buffer.sample(40)["indices"].tolist())) == [0, 1, 2, 3]

    @pytest.mark.parametrize("name", ["alpha", "beta", "beta_increment"])
    @pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
    def test_exponents_must_be_in_range(self, name: str, value: float) -> None:
        """α, β and its increment are between 0 and 1."""
        with pytest.raises(G1MimicError, match=f"{name} must be between 0 and 1"):
            PrioritizedExperienceBuffer(4, 1, **{name: value})  # type: ignore[arg-type]


class TestNoHostSync:
    """What keeps a GPU busy can be checked without one: nothing is read back."""

    class Forbid(TorchDispatchMode):
        """Raises when a value, or a shape that depends on values, is read from a tensor."""

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if any(word in str(func) for word in ("_local_scalar_dense", "nonzero", "masked_sel")):
                raise AssertionError(f"{func} waits for the device")
            return func(*args, **(kwargs or {}))

    def test_cycle_reads_nothing_back(self) -> None:
        """record, inc, sample, n-step and update leave every value on the device."""
        buffer = PrioritizedExperienceBuffer(6, 4, seed=0)
        buffer._tree = PriorityTree(24, buffer.device, deferred=True)
        with self.Forbid():
            for t in range(10):
                for name in ("reward", "next_obs"):
                    buffer.record(name, torch.full((4,), float(t)))
                for name in ("terminated", "truncated"):
                    buffer.record(name, torch.zeros(4, dtype=torch.bool))
                buffer.inc()
                batch = buffer.sample(16)
                gather_nstep(buffer, batch["indices"], 3, 0.9)
                buffer.update_priorities(batch["indices"], torch.rand(16, 1))
            with pytest.raises(AssertionError, match="waits"):
                torch.ones(3).max().item()  # the guard works

    def test_deferred_refusal_arrives_at_the_next_call(self) -> None:
        """On a GPU a bad error keeps the old priority, and the next call names it."""
        buffer = PrioritizedExperienceBuffer(5, 1, seed=0)
        buffer._tree = PriorityTree(5, buffer.device, deferred=True)
        for row in range(5):
            buffer.record("x", torch.tensor([row]))
            buffer.inc()
        buffer.update_priorities([0, 1, 2], [0.1, float("nan"), 0.3])
        with pytest.raises(G1MimicError, match=r"entry 1 \(index 1\) has the error nan"):
            buffer.sample(2)
        priorities = buffer.get_priorities()
        assert priorities[1] == 1.0 and priorities[0] < 1.0
        buffer.sample(2)  # reported once

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_gpu_reports_without_a_sync(self) -> None:
        """The same on the device itself, with CUDA's own detector of syncs."""
        buffer = filled(50, 8, device="cuda")
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(5):
                batch = buffer.sample(64)
                buffer.update_priorities(batch["indices"], torch.rand(64, device="cuda"))
            buffer.update_priorities(batch["indices"], torch.full((64,), torch.nan, device="cuda"))
        finally:
            torch.cuda.set_sync_debug_mode("default")
        torch.cuda.synchronize()
        with pytest.raises(G1MimicError, match="entry 0"):
            buffer.sample(2)
