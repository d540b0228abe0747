"""The ring of transitions and uniform sampling."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch

from g1_mimic.errors import G1MimicError
from g1_mimic.learning.experience_buffer import ExperienceBuffer, PrioritizedExperienceBuffer

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    ),
]
KINDS = [ExperienceBuffer, PrioritizedExperienceBuffer]


def write_rows(buffer: ExperienceBuffer, rows: int, start: int = 0) -> None:
    """Record rows whose values tell where they belong: time + environment / 100."""
    for t in range(start, start + rows):
        envs = torch.arange(buffer.batch_size)
        buffer.record("x", t + envs / 100.0)
        buffer.record("pair", torch.stack([t + 0 * envs, envs], 1))
        buffer.inc()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    """Both buffers must keep the same laws."""
    return request.param


class TestRecording:
    def test_fields_take_shape_and_dtype_of_the_first_value(self, kind: Any) -> None:
        """A field is [buffer_len, batch_size, …] with the first value's shape and dtype."""
        buffer = kind(5, 3)
        buffer.record("s", torch.zeros(3, 7))
        buffer.record("r", np.zeros(3, np.float64))
        buffer.record("d", np.zeros(3, bool))
        assert buffer.get_data("s").shape == (5, 3, 7)
        assert buffer.get_data("r").dtype == torch.float64
        assert buffer.get_data_flat("d").shape == (15,)
        assert buffer.get_data_flat("d").dtype == torch.bool

    def test_single_environment_takes_values_without_batch_axis(self, kind: Any) -> None:
        """With batch_size 1, states, floats and bools are recorded as they come."""
        buffer = kind(4, 1)
        for t in range(3):
            buffer.record("s", np.array([t, 1.0, 2.0]))
            buffer.record("r", 0.5 * t)
            buffer.record("d", t == 2)
            buffer.inc()
        assert buffer.get_data("s").shape == (4, 1, 3)
        assert buffer.get_data_flat("r").tolist() == [0.0, 0.5, 1.0, 0.0]
        assert buffer.get_data_flat("d").tolist() == [False, False, True, False]
        buffer.record("s", np.array([[9.0, 9.0, 9.0]]))  # with the axis too
        assert buffer.get_data("s")[3, 0, 0] == 9.0

    def test_one_environments_values_fill_the_row_and_say_so_once(self, kind: Any) -> None:
        """One state for 32 environments is stored 32 times (the guide does so), not silently."""
        buffer = kind(4, 32)
        with pytest.warns(RuntimeWarning, match=r"for one environment.*32.*batch_size=1") as seen:
            for row in range(4):
                buffer.record("s", np.full(7, row))
                buffer.record("d", row == 3)
                buffer.inc()
        assert len(seen) == 1
        batch = buffer.sample(64)
        rows = batch["indices"] // 32
        assert torch.equal(batch["s"], rows[:, None].expand(-1, 7))
        assert torch.equal(batch["d"], rows == 3)

    def test_wrong_number_of_environments_is_refused(self, kind: Any) -> None:
        """Sixteen states for 32 environments are an error that gives both shapes."""
        buffer = kind(4, 32)
        with pytest.raises(G1MimicError, match=r"32 environments .* \(16, 7\)"):
            buffer.record("s", np.zeros((16, 7)))
        buffer.record("s", np.zeros((32, 7)))
        with pytest.raises(G1MimicError, match=r"takes shape \(32, 7\), got \(16, 7\)"):
            buffer.record("s", np.zeros((16, 7)))

    def test_flat_index_is_row_times_batch_plus_environment(self, kind: Any) -> None:
        """Sampled values belong to the flat indices that come with them."""
        buffer = kind(6, 4)
        write_rows(buffer, 9)
        batch = buffer.sample(64)
        row, env = batch["indices"] // 4, batch["indices"] % 4
        time = torch.where(row < 3, row + 6, row)  # rows 0 to 2 hold times 6 to 8
        assert torch.equal(batch["pair"], torch.stack([time, env], 1))
        assert torch.equal(batch["x"], buffer.get_data_flat("x")[batch["indices"]])

    def test_values_are_copied_and_carry_no_gradient(self, kind: Any) -> None:
        """Later changes of a recorded array, or its graph, do not reach the buffer."""
        buffer, value = kind(2, 2), torch.ones(2, requires_grad=True)
        array = np.ones(2)
        buffer.record("t", value * 2)
        buffer.record("a", array)
        array[:] = 7
        assert not buffer.get_data("t").requires_grad
        assert buffer.get_data("a")[0].tolist() == [1.0, 1.0]

    def test_read_only_and_reversed_arrays_are_recorded(
        self, kind: Any, recwarn: pytest.WarningsRecorder
    ) -> None:
        """Arrays that torch cannot share are copied without a warning."""
        array = np.arange(3.0)
        array.setflags(write=False)
        buffer = kind(2, 3)
        buffer.record("a", array)
        buffer.record("b", array[::-1])
        assert buffer.get_data("b")[0].tolist() == [2.0, 1.0, 0.0]
        assert not recwarn.list

    def test_wrong_shape_is_refused(self, kind: Any) -> None:
        """A value of another shape is named with both shapes, not broadcast."""
        buffer = kind(2, 3)
        buffer.record("s", torch.zeros(3, 4))
        with pytest.raises(G1MimicError, match=r"'s' takes shape \(3, 4\), got \(3, 1\)"):
            buffer.record("s", torch.zeros(3, 1))

    def test_float_into_integer_field_is_refused(self, kind: Any) -> None:
        """A reward that began as the integer 0 is not cut to integers afterwards."""
        buffer = kind(2, 1)
        buffer.record("r", 0)
        with pytest.raises(G1MimicError, match=r"'r' holds torch.int64"):
            buffer.record("r", 0.5)

    def test_forgotten_field_is_refused(self, kind: Any) -> None:
        """inc() without a field of earlier rows would pair new values with old ones."""
        buffer = kind(3, 2)
        write_rows(buffer, 1)
        buffer.record("x", torch.zeros(2))
        with pytest.raises(G1MimicError, match="'pair' was recorded"):
            buffer.inc()

    def test_late_field_is_refused(self, kind: Any) -> None:
        """A field that older rows lack is not filled with zeros unasked."""
        buffer = kind(3, 2)
        write_rows(buffer, 2)
        with pytest.raises(G1MimicError, match="'late' is first recorded when 2 rows"):
            buffer.record("late", torch.zeros(2))
        buffer.add_buffer("late", (), torch.float32)
        buffer.record("late", torch.zeros(2))

    def test_whole_rows_are_recorded_as_their_fields_are(self, kind: Any) -> None:
        """record_row() is record() of each field and inc(), whatever is given, in any order."""
        rows = [
            {"x": torch.arange(2.0), "pair": np.ones((2, 3), np.int64)},
            {"pair": 2 * np.ones((2, 3), np.int64), "x": np.arange(2, dtype=np.float32)},
            {"x": [5.0, 6.0], "pair": torch.ones(2, 3, dtype=torch.int32)},
            {"x": np.arange(2.0)[::-1].astype(np.float32), "pair": np.zeros((2, 3), np.int64)},
        ]
        whole, single = kind(3, 2, seed=0), kind(3, 2, seed=0)
        for row in rows:
            whole.record_row(row)
            for name, value in row.items():
                single.record(name, value)
            single.inc()
            ours, theirs = whole.sample(20), single.sample(20)
            assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
        assert whole.get_total_samples() == 8

    def test_a_whole_row_that_does_not_fit_is_not_stored(self, kind: Any) -> None:
        """What it may have replaced in part is not drawn; the next row takes its place."""
        buffer = kind(3, 2, seed=0)
        for t in range(4):
            buffer.record_row({"x": torch.full((2,), float(t)), "y": torch.full((2,), float(t))})
        half = {"x": torch.full((2,), 9.0)}
        for bad in (half | {"y": torch.zeros(3)}, half):
            with pytest.raises(G1MimicError, match="'y'"):
                buffer.record_row(bad)
            batch = buffer.sample(50)
            assert set(batch["x"].tolist()) == set(batch["y"].tolist()) == {2.0, 3.0}
        buffer.record_row({"x": torch.full((2,), 4.0), "y": torch.full((2,), 4.0)})
        assert set(buffer.sample(50)["x"].tolist()) == {2.0, 3.0, 4.0}

    @pytest.mark.parametrize("name", ["indices", "weights"])
    def test_reserved_names_are_refused(self, kind: Any, name: str) -> None:
        """A recorded field cannot be hidden by what sample() adds."""
        with pytest.raises(G1MimicError, match=name):
            kind(3, 2).record(name, torch.zeros(2))

    @pytest.mark.parametrize(("rows", "envs"), [(0, 1), (1, 0), (-3, 2), (2.5, 1)])
    def test_sizes_must_be_positive(self, kind: Any, rows: Any, envs: Any) -> None:
        """A buffer without slots is an error at once."""
        with pytest.raises(G1MimicError, match="whole number of at least 1"):
            kind(rows, envs)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
    def test_missing_gpu_is_a_warning(self, kind: Any) -> None:
        """device='cuda' (the guide's) on a machine without one warns and takes the CPU."""
        with pytest.warns(RuntimeWarning, match="no GPU is there: the buffer is on the CPU"):
            assert kind(3, 2, device="cuda").device == torch.device("cpu")


