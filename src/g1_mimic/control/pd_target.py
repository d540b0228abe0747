"""From a policy's action to the angle that a joint's PD controller may be asked for.

A joint's motor answers a target angle with ``stiffness·(target − q) − damping·q̇``. The functions
here scale an action to a target and bound that target, and say what torque a motor gives at a
speed; all are vectorised over joints and leading batch axes. Targets are bounded at the rate at
which states arrive (500 Hz), not at the policy's 50 Hz: so the torque rule equals the motors' own
saturation, which policies learn to lean on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

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
        saturation_torque: of the torque-speed line, N·m.
        no_load_speed: of the torque-speed line, rad/s.
        stiffness: of the PD controller that receives the target, N·m/rad; positive.
        damping: of that controller, N·m·s/rad.
    """

    position_lower: np.ndarray
    position_upper: np.ndarray
    velocity_limit: np.ndarray
    torque_limit: np.ndarray
    saturation_torque: np.ndarray
    no_load_speed: np.ndarray
    stiffness: np.ndarray
    damping: np.ndarray

    @classmethod
    def from_profile(cls, profile: RobotProfile) -> TargetLimits:
        """Take soft position limits, speeds, deployment torques and gains of a robot profile."""
        lower, upper = profile.soft_limits()
        return cls(
            position_lower=lower,
            position_upper=upper,
            velocity_limit=profile.velocity_limit,
            torque_limit=profile.deploy_torque_limit,
            saturation_torque=profile.saturation_torque,
            no_load_speed=profile.no_load_speed,
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


ActionBase = Literal["default", "reference", "reference_lead", "feedforward"]
ACTION_BASES: tuple[str, ...] = get_args(ActionBase)


def needs_torque(kind: str) -> bool:
    """Whether the action base ``kind`` asks for the torques of the reference."""
    return kind == "feedforward"


def action_base(
    kind: str,
    joint_pos: np.ndarray,
    joint_vel: np.ndarray,
    joint_torque: np.ndarray | None,
    default: np.ndarray,
    stiffness: np.ndarray,
    damping: np.ndarray,
) -> np.ndarray:
    """Return the angles that raw actions are added to [..., J], rad.

    With ``stiffness·(base - q) - damping·q̇`` as the motors' torque, the last kind is computed
    torque control: a robot that is where the reference is gets just the torques of the reference.

    Args:
        kind: one of `ACTION_BASES`: the default pose; the reference; the reference ahead by the
            time that the motors' damping makes them lag; or that and the torques of the reference.
        joint_pos: the reference's joint angles [..., J], rad.
        joint_vel: their velocities [..., J], rad/s.
        joint_torque: the torques that it takes to move so [..., J], N·m; ``feedforward`` alone
            asks for them.
        default: the default pose [J], rad.
        stiffness: of the motors [J], N·m/rad.
        damping: of the motors [J], N·m·s/rad.

    Raises:
        ValueError: if there are no torques for ``feedforward``.
    """
    if kind == "default":
        return np.broadcast_to(default, joint_pos.shape).copy()
    if kind == "reference":
        return joint_pos.copy()
    if kind == "reference_lead":
        return np.asarray(joint_pos + damping / stiffness * joint_vel)
    if joint_torque is None:
        raise ValueError("the torques of the reference are not known")
    return np.asarray(joint_pos + (joint_torque + damping * joint_vel) / stiffness)


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
    return _clip(target, previous - max_step, previous + max_step)


def slew_steps(desired: np.ndarray, previous: np.ndarray, max_step: np.ndarray) -> np.ndarray:
    """Return the targets of ``steps`` calls of `slew` in a row [..., steps, J], rad.

    Args:
        desired: [..., steps, J], or [..., 1, J] where all of them want the same.
        previous: [..., J] the target before the first.
        max_step: [steps, J] how far each may be from ``previous``: 1, 2, … times a step.
    """
    if desired.shape[-2] == 1:  # at once: the way to one aim is straight
        before = previous[..., None, :]
        return np.asarray(before + np.clip(desired - before, -max_step, max_step))
    targets, target = np.empty_like(desired), previous
    for i in range(desired.shape[-2]):
        targets[..., i, :] = target = slew(desired[..., i, :], target, max_step[0])
    return targets


def _clip(value: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """As ``np.clip`` where lower ≤ upper, in a fifth of its time on 29 numbers."""
    clipped: np.ndarray = np.minimum(np.maximum(value, lower), upper)
    return clipped


def torque_range(
    velocity: np.ndarray,
    torque_limit: np.ndarray,
    saturation_torque: np.ndarray,
    no_load_speed: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest torque [..., n] that motors give at a speed, N·m.

    The torque-speed line of a DC motor in all four quadrants, within ``±torque_limit``: driving,
    the full limit up to the corner speed ``no_load_speed·(1 − torque_limit/saturation_torque)``,
    from there on a straight line to zero at the no-load speed, beyond which the motor can only
    brake; braking, the full limit at any speed.

    Args:
        velocity: [..., n] joint speeds, rad/s.
        torque_limit: [n] N·m.
        saturation_torque: [n] torque of the line at zero speed, N·m; above ``torque_limit``.
        no_load_speed: [n] speed of the line at zero torque, rad/s.
    """
    lost = saturation_torque / no_load_speed * velocity
    upper = _clip(saturation_torque - lost, -torque_limit, torque_limit)
    lower = _clip(-saturation_torque - lost, -torque_limit, torque_limit)
    return lower, upper


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
    with np.errstate(over="ignore", invalid="ignore"):
        given = desired + previous + q + qd + dt
        if not math.isfinite(np.vdot(given, given)):  # or a sum that overflows
            for name, value in (
                ("desired target", desired),
                ("previous target", previous),
                ("joint position", q),
                ("joint velocity", qd),
                ("time step", np.asarray(dt)),
            ):
                if not np.isfinite(value).all():
                    raise NonFiniteError(f"{name} is not finite")
        inside = _clip(desired, limits.position_lower, limits.position_upper)
        slewed = slew(inside, previous, limits.velocity_limit * max(dt, 0.0))
        least, most = torque_range(
            qd, limits.torque_limit, limits.saturation_torque, limits.no_load_speed
        )
        free = q + limits.damping * qd / limits.stiffness  # the target that asks for no torque
        target = _clip(slewed, free + least / limits.stiffness, free + most / limits.stiffness)
        torque = limits.stiffness * (target - q) - limits.damping * qd
        slack = limits.torque_limit * _ROUNDING
        bounded = (torque >= least - slack) & (torque <= most + slack)
    if np.count_nonzero(bounded) < bounded.size:  # in a quarter of the time of `all`
        raise NonFiniteError("joint state is too large to bound the torque")
    hits = LimitHits(inside != desired, slewed != inside, target != slewed)
    return LimitedTarget(target, slewed, hits)
