"""Faults on purpose: a YAML file says what breaks when, between the simulation and its topics.

    faults:
      - {kind: dropout, at: 2.0, duration: 0.5}
      - {kind: stuck, at: 4.0, joint: left_knee_joint}

Times are simulated seconds from the first target of mode track on. Sensor faults change the states
on their way out, plant faults the simulated robot, the others the process that reads the file.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from g1_mimic.control.state import RobotState
from g1_mimic.deployment.inference import Acts
from g1_mimic.files import find_file
from g1_mimic.robot.names import JOINT_NAMES
from g1_mimic.settings import Settings, read_mapping, validate

if TYPE_CHECKING:
    from g1_mimic.simulation.simulator import Simulator

_LOCKED = 1e4
"""Damping of a joint that is stuck, N·m·s/rad."""


class Fault(Settings):
    """When something breaks."""

    at: float = Field(ge=0.0)
    """Simulated time from the beginning of tracking, s."""
    duration: float = Field(1e9, gt=0.0)
    """How long it lasts, s; left out: for ever."""

    def active(self, elapsed: float) -> bool:
        """True while it is broken, ``elapsed`` s after tracking began."""
        return self.at <= elapsed < self.at + self.duration


class OfJoint(Fault):
    """A fault of one joint."""

    joint: str
    """Name of the joint."""

    @field_validator("joint")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in JOINT_NAMES:
            raise ValueError(f"'{value}' is no joint of the robot")
        return value

    @property
    def index(self) -> int:
        """Place in ``JOINT_NAMES``."""
        return JOINT_NAMES.index(self.joint)


class Dropout(Fault):
    """No state arrives."""

    kind: Literal["dropout"]


class Delay(Fault):
    """States arrive late, with the stamps of their measurement."""

    kind: Literal["delay"]
    seconds: float = Field(gt=0.0, le=10.0)


class Jitter(Fault):
    """States arrive late by a random time, in their order."""

    kind: Literal["jitter"]
    seconds: float = Field(gt=0.0, le=10.0)
    """Largest delay."""
    seed: int = Field(0, ge=0)


class NotANumber(OfJoint):
    """A joint's angle is NaN."""

    kind: Literal["nan"]


class Frozen(Fault):
    """A sensor repeats its last measurement with new stamps."""

    kind: Literal["frozen"]
    sensor: Literal["joints", "imu"] = "joints"


class FrozenJoint(OfJoint):
    """One joint's angle and speed stay what they were."""

    kind: Literal["frozen_joint"]


class Stuck(OfJoint):
    """A joint does not turn any more."""

    kind: Literal["stuck"]


class Push(Fault):
    """The robot is pushed, once."""

    kind: Literal["push"]
    speed: float = Field(gt=0.0, le=10.0)
    """Change of velocity, m/s."""
    direction: float = Field(0.0, ge=-3.15, le=3.15)
    """From the world's x axis, rad."""


class LowFriction(Fault):
    """The floor is slippery."""

    kind: Literal["low_friction"]
    friction: float = Field(ge=0.0, le=1.0)


class SlowInference(Fault):
    """The network takes longer, by the wall clock (which lock-step waits for)."""

    kind: Literal["slow_inference"]
    seconds: float = Field(gt=0.0, le=10.0)


class BrokenInference(Fault):
    """The network raises an exception."""

    kind: Literal["exception"]


class Killed(Fault):
    """A process is killed, without a chance to say anything."""

    kind: Literal["kill_policy", "kill_sim"]


AnyFault = Annotated[
    Dropout
    | Delay
    | Jitter
    | NotANumber
    | Frozen
    | FrozenJoint
    | Stuck
    | Push
    | LowFriction
    | SlowInference
    | BrokenInference
    | Killed,
    Field(discriminator="kind"),
]


class FaultPlan(Settings):
    """All that breaks."""

    faults: tuple[AnyFault, ...] = ()


def load_faults(name: str) -> FaultPlan:
    """Read a file of faults; an empty name means none.

    Raises:
        G1MimicError: one line with the first mistake.
    """
    if not name:
        return FaultPlan()
    path = find_file(name, subdirs=["config"], suffixes=[".yaml"], what="faults")
    return validate(FaultPlan, read_mapping(path), path)


