"""Sums over priorities, in torch's operations and compiled, against plain numpy."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from g1_mimic.errors import G1MimicError
from g1_mimic.learning.replay.backends import make_priority_tree
from g1_mimic.learning.replay.compiled import compilation, tree_kernels
from g1_mimic.learning.replay.compiled.tree import CompiledPriorityTree
from g1_mimic.learning.replay.priority_tree import FAN_OUT, RANGE, PriorityTree

CPU = torch.device("cpu")
KINDS = [PriorityTree, CompiledPriorityTree]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    """Both trees must keep the same laws."""
    return request.param


@pytest.mark.parametrize("capacity", [1, FAN_OUT - 1, FAN_OUT, FAN_OUT + 1, 1024, 5000])
def test_sums_follow_every_change(kind: Any, capacity: int) -> None:
    """After any mix of fills and updates the sums are those of the leaves, and nothing drifts."""
    rng = np.random.default_rng(capacity)
    tree, plain = kind(capacity, CPU), np.zeros(capacity, np.float32)
    highest = np.float32(1.0)
    for _ in range(300):
        if rng.random() < 0.3:
            start, stop = sorted(rng.integers(0, capacity + 1, 2))
            value = rng.random() * 10.0 ** rng.integers(-6, 6)
            tree.fill(int(start), int(stop), value)
            plain[start:stop] = value
        else:
            indices = rng.integers(0, capacity, rng.integers(1, 50))
            errors = 2.0 * rng.random(len(indices)).astype(np.float32)
            tree.learn(torch.from_numpy(indices), torch.from_numpy(errors), capacity, 1e-9, 1.0)
            for index, error in zip(indices, errors, strict=True):  # the last of duplicates counts
                if plain[index] > 0.0:
                    plain[index] = np.float64(error) + 1e-9
                    highest = max(highest, plain[index])
        np.testing.assert_array_equal(tree.leaves.numpy(), plain)
        assert float(tree._sums.sum()) == pytest.approx(plain.sum(dtype=np.float64), rel=1e-12)
    assert float(tree.highest) == highest


def test_million_updates_leave_no_drift(kind: Any) -> None:
    """Sums after 10^6 changes over 20 decades are exactly those of a tree made from the leaves.

    A sum to which differences are added would be off by the rounding of the largest values it
    ever held.
    """
    capacity = 3000
    rng = np.random.default_rng(7)
    tree, fresh = kind(capacity, CPU), kind(capacity, CPU)
    tree.fill(0, capacity, 1e10)
    for _ in range(100):
        indices = torch.from_numpy(rng.integers(0, capacity, 10_000))
        errors = torch.from_numpy((10.0 ** rng.uniform(-10, 10, 10_000)).astype(np.float32))
        tree.learn(indices, errors, capacity, 1e-20, 1.0)
    tree.learn(torch.arange(capacity), torch.full((capacity,), 1e-10), capacity, 1e-20, 1.0)
    fresh.assign(tree.leaves)
    assert torch.equal(tree._sums, fresh._sums)
    assert float(tree._sums.sum()) == pytest.approx(capacity * 1e-10, rel=1e-6)


def test_compiled_sums_are_remade_bit_for_bit() -> None:
    """However a tree came to its leaves, its sums are the same bits: a resumed run draws alike."""
    rng = np.random.default_rng(3)
    tree, fresh = CompiledPriorityTree(40_000, CPU), CompiledPriorityTree(40_000, CPU)
    for _ in range(20):
        start = int(rng.integers(0, 39_000))
        tree.fill(start, start + 1000, rng.random())
        indices = torch.from_numpy(rng.integers(0, 40_000, 500))
        errors = torch.from_numpy(rng.random(500).astype(np.float32))
        tree.learn(indices, errors, 40_000, 1e-6, 0.6)
    fresh.assign(tree.leaves)
    for ours, theirs in zip(tree._levels, fresh._levels, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_draws_are_exact_inverses_of_the_cumulative_sum(kind: Any) -> None:
    """A draw is the slot whose part of the cumulative sum the stratum's mass falls into."""
    rng = np.random.default_rng(0)
    leaves = rng.random(5000).astype(np.float32) ** 8 * (rng.random(5000) < 0.3)
    tree = kind(5000, CPU)
    tree.assign(torch.from_numpy(leaves))
    drawn = tree.sample(2000, torch.Generator().manual_seed(1), 0)
    jitter = torch.rand(2000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ends = leaves.astype(np.float64).cumsum()
    mass = (np.arange(2000) + jitter.numpy()) * (ends[-1] / 2000)
    np.testing.assert_array_equal(drawn.numpy(), np.searchsorted(ends, mass, side="right"))


@settings(max_examples=60, deadline=None)
@given(
    capacity=st.integers(1, 6000),
    n=st.integers(1, 3000),
    seed=st.integers(0, 2**32 - 1),
    share=st.floats(0.001, 1.0),
    decades=st.integers(0, 12),
)
def test_both_trees_find_the_same(
    capacity: int, n: int, seed: int, share: float, decades: int
) -> None:
    """The same random numbers draw the same slots, whatever the leaves; none is an empty one."""
    rng = np.random.default_rng(seed)
    leaves = 10.0 ** rng.uniform(-decades, 0, capacity) * (rng.random(capacity) < share)
    full = int(rng.integers(capacity))
    leaves[full] = 1.0
    jitter = torch.from_numpy(rng.random(n))
    found = []
    for kind in KINDS:
        tree = kind(capacity, CPU)
        tree.assign(torch.from_numpy(leaves.astype(np.float32)))
        found.append(tree.find(jitter, full))
        assert (tree.leaves[found[-1]] > 0.0).all()
        assert (found[-1].diff() >= 0).all() or full in found[-1]
    # Sums in another order may round to the other side of an edge, once in about 1e13 / n draws.
    assert int((found[0] != found[1]).sum()) <= 1


def test_every_slot_of_a_million_is_reached(kind: Any) -> None:
    """With equal leaves and one stratum for each, every slot is drawn exactly once.

    With float32 sums hundreds of thousands of slots would come twice or never.
    """
    capacity = 1 << 20
    tree = kind(capacity, CPU)
    tree.fill(0, capacity, 0.1)
    drawn = tree.sample(capacity, torch.Generator().manual_seed(0), 0)
    assert int((drawn != torch.arange(capacity)).sum()) <= 1  # a jitter of almost 0 or 1 may round


def test_single_positive_slot_is_always_drawn(kind: Any) -> None:
    """Empty slots around the only sample are never drawn, whatever its size."""
    for value in (1e-30, 1.0, 1e30):
        tree = kind(10_000, CPU)
        tree.fill(4321, 4322, value)
        drawn = tree.sample(5000, torch.Generator().manual_seed(0), 4321)
        assert (drawn == 4321).all()


DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_both_trees_learn_the_same(alpha: float, dtype: torch.dtype) -> None:
    """The same leaves to the bit, duplicates included; empty slots stay so; one bad entry: none.

    They are (|error| + ε)^α, kept in range. Sums are those of the leaves, over several of the
    pieces that are learned one by one.
    """
    rng = np.random.default_rng(0)
    count, stored, filled = 2 * tree_kernels.PIECE + 500, 36_000, 32_000
    indices = torch.from_numpy(rng.integers(0, stored, count))
    exponents = (-4, 4) if dtype in (torch.float16, torch.int64) else (-40, 38)
    errors = torch.from_numpy(10.0 ** rng.uniform(*exponents, count)).to(dtype)
    errors[::2] *= -1
    compiled, plain = CompiledPriorityTree(40_000, CPU), PriorityTree(40_000, CPU)
    for tree in (compiled, plain):
        tree.fill(0, filled, 1.0)
        tree.learn(indices, errors, stored, 1e-6, alpha)
    expected = torch.zeros(40_000)
    expected[:filled] = 1.0
    for index, error in zip(indices.tolist(), errors.tolist(), strict=True):
        if index < filled:
            expected[index] = float(np.clip(abs(error) + 1e-6, *RANGE)) ** alpha
    assert torch.equal(compiled.leaves, expected)
    assert torch.equal(plain.leaves, expected)
    assert torch.equal(compiled.highest, plain.highest)
    remade = CompiledPriorityTree(40_000, CPU)
    remade.assign(compiled.leaves)
    for ours, theirs in zip(compiled._levels, remade._levels, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    bad = [(0, 1.0, stored), (2, 1.0, -1)]
    if dtype.is_floating_point:
        bad += [(3, np.nan, 3), (5, np.inf, 5), (7, -np.inf, stored)]
    for position, error, index in bad:
        errors_, indices_ = 2 * errors, indices.clone()
        errors_[position:], indices_[position:] = error, index  # the first one is named
        said = []
        for tree in (compiled, plain):
            with pytest.raises(G1MimicError, match=rf"entry {position} \(index {index}\)") as it:
                tree.learn(indices_, errors_, stored, 1e-6, alpha)
            said.append(str(it.value))
            assert torch.equal(tree.leaves, expected)
        assert said[0] == said[1]


@settings(max_examples=40, deadline=None)
@given(
    exponent=st.floats(0.0, 1.0) | st.sampled_from([0.4, 0.5, 0.6, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_powers_are_those_of_the_c_library(exponent: float, seed: int) -> None:
    """To the bit, over all magnitudes and next to 1, also in the middle between two float32."""
    rng = np.random.default_rng(seed)
    close = rng.standard_normal(5000).astype(np.float32)
    middle = close.astype(np.float64) + 0.5 * np.spacing(close)
    values = np.concatenate([10.0 ** rng.uniform(-30, 30, 20_000), np.abs(close) + 1e-6, middle])
    values = np.clip(np.abs(values), *RANGE)
    expected = np.array([math.pow(value, exponent) for value in values], np.float32)
    powers = np.empty(len(values), np.float32)
    tree_kernels.powers(values, exponent, powers)
    np.testing.assert_array_equal(powers, expected)


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_weights_are_the_same_of_both_trees(beta: float) -> None:
    """(Lowest over each)^β to the bit, at most 1, over many more than are taken at once."""
    rng = np.random.default_rng(0)
    leaves = torch.from_numpy((10.0 ** rng.uniform(-18, 18, 5000)).astype(np.float32))
    indices = torch.from_numpy(rng.integers(0, 5000, 3333))
    found = []
    for kind in KINDS:
        tree = kind(5000, CPU)
        tree.assign(leaves)
        found.append(tree.weights(indices, beta))
    assert torch.equal(*found)
    drawn = leaves[indices].double()
    np.testing.assert_allclose(found[0], (drawn.min() / drawn) ** beta, rtol=1e-7)
    assert float(found[0].max()) == 1.0


def test_priorities_are_a_small_part_of_the_memory(kind: Any) -> None:
    """Priorities and sums take less than 0.5 % of what a G1 transition (1401 bytes) takes."""
    assert kind(100_000, CPU).nbytes() < 0.005 * 1401 * 100_000


class TestCompiling:
    def run(self, cache: Path) -> str:
        """Use kernels in a process of its own that keeps machine code in ``cache``."""
        program = (
            "import numpy as np\n"
            "from g1_mimic.learning.replay.compiled import successor, tree_kernels as kernels\n"
            "leaves, lines, blocks = np.zeros(1024, np.float32), np.zeros(64), np.zeros(1)\n"
            "levels = leaves, lines, blocks; leaves[10:30] = 1.0\n"
            "kernels.sum_slots(*levels, 10, 30)\n"
            "touched, highest = np.zeros(1, np.uint8), np.ones(1, np.float32)\n"
            "index = np.arange(10, 13); errors = np.full(3, 2.0, np.float32)\n"
            "kernels.learn(*levels, touched, highest, index, errors, 30, 0.0, 1e-30, 1e30, 1.0)\n"
            "kernels.find(*levels, np.full(3, 0.9), 0, index, np.zeros(3))\n"
            "print(blocks, highest, index)"
        )
        environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
        done = subprocess.run(
            [sys.executable, "-W", "error::RuntimeWarning", "-c", program],
            env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def test_machine_code_is_kept_and_damage_to_it_survived(self, tmp_path: Path) -> None:
        """A second process compiles nothing; one with damaged files compiles for itself."""
        expected = "[23.] [2.] [13 21 29]\n"
        assert self.run(tmp_path) == expected
        files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")}
        assert len(files) >= 8  # an index and machine code for each kernel
        assert self.run(tmp_path) == expected
        assert files == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")}
        for path in files:
            path.write_bytes(path.read_bytes()[:50])
        assert self.run(tmp_path) == expected

    def test_without_a_folder_for_machine_code(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where numba finds no folder to write to, functions are compiled all the same."""
        real = compilation.njit

        def no_folder(signatures: list[str], **options: Any) -> Any:
            if options.get("cache"):
                raise RuntimeError("cannot cache function: no locator available")
            return real(signatures, **options)

        monkeypatch.setattr(compilation, "njit", no_folder)
        assert compilation.compiled("i8(i8)")(lambda x: x + 1)(1) == 2

    def test_without_numba_sampling_is_slower_and_says_so(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A numba that refuses this numpy costs speed, not the run."""
        monkeypatch.setitem(sys.modules, "g1_mimic.learning.replay.compiled.tree", None)
        with pytest.warns(RuntimeWarning, match=r"slower than it could be: numba does not work"):
            tree = make_priority_tree(10, CPU)
        assert type(tree) is PriorityTree
