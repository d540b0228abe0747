"""The deployed controller: state in, safe motor command out. No ROS, no clock but the states'."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from g1_mimic.control.limit_log import LimitLog
from g1_mimic.control.modes import Mode, ModeState
from g1_mimic.control.pd_target import LimitHits, limit_target
from g1_mimic.control.state import JointCommand, RobotState
from g1_mimic.control.supervision import StateSupervisor
from g1_mimic.deployment.inference import InferenceRunner
from g1_mimic.deployment.player import MotionPlayer, clips_for
from g1_mimic.deployment.safety import (
    ControllerSettings,
    TiltError,
    check_default_pose,
    deployment_limits,
    stand_limits,
    tilt_between,
)
from g1_mimic.deployment.stages import Lateness, Standing, Tracking
from g1_mimic.deployment.tick import Tick
from g1_mimic.envs.observations import Observer
from g1_mimic.errors import BadState, in_one_line
from g1_mimic.robot.names import NUM_JOINTS

if TYPE_CHECKING:
    from g1_mimic.policy.runtime import OnnxPolicy
    from g1_mimic.robot.profile import RobotProfile

_NEAR = 0.7
"""Fraction of the tilt limit from which on diagnostics warn."""


class PolicyController:
    """Runs a policy behind the mode machine and the limiter.

    `step` takes every state (500 Hz) and always answers, with damping if anything is wrong. What
    is wanted of the robot comes from a stage (`Standing`, `Tracking`), made when its mode begins.
    The policy itself runs on those states whose stamps reach its own rate (50 Hz), so that real
    time and lock-step take the same path.

    Args:
        policy: what acts.
        profile: of the robot, whose limits hold.
        settings: see there; `configure` replaces them.
        motion: what is tracked, as `deployment.player.clips_for` reads it.
        inference: runs the policy; None: at once, in `step`.

    Attributes:
        observer: what the policy observes.
        player: what it tracks.
        mode_state: mode and latched fault.
        hits: which limits the last command ran into; None in damping.
        limit_log: which limits commands ran into.
        tilted: the latched fault is a tilt: the robot fell.
        lateness: how often the policy or its action was late.
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
        self._profile, self._meta = profile, policy.metadata
        self._inference = inference or InferenceRunner(policy)
        self.supervisor = StateSupervisor(profile, settings)
        self.configure(settings)
        check_default_pose(self._meta, profile)
        self.observer = Observer(
            self._meta.observation_names,
            np.asarray(self._meta.default_joint_pos, dtype=np.float64),
            self._meta.anchor_body_name,
            self._meta.base_lin_vel_point,
        )
        self.player = MotionPlayer(policy, clips_for(policy, motion, profile))
        self.mode_state = ModeState()
        self._stage: Standing | Tracking | None = None
        self.hits: LimitHits | None = None
        self.limit_log = LimitLog()
        self.tilted = False
        self.lateness = Lateness()
        self.tilt = 0.0
        self._active = False
        self._last_state: RobotState | None = None
        self._slewed = self.observer.default_joint_pos
        self._begun = False

    @property
    def mode(self) -> Mode:
        """The present mode."""
        return self.mode_state.mode

    @property
    def tick(self) -> Tick | None:
        """What the policy did in the last `step`; None where it had no turn."""
        return self._stage.tick if isinstance(self._stage, Tracking) else None

    def configure(self, settings: ControllerSettings) -> None:
        """Take other settings; they hold from the next state on."""
        self._settings = self.supervisor.limits = settings
        limits = deployment_limits(self._meta, self._profile, settings)
        self._limits = {Mode.TRACK: limits, Mode.STAND: stand_limits(limits, settings)}

    # Transitions --------------------------------------------------------------------------------

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
        self.stop()
        self._active = False

    def stop(self) -> None:
        """Go to damping by choice."""
        self._damp(self.mode_state.stop())

    def fail(self, reason: str) -> None:
        """Latch a fault and go to damping."""
        self._damp(self.mode_state.fail(reason))

    def reset_fault(self) -> None:
        """Forget a latched fault; the mode stays damping."""
        self._damp(self.mode_state.clear())
        self.tilted = False
        self._forget_states()

    def _damp(self, mode_state: ModeState) -> None:
        self.mode_state, self._stage = mode_state, None

    def _forget_states(self) -> None:
        self._last_state = self.lateness.at = None
        self.limit_log.forget()
        self.supervisor.begin()

    def stand(self) -> None:
        """Move from the measured pose to the clip's first one.

        Raises:
            G1MimicError: while not active, without a state, or with a latched fault.
        """
        state = self._require_state("stand")
        self.mode_state = self.mode_state.stand()
        self.player.rewind()
        self._slewed = state.joint_pos.copy()
        self._stand_from(self._slewed, state)
        self.supervisor.begin_following(state)

    def _stand_from(self, start: np.ndarray, state: RobotState) -> None:
        first, seconds = self.player.frame(0), self._settings.stand_time
        self._stage = Standing(start, state.stamp, first, seconds)

    def track(self) -> None:
        """Begin to track the clip from its first frame, aligned to where the robot is.

        Raises:
            G1MimicError: while not active, not standing, or with a latched fault.
        """
        state = self._require_state("track")
        if self.mode is Mode.TRACK:
            return
        mode_state = self.mode_state.track(standing=self._standing(state))
        self._stage = Tracking(
            self._meta, self.observer, self.player, self._inference, self.lateness, state
        )
        self.mode_state = mode_state
        self.supervisor.begin_following(state)

    def switch(self, name: str) -> None:
        """Go over to another clip: while tracking, blended from where the present one is.

        In stand the robot moves to the new clip's first pose, in damping it is what comes next.

        Raises:
            G1MimicError: if there is no such clip, or the last switch is not over yet.
        """
        if self._stage is None:
            self.player.select(name)
            return
        state = self._require_state("switch")
        if isinstance(self._stage, Standing):
            self.player.select(name)
            self._stand_from(self._slewed, state)
            return
        anchor_pos, anchor_quat = self.observer.anchor(state)
        seconds = self._settings.blend_time
        self.player.switch(name, self._stage.step, anchor_pos, anchor_quat, seconds)

    def _standing(self, state: RobotState) -> bool:
        return isinstance(self._stage, Standing) and self._stage.arrived(state.stamp)

    def _require_state(self, wanted: str) -> RobotState:
        if not self._active or self._last_state is None:
            raise BadState(f"cannot {wanted}: the node is not active, or no state has arrived")
        return self._last_state

    # States -------------------------------------------------------------------------------------

    def step(self, state: RobotState) -> JointCommand:
        """Answer one state. Never raises: whatever goes wrong is a fault, and the answer damping.

        Stamps must grow from call to call.
        """
        self.hits = None
        if not self._active:
            return self.damping(state)
        try:
            self.supervisor.check(state, moving=self.mode is not Mode.DAMPING)
            if self.observer.needs_odometry and state.base_pos is None:
                raise BadState("the policy needs odometry (topic odom), and there is none")
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
        return JointCommand(position, zero, self._profile.damping, state.stamp, Mode.DAMPING)

    def _respond(self, state: RobotState) -> JointCommand:
        last, self._last_state = self._last_state, state
        if not self._begun:
            self._begun = True
            if self._settings.start_mode != "damping":
                self.stand()
        if self._settings.start_mode == "track" and self._standing(state):
            self.track()
        if self._stage is None:
            return self.damping(state)
        desired = self._desired(self._stage, state)
        dt = 0.0 if last is None else (state.stamp - last.stamp) * 1e-9
        limits = self._limits[self.mode]
        limited = limit_target(desired, self._slewed, state.joint_pos, state.joint_vel, dt, limits)
        self._slewed, self.hits = limited.slewed, limited.hits
        self.limit_log.add(limited.hits)
        return JointCommand(
            limited.target, limits.stiffness, limits.damping, state.stamp, self.mode
        )

    def _desired(self, stage: Standing | Tracking, state: RobotState) -> np.ndarray:
        """Return what the stage wants [29], rad, while the robot keeps to it."""
        anchor_quat = self.observer.anchor_quat(state)
        self.tilt = tilt_between(anchor_quat, stage.reference.anchor_quat)
        if self.tilt > (limit := self._settings.tilt_limit):
            raise TiltError(
                f"the torso is tilted by {self.tilt:.2f} rad from the reference (limit {limit:g})"
            )
        desired = stage.target(state, self._settings)
        self.supervisor.check_following(state, stage.followed)
        return desired

    # Diagnostics --------------------------------------------------------------------------------

    def state_warning(self) -> str:
        """Return what is near to a fault, or an empty string."""
        limit = self._settings.tilt_limit
        if self.mode is not Mode.DAMPING and self.tilt > _NEAR * limit:
            return f"the torso is tilted by {self.tilt:.2f} rad (fault at {limit:g})"
        return ""

    def timing_warning(self) -> str:
        """Return what was late within the last second, or an empty string."""
        state = self._last_state
        return self.lateness.warning(state.stamp) if state and self.mode is Mode.TRACK else ""