class TestCounts:
    def test_counts_follow_rows(self, kind: Any) -> None:
        """Samples count per environment, stop at the capacity, and the total goes on."""
        buffer = kind(4, 3)
        for rows in range(1, 7):
            write_rows(buffer, 1, rows)
            assert buffer.get_total_samples() == 3 * rows
            assert buffer.get_sample_count() == min(3 * rows, 12)
            assert buffer.is_full() == (rows >= 4)
        assert buffer.get_capacity() == 12

    def test_push_counts_every_environment(self, kind: Any) -> None:
        """push() of n rows adds n · batch_size samples, across the end of the ring too."""
        buffer = kind(4, 2)
        rows = torch.arange(3.0)[:, None].repeat(1, 2)
        buffer.push({"x": rows})
        buffer.push({"x": rows + 10})
        assert buffer.get_total_samples() == 12
        assert buffer.get_sample_count() == 8
        assert buffer.get_data("x")[:, 0].tolist() == [11.0, 12.0, 2.0, 10.0]
        with pytest.raises(G1MimicError, match="up to 4"):
            buffer.push({"x": torch.zeros(5, 2)})
        with pytest.raises(G1MimicError, match="'y' differs"):
            buffer.push({"x": rows, "y": rows})

    def test_after_reset_only_new_rows_are_sampled(self, kind: Any) -> None:
        """reset() keeps the total; rows beyond the head cannot be drawn until written again."""
        buffer = kind(4, 2)
        write_rows(buffer, 3)
        buffer.reset()
        assert buffer.get_sample_count() == 0 and buffer.get_total_samples() == 6
        with pytest.raises(G1MimicError, match="empty"):
            buffer.sample(1)
        write_rows(buffer, 1, 50)
        assert buffer.get_total_samples() == 8
        assert set(buffer.sample(100)["pair"][:, 0].tolist()) == {50}
        buffer.clear()
        assert buffer.get_total_samples() == 0

    def test_mimickit_iteration(self, kind: Any) -> None:
        """Reset, fill, add derived fields, go through minibatches: MimicKit's PPO loop."""
        buffer = kind(buffer_length=6, batch_size=4, device="cpu")
        for _ in range(3):
            buffer.reset()
            write_rows(buffer, 6)
            advantage = buffer.get_data("x") * 2.0
            buffer.set_data("adv", advantage)
            buffer.set_data_flat("ret", advantage.flatten())
            assert buffer.get_sample_count() == 24
            for _ in range(4):
                batch = buffer.sample(6)
                assert torch.equal(batch["adv"], 2.0 * batch["x"])
                assert torch.equal(batch["ret"], batch["adv"])


