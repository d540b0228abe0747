"""What a measured state must be like for a robot to be driven by it. Needs numpy only."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from g1_mimic.control.pd_target import NonFiniteError
from g1_mimic.control.state import RobotState
from g1_mimic.errors import G1MimicError
from g1_mimic.robot.names import JOINT_NAMES
from g1_mimic.settings import LIVE, Settings

if TYPE_CHECKING:
    from g1_mimic.robot.profile import RobotProfile

ENCODER_WINDOW = 0.1
"""Time over which angles are compared with the integral of the speeds, s."""
_MAX_STEP = 0.01
"""Time between states over which a speed may be integrated, s."""


class StateLimits(Settings):
    """When a measured state is a fault."""

    state_timeout: float = Field(0.1, gt=0.0, le=10.0)
    """Age of the newest state, or time between two, that is a fault, s."""
    joint_speed_limit: float = Field(1.0, ge=0.05, le=2.0, json_schema_extra=LIVE)
    """Measured joint speed that is a fault, as a fraction of the motor's no-load speed."""
    frozen_time: float = Field(0.05, gt=0.0, le=10.0, json_schema_extra=LIVE)
    """Time for which all joints, or the IMU, may repeat a measurement to the last digit, s."""
    encoder_tolerance: float = Field(0.15, gt=0.0, le=10.0, json_schema_extra=LIVE)
    """Difference between a joint's motion in 0.1 s and the integral of its speed, rad."""
    following_error_limit: float = Field(1.2, gt=0.0, le=6.3, json_schema_extra=LIVE)
    """Angle between a joint and its reference that is a fault if it lasts, rad."""
    following_error_time: float = Field(0.5, ge=0.0, le=10.0, json_schema_extra=LIVE)
    """How long it must last, s."""


