"""Evaluating a policy under many conditions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from g1_mimic.envs.config import EnvConfig
from g1_mimic.evaluation.conditions import PUSHED_ENOUGH, Condition, half_failure
from g1_mimic.evaluation.episodes import Episodes, Evaluation, run_episodes, summarise
from g1_mimic.evaluation.options import Options
from g1_mimic.evaluation.policy_env import batched_act, make_policy_env
from g1_mimic.policy.runtime import OnnxPolicy


@dataclass(frozen=True)
class Outcome:
    """One condition and what came out."""

    condition: Condition
    evaluation: Evaluation
    episodes: Episodes


@dataclass(frozen=True)
class Assessment:
    """A policy under all conditions that were run."""

    name: str
    motion: str
    options: Options
    outcomes: list[Outcome]
    seconds: float
    """Wall time of all of it."""

    @property
    def nominal(self) -> Evaluation:
        """The robot it was trained on."""
        return self.outcomes[0].evaluation

    def of(self, part: str) -> list[Outcome]:
        """Return the outcomes of a part."""
        return [outcome for outcome in self.outcomes if outcome.condition.part == part]

    def curve(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Return values [K] and success rates [K] of a part, the nominal one first at 0."""
        points = [(o.condition.value, o.evaluation.success_rate) for o in self.of(part)]
        values, success = zip((0.0, self.nominal.success_rate), *points, strict=True)
        return np.array(values), np.array(success)

    @property
    def half_failure_push(self) -> float | None:
        """The push at which half of the episodes fail, m/s; None if even the strongest does not."""
        return half_failure(*self.curve("pushes"))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values: settings, and per part and condition all metrics."""
        result: dict[str, Any] = {
            "policy": self.name,
            "motion": self.motion,
            "episodes": self.options.episodes,
            "seconds": self.options.seconds,
            "seed": self.options.seed,
        }
        for outcome in self.outcomes:
            condition = outcome.condition
            part = result.setdefault(condition.part, {})
            part[condition.name] = outcome.evaluation.as_dict()
        if self.of("pushes"):
            speeds, success = self.curve("pushes")
            result["push_success"] = np.stack([speeds, success], 1).tolist()
            result["half_failure_push_m_s"] = self.half_failure_push
        return result


def assess(
    policy: OnnxPolicy,
    name: str,
    conditions: Sequence[Condition],
    options: Options,
    on_progress: Callable[[str], None] = lambda line: None,
) -> Assessment:
    """Evaluate ``policy`` under each of ``conditions``, the nominal one first.

    Each condition starts the same episodes. Pushes end where hardly any episode succeeds.

    Args:
        policy: the policy.
        name: what to call it.
        conditions: of `conditions`.
        options: what they have in common.
        on_progress: called after each condition with a line for the user.

    Raises:
        G1MimicError: if the policy or the robot does not fit.
    """
    begun, work, done = time.monotonic(), [_cost(c) for c in conditions], 0.0
    outcomes: list[Outcome] = []
    enough = False
    for number, condition in enumerate(conditions):
        if not (enough and condition.part == "pushes"):
            outcome = _run(policy, condition, options)
            outcomes.append(outcome)
            success = outcome.evaluation.success_rate
            enough = condition.part == "pushes" and success <= PUSHED_ENOUGH
            done += work[number]
            elapsed = time.monotonic() - begun
            ahead = [
                cost
                for cost, later in zip(work[number + 1 :], conditions[number + 1 :], strict=True)
                if not (enough and later.part == "pushes")
            ]
            minutes, seconds = divmod(round(elapsed / done * sum(ahead)), 60)
            on_progress(
                f"{name}: {number + 1}/{len(conditions)} {condition.title}: "
                f"success {success:.0%} | {minutes}:{seconds:02d} left"
            )
    motion = "+".join(outcomes[0].episodes.clip_names)
    return Assessment(name, motion, options, outcomes, time.monotonic() - begun)


def _run(policy: OnnxPolicy, condition: Condition, options: Options) -> Outcome:
    config = {"episode_length_s": options.seconds} | options.config | condition.config
    env = make_policy_env(
        policy, options.robot, options.episodes, config, armature=condition.armature
    )
    try:
        condition.prepare(env)
        act = batched_act(policy, env.reference)
        disturb = condition.disturb(env.num_envs, env.config.max_steps, options.seed)
        episodes = run_episodes(env, act, options.seed, disturb)
    finally:
        env.close()
    # What costs memory and is not shown: the sums, of which the evaluation has the means.
    return Outcome(condition, summarise(episodes), replace(episodes, sums={}))


def _cost(condition: Condition) -> float:
    """Return about how long a condition takes, in units of the nominal one."""
    config = EnvConfig(**condition.config)
    feet = 2.0 if config.feet == "capsules" else 1.0
    return feet * config.decimation / EnvConfig().decimation
