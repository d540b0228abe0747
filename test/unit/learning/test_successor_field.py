"""Next observations that are not stored twice, against a buffer that does store them."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from g1_mimic.errors import G1MimicError
from g1_mimic.learning.experience_buffer import ExperienceBuffer, PrioritizedExperienceBuffer
from g1_mimic.learning.nstep import gather_nstep
from g1_mimic.learning.replay import fields as replay_fields
from g1_mimic.learning.replay.successor_field import SuccessorField

ENDS = ("terminated", "truncated")


def make(rows: int, envs: int, once: bool, borrow: bool = False) -> ExperienceBuffer:
    buffer = PrioritizedExperienceBuffer(rows, envs, seed=0)
    if once:
        buffer.add_successor("next_obs", "obs", ENDS, borrow)
    return buffer


class Walk:
    """Environments whose observations tell environment, episode and step apart."""

    def __init__(self, envs: int, seed: int, share: float) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._share = share
        self._count = 0
        self._obs = self._fresh(envs)

    def _fresh(self, envs: int) -> torch.Tensor:
        self._count += envs
        return torch.stack([torch.arange(self._count - envs, self._count), torch.zeros(envs)], 1)

    def step(self) -> dict[str, torch.Tensor]:
        """Return the fields of one row."""
        envs = len(self._obs)
        ended, kind = torch.rand(2, envs, generator=self._generator)
        terminated = (ended < self._share) & (kind < 0.5)
        truncated = (ended < self._share) & (kind >= 0.5)
        following = self._obs + torch.tensor([0.0, 1.0])
        row = {
            "obs": self._obs,
            "reward": torch.rand(envs, generator=self._generator),
            "terminated": terminated,
            "truncated": truncated,
            "next_obs": following,
        }
        over = (terminated | truncated)[:, None]
        self._obs = torch.where(over, self._fresh(envs), following)
        return row


def as_array(value: torch.Tensor, form: str) -> np.ndarray:
    array = value.numpy()[:]
    array.flags.writeable = form != "read-only"
    return array


def assert_same(once: ExperienceBuffer, twice: ExperienceBuffer) -> None:
    count = twice.get_sample_count()
    visible = torch.arange(twice.get_capacity())
    if twice._overwriting():  # the row at the head is hidden
        head = twice._head * twice.batch_size
        visible = torch.cat([visible[:head], visible[head + twice.batch_size :]])
    else:
        visible = visible[:count]
    together = once.gather(visible)  # the field that the other follows from in the same pass
    for name, values in twice.gather(visible).items():
        assert torch.equal(together[name], values), name
        assert torch.equal(once.gather(visible, [name])[name], values), name
    if count:
        windows = [gather_nstep(b, visible, 3, 0.9) for b in (once, twice)]
        assert all(torch.equal(windows[0][name], windows[1][name]) for name in windows[1])


@pytest.fixture(params=["compiled", "torch"])
def compute(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both the loops of the CPU and the operations of the GPU must keep these laws."""
    if request.param == "torch":
        monkeypatch.setattr(replay_fields, "make_successor_field", SuccessorField)


@pytest.mark.usefixtures("compute")
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_what_is_not_stored_twice_is_the_same(data: Any) -> None:
    """Through wrap-around, half-recorded rows, checkpoints, resets; with any length of episode.

    Recorded as tensors, arrays, or arrays that must not be written to.

    What is borrowed is overwritten as soon as it may be.
    """
    borrow = data.draw(st.booleans())
    rows, envs = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 6))
    share = data.draw(st.sampled_from([0.0, 0.1, 0.6, 1.0]))
    walk = Walk(envs, data.draw(st.integers(0, 999)), share)
    once, twice = make(rows, envs, True, borrow), make(rows, envs, False)
    lent = torch.zeros(1)
    actions = st.sampled_from(["row"] * 8 + ["half", "checkpoint", "reset"])
    for action in data.draw(st.lists(actions, max_size=40)):
        if action in ("row", "half"):
            row = walk.step()
            form = data.draw(st.sampled_from(["tensor", "array", "read-only"]))
            given = {k: v if form == "tensor" else as_array(v, form) for k, v in row.items()}
            for k, (name, value) in enumerate(row.items()):
                if action == "half":
                    once.record(name, given[name])
                twice.record(name, value)
                if action == "half" and twice.get_sample_count() and k % 2 == 0:
                    assert_same(once, twice)
            if action == "half":
                once.inc()
            else:
                once.record_row(given)
            twice.inc()
            lent.fill_(torch.nan)
            lent = row["next_obs"]
        elif action == "reset":
            once.reset()
            twice.reset()
        else:
            stream = io.BytesIO()
            torch.save(once.state_dict(), stream)
            stream.seek(0)
            state = torch.load(stream, weights_only=True)
            once = make(rows, envs, True, borrow)
            once.load_state_dict(state)
        if twice.get_sample_count():
            assert_same(once, twice)


DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int16, torch.uint8, torch.bool]


@pytest.mark.usefixtures("compute")
@pytest.mark.parametrize("shape", [(), (3,), (2, 5)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_type_and_shape(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """Values of all sizes come out bit by bit, lent or copied, in parts of larger arrays or not."""
    generator = torch.Generator().manual_seed(0)
    for borrow in (False, True):
        buffer, expected = make(3, 4, True, borrow), []
        obs = torch.zeros(4, *shape, dtype=dtype)
        for _ in range(5):
            whole = torch.randint(99, (4, *shape, 2), generator=generator).to(dtype)
            buffer.record("obs", obs)
            ended = torch.rand(4, generator=generator) < 0.3
            buffer.record("terminated", ended)
            buffer.record("truncated", ended)
            buffer.record("next_obs", whole[..., 0])
            buffer.inc()
            expected.append(whole[..., 0])
            obs = torch.where(ended.view(-1, *(1,) * len(shape)), obs, whole[..., 0])
        rows = [expected[3], expected[4], expected[2]]  # the ring went around
        indices = torch.arange(12)
        assert torch.equal(buffer.gather(indices, ["next_obs"])["next_obs"], torch.cat(rows))
        own = buffer.gather(indices, ["obs"])["obs"]
        together = buffer.gather(indices, ["next_obs", "obs"])
        assert list(together) == ["next_obs", "obs"]
        assert torch.equal(together["next_obs"], torch.cat(rows))
        assert torch.equal(together["obs"], own)
        assert buffer.gather(indices[:0], ["next_obs"])["next_obs"].shape == (0, *shape)


@pytest.mark.usefixtures("compute")
def test_every_bit_survives() -> None:
    """Also of integers that would be signalling or negative NaN, or denormal, as float32."""
    patterns = torch.tensor([0x7F800001, -1, 1, -0x7FFFFF, 0x7FC00000, -(2**31)], dtype=torch.int32)
    for ended in (False, True):
        buffer = make(4, 6, True)
        for _ in range(3):
            buffer.record("obs", patterns)
            for name in ENDS:
                buffer.record(name, torch.full((6,), ended))
            buffer.record("next_obs", patterns)
            buffer.inc()
        following = buffer.gather(torch.arange(18), ["next_obs"])["next_obs"]
        assert torch.equal(following, patterns.repeat(3))


@pytest.mark.usefixtures("compute")
@pytest.mark.parametrize("index", [-1, 8])
def test_there_is_no_such_transition(index: int) -> None:
    """Indices beyond the buffer are refused, not read."""
    buffer = make(4, 2, True)
    for name, value in Walk(2, 0, 0.5).step().items():
        buffer.record(name, value)
    buffer.inc()
    for fields in (["next_obs"], ["obs", "next_obs"]):
        with pytest.raises((IndexError, RuntimeError), match="out of range"):
            buffer.gather(torch.tensor([0, index]), fields)


@pytest.mark.usefixtures("compute")
def test_indices_may_be_of_either_integer_type() -> None:
    """Of int32 they gather the same; fractions, flags and rows of indices are refused."""
    buffer, walk = make(4, 2, True), Walk(2, 0, 0.5)
    for _ in range(3):
        buffer.record_row(walk.step())
    indices = torch.tensor([4, 0, 3])
    for fields in (["next_obs"], ["obs", "next_obs"]):
        long, short = buffer.gather(indices, fields), buffer.gather(indices.int(), fields)
        assert all(torch.equal(long[name], short[name]) for name in fields)
        for bad in (indices.float(), indices > 0, indices[None]):
            with pytest.raises(G1MimicError, match=r"flat indices \[n\] of int64, got torch"):
                buffer.gather(bad, fields)


def test_borrowing_copies_nothing() -> None:
    """What is recorded to a borrowing field is its memory, until the next row is complete."""
    buffer, walk = make(4, 2, True, borrow=True), Walk(2, 0, 0.0)
    row = walk.step()
    for name, value in row.items():
        buffer.record(name, value.numpy())
    buffer.inc()
    row["next_obs"] += 7.0
    assert torch.equal(buffer.gather(torch.arange(2), ["next_obs"])["next_obs"], row["next_obs"])


def test_without_numba_it_is_slower_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A numba that refuses this numpy costs speed, not the run."""
    monkeypatch.setitem(sys.modules, "g1_mimic.learning.replay.compiled.successor", None)
    buffer = make(4, 2, True)
    row = Walk(2, 0, 0.0).step()
    with pytest.warns(RuntimeWarning, match="slower than it could be: numba does not work"):
        for name, value in row.items():
            buffer.record(name, value)
    buffer.inc()
    assert torch.equal(buffer.gather(torch.arange(2), ["next_obs"])["next_obs"], row["next_obs"])


def test_an_empty_buffer_is_saved_and_goes_on() -> None:
    """A checkpoint from before the first row."""
    once = make(4, 2, True)
    once.load_state_dict(make(4, 2, True).state_dict())
    for name, value in Walk(2, 0, 0.5).step().items():
        once.record(name, value)
    once.inc()
    assert once.get_sample_count() == 2


def test_it_saves_nearly_half_of_the_memory() -> None:
    """With episodes of 50 steps and observations of 160, as on the G1."""
    sizes = []
    for once in (True, False):
        buffer, generator = make(64, 32, once), torch.Generator().manual_seed(0)
        for _ in range(100):
            buffer.record("obs", torch.zeros(32, 160))
            ended = torch.rand(32, generator=generator) < 0.02
            buffer.record("terminated", ended)
            buffer.record("truncated", ended)
            buffer.record("next_obs", torch.zeros(32, 160))
            buffer.inc()
        sizes.append(buffer.nbytes())
    assert sizes[0] < 0.6 * sizes[1]


def test_mistakes_are_named() -> None:
    """Late or unknown fields, other shapes, and what needs the data as a whole."""
    buffer = make(4, 2, True)
    with pytest.raises(G1MimicError, match="record 'obs' before 'next_obs'"):
        buffer.record("next_obs", torch.zeros(2, 3))
    buffer.record("obs", torch.zeros(2, 3))
    with pytest.raises(G1MimicError, match="comes before the first record"):
        buffer.add_successor("other", "obs", ENDS)
    for name in ENDS:
        buffer.record(name, torch.zeros(2, dtype=torch.bool))
    with pytest.raises(G1MimicError, match="source's shape"):
        buffer.record("next_obs", torch.zeros(2, 4))
    with pytest.raises(G1MimicError, match=r"inc\(\) before 'next_obs'|inc"):
        buffer.record("next_obs", torch.zeros(2, 3))
        buffer.inc()
        buffer.record("obs", torch.zeros(2, 3))
        buffer.inc()
    buffer = make(4, 2, True)
    for action in (lambda: buffer.push({}), lambda: buffer.set_data("obs", torch.zeros(4, 2, 3))):
        with pytest.raises(G1MimicError, match="fields that follow from others"):
            action()
    with pytest.raises(G1MimicError, match="other fields that follow"):
        buffer.load_state_dict(make(4, 2, False).state_dict())