class StateSupervisor:
    """Checks each measured state, by itself and against the ones before it.

    Args:
        profile: of the robot.
        limits: when a state is a fault; may be replaced at any time.

    Attributes:
        peak_speed: largest joint speed since `begin` as a fraction of the no-load speed.
        peak_encoder_error: largest difference that ``encoder_tolerance`` bounds since `begin`, rad.
        peak_following_error: largest angle between a joint and its reference since `begin`, rad.
    """

    def __init__(self, profile: RobotProfile, limits: StateLimits) -> None:
        self.limits = limits
        self._no_load_speed = profile.no_load_speed
        self.begin()

    def begin(self) -> None:
        """Forget all states."""
        self.peak_speed = self.peak_encoder_error = self.peak_following_error = 0.0
        self._followed_at = 0
        self._last: RobotState | None = None
        self._moved_at = {"joint_states": 0, "imu": 0}
        self._forget_motion()

    def _forget_motion(self) -> None:
        self._integral = np.zeros(len(JOINT_NAMES))
        self._residuals: deque[tuple[int, np.ndarray]] = deque()

    def check(self, state: RobotState, *, moving: bool) -> None:
        """Refuse a state that cannot be true, or that no robot should be driven by.

        Args:
            state: the newest one.
            moving: the robot is driven: what only matters then is checked too.

        Raises:
            NonFiniteError: for a number that is NaN or infinite.
            G1MimicError: for anything else.
        """
        _check_finite(state)
        last, self._last = self._last, state
        if last is None:
            self._moved_at = dict.fromkeys(self._moved_at, state.stamp)
        else:
            gap = (state.stamp - last.stamp) * 1e-9
            if gap <= 0.0:
                raise G1MimicError(f"time went back by {-gap:.3f} s between two states")
            if moving and gap > self.limits.state_timeout:
                raise G1MimicError(f"no state for {gap:.3f} s")
        frozen = self._frozen(state, last)
        residual = self._encoder_error(state, last)
        speed = np.abs(state.joint_vel) / self._no_load_speed
        fastest, contradiction = float(speed.max()), float(residual.max())
        self.peak_speed = max(self.peak_speed, fastest)
        if not moving:
            self._forget_motion()  # a limp robot may be put anywhere
            return
        self.peak_encoder_error = max(self.peak_encoder_error, contradiction)
        if fastest > self.limits.joint_speed_limit:
            joint = int(speed.argmax())
            raise G1MimicError(
                f"{JOINT_NAMES[joint]} turns at {state.joint_vel[joint]:.1f} rad/s "
                f"(limit {self.limits.joint_speed_limit * self._no_load_speed[joint]:.1f})"
            )
        if frozen:
            raise G1MimicError(
                f"{frozen} is frozen: the same to the last digit for {self.limits.frozen_time:g} s"
            )
        if contradiction > self.limits.encoder_tolerance:
            joint = int(residual.argmax())
            raise G1MimicError(
                f"angle and speed of {JOINT_NAMES[joint]} contradict each other by "
                f"{residual[joint]:.2f} rad in {ENCODER_WINDOW:g} s"
            )

    def figures(self) -> dict[str, object]:
        """Return what diagnostics show."""
        return {
            "joint_speed_peak": self.peak_speed,
            "encoder_error_peak_rad": self.peak_encoder_error,
            "following_error_peak_rad": self.peak_following_error,
        }

    def begin_following(self, state: RobotState) -> None:
        """The joints begin to follow a reference at ``state``."""
        self._followed_at = state.stamp

    def check_following(self, state: RobotState, reference: np.ndarray) -> None:
        """Refuse to go on while a joint has been far from its reference [29], rad, for too long.

        Raises:
            G1MimicError: names the joint.
        """
        limit = self.limits.following_error_limit
        error = np.abs(state.joint_pos - reference)
        largest = float(error.max())
        self.peak_following_error = max(self.peak_following_error, largest)
        if largest <= limit:
            self._followed_at = state.stamp
        lasting = (state.stamp - self._followed_at) * 1e-9
        if lasting > self.limits.following_error_time:
            raise G1MimicError(
                f"{JOINT_NAMES[int(error.argmax())]} has been more than {limit:g} rad from its "
                f"reference for {lasting:.2f} s: is it stuck?"
            )

    def _frozen(self, state: RobotState, last: RobotState | None) -> str:
        """Return the topic that has repeated itself for too long, or an empty string.

        A sensor is never silent to the last digit; a message that is repeated with new stamps is.
        """
        moved_at = self._moved_at
        if last is not None:
            if not (
                _equal(state.joint_pos, last.joint_pos) and _equal(state.joint_vel, last.joint_vel)
            ):
                moved_at["joint_states"] = state.stamp
            if not (
                _equal(state.base_quat, last.base_quat)
                and _equal(state.base_ang_vel, last.base_ang_vel)
            ):
                moved_at["imu"] = state.stamp
        limit = self.limits.frozen_time * 1e9
        if state.stamp - min(moved_at.values()) < limit:
            return ""
        return " and ".join(t for t, moved in moved_at.items() if state.stamp - moved >= limit)

    def _encoder_error(self, state: RobotState, last: RobotState | None) -> np.ndarray:
        """Return by how much each joint's motion in the window differs from its speed's integral.

        A frozen or slipping encoder moves otherwise than its speed says.
        """
        step = 0.0 if last is None else (state.stamp - last.stamp) * 1e-9
        if last is None or not 0.0 < step <= _MAX_STEP:
            self._forget_motion()
        else:
            self._integral += 0.5 * step * (state.joint_vel + last.joint_vel)
        residual = state.joint_pos - self._integral
        self._residuals.append((state.stamp, residual))
        while state.stamp - self._residuals[0][0] > ENCODER_WINDOW * 1e9:
            self._residuals.popleft()
        error: np.ndarray = np.abs(residual - self._residuals[0][1])
        return error


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    """As ``np.array_equal`` for equal shapes; a difference shows in the first number already."""
    return a.item(0) == b.item(0) and bool((a == b).all())


_MEASURED = ("joint_pos", "joint_vel", "base_quat", "base_ang_vel", "base_pos", "base_lin_vel")


def _check_finite(state: RobotState) -> None:
    values = [value for name in _MEASURED if (value := getattr(state, name)) is not None]
    # Finite only if all are; a square may also overflow, so that each is looked at then.
    with np.errstate(over="ignore", invalid="ignore"):
        total = sum(float(value.dot(value)) for value in values)
    if not math.isfinite(total):
        for name in _MEASURED:
            value = getattr(state, name)
            if value is not None and not np.isfinite(value).all():
                raise NonFiniteError(f"the measured {name} is not finite")
    norm = math.hypot(*state.base_quat.tolist())
    if abs(norm - 1.0) > 1e-2:
        raise G1MimicError(f"the pelvis' orientation has norm {norm:.3g}, not 1")