class TestSampling:
    def test_empty_buffer_is_refused(self, kind: Any) -> None:
        """Nothing can be drawn before the first inc(), also when a row is half recorded."""
        buffer = kind(3, 2)
        for _ in range(2):
            with pytest.raises(G1MimicError, match="empty"):
                buffer.sample(1)
            buffer.record("x", torch.zeros(2))
        buffer.inc()
        assert len(buffer.sample(5)["x"]) == 5
        with pytest.raises(G1MimicError, match="at least 1"):
            buffer.sample(0)

    @pytest.mark.parametrize("device", DEVICES)
    @pytest.mark.parametrize(("rows", "envs"), [(1, 1), (3, 5), (33, 1), (7, 64)])
    def test_only_completed_rows_are_drawn(
        self, kind: Any, device: str, rows: int, envs: int
    ) -> None:
        """While the ring fills, wraps and is half recorded, no draw lacks data or is stale."""
        buffer = kind(rows, envs, device=device, seed=3)
        for t in range(2 * rows + 2):
            buffer.record("x", torch.full((envs,), float(t)))
            stored = set(range(max(0, t - rows + 1 if t >= rows else 0), t))
            assert buffer.get_sample_count() == len(stored) * envs
            if stored:
                batch = buffer.sample(50)
                assert set(batch["x"].tolist()) <= stored
            buffer.record("y", torch.full((envs,), float(t)))
            buffer.inc()
            batch = buffer.sample(50)
            assert set(batch["x"].tolist()) <= stored | {t}
            assert torch.equal(batch["x"], batch["y"])

    def test_uniform_while_filling(self) -> None:
        """Every stored transition is equally likely (chi-square), whatever the count."""
        buffer = ExperienceBuffer(100, 1, seed=0)
        write_rows(buffer, 60)  # 100 is no multiple of 60
        counts = torch.bincount(buffer.sample(60_000)["indices"], minlength=100)
        assert counts[60:].sum() == 0
        statistic = float(((counts[:60] - 1000.0) ** 2 / 1000.0).sum())
        assert statistic < 59 + 4 * (2 * 59) ** 0.5

    def test_full_buffer_is_gone_through_in_passes(self) -> None:
        """Every transition comes exactly once per pass, and passes differ."""
        buffer = ExperienceBuffer(8, 3, seed=0)
        write_rows(buffer, 8)
        passes = [torch.cat([buffer.sample(4)["indices"] for _ in range(6)]) for _ in range(2)]
        for order in passes:
            assert sorted(order.tolist()) == list(range(24))
        assert not torch.equal(*passes)

    def test_chosen_fields_only(self, kind: Any) -> None:
        """sample(fields=…) gathers no more than asked for; unknown ones are named."""
        buffer = kind(3, 2)
        write_rows(buffer, 2)
        assert set(buffer.sample(3, ["x"])) == {"x", "indices", "weights"}
        with pytest.raises(G1MimicError, match=r"no field 'z'; recorded: x, pair"):
            buffer.sample(3, ["z"])

    def test_same_seed_same_draws(self, kind: Any) -> None:
        """The seed, or else torch's global one, decides all draws."""

        def draws(seed: int | None) -> list[int]:
            buffer = kind(20, 5, seed=seed)
            write_rows(buffer, 13)
            drawn: list[int] = buffer.sample(30)["indices"].tolist()
            return drawn

        assert draws(7) == draws(7) != draws(8)
        torch.manual_seed(5)
        first = draws(None)
        torch.manual_seed(5)
        assert draws(None) == first != draws(None)


