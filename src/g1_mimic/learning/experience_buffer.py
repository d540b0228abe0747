"""Experience buffers: uniform, and prioritized by error (Schaul et al. 2016, arXiv 1511.05952).

The interface is that of MimicKit's ``ExperienceBuffer`` (record, inc, sample, …), so that either
class can take its place. A buffer is a ring of ``buffer_len`` rows; a row holds one transition of
each of ``batch_size`` parallel environments. The flat index of a transition is
``row · batch_size + environment``. Not thread-safe: one thread records and samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from g1_mimic.errors import BadState, BadValue
from g1_mimic.learning.replay.backends import make_priority_tree
from g1_mimic.learning.replay.checks import priority_update
from g1_mimic.learning.replay.inputs import first_of, positive
from g1_mimic.learning.replay.priority_tree import PriorityTree
from g1_mimic.learning.replay.ring import TransitionRing


class ExperienceBuffer(TransitionRing):
    """A ring of transitions that is sampled uniformly.

    Args:
        buffer_len: number of rows.
        batch_size: number of parallel environments; the capacity is their product.
        device: where the data lives.
        seed: of the sampling; by default drawn from torch's global generator.
        buffer_length: MimicKit's name for ``buffer_len``.

    Raises:
        G1MimicError: if a size is not positive or the device is not there.
    """

    def __init__(
        self,
        buffer_len: int | None = None,
        batch_size: int = 1,
        device: str | torch.device = "cpu",
        *,
        seed: int | None = None,
        buffer_length: int | None = None,
    ) -> None:
        if (buffer_len is None) == (buffer_length is None):
            raise BadValue("the buffer needs buffer_len (or, for MimicKit, buffer_length)")
        rows = buffer_len if buffer_len is not None else buffer_length
        assert rows is not None
        super().__init__(rows, batch_size, device)
        if seed is None:
            seed = int(torch.randint(2**62, ()))
        self._generator = torch.Generator(self._device).manual_seed(seed)
        self._pass: Tensor | None = None  # an order of all indices
        self._pass_start = self._generator.get_state()
        self._pass_head = 0

    # -- sampling -------------------------------------------------------------------------------

    def sample(self, n: int, fields: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Return ``n`` transitions: the fields [n, …], their ``indices`` and ``weights`` [n].

        Args:
            n: how many.
            fields: which fields to gather; all by default.

        Raises:
            G1MimicError: if the buffer is empty, ``n`` is not positive or a field is unknown.
        """
        indices, weights = self.sample_indices(n)
        return {**self.gather(indices, fields), "indices": indices, "weights": weights}

    def sample_indices(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw flat indices [n] and their weights [n], here 1.

        A full buffer is gone through in passes, each of which returns every transition once in
        random order (what PPO's epochs expect). While it fills up, draws are independent.

        Raises:
            G1MimicError: if the buffer is empty or ``n`` is not positive.
        """
        n = self._require_samples(n)
        weights = torch.ones(n, device=self._device)
        if self.is_full() and not self._overwriting() and n <= self.get_capacity():
            return self._draw_from_pass(n), weights
        first = (self._head + 1) * self._batch_size if self._overwriting() else 0
        indices = torch.randint(
            self.get_sample_count(), (n,), device=self._device, generator=self._generator
        )
        return indices.add_(first).remainder_(self.get_capacity()), weights

    def _draw_from_pass(self, n: int) -> Tensor:
        parts = []
        while n > 0:
            if self._pass is None or self._pass_head == self._pass.numel():
                self._begin_pass(self._generator.get_state())
            assert self._pass is not None
            parts.append(self._pass[self._pass_head : self._pass_head + n])
            self._pass_head += parts[-1].numel()
            n -= parts[-1].numel()
        return torch.cat(parts)

    def _begin_pass(self, state: Tensor) -> None:
        # The generator's state stands for the whole order in a checkpoint.
        self._pass_start = state
        self._generator.set_state(state)
        self._pass = torch.randperm(
            self.get_capacity(), device=self._device, generator=self._generator
        )
        self._pass_head = 0

    def _on_emptied(self) -> None:
        self._pass = None

    def _require_samples(self, n: int) -> int:
        n = positive("the number of samples", n)
        if self.get_sample_count() == 0:
            raise BadState("the buffer is empty: record a row and call inc() before sample()")
        return n

    # -- checkpoints ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return everything that `load_state_dict` needs: tensors and plain numbers.

        Only completed rows are in it. Tensors of a full buffer are its own memory, not copies:
        save them, or clone them, before recording goes on.

        Raises:
            G1MimicError: if a row is half recorded.
        """
        self._require_no_half_row("state_dict()")
        return {
            "buffer_len": self._buffer_len,
            "batch_size": self._batch_size,
            "head": self._head,
            "filled_rows": self._filled_rows,
            "total_samples": self._total_samples,
            **self._fields.state_dict(self.get_sample_count()),
            "device": self._device.type,
            "generator": self._generator.get_state(),
            "pass_start": self._pass_start,
            "pass_head": -1 if self._pass is None else self._pass_head,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; fields that are missing here are created.

        Sampling continues with the same draws if the device is of the same type.

        Raises:
            G1MimicError: if the state is of a buffer of another size or has other fields.
        """
        self._check_state(state)
        self.clear()
        self._head = int(state["head"])
        self._filled_rows = int(state["filled_rows"])
        self._total_samples = int(state["total_samples"])
        self._fields.load_state_dict(state)
        if state["device"] == self._device.type:  # generators of other devices differ in kind
            if state["pass_head"] >= 0:
                self._begin_pass(state["pass_start"].cpu())
                self._pass_head = int(state["pass_head"])
            self._generator.set_state(state["generator"].cpu())

    def _check_state(self, state: Mapping[str, Any]) -> None:
        for key, here in (("buffer_len", self._buffer_len), ("batch_size", self._batch_size)):
            if state[key] != here:
                raise BadValue(
                    f"the saved buffer has {key} {state[key]}, this one {here}; use the same"
                )
        self._fields.check_state(state)


class PrioritizedExperienceBuffer(ExperienceBuffer):
    """A ring of transitions that is sampled in proportion to their errors.

    Transition i is drawn with probability P(i) = p_i^α / Σ p_k^α, p_i = |error_i| + ε. A new one
    has the highest priority so far (1 at first), so that it is drawn soon. ``weights`` =
    (N·P(i))^-β, divided by the largest in the batch, make up for the drawing in expectation; β
    grows to 1 with every call of `sample`.

    Draws are stratified, hence in ascending order of the index: to split a batch, take every k-th
    entry (``batch[i::k]``), not a piece of it.

    Args:
        buffer_len: number of rows.
        batch_size: number of parallel environments; the capacity is their product.
        alpha: how much priorities count, 0 (uniform) to 1.
        beta: how much of the drawing the weights make up for at first, 0 to 1.
        beta_increment: what is added to β after every `sample`.
        epsilon: added to every |error|; positive, so that no stored sample is out of reach and
            the sum of priorities is never 0.
        device: where the data lives.
        seed: of the sampling; by default drawn from torch's global generator.
        buffer_length: MimicKit's name for ``buffer_len``.

    Raises:
        G1MimicError: if a number is out of its range or the device is not there.
    """

    def __init__(
        self,
        buffer_len: int | None = None,
        batch_size: int = 1,
        alpha: float = 0.6,
        beta: float = 0.4,
        beta_increment: float = 0.001,
        epsilon: float = 1e-6,
        device: str | torch.device = "cpu",
        *,
        seed: int | None = None,
        buffer_length: int | None = None,
    ) -> None:
        super().__init__(buffer_len, batch_size, device, seed=seed, buffer_length=buffer_length)
        for name, value in (("alpha", alpha), ("beta", beta), ("beta_increment", beta_increment)):
            if not 0.0 <= value <= 1.0:
                raise BadValue(f"{name} must be between 0 and 1, got {value}")
        if not 0.0 < epsilon <= 1.0:
            raise BadValue(
                f"epsilon must be above 0 (and at most 1), got {epsilon}; with 0 the sampling "
                "probabilities could sum to 0"
            )
        self._alpha = float(alpha)
        self._beta = float(beta)
        self._beta_increment = float(beta_increment)
        self._epsilon = float(epsilon)
        self._tree: PriorityTree = make_priority_tree(self.get_capacity(), self._device)
        self._head_hidden = False  # the row at the head has lost its priorities already

    @property
    def alpha(self) -> float:
        """How much priorities count."""
        return self._alpha

    @property
    def beta(self) -> float:
        """β of the next `sample`."""
        return self._beta

    def priority_nbytes(self) -> int:
        """Return the memory that priorities take besides the transitions, B."""
        return self._tree.nbytes()

    def get_priorities(self) -> Tensor:
        """Return p^α of every slot [capacity]; 0 where there is no sample."""
        self._hide_head()
        return self._tree.leaves.clone()

    def get_probabilities(self) -> Tensor:
        """Return the probability P(i) that one draw hits slot i [capacity], float64."""
        priorities = self.get_priorities().double()
        return priorities / priorities.sum()

    def sample_indices(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw flat indices [n], ascending, and their importance weights [n], at most 1.

        Raises:
            G1MimicError: if the buffer is empty, ``n`` is not positive, or (on a GPU) an earlier
                update was bad.
        """
        n = self._require_samples(n)
        self._hide_head()
        newest_row = (self._head - 1) % self._buffer_len
        indices = self._tree.sample(n, self._generator, newest_row * self._batch_size)
        # (N·P)^-β over its maximum: N and the total cancel out.
        weights = self._tree.weights(indices, self._beta)
        self._beta = min(1.0, self._beta + self._beta_increment)
        return indices, weights

    def update_priorities(self, indices: Any, errors: Any) -> None:
        """Give the transitions ``indices`` [n] the priorities of their ``errors`` [n] or [n, 1].

        The sign of an error does not count. Of duplicate indices the last counts.

        Raises:
            G1MimicError: if the numbers differ in count, an error is NaN or infinite, or an index
                is no stored sample. On the CPU nothing is changed then; on a GPU the good entries
                are taken over and a later call of `sample` or this raises.
        """
        index, error = priority_update(indices, errors, self._device)
        if index.numel():
            stored = self._filled_rows * self._batch_size
            self._tree.learn(index, error, stored, self._epsilon, self._alpha)

    def clear(self) -> None:
        """`reset`, and forget the number of samples and the highest priority."""
        super().clear()
        self._tree.highest.fill_(1.0)

    def _hide_head(self) -> None:
        """Take the priorities from a stored row that is being replaced.

        Done when someone looks, not in `record`: usually `inc` comes first.
        """
        if self._overwriting() and not self._head_hidden:
            start = self._head * self._batch_size
            self._tree.fill(start, start + self._batch_size, 0.0)
            self._head_hidden = True

    def _on_rows_completed(self, start: int, n: int) -> None:
        last = min(start + n, self._buffer_len)
        self._tree.renew(start * self._batch_size, last * self._batch_size)
        if start + n > last:
            self._tree.renew(0, (start + n - last) * self._batch_size)
        self._head_hidden = False

    def _on_data_replaced(self) -> None:
        # The errors were measured on other data: every sample counts as new.
        self._tree.renew(0, self._filled_rows * self._batch_size)
        self._head_hidden = False

    def _on_emptied(self) -> None:
        super()._on_emptied()
        self._tree.fill(0, self.get_capacity(), 0.0)
        self._head_hidden = False

    def state_dict(self) -> dict[str, Any]:
        """Return everything that `load_state_dict` needs: tensors and plain numbers.

        Raises:
            G1MimicError: if a row is half recorded.
        """
        return super().state_dict() | {
            "priorities": first_of(self._tree.leaves, self.get_sample_count()),
            "highest": self._tree.highest.clone(),
            "beta": self._beta,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        The state of a uniform buffer is taken too: all its samples count as new then.

        Raises:
            G1MimicError: if the state is of a buffer of another size or has other fields.
        """
        super().load_state_dict(state)
        if "priorities" not in state:
            self._on_data_replaced()
            return
        priorities = torch.zeros_like(self._tree.leaves)
        priorities[: len(state["priorities"])] = state["priorities"].to(self._device)
        self._tree.assign(priorities)
        self._tree.highest.copy_(state["highest"])
        self._beta = float(state["beta"])
