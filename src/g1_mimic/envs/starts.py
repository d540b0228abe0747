"""Where in the clips episodes start: anywhere, or more often where the policy does badly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from g1_mimic.motion.clip import clip_index
from g1_mimic.settings import OneOf, Settings


class StartStrategy(NamedTuple):
    """A way to choose where episodes start."""

    start: str
    """Where they do."""
    use: str
    """When to choose it."""
    source: str
    """Where it comes from."""
    weigh: Callable[[StartSampler], np.ndarray] | None
    """Returns what speaks for each bin [bins]; None where nothing ever does."""


START_STRATEGIES: dict[str, StartStrategy] = {
    "uniform": StartStrategy(
        start="anywhere in the clip",
        use="easy clips, and whenever starts should say nothing about the policy",
        source="",
        weigh=None,
    ),
    "failure_bins": StartStrategy(
        start="more often in the seconds in which they fail",
        use="clips with hard moments that end episodes; without falls it is uniform",
        source="BeyondMimic, Liao et al. 2025",
        weigh=lambda sampler: sampler.failures,
    ),
    "error_bins": StartStrategy(
        start="more often in the seconds that are tracked badly",
        use="clips that are tracked badly somewhere without falling; it knows early what failures "
        "tell late, but what nobody can track well takes a share of the starts for ever",
        source="",
        weigh=lambda sampler: sampler.error_shares(),
    ),
}
"""By the names that ``phase.strategy`` takes; one more entry is one more strategy everywhere."""


def strategies_table() -> list[tuple[str, str, str, str]]:
    """Return name, where episodes start, when to choose it and source of each strategy."""
    return [(name, it.start, it.use, it.source) for name, it in START_STRATEGIES.items()]


_STRATEGY = "Where episodes start: " + "; ".join(
    f"{name}: {strategy.start}" for name, strategy in START_STRATEGIES.items()
)


class StartsConfig(Settings):
    """How start frames are drawn."""

    strategy: Annotated[str, OneOf(START_STRATEGIES)] = Field("uniform", description=_STRATEGY)
    bin_s: float = Field(1.0, gt=0)
    """Width of a bin, s."""
    uniform_ratio: float = Field(0.1, gt=0)
    """Probability mass (before normalisation) shared by all bins alike."""
    smoothing: float = Field(0.001, gt=0, le=1)
    """Rate of the moving averages of failures and errors, per control step."""
    kernel_size: int = Field(1, ge=1)
    """How many bins a failure counts for: its own and those before it."""
    kernel_decay: float = Field(0.8, gt=0, le=1)
    """Weight of each further bin before the failure."""
    lead_s: float = Field(0.0, ge=0)
    """Failures and errors count for the moment this much earlier, s; 0 is BeyondMimic's."""
    max_share: float = Field(1.0, gt=0, le=1)
    """Most that one bin can take of the starts (no less than an equal share); 1 is no limit."""


@dataclass(frozen=True)
class ClipStarts:
    """The frames of one clip that episodes may start from."""

    num_frames: int
    looped: bool = True
    """Whether the first frame follows the last."""
    first: int = 0
    """The clip's first frame, where the frames of all clips lie one after the other."""
    share: float = 1.0
    """Share of the starts as long as nothing speaks for one bin or another."""
    name: str = ""


@dataclass(frozen=True)
class ClipBins:
    """The bins of one clip."""

    name: str
    count: int
    bin_s: float
    """Width of a bin, s: the configured one, stretched to fill the clip."""