class FaultInjector:
    """Breaks a simulated robot and what it measures.

    Args:
        plan: what breaks when.
    """

    def __init__(self, plan: FaultPlan) -> None:
        self._plan = plan
        self._began: int | None = None
        self._queue: deque[tuple[int, RobotState]] = deque()
        self._kept: RobotState | None = None
        self._pushed: set[int] = set()
        self._saved: dict[str, np.ndarray] = {}
        seed = next((f.seed for f in plan.faults if isinstance(f, Jitter)), 0)
        self._rng = np.random.default_rng(seed)

    def begin(self, stamp: int) -> None:
        """Tracking begins at ``stamp``, ns; only the first time counts."""
        if self._began is None:
            self._began = stamp

    def _active(self, stamp: int) -> list[tuple[int, Fault]]:
        if self._began is None:
            return []
        elapsed = (stamp - self._began) * 1e-9
        return [(i, f) for i, f in enumerate(self._plan.faults) if f.active(elapsed)]

    def act_on(self, sim: Simulator) -> None:
        """Break the robot itself, before a step."""
        if not self._plan.faults:
            return
        model = sim.model
        if not self._saved:
            self._saved = {
                "dof_damping": model.dof_damping.copy(),
                "geom_friction": model.geom_friction.copy(),
            }
        damping = self._saved["dof_damping"].copy()
        friction = self._saved["geom_friction"].copy()
        for number, fault in self._active(sim.time_ns):
            if isinstance(fault, Stuck):
                damping[6 + fault.index] = _LOCKED
            elif isinstance(fault, LowFriction):
                friction[:, 0] = fault.friction
            elif isinstance(fault, Push) and number not in self._pushed:
                self._pushed.add(number)
                sim.push(fault.speed, fault.direction)
            elif isinstance(fault, Killed) and fault.kind == "kill_sim":
                os.kill(os.getpid(), signal.SIGKILL)
        model.dof_damping[:], model.geom_friction[:] = damping, friction

    def deliver(self, state: RobotState) -> list[RobotState]:
        """Return the states that arrive when ``state`` is measured: it, others, or none."""
        if not self._plan.faults:
            return [state]
        lost, wait = False, 0.0
        for _, fault in self._active(state.stamp):
            if isinstance(fault, Dropout):
                lost = True
            elif isinstance(fault, Delay):
                wait = max(wait, fault.seconds)
            elif isinstance(fault, Jitter):
                wait = max(wait, float(self._rng.uniform(0.0, fault.seconds)))
            else:
                state = self._spoil(state, fault)
        # The value from before a sensor froze is the one that it repeats.
        self._kept = state
        if not lost:
            due = state.stamp + round(wait * 1e9)
            # A late state holds up those behind it: a stream keeps its order.
            self._queue.append((max(due, self._queue[-1][0]) if self._queue else due, state))
        arrived = []
        while self._queue and self._queue[0][0] <= state.stamp:
            arrived.append(self._queue.popleft()[1])
        return arrived

    def _spoil(self, state: RobotState, fault: Fault) -> RobotState:
        """Return the state as broken sensors show it."""
        kept = self._kept or state
        if isinstance(fault, NotANumber):
            joint_pos = state.joint_pos.copy()
            joint_pos[fault.index] = np.nan
            return replace(state, joint_pos=joint_pos)
        if isinstance(fault, FrozenJoint):
            joint_pos, joint_vel = state.joint_pos.copy(), state.joint_vel.copy()
            joint_pos[fault.index] = kept.joint_pos[fault.index]
            joint_vel[fault.index] = kept.joint_vel[fault.index]
            return replace(state, joint_pos=joint_pos, joint_vel=joint_vel)
        if isinstance(fault, Frozen) and fault.sensor == "joints":
            return replace(state, joint_pos=kept.joint_pos, joint_vel=kept.joint_vel)
        if isinstance(fault, Frozen):
            return replace(state, base_quat=kept.base_quat, base_ang_vel=kept.base_ang_vel)
        return state


class FaultyPolicy:
    """A policy that is slow, raises, or whose process dies, when the plan says so.

    Args:
        policy: what acts.
        plan: what breaks when.
        period: time between two calls, s.
    """

    def __init__(self, policy: Acts, plan: FaultPlan, period: float) -> None:
        self._policy, self._plan, self._period = policy, plan, period
        self._calls = 0

    def act(self, obs: np.ndarray, time_step: int) -> np.ndarray:
        """Act, after what is to happen first."""
        elapsed = self._calls * self._period
        self._calls += 1
        for fault in self._plan.faults:
            if not fault.active(elapsed):
                continue
            if isinstance(fault, SlowInference):
                time.sleep(fault.seconds)
            elif isinstance(fault, BrokenInference):
                raise RuntimeError("broken on purpose")
            elif isinstance(fault, Killed) and fault.kind == "kill_policy":
                os.kill(os.getpid(), signal.SIGKILL)
        return self._policy.act(obs, time_step)
