"""Environment throughput over that of the bare physics: what the task costs on top.

Both do the same work in one run, in turn: the same model, robots, threads, physics steps and
states. The environment adds PD targets, rewards, terminations, resets and observations. The same
environment with randomised robots (a model each, sensor noise, delay, pushes) tells their cost:
``randomised/plain``. The last line is ``ratio R``: vectorised environment steps per second over the
rate of `mujoco.rollout` alone; 1 would mean that everything but physics is free.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import mujoco
import numpy as np
from mujoco import rollout

from g1_mimic.envs.config import EnvConfig
from g1_mimic.envs.randomisation import PRESETS, Randomisation
from g1_mimic.envs.tracking_env import TrackingEnv
from g1_mimic.motion.files import load_motion
from g1_mimic.robot.profile import load_profile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-envs", type=int, default=256)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--steps", type=int, default=50, help="control steps in each round")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--motion", default="stand")
    parser.add_argument("--randomisation", choices=sorted(PRESETS), default="asap")
    args = parser.parse_args()

    config = EnvConfig(threads=args.threads)
    clip, profile = load_motion(args.motion), load_profile("g1_29dof")
    env = TrackingEnv(clip, profile, config, args.num_envs, seed=0)
    env.reset()
    ranges = Randomisation(preset=args.randomisation)
    randomised = TrackingEnv(
        clip, profile, config.model_copy(update={"randomisation": ranges}), args.num_envs, seed=0
    )
    randomised.reset()
    actions = np.zeros((args.num_envs, env.last_action.shape[1]))
    data = [mujoco.MjData(env.model) for _ in range(args.threads)]
    pool = rollout.Rollout(nthread=args.threads if args.threads > 1 else 0)

    def environment() -> None:
        for _ in range(args.steps):
            env.step(actions)

    def randomised_environment() -> None:
        for _ in range(args.steps):
            randomised.step(actions)

    # The bare physics replays what the environment did: its states and controls, recorded.
    recorded: list[tuple[np.ndarray, np.ndarray]] = []
    step = env.physics.step

    def record(control: np.ndarray) -> np.ndarray:
        recorded.append((env.physics._state.copy(), control.copy()))
        return step(control)

    env.physics.step = record  # type: ignore[method-assign]
    environment()
    env.physics.step = step  # type: ignore[method-assign]
    shape = (args.num_envs, config.decimation)
    state = np.zeros((*shape, recorded[0][0].shape[1]))
    sensordata = np.zeros((*shape, env.model.nsensordata))

    def physics() -> None:
        for start, control in recorded:
            pool.rollout(
                env.model, data, start, control,
                nstep=config.decimation, state=state, sensordata=sensordata,
            )  # fmt: skip

    def rate(work: object) -> float:
        begun = time.perf_counter()
        work()  # type: ignore[operator]
        return args.num_envs * args.steps / (time.perf_counter() - begun)

    works = (environment, physics, randomised_environment)
    rates = [[rate(work) for work in works] for _ in range(args.rounds)]
    full, bare, varied = (statistics.median(column) for column in zip(*rates, strict=True))
    ratio = statistics.median(row[0] / row[1] for row in rates)
    cost = statistics.median(row[2] / row[0] for row in rates)
    models = sum(model.nbuffer for model in randomised.robots.models or []) / 1e6
    print(f"{args.num_envs} robots, {args.threads} threads, {config.decimation} x "
          f"{config.physics_dt * 1e3:g} ms physics steps per environment step")  # fmt: skip
    print(f"environment   {full:9.0f} steps/s")
    print(f"randomised    {varied:9.0f} steps/s ({args.randomisation}; models {models:.1f} MB)")
    print(f"physics alone {bare:9.0f} steps/s")
    print(f"randomised/plain {cost:.3f}")
    print(f"ratio {ratio:.3f}")
    randomised.close()
    env.close()
    pool.close()


if __name__ == "__main__":
    main()
