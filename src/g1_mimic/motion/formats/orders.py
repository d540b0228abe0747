"""Which joint order and which quaternion order a file without names has, told from the motion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.motion.formats.joints import JOINT_ORDERS, to_joint_order
from g1_mimic.motion.kinematics import forward_kinematics, linear_velocity
from g1_mimic.motion.trajectory import LARGEST
from g1_mimic.robot.names import BODY_NAMES
from g1_mimic.robot.skeleton import FOOT_BODY_NAMES
from g1_mimic.rotations import quat_apply

QUAT_ORDERS = ("xyzw", "wxyz")

# A standing, walking or dancing root keeps its z axis within about 45° of the world's on average.
_UPRIGHT = 0.7
# A foot that carries the robot hardly slips; read wrongly, the root turns against the legs.
_SLIP_RATIO = 2.0
_SLIP_MARGIN = 0.02  # m per second at 30 frames per second
# Measured over real clips: misfit up to 0.14 in the right joint order, 0.47 and more in the wrong
# one.
_MISFIT_RATIO = 1.5
_MISFIT_MARGIN = 0.05
_BEYOND = 0.02
DEGREES = 7.0
"""rad: no joint of the G1 turns this far; angles in degrees do."""
_SAMPLES = 600
VELOCITY_TOLERANCE = 0.05
"""m/s and rad/s on average: above it stored velocities are worth a note."""


@dataclass(frozen=True)
class ReadOptions:
    """What the user tells about a file that the file does not say itself; None: not told."""

    format: str | None = None
    """Name of the format, where the content could be several."""
    source_fps: float | None = None
    """Hz."""
    quat_order: str | None = None
    """One of ``QUAT_ORDERS``: the columns of the root's quaternion."""
    joints: str | None = None
    """One of ``JOINT_ORDERS``: the order of 29 joints without names."""
    key: str | None = None
    """Which motion of a file with several."""

    def __post_init__(self) -> None:
        for option, value, known in (
            ("quat_order", self.quat_order, QUAT_ORDERS),
            ("joints", self.joints, tuple(JOINT_ORDERS)),
        ):
            if value is not None and value not in known:
                raise BadValue(f"{option} is {' or '.join(known)}, not '{value}'")

    def rate(self, usual: float) -> float:
        """Return the frame rate (Hz) of a file without one: what was told, else the usual one."""
        return usual if self.source_fps is None else self.source_fps

    def refuse(self, source: object, *options: str) -> None:
        """Raise ``G1MimicError`` if one of ``options`` was told of a file that says it itself."""
        for option in options:
            if getattr(self, option) is not None:
                told = f"--{option.replace('_', '-')}"
                raise BadValue(
                    f"{source}: {told} is for files that do not say it; this one does, leave it out"
                )


def quat_to_wxyz(quat: np.ndarray, order: str) -> np.ndarray:
    """Return ``quat`` [..., 4], whose columns are in ``order``, as w x y z."""
    return quat if order == "wxyz" else quat[..., [3, 0, 1, 2]]


