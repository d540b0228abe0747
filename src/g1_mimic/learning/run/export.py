"""Exporting a policy from a run."""

from __future__ import annotations

from pathlib import Path

from g1_mimic.learning.experiment import Experiment, resolve
from g1_mimic.learning.networks import Actor
from g1_mimic.learning.run.checkpoint import learned_in, load_checkpoint, newest_checkpoint
from g1_mimic.learning.run.folder import RunFolder
from g1_mimic.policy.export import export_tracking_policy


def export_actor(
    path: Path, actor: Actor, experiment: Experiment, folder: RunFolder, env_steps: int
) -> None:
    """Write an actor of a run as a policy.

    Args:
        path: the ONNX file to write.
        actor: the actor.
        experiment: what it was trained for.
        folder: the run's, which the policy is named after.
        env_steps: environment steps that it was trained for.

    Raises:
        WriteError: if the file cannot be written.
    """
    export_tracking_policy(
        path,
        actor,
        motions=experiment.motions,
        profile=experiment.profile,
        env_config=experiment.config.env,
        run=f"{folder.path.name}@{env_steps}",
    )


def export_run(run: Path, output: Path, checkpoint: str, actor: str) -> str:
    """Export an actor of a run's checkpoint; return a line for the user.

    Args:
        run: the run folder.
        output: the ONNX file to write.
        checkpoint: ``best``, ``newest``, or a path.
        actor: ``chosen`` (the one that evaluated better when the checkpoint was written, else
            the averaged), ``raw`` or ``averaged``.

    Raises:
        G1MimicError: if the run, the checkpoint or the settings in it do not fit.
    """
    folder = RunFolder(run)
    if checkpoint == "newest":
        state = newest_checkpoint(folder.checkpoints)
    else:
        state = load_checkpoint(folder.best if checkpoint == "best" else Path(checkpoint))
    learned = learned_in(state, f"{run}: {checkpoint}")
    experiment = resolve(learned.config)
    learner = experiment.learner()
    learner.load_state_dict(learned.weights)
    name = state.get("chosen", "averaged") if actor == "chosen" else actor
    export_actor(output, learner.actors[name], experiment, folder, learned.env_steps)
    return f"{output}: the {name} actor of {folder.path.name} at {learned.env_steps} steps"
