"""Robots that differ: marks on settings say what is drawn for each and what the numbers do.

A class of settings whose fields carry `Drawn` marks (`envs.randomisation.Randomisation` is one) is
turned into N robots by `draw_robots`; `randomise_model` writes one of these into its MuJoCo model,
and `sense` into its measurements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from g1_mimic.control.state import RobotState
from g1_mimic.robot.names import ANCHOR_BODY_NAME
from g1_mimic.rotations import quat_from_rotation_vector, quat_multiply
from g1_mimic.settings import Settings

if TYPE_CHECKING:
    import mujoco

BODIES = -1
"""Stands for the number of the model's bodies, the world included."""


@dataclass(frozen=True)
class Drawn:
    """Marks a setting from which numbers are drawn: a range, a half width, or one for each number.

    Attributes:
        shape: of a robot's numbers; ``(BODIES,)`` is one for each body.
        write: writes them into the robot's model, given the nominal one, too.
        sensed: field of `RobotState` whose measurement they are added to.
        name: theirs in what is drawn; empty: that of the setting.
        join: returns what stands under this name, from what was drawn before and the numbers.
        before: the setting before which they are drawn: the seeds of older runs count on it.
        noise: drawn anew for each measurement, not once for a robot.
    """

    shape: tuple[int, ...] = ()
    write: Callable[[mujoco.MjModel, mujoco.MjModel, Any], None] | None = None
    sensed: str = ""
    name: str = ""
    join: Callable[[RobotDraw, np.ndarray], np.ndarray] | None = None
    before: str = ""
    noise: bool = False

    def draw(
        self, value: Any, rng: np.random.Generator, batch: tuple[int, ...], bodies: int = 0
    ) -> np.ndarray:
        """Return the numbers [*batch, *shape] of a batch of robots; ``value`` is the setting."""
        if not isinstance(value, tuple):
            low, high = -value, value
        else:
            low, high = value if len(value) == 2 else (-np.array(value), np.array(value))
        shape = self.shape if self.shape != (BODIES,) else (bodies,)
        return rng.uniform(low, high, batch + shape)


@lru_cache
def drawn(ranges: type[Settings], noise: bool = False) -> dict[str, Drawn]:
    """Return the marks of the settings by their keys, in the order of the draws.

    Args:
        ranges: class of settings.
        noise: those of what is drawn for each measurement; else those of what each robot is.
    """
    marks = {
        key: replace(mark, name=mark.name or key)
        for key, field in ranges.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Drawn) and mark.noise == noise
    }
    order = list(marks)
    for key, mark in marks.items():
        if mark.before:
            order.remove(key)
            order.insert(order.index(mark.before), key)
    return {key: marks[key] for key in order}


@lru_cache
def sensed(ranges: type[Settings], noise: bool) -> list[Drawn]:
    """Return those of `drawn` that measurements are off by."""
    return [mark for mark in drawn(ranges, noise).values() if mark.sensed]


class RobotDraw:
    """N drawn robots: their numbers [N, …] by name, also as attributes.

    Angles are in rad, times in s, torques in N·m; where the setting is a factor, so is the number.

    Args:
        kind: class of the ranges.
    """

    def __init__(self, kind: type[Settings]) -> None:
        self.marks = drawn(kind)
        self.numbers: dict[str, np.ndarray] = {}

    def __getattr__(self, name: str) -> np.ndarray:
        try:
            return self.__dict__["numbers"][name]
        except KeyError:
            raise AttributeError(name) from None

    def put(self, rows: np.ndarray, numbers: dict[str, np.ndarray]) -> None:
        """Replace the robots ``rows`` by others."""
        for name, values in numbers.items():
            self.numbers[name][rows] = values

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of the numbers by name."""
        return {name: values.copy() for name, values in self.numbers.items()}


def draw_robots(ranges: Settings, count: int, bodies: int, rng: np.random.Generator) -> RobotDraw:
    """Draw ``count`` robots of ``bodies`` bodies (the world included) from resolved ranges."""
    draw = RobotDraw(type(ranges))
    for key, mark in draw.marks.items():
        numbers = mark.draw(getattr(ranges, key), rng, (count,), bodies)
        draw.numbers[mark.name] = mark.join(draw, numbers) if mark.join else numbers
    return draw


def randomise_model(
    model: mujoco.MjModel,
    nominal: mujoco.MjModel,
    draw: RobotDraw,
    row: int,
    scratch: mujoco.MjData,
) -> None:
    """Make ``model``, a copy of ``nominal``, the robot ``row`` of ``draw``.

    Args:
        model: changed in place, whatever robot it was.
        nominal: of `build_model`.
        draw: drawn for as many bodies as the model has.
        row: which of its robots.
        scratch: data of the model, overwritten.
    """
    import mujoco

    for mark in draw.marks.values():
        if mark.write is not None:
            mark.write(model, nominal, draw.numbers[mark.name][row])
    mujoco.mj_setConst(model, scratch)  # total masses, inverse inertias


def draw_noise(
    ranges: Settings, rng: np.random.Generator, batch: tuple[int, ...] = ()
) -> dict[str, np.ndarray]:
    """Draw what one measurement of each robot of a batch is off by, by name."""
    marks = drawn(type(ranges), noise=True)
    return {mark.name: mark.draw(getattr(ranges, key), rng, batch) for key, mark in marks.items()}


def sense(
    state: RobotState, ranges: Settings, draw: RobotDraw, rows: Any, noise: dict[str, np.ndarray]
) -> RobotState:
    """Return what robots' sensors say of their true ``state``.

    Args:
        state: true; its arrays may start with batch axes.
        ranges: the settings that ``draw`` and ``noise`` are of.
        draw: the robots.
        rows: which of them.
        noise: of this measurement.
    """
    said: dict[str, Any] = {}
    kind = type(ranges)
    errors = [(mark.sensed, draw.numbers[mark.name][rows]) for mark in sensed(kind, False)]
    errors += [(mark.sensed, noise[mark.name]) for mark in sensed(kind, True)]
    for field, off in errors:
        true = said[field] if field in said else getattr(state, field)
        if field == "base_quat":
            said[field] = quat_multiply(true, quat_from_rotation_vector(off))
        elif true is not None:  # a robot without odometry
            said[field] = true + off
    return replace(state, **said)


# What numbers do to a model ---------------------------------------------------------------------


def scaled(array: str, first: int = 0) -> Callable[[Any, Any, Any], None]:
    """Return what multiplies the rows of a model's array, from ``first`` on, by factors."""

    def write(model: Any, nominal: Any, factor: np.ndarray) -> None:
        getattr(model, array)[first:] = (getattr(nominal, array)[first:].T * factor).T

    return write


