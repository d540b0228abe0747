"""Prioritized replay beside that of torchrl, cpprb and Tianshou, and beside plain uniform replay.

All store the same transitions of the G1 (two observations of 160, an action of 29, reward, done)
themselves, get them in the form that they take best, and do the same work in turn, on one thread of
the CPU: insert a step of all environments, draw indices and weights, sample (draw and gather),
update priorities, and the whole cycle of the three. A round goes through all buffers; times are
medians over the rounds, ratios medians of the rounds' ratios. "uniform" is the floor: random
indices and a gather on our own storage. That stores the next observation only where it is not the
next step's; the memory of priorities is told as a share of what both observations would take.

Ratios to the best other buffer of each operation come last, with what they should be at most.
Buffers that are not installed (requirements/benchmarks.txt) are left out, with a line saying so.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from g1_mimic.learning.experience_buffer import PrioritizedExperienceBuffer
from g1_mimic.learning.replay.ring import TransitionRing

OBS, ACTION = 160, 29
ALPHA, BETA, EPSILON = 0.6, 0.4, 1e-6
OPERATIONS = ("insert", "draw", "sample", "update", "cycle")
Arrays = dict[str, Any]
Clock = Callable[[], float]


class Uniform:
    """The floor: our ring of transitions, random indices, no priorities."""

    name = "uniform"

    def __init__(self, rows: int, envs: int) -> None:
        self.ring = TransitionRing(rows, envs, "cpu")
        self.ring.add_successor("next_obs", "obs", ("done",), borrow=True)

    def form(self, step: Arrays) -> Any:
        """Return a step in the form that `insert` takes best; that is not timed."""
        return step

    def insert(self, step: Any) -> None:
        self.ring.record_row(step)

    def draw(self, n: int) -> Any:
        return torch.randint(self.ring.get_sample_count(), (n,)), torch.ones(n)

    def sample(self, n: int) -> Any:
        indices, weights = self.draw(n)
        return self.ring.gather(indices), weights, indices

    def update(self, indices: Any, errors: Any) -> None:
        pass

    errors = staticmethod(torch.from_numpy)


class Ours(Uniform):
    name = "g1_mimic"

    def __init__(self, rows: int, envs: int) -> None:
        self.ring = self.buffer = PrioritizedExperienceBuffer(
            rows, envs, alpha=ALPHA, beta=BETA, beta_increment=0.0, epsilon=EPSILON
        )
        self.ring.add_successor("next_obs", "obs", ("done",), borrow=True)

    def draw(self, n: int) -> Any:
        return self.buffer.sample_indices(n)

    def sample(self, n: int) -> Any:
        batch = self.buffer.sample(n)
        return batch, batch["weights"], batch["indices"]

    def update(self, indices: Any, errors: Any) -> None:
        self.buffer.update_priorities(indices, errors)


class TorchRL:
    name = "torchrl"

    def __init__(self, rows: int, envs: int) -> None:
        os.environ.setdefault("RL_LOGGING_LEVEL", "ERROR")
        data = importlib.import_module("torchrl.data")
        self.as_batch = importlib.import_module("tensordict").TensorDict
        self.sampler = data.PrioritizedSampler(rows * envs, ALPHA, BETA, EPSILON)
        self.storage = data.LazyTensorStorage(rows * envs)
        self.buffer = data.ReplayBuffer(storage=self.storage, sampler=self.sampler)
        self.envs = envs

    def form(self, step: Arrays) -> Any:
        tensors = {name: torch.from_numpy(value) for name, value in step.items()}
        return self.as_batch(tensors, batch_size=[self.envs])

    def insert(self, step: Any) -> None:
        self.buffer.extend(step)

    def draw(self, n: int) -> Any:
        indices, info = self.sampler.sample(self.storage, n)
        return indices, info["priority_weight"]

    def sample(self, n: int) -> Any:
        batch, info = self.buffer.sample(n, return_info=True)
        return batch, info["priority_weight"], info["index"]

    def update(self, indices: Any, errors: Any) -> None:
        self.buffer.update_priority(indices, errors)

    errors = staticmethod(torch.from_numpy)


class Cpprb:
    """Its draws cannot be had without a gather: they are timed on a twin with one small field."""

    name = "cpprb"

    def __init__(self, rows: int, envs: int) -> None:
        make = importlib.import_module("cpprb").PrioritizedReplayBuffer
        single = {"dtype": np.float32}
        fields = {
            "obs": {"shape": OBS, **single},
            "next_obs": {"shape": OBS, **single},
            "action": {"shape": ACTION, **single},
            "reward": single,
            "done": {"dtype": np.bool_},
        }
        self.buffer = make(rows * envs, fields, alpha=ALPHA, eps=EPSILON)
        self.twin = make(rows * envs, {"x": single}, alpha=ALPHA, eps=EPSILON)
        ones = np.ones(rows * envs, np.float32)
        priorities = np.random.default_rng(0).standard_exponential(ones.size).astype(np.float32)
        self.twin.add(x=ones, priorities=priorities)

    def form(self, step: Arrays) -> Any:
        return step

    def insert(self, step: Any) -> None:
        self.buffer.add(**step)

    def draw(self, n: int) -> Any:
        batch = self.twin.sample(n, beta=BETA)
        return batch["indexes"], batch["weights"]

    def sample(self, n: int) -> Any:
        batch = self.buffer.sample(n, beta=BETA)
        return batch, batch["weights"], batch["indexes"]

    def update(self, indices: Any, errors: Any) -> None:
        self.buffer.update_priorities(indices, errors)

    errors = staticmethod(np.asarray)


class Tianshou:
    name = "tianshou"

    def __init__(self, rows: int, envs: int) -> None:
        data = importlib.import_module("tianshou.data")
        self.as_batch = data.Batch
        self.buffer = data.PrioritizedVectorReplayBuffer(
            rows * envs, envs, alpha=ALPHA, beta=BETA
        )  # fmt: skip
        self.ids = np.arange(envs)

    def form(self, step: Arrays) -> Any:
        done = step["done"]
        return self.as_batch(
            obs=step["obs"], obs_next=step["next_obs"], act=step["action"],
            rew=step["reward"], terminated=done, truncated=np.zeros_like(done),
        )  # fmt: skip

    def insert(self, step: Any) -> None:
        self.buffer.add(step, self.ids)

    def draw(self, n: int) -> Any:
        indices = self.buffer.sample_indices(n)
        return indices, self.buffer.get_weight(indices)

    def sample(self, n: int) -> Any:
        batch, indices = self.buffer.sample(n)
        return batch, batch.weight, indices

    def update(self, indices: Any, errors: Any) -> None:
        self.buffer.update_weight(indices, errors)

    errors = staticmethod(np.asarray)


PEERS = {kind.name: kind for kind in (TorchRL, Cpprb, Tianshou)}


def target(operation: str, batch: int) -> float:
    """Return what our time should be at most, in times of the best peer's."""
    return {
        "insert": 0.6,
        "draw": 0.6 if batch >= 32768 else 1.0,
        "sample": 0.8,
        "update": 0.25 if batch >= 4096 else 0.6,
        "cycle": 0.6,
    }[operation]


