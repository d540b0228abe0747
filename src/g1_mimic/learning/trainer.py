"""The training run: physics, replay, learner and evaluation in one loop."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from g1_mimic.envs.tracking_env import StepResult
from g1_mimic.errors import BadValue, G1MimicError, WriteError
from g1_mimic.learning.actor_choice import choose_actor
from g1_mimic.learning.config import TrainConfig
from g1_mimic.learning.experiment import choose_device, resolve
from g1_mimic.learning.learner import NotFiniteError, finite_actions
from g1_mimic.learning.mirror_augmentation import MirrorAugmentation
from g1_mimic.learning.nstep import gather_nstep
from g1_mimic.learning.replays import HISTOGRAM_EDGES, make_replay
from g1_mimic.learning.run.checkpoint import Learned, newest_checkpoint, numbered
from g1_mimic.learning.run.contained_faults import ContainedFaults
from g1_mimic.learning.run.files import RunFiles
from g1_mimic.learning.run.folder import RunFolder
from g1_mimic.learning.run.log import RunLog
from g1_mimic.learning.run.starts_history import StartsHistory
from g1_mimic.learning.run_control import RunControl
from g1_mimic.learning.warm_start import warm_start

PRIORITY_HISTOGRAM = "replay/priority_histogram"
"""Name of the only histogram that is logged: `Replay.histogram`."""


class Trainer:
    """One run: made or resumed in the constructor, carried out by `run`.

    Each vector step of the environments is simulated in a thread of its own while the learner
    updates from what was recorded before it, so that both cores of a small machine are busy. What
    is computed does not depend on which finishes first: with one seed, a run on the CPU is the
    same every time, also across interruptions.

    Args:
        config: the settings.
        run_path: the run folder.
        resume: continue from the newest checkpoint in the folder; a run that was killed before
            its first one begins again.

    Raises:
        G1MimicError: if a file or setting does not fit, or another process trains in the folder.
    """

    def __init__(self, config: TrainConfig, run_path: str | Path, resume: bool = False) -> None:
        self.folder = RunFolder(run_path)
        self.folder.lock()
        found = resume and numbered(self.folder.checkpoints)
        state = newest_checkpoint(self.folder.checkpoints) if found else None
        self.experiment = resolve(config)
        self.config = config = self.experiment.config
        torch.manual_seed(config.seed)
        device = choose_device(config.device)
        self.env, self.eval_env = self.experiment.training_env(), self.experiment.evaluation_env()
        self.learner = self.experiment.learner(device)
        self.replay = make_replay(config, config.env.reward.scale, device)
        ends = ("terminated", "truncated")
        self.replay.buffer.add_successor("next_obs", "obs", ends, borrow=True)
        terms, profile = config.env.critic_terms, self.experiment.profile
        self._mirror = MirrorAugmentation(terms, profile, device) if config.mirror else None
        self.control = RunControl()
        self.faults = ContainedFaults()
        self.log = RunLog(self.folder.events, config.num_envs, self.faults)
        self.files = RunFiles(self.folder, self.experiment)
        self.starts_history = StartsHistory(self.env.starts.clips)
        self.env_steps = 0
        self._next_eval = config.evaluation.interval_env_steps
        if state is not None:
            self._restore(state)
            self._obs = self.env.observe()
            return
        if config.warm_start:
            warm_start(self.learner, config.warm_start, config)
        self.folder.create(config.model_dump(mode="json"), again=resume)
        self._obs = self.env.reset()

    # -- the loop -------------------------------------------------------------------------------

    def run(self) -> dict[str, float]:
        """Train until ``total_env_steps`` or `RunControl.stop`, and return the last metrics.

        However it ends, a checkpoint is written; after a full run the policy is exported too.
        Files that cannot be written in between do not end it: they are told of and tried again.

        Raises:
            G1MimicError: if training diverges or what is left at its end cannot be written.
        """
        torch.set_num_threads(1)  # small networks: a second thread costs more than it brings
        self.log.start(self.env_steps)
        try:
            with ThreadPoolExecutor(1, thread_name_prefix="physics") as pool:
                while self.env_steps < self.config.total_env_steps and not self.control.stopped:
                    self.control.serve()
                    if self.control.wait_while_paused(timeout=0.1):
                        self._train_step(pool)
                        self._do_what_is_due()
            self._finish()
        except NotFiniteError as error:
            raise BadValue(
                f"training diverged at {self.env_steps} steps ({error}); the last checkpoint is "
                "intact: resume it with a lower learner.learning_rate"
            ) from error
        finally:
            self.control.serve()
            self.close()
        return dict(self.log.metrics)

    def _train_step(self, pool: ThreadPoolExecutor) -> None:
        """Simulate one vector step, and do the updates that go with it."""
        config = self.config
        obs = torch.from_numpy(self._obs.critic).to(self.learner.device)
        self.learner.observe(obs)
        actions = self.learner.explore(obs[:, : self.env.policy_size])
        future = pool.submit(self.env.step, finite_actions(actions))
        if self.env_steps >= config.warmup_env_steps:
            self.learner.schedule(config.learner, self.env_steps / config.total_env_steps)
            for _ in range(config.updates_per_step):
                self._update()
        result = future.result()
        self._record(actions, result)
        self._obs = result.observations
        self.env_steps += config.num_envs

    def _update(self) -> None:
        learner, replay = self.config.learner, self.replay
        batch = replay.sample(self.config.replay.batch_size, ("obs", "action"))
        indices = batch["indices"]
        batch |= gather_nstep(replay.buffer, indices, learner.n_step, learner.gamma)
        if self._mirror is not None:
            self._mirror.apply(batch)
        with self.faults.contained_update():
            metrics, errors = self.learner.update(batch)
            replay.learn_errors(indices, errors)
            self.log.updates.add(metrics)

    def _record(self, actions: torch.Tensor, result: StepResult) -> None:
        self.replay.buffer.record_row(
            {
                "obs": self._obs.critic,
                "action": actions,
                "reward": result.reward,
                "terminated": result.terminated,
                "truncated": result.truncated,
                "next_obs": result.final_observations.critic,
            }
        )
        self.log.episodes.add(result)
        self.faults.physics += int(result.info["broken"].sum())

    def _do_what_is_due(self) -> None:
        config = self.config
        if self.env_steps >= self._next_eval:
            self._next_eval += config.evaluation.interval_env_steps
            if self.env_steps < config.total_env_steps:  # the last one is in `_finish`
                self.evaluate()
                self._log()
        elif self.log.due(config.log_interval_s):
            self._log()
        if self.files.due(config.checkpoint.interval_s):
            with self.faults.contained_write():
                self.save()

    def _finish(self) -> None:
        self.faults.forget()
        if not self.control.stopped:
            self.evaluate()
        unwritten = self.faults.unwritten
        self._log()
        self.save()
        if unwritten:
            raise WriteError(unwritten)

    def close(self) -> None:
        """End the physics, and let others train in the folder."""
        self.log.close()
        self.env.close()
        self.eval_env.close()
        self.folder.unlock()

    # -- between steps --------------------------------------------------------------------------

    def evaluate(self) -> None:
        """Evaluate the learning and the averaged actor, and export the better of the two.

        Raises:
            NotFiniteError: if an action is not finite.
        """
        with self.log.clock.stopped():
            choice = choose_actor(self.learner, self.eval_env)
            self.log.evaluated(self.env_steps, choice.metrics)
            self.starts_history.add(self.env_steps, self.env.starts)
            with self.faults.contained_write():
                self.starts_history.write(self.folder.starts)
                self.files.take(choice, self._learned())

    def _log(self) -> None:
        groups = {"replay": self.replay.metrics(), "starts": self.env.starts.metrics()}
        histograms = {}
        if self.replay.buffer.get_sample_count():
            histograms[PRIORITY_HISTOGRAM] = HISTOGRAM_EDGES, self.replay.histogram()
        self.log.write(self.env_steps, self.config.total_env_steps, groups, histograms)

    def apply(self, config: TrainConfig) -> None:
        """Take over changed live settings."""
        self.config = config

    def export_newest(self) -> Path:
        """Export the averaged actor as it is now."""
        return self.files.export(self.learner.average_actor, self.env_steps)

    # -- checkpoints ----------------------------------------------------------------------------

    def _learned(self) -> Learned:
        return Learned(self.config, self.learner.state_dict(), self.env_steps)

    def save(self) -> Path:
        """Write a checkpoint that the run can be continued from.

        Raises:
            WriteError: if the disk does not take it.
        """
        cuda = self.learner.device.type == "cuda"
        state = {
            "best_score": float(self.files.best_score),
            "next_eval": self._next_eval,
            "buffer": self.replay.buffer.state_dict(),
            "env": self.env.state_dict(),
            "phases": self.starts_history.state_dict(),
            "faults": self.faults.state_dict(),
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if cuda else [],
        }
        return self.files.save(self._learned().state_dict() | self.log.state_dict() | state)

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            self.env_steps = int(state["env_steps"])
            before = TrainConfig.model_validate_json(state["config"])
            if before.env == self.config.env:  # else scores mean something else
                self.files.best_score = float(state["best_score"])
            self._next_eval = int(state["next_eval"])
            self.learner.load_state_dict(state["learner"])
            self.replay.buffer.load_state_dict(state["buffer"])
            self.env.load_state_dict(state["env"])
            self.starts_history.load_state_dict(state["phases"])
            self.log.load_state_dict(state)
            self.faults.load_state_dict(state.get("faults", {}))
            torch.set_rng_state(state["torch_rng"])
            if state["cuda_rng"] and self.learner.device.type == "cuda":
                torch.cuda.set_rng_state_all(state["cuda_rng"])
        except (KeyError, ValueError, RuntimeError, TypeError, G1MimicError) as error:
            detail = str(error).splitlines()[0][:160]
            raise BadValue(
                f"the checkpoint in {self.folder.checkpoints} does not fit these settings "
                f"({detail}): resume with the run's own configuration, {self.folder.config}"
            ) from error