def scaled_gain(which: int) -> Callable[[Any, Any, Any], None]:
    """Return what multiplies the motors' stiffness (0) or damping (1) by factors."""

    def write(model: Any, nominal: Any, factor: np.ndarray) -> None:
        from g1_mimic.robot.model import gains, set_gains

        new = list(gains(model))
        new[which] = gains(nominal)[which] * factor
        set_gains(model, *new)

    return write


def add_joint_friction(model: Any, nominal: Any, torque: np.ndarray) -> None:
    """Add Coulomb friction [29] (N·m) to the joints."""
    model.dof_frictionloss[6:] = nominal.dof_frictionloss[6:] + torque


def shift_torso_com(model: Any, nominal: Any, shift: np.ndarray) -> None:
    """Move the torso's centre of mass by ``shift`` [3], m."""
    torso = nominal.body(ANCHOR_BODY_NAME).id
    model.body_ipos[torso] = nominal.body_ipos[torso] + shift


def set_friction(model: Any, nominal: Any, friction: float) -> None:
    """Give the robot a coefficient of sliding friction."""
    model.geom_friction[_colliding(nominal), 0] = friction


def set_restitution(model: Any, nominal: Any, restitution: float) -> None:
    """Let the robot bounce back with that fraction of its speed."""
    geoms = _colliding(nominal)
    model.geom_solref[geoms] = _bouncing(nominal.geom_solref[geoms], restitution)


def _colliding(model: Any) -> np.ndarray:
    return model.geom_priority > 0  # the robot's geoms that collide


def damping_ratio(restitution: np.ndarray | float) -> np.ndarray:
    """Return the damping ratio of a contact, at most 1, that bounces with ``restitution``.

    A body that meets a spring and a damper which push but do not pull leaves them with
    exp(−ζ/√(1−ζ²)·(π − arctan2(2ζ√(1−ζ²), 1−2ζ²))) of its speed (Schwager and Pöschel 2007).
    """
    return np.asarray(np.interp(restitution, _BOUNCE[::-1], _RATIOS[::-1]))


_RATIOS = np.linspace(0.01, 0.9999, 500)
_ROOT = np.sqrt(1.0 - _RATIOS**2)
_BOUNCE = np.exp(
    -_RATIOS / _ROOT * (np.pi - np.arctan2(2.0 * _RATIOS * _ROOT, 1.0 - 2.0 * _RATIOS**2))
)


def _bouncing(solref: np.ndarray, restitution: float) -> np.ndarray:
    """Return contact parameters (time constant, damping ratio) of the same stiffness that bounce.

    MuJoCo's stiffness goes with 1/(time constant·ratio)², which is kept: a softer contact would
    sink in, a stiffer one be unstable at the step of training.
    """
    ratio = float(damping_ratio(restitution))
    if ratio >= _RATIOS[-1]:
        return solref
    return np.stack([solref[:, 0] * solref[:, 1] / ratio, np.full(len(solref), ratio)], axis=1)