def settle_orders(
    source: str,
    root_pos: np.ndarray,
    quat: np.ndarray,
    joints: np.ndarray,
    options: ReadOptions,
    *,
    quat_convention: str | None = None,
    joint_convention: str | None = None,
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Bring a root quaternion and 29 unnamed joints into this package's orders.

    The root must stay upright under one reading of the quaternion. A file that heads along x
    stays upright under both (the wrong one is turned about z by half a turn); there the lower foot
    must slip much less under one reading than under the other. The joint order is the one under
    which the lower foot is flat and the angles are within the joints' limits.

    Args:
        source: the file, for messages.
        root_pos: [T, 3] m.
        quat: [T, 4] in the file's order.
        joints: [T, 29] rad in the file's order.
        options: what the user told; it is taken as it is.
        quat_convention: the order that the format has by definition, for motions that do not tell.
        joint_convention: the same of the joints.

    Returns:
        Root quaternions [T, 4] w x y z, joint angles [T, 29] in ``JOINT_NAMES`` order, and notes
        on how the orders were told.

    Raises:
        G1MimicError: if both readings fit, or none, and the user did not tell.
    """
    plausible = all((abs(values) <= LARGEST).all() for values in (root_pos, quat, joints))
    if not plausible or (abs(np.linalg.norm(quat, axis=1) - 1.0) > 0.1).any():
        # Nothing can be told from these; making a trajectory of them names the frame.
        return quat_to_wxyz(quat, options.quat_order or "wxyz"), joints, ()
    sample = _sample(len(quat))
    pos, raw, angles = root_pos[sample], quat[sample], joints[sample]
    readings = {order: quat_to_wxyz(raw, order) for order in QUAT_ORDERS}
    if options.quat_order is not None:
        upright = [options.quat_order]
    else:
        upright = _upright(source, readings, quat_convention)
    order, joint_note = _joint_order(
        source, pos, [readings[o] for o in upright], angles, options.joints, joint_convention
    )
    right = to_joint_order(angles, JOINT_ORDERS[order], source)
    if options.quat_order is not None:
        quat_order, quat_note = options.quat_order, f"quaternion read as {upright[0]}, as told"
    elif len(upright) == 1:
        quat_order = upright[0]
        quat_note = f"quaternion read as {quat_order}: the root is upright only so"
    else:
        quat_order, quat_note = _by_slip(source, pos, readings, right, quat_convention)
    return (
        quat_to_wxyz(quat, quat_order),
        to_joint_order(joints, JOINT_ORDERS[order], source),
        (quat_note, joint_note),
    )


def velocity_notes(
    name: str, stored: np.ndarray, joints: np.ndarray, fps: float
) -> tuple[str, ...]:
    """Return a note if stored joint velocities [T, J] are not those of the angles [T, J]."""
    if len(joints) < 2:
        return ()
    off = abs(stored - linear_velocity(joints, fps, joints[:0], joints[:0])).mean()
    if off <= VELOCITY_TOLERANCE:
        return ()
    return (f"the file's {name} is {off:.2f} rad/s off on average; recomputed",)


def _sample(frames: int) -> np.ndarray:
    """Return indices of neighbouring frames in pairs, spread over the clip; [2 n] or all."""
    if frames <= 2 * _SAMPLES:
        return np.arange(frames - frames % 2) if frames > 1 else np.arange(frames)
    first = np.linspace(0, frames - 2, _SAMPLES).astype(int)
    return np.stack([first, first + 1], axis=1).reshape(-1)


def _upright(source: str, readings: dict[str, np.ndarray], convention: str | None) -> list[str]:
    # z component of the root's z axis in the world: 1 is upright.
    up = {
        order: float(np.mean(1.0 - 2.0 * (quat[:, 1] ** 2 + quat[:, 2] ** 2)))
        for order, quat in readings.items()
    }
    upright = [order for order in QUAT_ORDERS if up[order] >= _UPRIGHT]
    if not upright and convention is not None:
        return [convention]
    if not upright:
        raise BadValue(
            f"{source}: cannot tell whether the quaternion is x y z w or w x y z: the root is not "
            f"upright under either (cosine {up['xyzw']:.2f} and {up['wxyz']:.2f}); say it "
            "(quat_order, --quat-order)"
        )
    return upright


def _by_slip(
    source: str,
    pos: np.ndarray,
    readings: dict[str, np.ndarray],
    joints: np.ndarray,
    convention: str | None,
) -> tuple[str, str]:
    slip = {order: _feet(pos, quat, joints)[1] for order, quat in readings.items()}
    best, other = sorted(QUAT_ORDERS, key=lambda order: slip[order])
    if slip[other] > max(_SLIP_RATIO * slip[best], slip[best] + _SLIP_MARGIN):
        return best, (
            f"quaternion read as {best}: the lower foot slips {slip[best]:.2f} m/s so, "
            f"{slip[other]:.2f} m/s otherwise"
        )
    if convention is not None:
        return convention, f"quaternion read as {convention}, as this format has it"
    raise BadValue(
        f"{source}: cannot tell whether the quaternion is x y z w or w x y z (the root is upright "
        f"under both; the feet slip {slip['xyzw']:.2f} and {slip['wxyz']:.2f} m/s); say it "
        "(quat_order, --quat-order)"
    )


def _joint_order(
    source: str,
    pos: np.ndarray,
    quats: list[np.ndarray],
    joints: np.ndarray,
    told: str | None,
    convention: str | None,
) -> tuple[str, str]:
    if told is not None:
        return told, f"joints read in {told} order, as told"
    candidates = {
        order: to_joint_order(joints, names, source) for order, names in JOINT_ORDERS.items()
    }
    if abs(candidates["mjcf"] - candidates["isaac"]).max() < 1e-9:
        return "mjcf", "joints alike in mjcf and isaac order"
    if abs(joints).max() > DEGREES:
        return "mjcf", "joints taken in mjcf order: the angles are no radians"
    misfit = {
        order: min(_misfit(pos, quat, values) for quat in quats)
        for order, values in candidates.items()
    }
    best, other = sorted(JOINT_ORDERS, key=lambda order: misfit[order])
    found = f"{misfit[best]:.2f} off flat feet and joint limits so, {misfit[other]:.2f} otherwise"
    if misfit[other] > _MISFIT_RATIO * misfit[best] + _MISFIT_MARGIN:
        return best, f"joints read in {best} order: {found}"
    if convention is not None:
        return convention, f"joints read in {convention} order, as this format has them"
    raise BadValue(
        f"{source}: cannot tell whether the joints are in mjcf or isaac order ({best}: {found}); "
        "say it (joints, --joints)"
    )


def _misfit(pos: np.ndarray, quat: np.ndarray, joints: np.ndarray) -> float:
    """Return the tilt (rad) of the lower foot plus ten times the share of impossible angles."""
    lower, upper = _position_limits()
    beyond = np.mean(np.maximum(lower - joints, joints - upper) > _BEYOND)
    return float(_feet(pos, quat, joints)[0] + 10.0 * beyond)


def _feet(pos: np.ndarray, quat: np.ndarray, joints: np.ndarray) -> tuple[float, float]:
    """Return mean tilt (rad) and speed (m/s at 30 frames per second) of whichever foot is lower.

    The frames come in neighbouring pairs.
    """
    body_pos, body_quat = forward_kinematics(pos, quat, joints)
    indices = [BODY_NAMES.index(name) for name in FOOT_BODY_NAMES]
    feet = body_pos[:, indices]
    lower = feet[:, :, 2].argmin(axis=1)
    frames = np.arange(len(feet))
    up = quat_apply(body_quat[frames, np.array(indices)[lower]], np.array([0.0, 0.0, 1.0]))
    tilt = float(np.arccos(np.clip(up[:, 2], -1.0, 1.0)).mean())
    if len(feet) < 2:
        return tilt, 0.0
    speed = np.linalg.norm(feet[1::2] - feet[::2], axis=-1) * 30.0
    return tilt, float(speed[np.arange(len(speed)), lower[1::2]].mean())


@lru_cache(maxsize=1)
def _position_limits() -> tuple[np.ndarray, np.ndarray]:
    from g1_mimic.robot.profile import load_profile

    profile = load_profile()
    return profile.position_lower, profile.position_upper
