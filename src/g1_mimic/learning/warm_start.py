"""Training that begins with what another run has learned: with its networks."""

from __future__ import annotations

from pathlib import Path

from g1_mimic.errors import BadValue
from g1_mimic.learning.config import TrainConfig
from g1_mimic.learning.learner import Learner
from g1_mimic.learning.run.checkpoint import learned_in, load_checkpoint
from g1_mimic.learning.run.folder import RunFolder

SAME = {
    "env": ("policy_observation", "critic_observation", "action_base", "action_bound"),
    "learner": (
        "algorithm", "actor_hidden", "critic_hidden", "critics", "atoms", "value_min", "value_max",
    ),
}  # fmt: skip
"""What networks are, and what their inputs and outputs mean: settings that must not differ."""


def warm_start(learner: Learner, source: str | Path, config: TrainConfig) -> None:
    """Give ``learner`` the networks, normalisers and optimisers of another run.

    Args:
        learner: of a run that begins.
        source: run folder, whose best policy it is then, or one of its checkpoints.
        config: settings of the run that begins. Its clips, robot, rewards and randomisation may
            be others.

    Raises:
        G1MimicError: if there is no such checkpoint, or its networks do not fit.
    """
    path = Path(source).expanduser()
    state = load_checkpoint(RunFolder(path).best if path.is_dir() else path)
    before, weights, _ = learned_in(state, f"warm_start: {source}")
    for section, keys in SAME.items():
        for key in keys:
            old, new = (getattr(getattr(c, section), key) for c in (before, config))
            if old != new:
                raise BadValue(
                    f"warm_start: {source} was trained with {section}.{key} {_text(old)}, this run "
                    f"has {_text(new)}: they must be the same"
                )
    try:
        learner.load_state_dict(weights)
    except (KeyError, RuntimeError, ValueError) as error:
        raise BadValue(f"warm_start: the networks of {source} do not fit") from error


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
