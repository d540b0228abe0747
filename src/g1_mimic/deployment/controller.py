"""The deployed controller: state in, safe motor command out. No ROS, no clock but the states'."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from g1_mimic.control.limit_log import LimitLog
from g1_mimic.control.modes import Mode, ModeState
from g1_mimic.control.pd_target import (
    LimitHits,
    action_to_target,
    limit_target,
)
from g1_mimic.control.state import JointCommand, RobotState
from g1_mimic.control.supervision import StateSupervisor
from g1_mimic.deployment.alignment import ReferenceFrame
from g1_mimic.deployment.inference import Inference, InferenceRunner
from g1_mimic.deployment.player import MotionPlayer, clips_for
from g1_mimic.deployment.safety import (
    ControllerSettings,
    check_default_pose,
    deployment_limits,
    stand_limits,
)
from g1_mimic.deployment.tick import Tick
from g1_mimic.envs.observations import (
    OBSERVATION_TERMS,
    ObservationInputs,
    build_observation,
)
from g1_mimic.errors import G1MimicError, in_one_line
from g1_mimic.policy.observation_layout import ObservationHistory
from g1_mimic.robot.kinematics import torso_pose, torso_quat
from g1_mimic.robot.names import (
    ANCHOR_BODY_NAME,
    BODY_NAMES,
    NUM_JOINTS,
    WAIST_INDICES,
)
from g1_mimic.rotations import cross, down_in_body, quat_error

if TYPE_CHECKING:
    from g1_mimic.policy.runtime import OnnxPolicy
    from g1_mimic.robot.profile import RobotProfile

_WAIST = np.array(WAIST_INDICES)
_NEAR = 0.7
"""Fraction of a limit from which on diagnostics warn."""


class TiltError(G1MimicError):
    """The robot has fallen, or is about to."""


class _Turn(NamedTuple):
    """What the policy was asked at a control step."""

    step: int
    state: RobotState
    reference: ReferenceFrame
    anchor_pos: np.ndarray | None
    anchor_quat: np.ndarray


class PolicyController:
    """Runs a policy behind the mode machine and the limiter.

    `step` takes every state (500 Hz) and always answers, with damping if anything is wrong. The
    policy itself runs on those states whose stamps reach its own rate (50 Hz), so that real time
    and lock-step take the same path. While its action is not there, its last target is held.

    Args:
        policy: what acts.
        profile: of the robot, whose limits hold.
        settings: see there; `configure` replaces them.
        motion: what is tracked, as `deployment.player.clips_for` reads it.
        inference: runs the policy; None: at once, in `step`.

    Attributes:
        needs_odometry: an observation term needs the pelvis' position or linear velocity.
        mode_state: mode and latched fault.
        hits: which limits the last command ran into; None in damping.
        limit_log: which limits commands ran into.
        tilted: the latched fault is a tilt: the robot fell.
        missed_ticks: policy periods that no state fell into.
        missed_inferences: policy periods at whose end the action was not there yet.
        tilt: last angle between robot and reference torso, heading aside, rad.
        supervisor: checks the states.

    Raises:
        G1MimicError: if the policy does not fit the robot.
    """

    def __init__(
        self,
        policy: OnnxPolicy,
        profile: RobotProfile,
        settings: ControllerSettings,
        motion: str = "",
        inference: InferenceRunner | None = None,
    ) -> None:
        meta = policy.metadata
        self._policy, self._profile, self._meta = policy, profile, meta
        self._inference = inference or InferenceRunner(policy)
        self.supervisor = StateSupervisor(profile, settings)
        self.configure(settings)
        check_default_pose(meta, profile)
        observed = {f for n in meta.observation_names for f in OBSERVATION_TERMS[n].requires}
        self.needs_odometry = bool(observed & {"anchor_pos_w", "base_lin_vel"})
        self._damping = profile.damping
        self._default = np.asarray(meta.default_joint_pos, dtype=np.float64)
        self._scale = np.asarray(meta.action_scale, dtype=np.float64)
        self._lin_vel_point = np.asarray(meta.base_lin_vel_point, dtype=np.float64)
        self._reference = MotionPlayer(policy, clips_for(policy, motion, profile))
        self._history = ObservationHistory(meta)
        self._period = round(1e9 / meta.control_rate_hz)
        if meta.anchor_body_name not in (ANCHOR_BODY_NAME, BODY_NAMES[0]):
            raise G1MimicError(
                f"the policy's anchor body '{meta.anchor_body_name}' is neither "
                f"'{ANCHOR_BODY_NAME}' nor '{BODY_NAMES[0]}'"
            )
        self.mode_state = ModeState()
        self._tick: Tick | None = None
        self._acted: tuple[_Turn, Inference] | None = None
        """What the policy did in the last `step`, before somebody asks for its tick."""
        self.hits: LimitHits | None = None
        self.limit_log = LimitLog()
        self.tilted = False
        self.missed_ticks = self.missed_inferences = self._overdue = 0
        self._missed_at: int | None = None
        """Stamp at which a policy period was last missed, ns."""
        self.tilt = 0.0
        self._active = False
        self._last_state: RobotState | None = None
        self._slewed = self._default
        self._begun = False

    @property
    def mode(self) -> Mode:
        """The present mode."""
        return self.mode_state.mode

    @property
    def tick(self) -> Tick | None:
        """What the policy did in the last `step`; None where it had no turn."""
        if self._acted is not None:  # made on demand: the command is not to wait for it
            (step, state, reference, anchor_pos, anchor_quat), inference = self._acted
            self._tick = Tick(
                step=step,
                reference=reference,
                action=self._action,
                joint_error=state.joint_pos - reference.joint_pos,
                anchor_error=None if anchor_pos is None else anchor_pos - reference.anchor_pos,
                anchor_angle=float(quat_error(anchor_quat, reference.anchor_quat)),
                anchor_quat=anchor_quat,
                inference_s=inference.seconds,
            )
            self._acted = None
        return self._tick

    @property
    def anchor_body(self) -> str:
        """Name of the body whose pose the reference tells."""
        return self._meta.anchor_body_name

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

    def configure(self, settings: ControllerSettings) -> None:
        """Take other settings; they hold from the next state on."""
        self._settings = self.supervisor.limits = settings
        self._limits = deployment_limits(self._policy.metadata, self._profile, settings)
        self._stand_limits = stand_limits(self._limits, settings)

    def activate(self) -> None:
        """Begin, from damping, as ``start_mode`` says.

        Raises:
            G1MimicError: while a fault is latched.
        """
        self.mode_state.refuse_when_latched("activate")
        self._forget_states()
        self._active, self._begun = True, False

    def deactivate(self) -> None:
        """Go to damping and stay there."""
        self.mode_state = self.mode_state.stop()
        self._active = False

    def fail(self, reason: str) -> None:
        """Latch a fault and go to damping."""
        self.mode_state = self.mode_state.fail(reason)

    def reset_fault(self) -> None:
        """Forget a latched fault; the mode stays damping."""
        self.mode_state = self.mode_state.clear()
        self.tilted = False
        self._forget_states()

    def _forget_states(self) -> None:
        self._last_state = self._missed_at = None
        self.limit_log.forget()
        self.supervisor.begin()

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
        self.supervisor.begin_following(state)

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
        self._action = self._reference.rest_action()
        self._history.reset()
        self._target = self._reference.frame(0).joint_pos
        self._inference.abandon()
        self._overdue = 0
        self.supervisor.begin_following(state)
        self._step, self._next_tick = 0, state.stamp

    def state_figures(self) -> dict[str, object]:
        """Return what diagnostics show of the measured states."""
        supervisor = self.supervisor
        return {
            "tilt_rad": self.tilt,
            "joint_speed_peak": supervisor.peak_speed,
            "encoder_error_peak_rad": supervisor.peak_encoder_error,
            "following_error_peak_rad": supervisor.peak_following_error,
        }

    def state_warning(self) -> str:
        """Return what is near to a fault, or an empty string."""
        limit = self._settings.tilt_limit
        if self.mode is not Mode.DAMPING and self.tilt > _NEAR * limit:
            return f"the torso is tilted by {self.tilt:.2f} rad (fault at {limit:g})"
        return ""

    def timing_figures(self) -> dict[str, object]:
        """Return how often the policy or its action was late."""
        return {
            "missed_policy_periods": self.missed_ticks,
            "missed_inferences": self.missed_inferences,
        }

    def timing_warning(self) -> str:
        """Return what was late within the last second, or an empty string."""
        if self.mode is not Mode.TRACK:
            return ""
        if self._overdue:
            return f"no new action for {self._overdue} policy period(s)"
        state = self._last_state
        if self._missed_at is not None and state and state.stamp - self._missed_at < 1_000_000_000:
            return "a policy period was missed within the last second"
        return ""

    def step(self, state: RobotState) -> JointCommand:
        """Answer one state. Never raises: whatever goes wrong is a fault, and the answer damping.

        Stamps must grow from call to call.
        """
        self._tick = self._acted = self.hits = None
        if not self._active:
            return self.damping(state)
        try:
            self.supervisor.check(state, moving=self.mode is not Mode.DAMPING)
            if self.needs_odometry and state.base_pos is None:
                raise G1MimicError("the policy needs odometry (topic odom), and there is none")
            return self._respond(state)
        except Exception as error:  # nothing may keep the motors from damping
            self.tilted |= isinstance(error, TiltError)
            self.fail(in_one_line(error))
        return self.damping(state)

    def damping(self, state: RobotState) -> JointCommand:
        """Return the command that only brakes: no stiffness, target where the joints are."""
        finite = np.isfinite(state.joint_pos)
        zero = np.zeros(NUM_JOINTS)
        position = np.where(finite, state.joint_pos, zero)
        return JointCommand(position, zero, self._damping, state.stamp, Mode.DAMPING)

    def _respond(self, state: RobotState) -> JointCommand:
        last, self._last_state = self._last_state, state
        if not self._begun:
            self._begun = True
            if self._settings.start_mode != "damping":
                self.stand()
        if self.mode is Mode.DAMPING:
            return self.damping(state)
        if (
            self.mode is Mode.STAND
            and self._settings.start_mode == "track"
            and self._standing(state)
        ):
            self.track()
        if self.mode is Mode.STAND:
            desired, limits = self._stand_target(state), self._stand_limits
        else:
            desired, limits = self._track(state), self._limits
        dt = 0.0 if last is None else (state.stamp - last.stamp) * 1e-9
        limited = limit_target(desired, self._slewed, state.joint_pos, state.joint_vel, dt, limits)
        self._slewed, self.hits = limited.slewed, limited.hits
        self.limit_log.add(limited.hits)
        return JointCommand(
            limited.target, limits.stiffness, limits.damping, state.stamp, self.mode
        )

    def _standing(self, state: RobotState) -> bool:
        elapsed = (state.stamp - self._stand_since) * 1e-9 if self.mode is Mode.STAND else 0.0
        return elapsed >= self._settings.stand_time

    def _stand_target(self, state: RobotState) -> np.ndarray:
        """Interpolate with zero velocity at both ends."""
        reference = self._reference.frame(0)
        self._check_tilt(self._anchor_quat(state), reference)
        s = min((state.stamp - self._stand_since) * 1e-9 / self._settings.stand_time, 1.0)
        blend = s * s * (3.0 - 2.0 * s)
        target: np.ndarray = self._stand_from + blend * (reference.joint_pos - self._stand_from)
        self.supervisor.check_following(state, target)
        return target

    def _track(self, state: RobotState) -> np.ndarray:
        """Run the policy where its turn has come, else keep its last target."""
        self._collect()
        self._check_tilt(self._anchor_quat(state), self._reference.frame(self._step))
        if state.stamp >= self._next_tick:
            # A late state moves the grid: the policy must not run twice in a row to catch up.
            late = (state.stamp - self._next_tick) // self._period
            self.missed_ticks += late
            if late or self._inference.busy:
                self._missed_at = state.stamp
            self._next_tick += (late + 1) * self._period
            if self._inference.busy:
                self._miss()
            else:
                self._run_policy(state)
            self._step += 1
        self.supervisor.check_following(state, self._reference.frame(self._step - 1).joint_pos)
        return self._target

    def _miss(self) -> None:
        """Count a policy period at whose end the action was not there."""
        self.missed_inferences += 1
        self._overdue += 1
        if self._overdue >= self._settings.max_missed_inferences:
            raise G1MimicError(f"no new action for {self._overdue} policy periods")

    def _run_policy(self, state: RobotState) -> None:
        anchor_pos, anchor_quat = self._anchor(state)
        reference = self._reference.frame(self._step)
        graph = self._reference.graph_input(self._step)
        frame = build_observation(
            self._meta.observation_names,
            ObservationInputs(
                joint_pos=state.joint_pos,
                joint_vel=state.joint_vel,
                base_quat=state.base_quat,
                base_ang_vel=state.base_ang_vel,
                base_lin_vel=self._base_lin_vel(state),
                anchor_pos_w=anchor_pos,
                anchor_quat_w=anchor_quat,
                ref_joint_pos=reference.joint_pos,
                ref_joint_vel=reference.joint_vel,
                ref_anchor_pos_w=reference.anchor_pos,
                ref_anchor_quat_w=reference.anchor_quat,
                default_joint_pos=self._default,
                last_action=self._action + graph.previous_shift,
            ),
        )
        observation = self._history.push(frame)
        self._inference.start(observation, graph.time_step)
        self._action_shift = graph.action_shift
        self._awaited = _Turn(self._step, state, reference, anchor_pos, anchor_quat)
        self._collect(wait=True)

    def _collect(self, *, wait: bool = False) -> None:
        """Take over the action that was waited for, once it is there."""
        result = self._inference.collect(wait=wait)
        if result is None:
            return
        self._overdue = 0
        self._action = action = result.action + self._action_shift
        self._target = action_to_target(action, self._default, self._scale)
        self._acted = self._awaited, result

    def _anchor(self, state: RobotState) -> tuple[np.ndarray | None, np.ndarray]:
        """Return the anchor body's position (None without odometry) and orientation."""
        if self._meta.anchor_body_name == BODY_NAMES[0]:
            return state.base_pos, state.base_quat
        if state.base_pos is None:
            return None, self._anchor_quat(state)
        return torso_pose(state.base_pos, state.base_quat, state.joint_pos[_WAIST])

    def _anchor_quat(self, state: RobotState) -> np.ndarray:
        """Return the anchor body's orientation."""
        if self._meta.anchor_body_name == BODY_NAMES[0]:
            return state.base_quat
        quat: np.ndarray = torso_quat(state.base_quat, state.joint_pos[_WAIST])
        return quat

    def _base_lin_vel(self, state: RobotState) -> np.ndarray | None:
        """Return the velocity [3] of that point of the pelvis which the policy observes."""
        if state.base_lin_vel is None:
            return None
        lever = cross(state.base_ang_vel, self._lin_vel_point)
        velocity: np.ndarray = state.base_lin_vel + lever
        return velocity

    def _check_tilt(self, anchor_quat: np.ndarray, reference: ReferenceFrame) -> None:
        cosine = float(down_in_body(anchor_quat) @ down_in_body(reference.anchor_quat))
        self.tilt = math.acos(min(max(cosine, -1.0), 1.0))
        if self.tilt > self._settings.tilt_limit:
            raise TiltError(
                f"the torso is tilted by {self.tilt:.2f} rad from the reference "
                f"(limit {self._settings.tilt_limit:g})"
            )

    def _require_state(self, wanted: str) -> RobotState:
        if not self._active or self._last_state is None:
            raise G1MimicError(f"cannot {wanted}: the node is not active, or no state has arrived")
        return self._last_state
