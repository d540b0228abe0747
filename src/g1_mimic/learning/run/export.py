"""Exporting a policy from a run's checkpoint."""

from __future__ import annotations

from pathlib import Path

from g1_mimic.envs.tracking_env import TrackingEnv
from g1_mimic.learning.experiment import resolve
from g1_mimic.learning.learner import Learner
from g1_mimic.learning.run.checkpoint import learned_in, load_checkpoint, newest_checkpoint
from g1_mimic.learning.run.folder import RunFolder
from g1_mimic.policy.export import export_tracking_policy
from g1_mimic.robot.names import NUM_JOINTS


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
    config, weights, steps = learned_in(state, f"{run}: {checkpoint}")
    config, profile, motions, env_config = resolve(config)
    env = TrackingEnv(motions, profile, env_config, 1)
    learner = Learner(
        config.learner, env.policy_size, env.critic_size, NUM_JOINTS, env_config.action_bound
    )
    learner.load_state_dict(weights)
    name = state.get("chosen", "averaged") if actor == "chosen" else actor
    export_tracking_policy(
        output,
        learner.actor if name == "raw" else learner.average_actor,
        motions=motions,
        profile=profile,
        env_config=env_config,
        run=f"{folder.path.name}@{steps}",
    )
    return f"{output}: the {name} actor of {folder.path.name} at {steps} steps"
