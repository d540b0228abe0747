"""Which transitions the learner is given: the table of the strategies behind ``sampling``.

One more strategy is one more entry. What may be given in YAML, on the command line, as a launch
argument, as an arm of a comparison, and what is said of it there and in the documentation, follows.
Nothing is imported here that takes time: the classes are looked up when a run begins.
"""

from __future__ import annotations

from typing import NamedTuple


class ReplayStrategy(NamedTuple):
    """A way to choose the transitions that are learned from."""

    drawn: str
    """How transitions are drawn."""
    use: str
    """When to choose it."""
    source: str
    """Where it comes from."""
    settings: tuple[str, ...]
    """Keys of ``replay`` that it reads besides capacity and batch_size."""
    kind: str
    """The subclass of `replays.Replay`, as ``module:name``."""


REPLAY_STRATEGIES: dict[str, ReplayStrategy] = {
    "uniform": ReplayStrategy(
        drawn="all alike",
        use="the baseline; hard to beat where each is replayed often anyway",
        source="",
        settings=(),
        kind="g1_mimic.learning.replays:Replay",
    ),
    "per": ReplayStrategy(
        drawn="in proportion to (error + ε)^α, with importance weights",
        use="rare, telling events; can hurt the actor, which learns where the critic is worst",
        source="Schaul et al. 2016, arXiv 1511.05952",
        settings=("alpha", "beta", "beta_increment", "epsilon"),
        kind="g1_mimic.learning.replays:PrioritizedReplay",
    ),
    "lap": ReplayStrategy(
        drawn="in proportion to max(error, threshold)^α, without weights",
        use="milder than per: small errors are all alike, and no weights take away again what "
        "priorities give",
        source="Fujimoto et al. 2020, arXiv 2007.06049",
        settings=("lap_alpha", "lap_threshold", "epsilon"),
        kind="g1_mimic.learning.replays:LossAdjustedReplay",
    ),
    "per_critic": ReplayStrategy(
        drawn="for the critic as per, mixed with a uniform_share of uniform ones, and for the "
        "actor all alike",
        use="what per gives the critic without its harm to the actor",
        source="after LA3P, Saglam et al. 2023, JAIR 77",
        settings=("alpha", "beta", "beta_increment", "epsilon", "uniform_share"),
        kind="g1_mimic.learning.replays:CriticPrioritizedReplay",
    ),
    "recency": ReplayStrategy(
        drawn="the newer, the likelier: half as likely per half_life of the buffer",
        use="many robots and few updates per step, where each is replayed seldom and old ones come "
        "from worse policies",
        source="Korniak et al. 2026, arXiv 2605.10236",
        settings=("half_life",),
        kind="g1_mimic.learning.replays:RecencyReplay",
    ),
}
"""By the names that ``sampling`` takes."""


def strategies_table() -> list[tuple[str, str, str, str, str]]:
    """Return name, how it draws, when to choose it, source and settings of each strategy."""
    return [
        (name, it.drawn, it.use, it.source, ", ".join(it.settings))
        for name, it in REPLAY_STRATEGIES.items()
    ]