def floor_target(batch: int) -> float:
    """Return what our cycle should be at most, in times of the uniform one's."""
    return 1.55 if batch < 4096 else 1.35 if batch < 32768 else 1.0


def keep_freed_memory() -> None:
    """Have malloc keep what is freed, as far as it can be told to.

    By default it hands large blocks back or not, depending on what else lies around them; a batch
    of 40 MB then takes up to three times as long, whoever asks for it.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    m_trim_threshold, m_mmap_threshold = -1, -3
    libc.mallopt(m_mmap_threshold, 32 << 20)
    libc.mallopt(m_trim_threshold, 2**31 - 1)


def make_steps(envs: int, count: int = 4) -> list[Arrays]:
    """Return random steps of all environments, in turn.

    The next observation is the next step's observation, unless the episode ended.
    """
    rng = np.random.default_rng(0)
    obs = rng.standard_normal((count, envs, OBS), np.float32)
    steps = []
    for k in range(count):
        done = rng.random(envs) < 0.01
        last = rng.standard_normal((envs, OBS), np.float32)
        step = {
            "obs": obs[k],
            "action": rng.standard_normal((envs, ACTION), np.float32),
            "reward": rng.random(envs, np.float32),
            "done": done,
            "next_obs": np.where(done[:, None], last, obs[(k + 1) % count]),
        }
        steps.append(step)
    return steps


def measure(buffer: Any, steps: list[Any], batch: int, now: Clock) -> dict[str, float]:
    """Return the mean seconds of each operation over some cycles, timed where it happens in one.

    So every update is of other indices, and caches hold what they would in training; the first
    cycle, which finds there what another buffer has left, does not count. Only the draw is timed
    beside the cycle.
    """
    errors = buffer.errors(np.random.default_rng(1).standard_exponential(batch).astype(np.float32))
    cycles = max(2, min(16, 16384 // batch))
    sums = dict.fromkeys(OPERATIONS, 0.0)
    for k in range(cycles + 1):
        clock = [now()]
        buffer.insert(steps[k % len(steps)])
        clock.append(now())
        _, _, indices = buffer.sample(batch)
        clock.append(now())
        buffer.update(indices, errors)
        clock.append(now())
        buffer.draw(batch)
        clock.append(now())
        if k == 0:
            continue
        for name, begun, ended in zip(
            ("insert", "sample", "update", "draw"), clock[:-1], clock[1:], strict=True
        ):
            sums[name] += ended - begun
        sums["cycle"] += clock[3] - clock[0]
    return {name: value / cycles for name, value in sums.items()}


def compare(
    kinds: list[Any], capacity: int, envs: int, batches: list[int], rounds: int, now: Clock
) -> list[tuple[str, float, str, float]]:
    """Time all buffers at one size; return rows (what, ratio, to whom, target)."""
    rows = -(-capacity // envs)
    arrays = make_steps(envs)
    buffers = [kind(rows, envs) for kind in kinds]
    steps = [[buffer.form(step) for step in arrays] for buffer in buffers]
    for buffer, given in zip(buffers, steps, strict=True):
        for row in range(rows + 1):  # one more: from here on, old transitions are replaced
            buffer.insert(given[row % len(given)])
    # Priorities that differ. In turn: memory that lay idle is slow when it is read again.
    for _ in range(capacity // 32768 + 1):
        for buffer in buffers:
            indices = buffer.sample(32768)[2]
            errors = np.random.default_rng(2).standard_exponential(32768).astype(np.float32)
            buffer.update(indices, buffer.errors(errors))
    ours = buffers[1]
    plain = rows * envs * sum(value[0].nbytes for value in arrays[0].values())
    memory = 100.0 * ours.buffer.priority_nbytes() / plain
    saved = 100.0 * (1.0 - ours.buffer.nbytes() / plain)
    print(f"\n{capacity} x {envs} envs: observations stored once save {saved:.0f} % of the memory")
    found = [(f"{capacity} x {envs} envs: memory of priorities, %", memory, "transitions", 0.5)]
    for batch in batches:
        times: list[list[dict[str, float]]] = []
        for turn in range(rounds + 1):
            order = [(turn + k) % len(buffers) for k in range(len(buffers))]
            results = {k: measure(buffers[k], steps[k], batch, now) for k in order}
            if turn:  # the first warms up
                times.append([results[k] for k in range(len(buffers))])
        medians = [
            {what: statistics.median(one[k][what] for one in times) for what in OPERATIONS}
            for k in range(len(buffers))
        ]
        print(f"\ncapacity {rows * envs}, {envs} environments, batch {batch}: median us")
        print(f"  {'':10s}" + "".join(f"{what:>10s}" for what in OPERATIONS))
        for kind, median in zip(kinds, medians, strict=True):
            cells = (f"{median[what] * 1e6:10.0f}" for what in OPERATIONS)
            print(f"  {kind.name:10s}" + "".join(cells), flush=True)

        def ratio(what: str, k: int, times: list[list[dict[str, float]]] = times) -> float:
            return statistics.median(one[1][what] / one[k][what] for one in times)

        label = f"{capacity} x {envs} envs, batch {batch}"
        for what in OPERATIONS if len(buffers) > 2 else ():
            best = min(range(2, len(buffers)), key=lambda k: medians[k][what])
            wanted = target(what, batch)
            found.append((f"{label}: {what}", ratio(what, best), kinds[best].name, wanted))
        found.append((f"{label}: cycle", ratio("cycle", 0), "uniform", floor_target(batch)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capacities", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--envs", type=int, nargs="+", default=[4096], help="e.g. 64 1024 4096")
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 4096, 32768])
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--computing-time",
        action="store_true",
        help="of the thread instead of wall time: what others do on the machine counts less",
    )
    args = parser.parse_args()
    now = time.thread_time if args.computing_time else time.perf_counter
    torch.set_num_threads(1)
    keep_freed_memory()
    torch.manual_seed(0)

    kinds: list[Any] = [Uniform, Ours]
    for name in args.peers:
        try:
            PEERS[name](2, 2)
        except (ImportError, RuntimeError) as error:  # torchrl's, if it was built for another torch
            print(f"{name} is left out ({error}); see requirements/benchmarks.txt")
        else:
            kinds.append(PEERS[name])
    found = []
    for capacity in args.capacities:
        for envs in args.envs:
            found += compare(kinds, capacity, envs, args.batches, args.rounds, now)
            gc.collect()
    print(f"\n{'ratio':>7s} {'at most':>8s}")
    for what, value, whom, wanted in found:
        print(f"{value:7.2f} {wanted:8.2f} {'' if value <= wanted else '!':1s} {what} / {whom}")


if __name__ == "__main__":
    main()
