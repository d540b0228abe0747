"""From a policy's action to the angle that a joint's PD controller may be asked for.

A joint's motor answers a target angle with ``stiffness·(target − q) − damping·q̇``. The functions
here scale an action to a target and bound that target; all are vectorised over joints and leading
batch axes. They run at the rate at which states arrive (500 Hz), not at the policy's 50 Hz: so the
torque rule equals the motors' own saturation, which policies learn to lean on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from g1_mimic.errors import G1MimicError

if TYPE_CHECKING:
    from g1_mimic.robot.profile import RobotProfile

_ROUNDING = 1e-9
"""Relative excess of torque that floating point may leave (1e-9 of the limit)."""


class NonFiniteError(G1MimicError):
    """A number that must not reach a motor: NaN, infinite, or too large to bound."""


@dataclass(frozen=True)
class TargetLimits:
    """What a target is held to; every field [29] in ``JOINT_NAMES`` order.

    Attributes:
        position_lower: soft lower position limit, rad.
        position_upper: soft upper position limit, rad.
        velocity_limit: largest speed of the target, rad/s.
        torque_limit: largest torque, N·m.
        stiffness: of the PD controller that receives the target, N·m/rad; positive.
        damping: of that controller, N·m·s/rad.
    """

    position_lower: np.ndarray
    position_upper: np.ndarray
    velocity_limit: np.ndarray
    torque_limit: np.ndarray
    stiffness: np.ndarray
    damping: np.ndarray

    @classmethod
    def from_profile(cls, profile: RobotProfile) -> TargetLimits:
        """Take soft position limits, speeds, torques and gains of a robot profile."""
        lower, upper = profile.soft_limits()
        return cls(
            position_lower=lower,
            position_upper=upper,
            velocity_limit=profile.velocity_limit,
            torque_limit=profile.torque_limit,
            stiffness=profile.stiffness,
            damping=profile.damping,
        )


class LimitHits(NamedTuple):
    """Which limit moved the target of which joint; boolean, shaped like the target."""

    position: np.ndarray
    velocity: np.ndarray
    torque: np.ndarray


class LimitedTarget(NamedTuple):
    """The answer of :func:`limit_target`.

    Attributes:
        target: what may be sent to the motors, rad.
        slewed: the target before the torque rule: pass it as ``previous`` to the next call.
        hits: which limits were active.
    """

    target: np.ndarray
    slewed: np.ndarray
    hits: LimitHits


def action_to_target(action: np.ndarray, base: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return the desired target ``base + scale·action`` [..., 29], rad.

    Args:
        action: [..., 29] what the policy said, in its own units.
        base: [..., 29] default pose, or the reference pose for a residual policy, rad.
        scale: [29] rad per unit action.
    """
    return base + scale * action


def slew(target: np.ndarray, previous: np.ndarray, max_step: np.ndarray) -> np.ndarray:
    """Move from ``previous`` towards ``target`` by at most ``max_step``, rad."""
    return np.clip(target, previous - max_step, previous + max_step)


def torque_bounds(
    q: np.ndarray, qd: np.ndarray, limits: TargetLimits
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest target for which the PD torque is within its limit, rad."""
    free = q + limits.damping * qd / limits.stiffness  # the target that asks for no torque
    reach = limits.torque_limit / limits.stiffness
    return free - reach, free + reach


def limit_target(
    desired: np.ndarray,
    previous: np.ndarray,
    q: np.ndarray,
    qd: np.ndarray,
    dt: float,
    limits: TargetLimits,
) -> LimitedTarget:
    """Bound a desired target by soft position, velocity and torque limits, in that order.

    The torque rule has the last word. It follows the newest state and has no memory: the slew
    starts from the previous *slewed* target, not from what the torque rule made of it. Otherwise
    a target would have to crawl back at the velocity limit after every saturated step, and the
    torque would no longer be that of a motor that saturates by itself.

    Args:
        desired: [..., 29] rad.
        previous: [..., 29] ``slewed`` of the previous call (the measured q at the start), rad.
        q: [..., 29] newest measured angles, rad.
        qd: [..., 29] newest measured velocities, rad/s.
        dt: time since the previous call, s.
        limits: what to hold to.

    Raises:
        NonFiniteError: if any input is NaN or infinite, or so large that the torque of the
            result cannot be bounded in floating point.
    """
    for name, value in (
        ("desired target", desired),
        ("previous target", previous),
        ("joint position", q),
        ("joint velocity", qd),
        ("time step", np.asarray(dt)),
    ):
        if not np.isfinite(value).all():
            raise NonFiniteError(f"{name} is not finite")
    with np.errstate(over="ignore", invalid="ignore"):
        inside = np.clip(desired, limits.position_lower, limits.position_upper)
        slewed = slew(inside, previous, limits.velocity_limit * max(dt, 0.0))
        lower, upper = torque_bounds(q, qd, limits)
        target = np.clip(slewed, lower, upper)
        torque = limits.stiffness * (target - q) - limits.damping * qd
        bounded = np.abs(torque) <= limits.torque_limit * (1.0 + _ROUNDING)
    if not bounded.all():
        raise NonFiniteError("joint state is too large to bound the torque")
    hits = LimitHits(inside != desired, slewed != inside, target != slewed)
    return LimitedTarget(target, slewed, hits)
