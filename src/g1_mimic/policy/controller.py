"""The deployed controller: state in, safe motor command out. No ROS, no clock but the states'."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import ConfigDict, Field

from g1_mimic.control.modes import Mode, ModeState
from g1_mimic.control.pd_target import (
    LimitHits,
    NonFiniteError,
    TargetLimits,
    action_to_target,
    limit_target,
)
from g1_mimic.control.state import JointCommand, RobotState
from g1_mimic.envs.observations import (
    OBSERVATION_TERMS,
    ObservationInputs,
    build_observation,
)
from g1_mimic.errors import G1MimicError
from g1_mimic.policy.alignment import ReferenceFrame
from g1_mimic.policy.observation_layout import ObservationHistory
from g1_mimic.policy.player import MotionPlayer, clips_for
from g1_mimic.robot.kinematics import torso_pose
from g1_mimic.robot.names import ANCHOR_BODY_NAME, BODY_NAMES, NUM_JOINTS, WAIST_INDICES
from g1_mimic.rotations import quat_apply_inverse, quat_error
from g1_mimic.settings import Settings

if TYPE_CHECKING:
    from g1_mimic.policy.runtime import OnnxPolicy
    from g1_mimic.robot.profile import RobotProfile

_DOWN = np.array([0.0, 0.0, -1.0])


class ControllerSettings(Settings):
    """What an operator may choose about the controller."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    start_mode: Literal["damping", "stand", "track"] = "track"
    """How far activation goes by itself; a robot's operator may prefer 'damping'."""
    stand_time: float = Field(2.0, ge=0.1, le=30.0)
    """Time in which stand moves from the measured pose to the clip's first pose, s."""
    blend_time: float = Field(1.0, ge=0.02, le=10.0)
    """Time in which one clip goes over to another while tracking, s."""
    tilt_limit: float = Field(1.2, gt=0.0, le=3.15)
    """Angle between robot and reference torso, heading aside, that is a fault, rad."""
    torque_limits: Literal["deployment", "training"] = "deployment"
    """Which of the profile's torque limits hold: training's are higher at ankles and waist."""
    state_timeout: float = Field(0.1, gt=0.0, le=10.0)
    """Time without a new state that is a fault, s."""


class TiltError(G1MimicError):
    """The robot has fallen, or is about to."""


@dataclass(frozen=True)
class Tick:
    """One step of the policy: what it saw, wanted and missed."""

    step: int
    reference: ReferenceFrame
    action: np.ndarray
    """[29] raw."""
    joint_error: np.ndarray
    """[29] measured minus reference, rad."""
    anchor_error: np.ndarray | None
    """[3] measured minus reference position of the anchor, m; None without odometry."""
    anchor_angle: float
    """Angle between the measured and the reference anchor, rad."""
    anchor_quat: np.ndarray
    """[4] measured."""
    inference_s: float
    """Wall time of the network, s."""


