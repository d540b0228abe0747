"""The training run: physics, replay, learner, evaluation, checkpoints and exports in one loop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from g1_mimic.envs.tracking_env import StepResult, TrackingEnv
from g1_mimic.errors import G1MimicError, WriteError
from g1_mimic.evaluation.episodes import Evaluation, evaluate
from g1_mimic.learning.config import TrainConfig
from g1_mimic.learning.experiment import choose_device, resolve
from g1_mimic.learning.learner import Learner, NotFiniteError
from g1_mimic.learning.mirror_augmentation import MirrorAugmentation
from g1_mimic.learning.nstep import gather_nstep
from g1_mimic.learning.replays import HISTOGRAM_EDGES, make_replay
from g1_mimic.learning.run.checkpoint import (
    newest_checkpoint,
    numbered,
    prune,
    save_checkpoint,
)
from g1_mimic.learning.run.contained_faults import Faults
from g1_mimic.learning.run.folder import RunFolder
from g1_mimic.learning.run.metrics_log import EventFiles, RunningMeans
from g1_mimic.learning.run.progress import Progress
from g1_mimic.learning.run.starts_history import PhaseHistory
from g1_mimic.learning.run_control import RunControl
from g1_mimic.learning.warm_start import warm_start
from g1_mimic.motion.trajectory import CONTROL_RATE
from g1_mimic.policy.export import export_tracking_policy


class Trainer(RunControl):
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
        super().__init__()
        self.folder = RunFolder(run_path)
        self.folder.lock()
        found = resume and numbered(self.folder.checkpoints)
        state = newest_checkpoint(self.folder.checkpoints) if found else None
        self.config, self.profile, motions, env_config = resolve(config)
        config = self.config
        torch.manual_seed(config.seed)
        self.device = choose_device(config.device)

        self.motions = motions
        self.env = TrackingEnv(
            motions, self.profile, env_config, config.num_envs, config.seed, config.phase
        )
        # Without the strategy of the starts: evaluations of all strategies draw the same noise.
        episodes = max(config.evaluation.episodes, len(motions.clips))
        self.eval_env = TrackingEnv(motions, self.profile, env_config, episodes)
        self.learner = Learner(
            config.learner,
            self.env.policy_size,
            self.env.critic_size,
            self.env.last_action.shape[1],
            env_config.action_bound,
            self.device,
        )
        self.replay = make_replay(config, env_config.reward.scale, self.device)
        self.buffer = self.replay.buffer
        self.buffer.add_successor("next_obs", "obs", ("terminated", "truncated"), borrow=True)
        self._mirror = None
        if config.mirror:
            self._mirror = MirrorAugmentation(self.env.critic_terms, self.profile, self.device)
        self.phases = PhaseHistory(self.env.phase.clips)
        self.env_steps = 0
        self.train_s = 0.0
        """Wall time of all parts of the run, s, without evaluations."""
        self.cpu_s = 0.0
        """Computing time of the same over all threads, s; other processes add little to it."""
        self.best_score = -np.inf
        self.priority_histogram = np.zeros(len(HISTOGRAM_EDGES) - 1)
        """`Replay.histogram` at the last log interval."""
        self.faults = Faults()
        self.metrics: dict[str, float] = {}
        self.on_metrics: Callable[[int, dict[str, float]], None] = lambda step, metrics: None
        self.on_progress: Callable[[Progress], None] = lambda progress: None
        self._returns = np.zeros(config.num_envs)
        self._ended: deque[tuple[float, int]] = deque(maxlen=4 * config.num_envs)
        self._means = RunningMeans()
        self._next_eval = config.evaluation.interval_env_steps
        self.evaluated_at = -1
        """Environment steps at the last evaluation; -1 before the first one."""
        self._clock, self._cpu_clock = time.monotonic(), time.process_time()
        if state is None:
            if config.warm_start:
                warm_start(self.learner, config.warm_start, config)
            self.folder.create(self.config.model_dump(mode="json"), again=resume)
            self._obs = self.env.reset()
        else:
            self._restore(state)

    # -- the loop -------------------------------------------------------------------------------

    def run(self) -> dict[str, float]:
        """Train until ``total_env_steps`` or `stop`, and return the last metrics.

        However it ends, a checkpoint is written; after a full run the policy is exported too.
        Files that cannot be written in between do not end it: they are told of and tried again.

        Raises:
            G1MimicError: if training diverges or what is left at its end cannot be written.
        """
        torch.set_num_threads(1)  # small networks: a second thread costs more than it brings
        self._events = EventFiles(self.folder.events, self.env_steps)
        last_save = self._clock = time.monotonic()
        self._cpu_clock = time.process_time()
        self._logged_steps = self.env_steps
        try:
            with ThreadPoolExecutor(1, thread_name_prefix="physics") as pool:
                while self.env_steps < self.config.total_env_steps and not self.stopped:
                    self.serve()
                    if not self.wait_while_paused(timeout=0.1):
                        continue
                    self._train_step(pool)
                    config, now = self.config, time.monotonic()
                    if self.env_steps >= self._next_eval:
                        self._next_eval += config.evaluation.interval_env_steps
                        if self.env_steps < config.total_env_steps:  # the last one is below
                            self.evaluate()
                            self._log()
                    elif now - self._clock >= config.log_interval_s:
                        self._log()
                    if now - last_save >= config.checkpoint.interval_s:
                        with self.faults.contained_write():
                            self.save()
                        last_save = now
            self.faults.forget()
            if not self.stopped:
                self.evaluate()
            unwritten = self.faults.unwritten
            self._log()
            self.save()
            if unwritten:
                raise WriteError(unwritten)
        finally:
            self.serve()
            self._events.close()
            self.env.close()
            self.eval_env.close()
            self.folder.unlock()
        return dict(self.metrics)

    def _train_step(self, pool: ThreadPoolExecutor) -> None:
        """Simulate one vector step, and do the updates that go with it."""
        config = self.config
        obs = torch.from_numpy(self._obs.critic).to(self.device)
        self.learner.observe(obs)
        actions = self.learner.explore(obs[:, : self.env.policy_size])
        future = pool.submit(self.env.step, self._finite(actions))
        if self.env_steps >= config.warmup_env_steps:
            self.learner.schedule(config.learner, self.env_steps / config.total_env_steps)
            for _ in range(config.updates_per_step):
                self._update()
        result = future.result()
        self._record(actions, result)
        self._obs = result.observations
        self.env_steps += config.num_envs

    def _update(self) -> None:
        config = self.config
        batch = self.replay.sample(config.replay.batch_size, ("obs", "action"))
        indices = batch["indices"]
        window = gather_nstep(self.buffer, indices, config.learner.n_step, config.learner.gamma)
        batch |= {name: window[name] for name in ("reward", "discount", "next_obs")}
        if self._mirror is not None:
            self._mirror.apply(batch)
        try:
            metrics, errors = self.learner.update(batch)
        except NotFiniteError as error:
            if self.faults.update(skipped=True):
                raise self._diverged(str(error)) from error
            return
        self.faults.update(skipped=False)
        try:
            self.replay.learn_errors(indices, errors)
        except G1MimicError as error:
            raise self._diverged(str(error)) from error
        self._means.add(metrics)

    def _record(self, actions: torch.Tensor, result: StepResult) -> None:
        self.buffer.record_row(
            {
                "obs": self._obs.critic,
                "action": actions,
                "reward": result.reward,
                "terminated": result.terminated,
                "truncated": result.truncated,
                "next_obs": result.final_observations.critic,
            }
        )
        self._returns += result.reward
        for i in np.flatnonzero(result.terminated | result.truncated):
            self._ended.append((self._returns[i], int(result.info["episode_length"][i])))
            self._returns[i] = 0.0
        self.faults.physics += int(result.info["broken"].sum())

    def _finite(self, actions: torch.Tensor) -> np.ndarray:
        result: np.ndarray = actions.cpu().numpy()
        if not np.isfinite(result).all():
            raise self._diverged("an action is not finite")
        return result

    def _diverged(self, detail: str) -> G1MimicError:
        return G1MimicError(
            f"training diverged at {self.env_steps} steps ({detail}); the last checkpoint is "
            "intact: resume it with a lower learner.learning_rate"
        )

    # -- evaluation, logging, files ---------------------------------------------------------------

    def evaluate(self) -> Evaluation:
        """Evaluate the learning and the averaged actor, and export the better of the two."""
        start, cpu_start = time.monotonic(), time.process_time()
        candidates = {"raw": self.learner.actor, "averaged": self.learner.average_actor}
        results = {}
        for name, actor in candidates.items():

            @torch.no_grad()
            def act(obs: np.ndarray, frames: np.ndarray, actor: Any = actor) -> np.ndarray:
                return self._finite(actor(torch.from_numpy(obs).to(self.device)))

            results[name] = evaluate(self.eval_env, act)
        chosen = max(results, key=lambda name: results[name].score)
        evaluation = results[chosen]
        self.metrics |= {f"eval/{k}": float(v) for k, v in evaluation.as_dict().items()}
        self.metrics["eval/score_raw"] = results["raw"].score
        self.metrics["eval/score_averaged"] = results["averaged"].score
        self.evaluated_at = self.env_steps
        self.phases.add(self.env_steps, self.env.phase)
        with self.faults.contained_write():
            self.phases.write(self.folder.phases)
            self._export(self.folder.latest_policy, candidates[chosen])
            if evaluation.score > self.best_score:
                self._keep_best(candidates[chosen], chosen, evaluation.score)
        # The clocks of the training stand still.
        self._clock += time.monotonic() - start
        self._cpu_clock += time.process_time() - cpu_start
        return evaluation

    def _keep_best(self, actor: Any, name: str, score: float) -> None:
        self._export(self.folder.policy, actor)
        save_checkpoint(
            self.folder.best,
            {
                "env_steps": self.env_steps,
                "score": score,
                "chosen": name,
                "learner": self.learner.state_dict(),
                "config": self.config.model_dump_json(),
            },
        )
        self.best_score = score

    def _export(self, path: Path, actor: Any) -> None:
        export_tracking_policy(
            path,
            actor,
            motions=self.motions,
            profile=self.profile,
            env_config=self.env.config,
            run=f"{self.folder.path.name}@{self.env_steps}",
        )

    def _log(self) -> None:
        """Write metrics to TensorBoard and the callbacks."""
        config, metrics = self.config, self.metrics
        metrics |= {f"learner/{k}": v for k, v in self._means.take().items()}
        bad = [name for name, value in metrics.items() if not np.isfinite(value)]
        if bad:
            raise self._diverged(f"{', '.join(bad)} not finite")
        if self._ended:
            returns, lengths = np.array(self._ended).T
            metrics["train/return"] = float(returns.mean())
            metrics["train/episode_s"] = float(lengths.mean() / CONTROL_RATE)
        metrics |= {f"replay/{k}": v for k, v in self.replay.metrics().items()}
        metrics |= {f"sampling/{k}": v for k, v in self.env.phase.metrics().items()}
        metrics |= self.faults.metrics()
        elapsed = time.monotonic() - self._clock
        self.train_s += elapsed
        self.cpu_s += time.process_time() - self._cpu_clock
        metrics["train/time_s"] = self.train_s
        metrics["train/cpu_s"] = self.cpu_s
        rate = (self.env_steps - self._logged_steps) / elapsed if elapsed > 0 else 0.0
        metrics["train/env_steps_per_s"] = rate
        # An evaluation is one point of a curve; topics repeat it for those who come later.
        fresh = self.evaluated_at == self.env_steps
        new = {k: v for k, v in metrics.items() if fresh or not k.startswith("eval/")}
        histograms = {}
        if self.buffer.get_sample_count():
            self.priority_histogram = self.replay.histogram()
            shares = (HISTOGRAM_EDGES, self.priority_histogram)
            histograms["replay/priority_histogram"] = shares
        with self.faults.contained_write():
            self._events.write(self.env_steps, new, histograms)
        self.on_metrics(self.env_steps, dict(metrics))
        left = config.total_env_steps - self.env_steps
        self.on_progress(
            Progress(
                self.env_steps,
                config.total_env_steps,
                rate,
                max(left, 0) / rate if rate > 0 else float("inf"),
                dict(metrics),
                str(self.faults),
            )
        )
        self.faults.forget()
        self._clock, self._cpu_clock = time.monotonic(), time.process_time()
        self._logged_steps = self.env_steps

    def export_newest(self) -> Path:
        """Export the averaged actor as it is now."""
        self._export(self.folder.latest_policy, self.learner.average_actor)
        return self.folder.latest_policy

    def save(self) -> Path:
        """Write a checkpoint that `resume` continues from, and delete old ones."""
        path = self.folder.checkpoints / f"step_{self.env_steps:010d}.pt"
        save_checkpoint(
            path,
            {
                "env_steps": self.env_steps,
                "train_s": self.train_s,
                "cpu_s": self.cpu_s,
                "best_score": float(self.best_score),
                "next_eval": self._next_eval,
                "config": self.config.model_dump_json(),
                "learner": self.learner.state_dict(),
                "buffer": self.buffer.state_dict(),
                "env": self.env.state_dict(),
                "phases": self.phases.state_dict(),
                "returns": self._returns,
                "faults": self.faults.state_dict(),
                "torch_rng": torch.get_rng_state(),
                "cuda_rng": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
            },
        )
        prune(self.folder.checkpoints, self.config.checkpoint.keep)
        return path

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            self.env_steps = int(state["env_steps"])
            self.train_s = float(state["train_s"])
            self.cpu_s = float(state["cpu_s"])
            before = TrainConfig.model_validate_json(state["config"])
            if before.env == self.config.env:  # else scores mean something else
                self.best_score = float(state["best_score"])
            self._next_eval = int(state["next_eval"])
            self.learner.load_state_dict(state["learner"])
            self.buffer.load_state_dict(state["buffer"])
            self.env.load_state_dict(state["env"])
            self.phases.load_state_dict(state["phases"])
            self._returns = np.asarray(state["returns"]).copy()
            self.faults = Faults(**state.get("faults", {}))
            torch.set_rng_state(state["torch_rng"])
            if state["cuda_rng"] and self.device.type == "cuda":
                torch.cuda.set_rng_state_all(state["cuda_rng"])
        except (KeyError, ValueError, RuntimeError, TypeError, G1MimicError) as error:
            detail = str(error).splitlines()[0][:160]
            raise G1MimicError(
                f"the checkpoint in {self.folder.checkpoints} does not fit these settings "
                f"({detail}): resume with the run's own configuration, {self.folder.config}"
            ) from error
        self._obs = self.env.observe()

    def apply(self, config: TrainConfig) -> None:
        """Take over changed live settings; call it in the training thread (see `call`)."""
        self.config = config