class TestState:
    @pytest.mark.parametrize("rows", [0, 3, 5, 8])
    def test_round_trip_continues_alike(self, kind: Any, rows: int) -> None:
        """A buffer restored through a file goes on with the same data and draws."""
        buffer = kind(5, 4, seed=11)
        write_rows(buffer, rows)
        if rows:
            drawn = buffer.sample(6)["indices"]
            if isinstance(buffer, PrioritizedExperienceBuffer):
                buffer.update_priorities(drawn, torch.linspace(-3, 3, 6))
        stream = io.BytesIO()
        torch.save(buffer.state_dict(), stream)
        stream.seek(0)
        other = kind(5, 4, seed=99)
        other.load_state_dict(torch.load(stream, weights_only=True))
        assert other.get_sample_count() == buffer.get_sample_count()
        assert other.get_total_samples() == buffer.get_total_samples()
        for t in range(100, 103):
            for each in (buffer, other):
                write_rows(each, 1, t)
            ours, theirs = buffer.sample(10), other.sample(10)
            assert set(ours) == set(theirs)
            assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    def test_restored_from_a_copy_in_memory_is_independent(self, kind: Any) -> None:
        """What is recorded after loading does not reach the buffer the state came from."""
        buffer, other = kind(3, 2, seed=1), kind(3, 2, seed=2)
        write_rows(buffer, 3)
        other.load_state_dict(buffer.state_dict())
        write_rows(other, 3, 50)
        assert buffer.get_data("x").max() < 50

    def test_only_stored_rows_are_written(self, kind: Any) -> None:
        """A large buffer with little in it makes a small file."""
        buffer = kind(100_000, 1)
        write_rows(buffer, 10)
        stream = io.BytesIO()
        torch.save(buffer.state_dict(), stream)
        assert stream.tell() < 50_000

    def test_other_sizes_and_fields_are_refused(self, kind: Any) -> None:
        """A state that does not fit is refused before anything changes."""
        buffer = kind(3, 2)
        write_rows(buffer, 2)
        state = buffer.state_dict()
        with pytest.raises(G1MimicError, match="buffer_len 3, this one 4"):
            kind(4, 2).load_state_dict(state)
        other = kind(3, 2)
        other.record("x", torch.zeros(2, 5))
        with pytest.raises(G1MimicError, match="'x' of the saved buffer"):
            other.load_state_dict(state)
        buffer.record("x", torch.zeros(2))
        with pytest.raises(G1MimicError, match="half recorded"):
            buffer.state_dict()

    def test_prioritized_takes_a_uniform_state(self) -> None:
        """Changing the strategy keeps the data: all samples count as new."""
        uniform, prioritized = ExperienceBuffer(4, 2), PrioritizedExperienceBuffer(4, 2)
        write_rows(uniform, 3)
        prioritized.load_state_dict(uniform.state_dict())
        assert prioritized.get_priorities().tolist() == [1.0] * 6 + [0.0] * 2