class PolicyController:
    """Runs a policy behind the mode machine and the limiter.

    `step` takes every state (500 Hz) and always answers, with damping if anything is wrong. The
    policy itself runs on those states whose stamps reach its own rate (50 Hz), so that real time
    and lock-step take the same path.

    Args:
        policy: what acts.
        profile: of the robot, whose limits hold.
        settings: see there.
        motion: what is tracked, as `policy.player.clips_for` reads it.

    Attributes:
        mode_state: mode and latched fault.
        tick: what the policy did in the last `step`; None where it had no turn.
        hits: which limits the last command ran into; None in damping.
        tilted: the latched fault is a tilt: the robot fell.
        missed_ticks: policy periods that no state fell into.

    Raises:
        G1MimicError: if the policy does not fit the robot.
    """

    def __init__(
        self,
        policy: OnnxPolicy,
        profile: RobotProfile,
        settings: ControllerSettings,
        motion: str = "",
    ) -> None:
        meta = policy.metadata
        self._policy, self._settings, self._meta = policy, settings, meta
        self._limits = _limits(policy, profile, settings)
        self._damping = profile.damping
        self._default = np.asarray(meta.default_joint_pos, dtype=np.float64)
        self._scale = np.asarray(meta.action_scale, dtype=np.float64)
        self._reference = MotionPlayer(policy, clips_for(policy, motion))
        self._history = ObservationHistory(meta)
        self._period = round(1e9 / meta.control_rate_hz)
        if meta.anchor_body_name not in (ANCHOR_BODY_NAME, BODY_NAMES[0]):
            raise G1MimicError(
                f"the policy's anchor body '{meta.anchor_body_name}' is neither "
                f"'{ANCHOR_BODY_NAME}' nor '{BODY_NAMES[0]}'"
            )
        self.mode_state = ModeState()
        self.tick: Tick | None = None
        self.hits: LimitHits | None = None
        self.tilted = False
        self.missed_ticks = 0
        self._active = False
        self._last_state: RobotState | None = None
        self._slewed = self._default
        self._begun = False

    @property
    def mode(self) -> Mode:
        """The present mode."""
        return self.mode_state.mode

    @property
    def needs_odometry(self) -> bool:
        """True if an observation term needs the pelvis' position or linear velocity."""
        fields = {f for n in self._meta.observation_names for f in OBSERVATION_TERMS[n].requires}
        return bool(fields & {"anchor_pos_w", "base_lin_vel"})

    @property
    def motions(self) -> tuple[str, ...]:
        """Names of the clips that can be tracked."""
        return self._reference.names

    @property
    def strange_motions(self) -> tuple[str, ...]:
        """Those of them that the policy does not carry."""
        return self._reference.strange_names

    @property
    def motion(self) -> str:
        """Name of the clip that is tracked, or comes next."""
        return self._reference.current

    def switch(self, name: str) -> None:
        """Go over to another clip: while tracking, blended from where the present one is.

        In stand the robot moves to the new clip's first pose, in damping it is what comes next.

        Raises:
            G1MimicError: if there is no such clip, or the last switch is not over yet.
        """
        if self.mode is Mode.DAMPING:
            self._reference.select(name)
            return
        state = self._require_state("switch")
        if self.mode is Mode.STAND:
            self._reference.select(name)
            self._stand_from, self._stand_since = self._slewed.copy(), state.stamp
            return
        anchor_pos, anchor_quat = self._anchor(state)
        seconds = self._settings.blend_time
        self._reference.switch(name, self._step, anchor_pos, anchor_quat, seconds)

    def activate(self) -> None:
        """Clear a latched fault and begin, from damping, as ``start_mode`` says."""
        self.mode_state = self.mode_state.clear()
        self.tilted = False
        self._last_state = None
        self._active, self._begun = True, False

    def deactivate(self) -> None:
        """Go to damping and stay there."""
        self.mode_state = self.mode_state.stop()
        self._active = False

    def fail(self, reason: str) -> None:
        """Latch a fault and go to damping."""
        self.mode_state = self.mode_state.fail(reason)

    def stop(self) -> None:
        """Go to damping by choice."""
        self.mode_state = self.mode_state.stop()

    def stand(self) -> None:
        """Move from the measured pose to the clip's first one.

        Raises:
            G1MimicError: while not active, without a state, or with a latched fault.
        """
        state = self._require_state("stand")
        self.mode_state = self.mode_state.stand()
        self._reference.rewind()
        self._stand_from, self._stand_since = state.joint_pos.copy(), state.stamp
        self._slewed = state.joint_pos.copy()

    def track(self) -> None:
        """Begin to track the clip from its first frame, aligned to where the robot is.

        Raises:
            G1MimicError: while not active, not standing, or with a latched fault.
        """
        state = self._require_state("track")
        if self.mode is Mode.TRACK:
            return
        self.mode_state = self.mode_state.track(standing=self._standing(state))
        self._reference.align(*self._anchor(state))
        self._action = np.zeros(NUM_JOINTS)
        self._history.reset()
        self._step, self._next_tick = 0, state.stamp

    def step(self, state: RobotState) -> JointCommand:
        """Answer one state. Never raises: whatever goes wrong is a fault, and the answer damping.

        Stamps must grow from call to call.
        """
        self.tick = self.hits = None
        try:
            self._check(state)
            return self._respond(state)
        except G1MimicError as error:
            self.tilted |= isinstance(error, TiltError)
            self.fail(str(error))
        except Exception as error:  # nothing may keep the motors from damping
            self.fail(f"{type(error).__name__}: {' '.join(str(error).split())}")
        return self.damping(state)

    def damping(self, state: RobotState) -> JointCommand:
        """Return the command that only brakes: no stiffness, target where the joints are."""
        finite = np.isfinite(state.joint_pos)
        zero = np.zeros(NUM_JOINTS)
        position = np.where(finite, state.joint_pos, zero)
        return JointCommand(state.stamp, Mode.DAMPING, position, zero, self._damping)

    def _respond(self, state: RobotState) -> JointCommand:
        last, self._last_state = self._last_state, state
        if self._active and not self._begun:
            self._begun = True
            if self._settings.start_mode != "damping":
                self.stand()
        if not self._active or self.mode is Mode.DAMPING:
            return self.damping(state)
        if (
            self.mode is Mode.STAND
            and self._settings.start_mode == "track"
            and self._standing(state)
        ):
            self.track()
        desired = self._stand_target(state) if self.mode is Mode.STAND else self._track(state)
        dt = 0.0 if last is None else (state.stamp - last.stamp) * 1e-9
        limited = limit_target(
            desired, self._slewed, state.joint_pos, state.joint_vel, dt, self._limits
        )
        self._slewed, self.hits = limited.slewed, limited.hits
        gains = self._limits
        return JointCommand(state.stamp, self.mode, limited.target, gains.stiffness, gains.damping)

    def _standing(self, state: RobotState) -> bool:
        elapsed = (state.stamp - self._stand_since) * 1e-9 if self.mode is Mode.STAND else 0.0
        return elapsed >= self._settings.stand_time

    def _stand_target(self, state: RobotState) -> np.ndarray:
        """Interpolate with zero velocity at both ends."""
        reference = self._reference.frame(0)
        self._check_tilt(self._anchor(state)[1], reference)
        s = min((state.stamp - self._stand_since) * 1e-9 / self._settings.stand_time, 1.0)
        blend = s * s * (3.0 - 2.0 * s)
        return self._stand_from + blend * (reference.joint_pos - self._stand_from)

    def _track(self, state: RobotState) -> np.ndarray:
        """Run the policy where its turn has come, else keep its last target."""
        if state.stamp >= self._next_tick:
            # A late state moves the grid: the policy must not run twice in a row to catch up.
            late = (state.stamp - self._next_tick) // self._period
            self.missed_ticks += late
            self._next_tick += (late + 1) * self._period
            self._run_policy(state)
            self._step += 1
        return self._target

    def _run_policy(self, state: RobotState) -> None:
        reference = self._reference.frame(self._step)
        graph = self._reference.graph_input(self._step)
        anchor_pos, anchor_quat = self._anchor(state)
        self._check_tilt(anchor_quat, reference)
        frame = build_observation(
            self._meta.observation_names,
            ObservationInputs(
                joint_pos=state.joint_pos[None],
                joint_vel=state.joint_vel[None],
                base_quat=state.base_quat[None],
                base_ang_vel=state.base_ang_vel[None],
                base_lin_vel=self._base_lin_vel(state),
                anchor_pos_w=None if anchor_pos is None else anchor_pos[None],
                anchor_quat_w=anchor_quat[None],
                ref_joint_pos=reference.joint_pos[None],
                ref_joint_vel=reference.joint_vel[None],
                ref_anchor_pos_w=reference.anchor_pos[None],
                ref_anchor_quat_w=reference.anchor_quat[None],
                default_joint_pos=self._default,
                last_action=(self._action + graph.previous_shift)[None],
            ),
        )[0]
        started = time.perf_counter()
        observation = self._history.push(frame)
        action = self._policy.act(observation, graph.time_step) + graph.action_shift
        inference = time.perf_counter() - started
        self._action = action
        self._target = action_to_target(action, self._default, self._scale)
        self.tick = Tick(
            step=self._step,
            reference=reference,
            action=action,
            joint_error=state.joint_pos - reference.joint_pos,
            anchor_error=None if anchor_pos is None else anchor_pos - reference.anchor_pos,
            anchor_angle=float(quat_error(anchor_quat, reference.anchor_quat)),
            anchor_quat=anchor_quat,
            inference_s=inference,
        )

    def _anchor(self, state: RobotState) -> tuple[np.ndarray | None, np.ndarray]:
        """Return the anchor body's position (None without odometry) and orientation."""
        if self._meta.anchor_body_name == BODY_NAMES[0]:
            return state.base_pos, state.base_quat
        origin = np.zeros(3) if state.base_pos is None else state.base_pos
        pos, quat = torso_pose(origin, state.base_quat, state.joint_pos[list(WAIST_INDICES)])
        return (None if state.base_pos is None else pos), quat

    def _base_lin_vel(self, state: RobotState) -> np.ndarray | None:
        """Return the velocity [1, 3] of that point of the pelvis which the policy observes."""
        if state.base_lin_vel is None:
            return None
        lever = np.cross(state.base_ang_vel, self._meta.base_lin_vel_point)
        velocity: np.ndarray = (state.base_lin_vel + lever)[None]
        return velocity

    def _check_tilt(self, anchor_quat: np.ndarray, reference: ReferenceFrame) -> None:
        down = quat_apply_inverse(anchor_quat, _DOWN)
        wanted = quat_apply_inverse(reference.anchor_quat, _DOWN)
        angle = float(np.arccos(np.clip(down @ wanted, -1.0, 1.0)))
        if angle > self._settings.tilt_limit:
            raise TiltError(
                f"the torso is tilted by {angle:.2f} rad from the reference "
                f"(limit {self._settings.tilt_limit:g})"
            )

    def _check(self, state: RobotState) -> None:
        """Refuse a state that cannot be true."""
        for name in ("joint_pos", "joint_vel", "base_quat", "base_ang_vel"):
            if not np.isfinite(getattr(state, name)).all():
                raise NonFiniteError(f"the measured {name} is not finite")
        for name in ("base_pos", "base_lin_vel"):
            value = getattr(state, name)
            if value is not None and not np.isfinite(value).all():
                raise NonFiniteError(f"the measured {name} is not finite")
        with np.errstate(over="ignore"):
            norm = float(np.linalg.norm(state.base_quat))
        if abs(norm - 1.0) > 1e-2:
            raise G1MimicError(f"the pelvis' orientation has norm {norm:.3g}, not 1")
        if self.needs_odometry and state.base_pos is None:
            raise G1MimicError("the policy needs odometry (topic odom), and there is none")
        if self._last_state is not None and self._active:
            gap = (state.stamp - self._last_state.stamp) * 1e-9
            if gap <= 0.0:
                raise G1MimicError(f"time went back by {-gap:.3f} s between two states")
            if gap > self._settings.state_timeout and self.mode is not Mode.DAMPING:
                raise G1MimicError(f"no state for {gap:.3f} s")

    def _require_state(self, wanted: str) -> RobotState:
        if not self._active or self._last_state is None:
            raise G1MimicError(f"cannot {wanted}: the node is not active, or no state has arrived")
        return self._last_state


def _limits(
    policy: OnnxPolicy, profile: RobotProfile, settings: ControllerSettings
) -> TargetLimits:
    """Return the policy's gains under the tighter limits of policy and profile."""
    meta = policy.metadata
    own = TargetLimits.from_profile(profile)
    if settings.torque_limits == "training":
        own = replace(own, torque_limit=profile.torque_limit)
    gains = replace(
        own,
        stiffness=np.asarray(meta.joint_stiffness, dtype=np.float64),
        damping=np.asarray(meta.joint_damping, dtype=np.float64),
    )
    for name in ("torque_limit", "velocity_limit"):
        value = getattr(meta, name)
        if value is not None and len(value):
            tighter = np.minimum(getattr(own, name), np.asarray(value, dtype=np.float64))
            gains = replace(gains, **{name: tighter})
    return gains
