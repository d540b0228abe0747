"""Random sequences of operations on the prioritized buffer, against a slow one in float64."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from g1_mimic.learning.experience_buffer import PrioritizedExperienceBuffer
from g1_mimic.learning.replay.compiled.tree import CompiledPriorityTree
from g1_mimic.learning.replay.priority_tree import PriorityTree


class Reference:
    """What the buffer should be, told in the plainest way: a dict of what is where."""

    def __init__(self, rows: int, envs: int, alpha: float, beta: float) -> None:
        self.rows, self.envs, self.alpha, self.beta = rows, envs, alpha, beta
        self.time = 0  # rows completed ever
        self.stored: dict[int, float] = {}  # flat index: time of its row
        self.priority = np.zeros(rows * envs)
        self.highest = 1.0
        self.half = False

    def slots(self) -> range:
        """The slots of the row at the head."""
        start = self.time % self.rows * self.envs
        return range(start, start + self.envs)

    def record(self) -> None:
        """Begin to replace the row at the head: it can no longer be drawn."""
        self.half = True

    def inc(self) -> None:
        """Complete the row."""
        for slot in self.slots():
            self.stored[slot] = float(self.time)
            self.priority[slot] = self.highest
        self.time += 1
        self.half = False

    def update(self, indices: np.ndarray, errors: np.ndarray) -> None:
        """Set priorities one by one."""
        new = (np.abs(errors.astype(np.float64)) + 1e-6) ** self.alpha
        for slot, value in zip(indices.tolist(), new.tolist(), strict=True):
            if not (self.half and slot in self.slots()):
                self.priority[slot] = value
                self.highest = max(self.highest, value)

    def reset(self) -> None:
        """Nothing is stored, but the highest priority stays."""
        self.time, self.half = 0, False
        self.stored.clear()
        self.priority[:] = 0.0

    def visible(self) -> np.ndarray:
        """Priorities [capacity] that draws go by."""
        visible = self.priority.copy()
        if self.half:
            visible[self.slots()] = 0.0
        return visible

    def weights(self, indices: np.ndarray) -> np.ndarray:
        """Importance weights [n]."""
        visible = self.visible()
        probability = visible[indices] / visible.sum()
        weights = (len(self.stored) * probability) ** -self.beta
        return weights / weights.max()


def run(data: Any, kind: type[PriorityTree]) -> None:
    """Do the same random operations to a buffer and the reference, and compare after each."""
    rows, envs = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 90))
    alpha, beta = data.draw(st.floats(0.0, 1.0)), data.draw(st.floats(0.0, 1.0))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))

    def make() -> PrioritizedExperienceBuffer:
        buffer = PrioritizedExperienceBuffer(
            rows, envs, alpha, beta, 0.0, seed=int(rng.integers(9))
        )
        buffer._tree = kind(rows * envs, buffer.device)
        return buffer

    buffer, reference = make(), Reference(rows, envs, alpha, beta)
    actions = st.sampled_from(["row"] * 6 + ["half", "sample", "update", "checkpoint", "reset"])
    for action in data.draw(st.lists(actions, min_size=1, max_size=40)):
        if action in ("row", "half"):
            for _ in range(int(rng.integers(1, rows + 2)) if action == "row" else 1):
                time = torch.full((envs,), float(reference.time))
                at_once = action == "row" and rng.random() < 0.5
                if at_once:
                    buffer.record_row({"time": time})
                else:
                    buffer.record("time", time)
                reference.record()
                if action == "row":
                    if not at_once:
                        buffer.inc()
                    reference.inc()
            if action == "half" and rng.random() < 0.5:
                buffer.get_priorities()  # looking hides the row; not looking must not matter
        elif action == "checkpoint" and not reference.half:
            stream = io.BytesIO()
            torch.save(buffer.state_dict(), stream)
            stream.seek(0)
            state, buffer = torch.load(stream, weights_only=True), make()
            buffer.load_state_dict(state)
        elif action == "reset":
            buffer.reset()
            reference.reset()
        count = len(reference.stored) - envs * (reference.half and reference.time >= rows)
        assert buffer.get_sample_count() == count
        if action == "update" and reference.stored:
            indices = rng.choice(sorted(reference.stored), int(rng.integers(1, 200)))
            errors = (10.0 ** rng.uniform(-8, 8, len(indices))).astype(np.float32)
            errors *= rng.choice([-1, 1], len(indices))
            buffer.update_priorities(indices, torch.from_numpy(errors))
            reference.update(indices, errors)
        if count and action in ("sample", "update", "checkpoint", "half"):
            batch = buffer.sample(int(rng.integers(1, 300)))
            drawn = batch["indices"].numpy()
            assert (reference.visible()[drawn] > 0.0).all()
            assert batch["time"].tolist() == [reference.stored[slot] for slot in drawn.tolist()]
            assert (np.diff(drawn) >= 0).all()
            np.testing.assert_allclose(batch["weights"], reference.weights(drawn), rtol=1e-4)
            # Stratified: only the two strata at the ends of a slot's part may miss it or not.
            share = len(drawn) * reference.visible() / reference.visible().sum()
            off = np.bincount(drawn, minlength=len(share)) - share
            assert np.abs(off).max() < 2.0 + 1e-6
        if action != "row":
            np.testing.assert_allclose(buffer.get_priorities(), reference.visible(), rtol=3e-6)
            assert float(buffer._tree._sums.sum()) == pytest.approx(
                reference.visible().sum(), rel=1e-6
            )


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_compiled_buffer_does_as_the_reference(data: st.DataObject) -> None:
    """Whatever is done in whatever order, priorities, draws, weights and data are right."""
    run(data, CompiledPriorityTree)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_torch_buffer_does_as_the_reference(data: st.DataObject) -> None:
    """The same for the tree that serves GPUs."""
    run(data, PriorityTree)


@pytest.mark.parametrize("n", [1, 256, 5000])
def test_both_trees_make_the_same_training(n: int) -> None:
    """Cycles of insert, sample and update from one seed are the same with either tree."""
    buffers = []
    for kind in (CompiledPriorityTree, PriorityTree):
        buffer = PrioritizedExperienceBuffer(300, 16, seed=4)
        buffer._tree = kind(4800, buffer.device)
        buffers.append(buffer)
    rng = np.random.default_rng(0)
    for row in range(400):
        seen = []
        errors = torch.from_numpy(rng.standard_exponential(n).astype(np.float32))
        for buffer in buffers:
            buffer.record("x", torch.arange(16.0) + row)
            buffer.inc()
            batch = buffer.sample(n)
            buffer.update_priorities(batch["indices"], errors)
            seen.append(batch)
        assert all(torch.equal(seen[0][name], seen[1][name]) for name in seen[0])
