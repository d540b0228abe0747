"""The conditions that policies are evaluated under."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import mujoco
import numpy as np

from g1_mimic.envs.disturbances import add_base_velocity
from g1_mimic.envs.randomisation import PRESETS
from g1_mimic.envs.tracking_env import TrackingEnv
from g1_mimic.errors import BadValue
from g1_mimic.evaluation.episodes import Disturb
from g1_mimic.motion.trajectory import CONTROL_RATE

PARTS = ("nominal", "randomised", "pushes", "delay", "second_robot")
"""Groups of conditions, in the order in which they are run."""

PUSH_SPEEDS = tuple(0.25 * k for k in range(1, 13))
"""Velocities that pushes add, m/s."""
PUSH_EVERY_S = 2.0
"""Time between two pushes; the first comes after half of it."""
PUSHED_ENOUGH = 0.25
"""Success rate from which on stronger pushes are left out."""

DELAYS_S = (0.0, 0.01, 0.02, 0.03, 0.04)

SECOND_ARMATURE = 0.01
"""kg·m² of every joint, as in Unitree's own MJCF of the G1."""
SECOND_JOINT_FRICTION = 0.1
"""N·m in every joint, there too."""
_SECOND_CONTACT = (0.01, 1.0)  # time constant (s) and damping ratio: twice as stiff as MuJoCo's own

ABOUT = {
    "nominal": "the robot of training",
    "randomised": "robots, sensors and pushes drawn from the ranges of another project, anew for "
    "each episode",
    "pushes": f"a level velocity step every {PUSH_EVERY_S:g} s in random directions, growing until "
    "most episodes fail",
    "delay": "between a state and the motors' answer, on top of the control period",
    "second_robot": f"armature {SECOND_ARMATURE:g} kg·m² and {SECOND_JOINT_FRICTION:g} N·m of "
    "friction in every joint, friction 0.8 on the floor, elliptic cone, stiffer contacts, soles of "
    "capsules, self-collision, physics steps of 2 ms",
}
"""What each part is."""


@dataclass(frozen=True)
class Condition:
    """One set of circumstances for all episodes."""

    part: str
    name: str
    value: float = 0.0
    """m/s of pushes, s of delay."""
    config: dict[str, Any] = field(default_factory=dict)
    """Keys of `EnvConfig`."""
    armature: float | None = None
    """kg·m² of every joint; None is the profile's."""

    @property
    def title(self) -> str:
        """What it is called where its part is not told."""
        return f"randomised: {self.name}" if self.part == "randomised" else self.name

    def prepare(self, env: TrackingEnv) -> None:
        """Change what an environment of this condition cannot be built with."""
        if self.part == "second_robot":
            make_second_robot(env)

    def disturb(self, num_envs: int, max_steps: int, seed: int) -> Disturb | None:
        """Return what happens to the robots in episodes of ``max_steps`` control steps."""
        if self.part != "pushes":
            return None
        return pushes(self.value, num_envs, max_steps, seed)


def conditions(parts: Iterable[str]) -> list[Condition]:
    """Return the conditions of the named parts; ``full`` is all of them.

    The nominal one is always the first: the others are compared with it.

    Raises:
        G1MimicError: if a name is unknown.
    """
    wanted = set(parts)
    if unknown := wanted - {*PARTS, "full"}:
        raise BadValue(
            f"--suite {sorted(unknown)[0]}: the parts are {', '.join(PARTS)}; full is all of them"
        )
    chosen = [Condition("nominal", "nominal")]
    for part, make in _MAKERS.items():
        if wanted & {part, "full"}:
            chosen += make()
    return chosen


def _randomised() -> list[Condition]:
    presets = [name for name in PRESETS if name != "none"]
    return [
        Condition("randomised", name, config={"randomisation": {"preset": name}})
        for name in presets
    ]


def _pushes() -> list[Condition]:
    return [Condition("pushes", f"push {speed:.2f} m/s", speed) for speed in PUSH_SPEEDS]


def _delays() -> list[Condition]:
    # All of the loop's delay is put between action and motors: where in the loop it arises makes
    # no difference to the robot.
    return [
        Condition(
            "delay",
            f"delay {1e3 * delay:.0f} ms",
            delay,
            {"randomisation": {"action_delay_s": (delay, delay)}},
        )
        for delay in DELAYS_S[1:]
    ]


def _second_robot() -> list[Condition]:
    config = {
        "physics_dt": 0.002,
        "feet": "capsules",
        "self_collision": True,
        "randomisation": {"friction": (0.8, 0.8), "joint_friction": (SECOND_JOINT_FRICTION,) * 2},
    }
    return [Condition("second_robot", "second robot", config=config, armature=SECOND_ARMATURE)]


_MAKERS = {
    "randomised": _randomised,
    "pushes": _pushes,
    "delay": _delays,
    "second_robot": _second_robot,
}


def pushes(speed: float, num_envs: int, max_steps: int, seed: int) -> Disturb:
    """Return horizontal pushes of ``speed`` (m/s) at fixed times, in directions drawn by ``seed``.

    Directions do not depend on the speed: the same episodes are pushed harder.
    """
    every = round(PUSH_EVERY_S * CONTROL_RATE)
    rng = np.random.default_rng([seed, 2])  # not the sequences of resets and randomisation
    angle = rng.uniform(-np.pi, np.pi, (max_steps // every + 1, num_envs))
    velocity = np.zeros((*angle.shape, 6))
    velocity[..., 0], velocity[..., 1] = speed * np.cos(angle), speed * np.sin(angle)

    def disturb(env: TrackingEnv, step: int) -> bool:
        number, rest = divmod(step, every)
        if rest != every // 2:
            return False
        add_base_velocity(env.physics.qpos, env.physics.qvel, velocity[number])
        return True

    return disturb


def make_second_robot(env: TrackingEnv) -> None:
    """Give the contacts of ``env`` other parameters than those of training.

    Stiffer ones, the elliptic friction cone, and friction forces that give way less.
    """
    for model in (env.model, *(env.robots.models or ())):
        model.geom_solref[:] = _SECOND_CONTACT
        model.opt.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
        model.opt.impratio = 10.0


def half_failure(speeds: Iterable[float], success: Iterable[float]) -> float | None:
    """Return the push (m/s) at which half of the episodes fail, between two measured ones.

    Args:
        speeds: ascending; the first is that of the undisturbed episodes, 0.
        success: success rate at each.

    Returns:
        None if more than half succeed at all of them.
    """
    points = list(zip(speeds, success, strict=True))
    if points[0][1] < 0.5:
        return points[0][0]
    for (slow, high), (fast, low) in itertools.pairwise(points):
        if low < 0.5:
            return slow + (high - 0.5) / (high - low) * (fast - slow)
    return None