class StartSampler:
    """Draws start frames of episodes from one or more clips.

    Every clip has bins of its own; what follows is over the bins of all clips. A bin's probability
    is its weight plus a uniform floor, smoothed backwards in time by a decaying kernel (what goes
    wrong now began a little earlier), and capped at ``max_share``.

    - `failure_bins` (BeyondMimic, Liao et al. 2025; whole_body_tracking, mdp/commands.py): the
      weight is a moving average of the failures per step in the bin.
    - `error_bins`: the weight is a moving average of the body position error of those who are in
      the bin, as a share of the sum over all bins; one where nobody has been counts as average.

    ``lead_s`` moves what goes wrong to an earlier moment exactly, where the kernel spreads it over
    whole bins. An episode that starts in the moment of the fall begins too late to prevent it, so
    a lead of 0.5 to 1 s, or a kernel, is what bins shorter than that need. ``max_share`` keeps a
    moment that cannot be learned from taking all the starts. Lead and kernel stay within a clip.

    The clips' shares are the prior: floor and weights of a bin are multiplied by what uniform
    starts would give it, relative to an equal part for every bin.

    Args:
        config: the strategy and its parameters.
        clips: their frames, in the order in which they lie one after the other.
        rate: frames per second.
    """

    def __init__(self, config: StartsConfig, clips: Sequence[ClipStarts], rate: float) -> None:
        self.config = config
        self.rate = rate
        lengths = [clip.num_frames for clip in clips]
        counts = [max(1, int(length / rate / config.bin_s)) for length in lengths]
        self.clips = tuple(
            ClipBins(clip.name, count, clip.num_frames / rate / count)
            for clip, count in zip(clips, counts, strict=True)
        )
        """The bins of each clip; they lie one after the other."""
        self.bins = sum(counts)
        self._first = np.array([clip.first for clip in clips])
        self._looped = np.array([clip.looped for clip in clips])
        self._lengths, self._counts = np.array(lengths), np.array(counts)
        self._first_bin = np.cumsum(self._counts) - self._counts
        self._clip_of_bin = np.repeat(np.arange(len(counts)), counts)
        shares = np.array([clip.share for clip in clips])
        # In this order it is exactly 1 for a single clip.
        self._prior = (shares * self.bins / self._counts)[self._clip_of_bin]
        self.failures: np.ndarray = np.zeros(self.bins)
        self.errors = np.zeros(self.bins)
        """Moving average of the error, m, as if it had been 0 before the first visit."""
        self._known = np.zeros(self.bins)  # the same average of 1: what `errors` lacks
        self.visits = np.zeros(self.bins)
        """Control steps in each bin since `take_counts`, over all robots."""
        self.falls = np.zeros(self.bins)
        """Failures in each bin since `take_counts`; without the lead."""
        kernel = config.kernel_decay ** np.arange(config.kernel_size)
        self._kernel = kernel / kernel.sum()

    # -- drawing --------------------------------------------------------------------------------

    @property
    def _weigh(self) -> Callable[[StartSampler], np.ndarray] | None:
        return START_STRATEGIES[self.config.strategy].weigh

    def error_shares(self) -> np.ndarray:
        """Return each bin's share of the sum of the average errors [bins]; 0 before any visit."""
        seen = self._known > 0
        if not seen.any():
            return np.zeros(self.bins)
        average = self.errors / np.where(seen, self._known, 1.0)
        average = np.where(seen, average, average[seen].mean())
        total = average.sum()
        return average / total if total > 0 else average

    def probabilities(self) -> np.ndarray:
        """Return the probability of each bin [bins]."""
        config = self.config
        if self._weigh is None:
            return np.full(self.bins, 1.0 / self.bins) * self._prior
        weights = (self._weigh(self) + config.uniform_ratio / self.bins) * self._prior
        weights = np.concatenate(
            [self._smoothed(part) for part in np.split(weights, self._first_bin[1:])]
        )
        return cap(weights / weights.sum(), config.max_share)

    def _smoothed(self, weights: np.ndarray) -> np.ndarray:
        """Spread the weights of one clip's bins backwards in time."""
        padded = np.pad(weights, (0, self.config.kernel_size - 1), mode="edge")
        # correlate, not convolve: bin b gathers what failed in b, b + 1, …
        return np.correlate(padded, self._kernel, mode="valid")

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``count`` start frames, integers, each in the start frames of one of the clips."""
        if self._weigh is None and len(self.clips) == 1:
            return self._first[0] + rng.integers(self._lengths[0], size=count)
        bins = rng.choice(self.bins, size=count, p=self.probabilities())
        clip = self._clip_of_bin[bins]
        part = (bins - self._first_bin[clip] + rng.random(count)) / self._counts[clip]
        frames = (part * self._lengths[clip]).astype(np.int64)
        return self._first[clip] + np.minimum(frames, self._lengths[clip] - 1)

    # -- learning where -------------------------------------------------------------------------

    def record(self, frames: np.ndarray, failed: np.ndarray, errors: np.ndarray) -> None:
        """Take in one control step of n robots.

        Args:
            frames: frames that the robots are at [n]; of a looped clip in any lap.
            failed: whether the episode failed there [n], bool.
            errors: error of the body positions [n], m.
        """
        here, rate = self._bins_of(frames), self.config.smoothing
        self.visits += np.bincount(here, minlength=self.bins)
        self.falls += np.bincount(here[failed], minlength=self.bins)
        blamed = self._bins_of(frames, round(self.config.lead_s * self.rate))
        counts = np.bincount(blamed[failed], minlength=self.bins)
        self.failures += rate * (counts - self.failures)
        present = np.bincount(blamed, minlength=self.bins)
        mean = np.bincount(blamed, errors, self.bins) / np.maximum(present, 1)
        step = rate * (present > 0)
        self.errors += step * (mean - self.errors)
        self._known += step * (1.0 - self._known)

    def _bins_of(self, frames: np.ndarray, lead: int = 0) -> np.ndarray:
        """Return the bins of the moments ``lead`` frames before ``frames``, in the same clips."""
        clip = clip_index(self._first, frames)
        length, local = self._lengths[clip], frames - self._first[clip] - lead
        local = np.where(self._looped[clip], local % length, np.clip(local, 0, length - 1))
        return np.asarray(self._first_bin[clip] + local * self._counts[clip] // length)

    def take_counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return ``visits`` and ``falls`` [bins] and set both to 0."""
        counts = self.visits, self.falls
        self.visits, self.falls = np.zeros(self.bins), np.zeros(self.bins)
        return counts

    def metrics(self) -> dict[str, float]:
        """Return the normalised entropy of the bins, and the likeliest bin with its share.

        ``top_s`` is its time in its clip. Of several clips each one's share is told too.
        """
        p = self.probabilities()
        entropy = -(p * np.log(p + 1e-12)).sum() / np.log(self.bins) if self.bins > 1 else 1.0
        top = int(p.argmax())
        clip = self._clip_of_bin[top]
        result = {
            "entropy": float(entropy),
            "top_share": float(p[top]),
            "top_s": float((top - self._first_bin[clip] + 0.5) * self.clips[clip].bin_s),
        }
        if len(self.clips) > 1:
            shares = np.bincount(self._clip_of_bin, p)
            names = [f"clip_share/{clip.name}" for clip in self.clips]
            result |= dict(zip(names, shares.tolist(), strict=True))
        return result

    # -- checkpoints ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {name: getattr(self, name).copy() for name in _STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`'s result.

        Raises:
            ValueError: if the clip's length or the bin width has changed since.
        """
        arrays = {name: np.asarray(state[name], np.float64).copy() for name in _STATE}
        for array in arrays.values():
            if array.shape != (self.bins,):
                raise ValueError(f"{array.size} bins of starts in the state, {self.bins} expected")
        for name, array in arrays.items():
            setattr(self, name, array)


_STATE = ("failures", "errors", "_known", "visits", "falls")


def cap(probabilities: np.ndarray, most: float) -> np.ndarray:
    """Limit each of ``probabilities`` [n] to ``most``; the others grow in proportion.

    A limit below 1/n is taken as 1/n: n probabilities cannot all be smaller.
    """
    most = max(most, 1.0 / len(probabilities))
    result = probabilities.copy()
    full = np.zeros(len(result), dtype=bool)
    while (result[~full] > most).any():  # each round fills at least one more
        full |= result > most
        result[full] = most
        rest = probabilities[~full]
        if rest.size:
            result[~full] = rest * ((1.0 - most * full.sum()) / rest.sum())
    return result / result.sum()
