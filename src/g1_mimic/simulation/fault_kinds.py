"""What can be broken on purpose: the kinds of `FAULT_KINDS`, and the YAML file that asks for them.

    faults:
      - {kind: dropout, at: 2.0, duration: 0.5}
      - {kind: stuck, at: 4.0, joint: left_knee_joint}

Times are simulated seconds from the first target of mode track on. A kind acts in one of three
places: on the robot (``on_robot``), on what its sensors say (``on_state``, ``delays``) or on the
policy's network (``on_inference``). One more kind is one more class in the table: the check of the
file, its error messages and `fault_kinds_table` follow.
"""

from __future__ import annotations

import itertools
import math
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, field_validator

from g1_mimic.control.state import RobotState
from g1_mimic.errors import BadValue
from g1_mimic.files import find_file
from g1_mimic.robot.names import JOINT_NAMES
from g1_mimic.settings import (
    SettingRow,
    Settings,
    did_you_mean,
    read_mapping,
    settings_rows,
    validate,
)

if TYPE_CHECKING:
    from g1_mimic.simulation.simulator import Simulator

_LOCKED = 1e4
"""Damping of a joint that is stuck, N·m·s/rad."""


class Fault(Settings):
    """When something breaks."""

    at: float = Field(ge=0.0)
    """Simulated time from the beginning of tracking, s."""
    duration: float = Field(math.inf, gt=0.0)
    """How long it lasts, s; left out: for ever."""

    changes: ClassVar[tuple[str, ...]] = ()
    """Arrays of the MuJoCo model that ``on_robot`` writes: they are whole again afterwards."""

    def active(self, elapsed: float) -> bool:
        """True while it is broken, ``elapsed`` s after tracking began."""
        return self.at <= elapsed < self.at + self.duration

    def on_robot(self, sim: Simulator, begins: bool) -> None:
        """Break the robot, before each step; ``begins``: before the first one."""

    def on_state(self, state: RobotState, before: RobotState) -> RobotState:
        """Return a state as the broken sensors show it; ``before`` is what they showed last."""
        return state

    def delays(self) -> Iterator[float]:
        """Yield for one state after the other how late it is, s; infinity: it never arrives."""
        return itertools.repeat(0.0)

    def on_inference(self) -> None:
        """Break the policy's network, before each inference."""


class OfJoint(Fault):
    """A fault of one joint."""

    joint: str
    """Name of the joint."""

    @field_validator("joint")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in JOINT_NAMES:
            near = did_you_mean(value, JOINT_NAMES)
            raise ValueError(f"'{value}' is no joint of the robot{near}")
        return value

    @property
    def index(self) -> int:
        """Place in ``JOINT_NAMES``."""
        return JOINT_NAMES.index(self.joint)


class Dropout(Fault):
    """No state arrives."""

    def delays(self) -> Iterator[float]:
        return itertools.repeat(math.inf)


class Delay(Fault):
    """States arrive late, with the stamps of their measurement."""

    seconds: float = Field(gt=0.0, le=10.0)
    """How late, s."""

    def delays(self) -> Iterator[float]:
        return itertools.repeat(self.seconds)


class Jitter(Fault):
    """States arrive late by a random time, in their order."""

    seconds: float = Field(gt=0.0, le=10.0)
    """Largest delay, s."""
    seed: int = Field(0, ge=0)
    """Of the delays."""

    def delays(self) -> Iterator[float]:
        rng = np.random.default_rng(self.seed)
        while True:
            yield float(rng.uniform(0.0, self.seconds))


class NotANumber(OfJoint):
    """A joint's angle is NaN."""

    def on_state(self, state: RobotState, before: RobotState) -> RobotState:
        joint_pos = state.joint_pos.copy()
        joint_pos[self.index] = np.nan
        return replace(state, joint_pos=joint_pos)


class Frozen(Fault):
    """A sensor repeats its last measurement with new stamps."""

    sensor: Literal["joints", "imu"] = "joints"
    """Which one."""

    def on_state(self, state: RobotState, before: RobotState) -> RobotState:
        if self.sensor == "joints":
            return replace(state, joint_pos=before.joint_pos, joint_vel=before.joint_vel)
        return replace(state, base_quat=before.base_quat, base_ang_vel=before.base_ang_vel)


class FrozenJoint(OfJoint):
    """One joint's angle and speed stay what they were."""

    def on_state(self, state: RobotState, before: RobotState) -> RobotState:
        joint_pos, joint_vel = state.joint_pos.copy(), state.joint_vel.copy()
        joint_pos[self.index] = before.joint_pos[self.index]
        joint_vel[self.index] = before.joint_vel[self.index]
        return replace(state, joint_pos=joint_pos, joint_vel=joint_vel)


class Stuck(OfJoint):
    """A joint does not turn any more."""

    changes = ("dof_damping",)

    def on_robot(self, sim: Simulator, begins: bool) -> None:
        sim.model.dof_damping[6 + self.index] = _LOCKED


class Push(Fault):
    """The robot is pushed, once."""

    speed: float = Field(gt=0.0, le=10.0)
    """Change of velocity, m/s."""
    direction: float = Field(0.0, ge=-3.15, le=3.15)
    """From the world's x axis, rad."""

    def on_robot(self, sim: Simulator, begins: bool) -> None:
        if begins:
            sim.push(self.speed, self.direction)


class LowFriction(Fault):
    """The floor is slippery."""

    friction: float = Field(ge=0.0, le=1.0)
    """Coefficient of sliding friction."""
    changes = ("geom_friction",)

    def on_robot(self, sim: Simulator, begins: bool) -> None:
        sim.model.geom_friction[:, 0] = self.friction


class SlowInference(Fault):
    """The network takes longer, by the wall clock (which lock-step waits for)."""

    seconds: float = Field(gt=0.0, le=10.0)
    """How much longer, s."""

    def on_inference(self) -> None:
        time.sleep(self.seconds)


class BrokenInference(Fault):
    """The network raises an exception."""

    def on_inference(self) -> None:
        raise RuntimeError("broken on purpose")


class KillPolicy(Fault):
    """The policy node's process is killed, without a chance to say anything."""

    def on_inference(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class KillSim(Fault):
    """The simulation's process is killed, without a chance to say anything."""

    def on_robot(self, sim: Simulator, begins: bool) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


FAULT_KINDS: dict[str, type[Fault]] = {
    "dropout": Dropout,
    "delay": Delay,
    "jitter": Jitter,
    "nan": NotANumber,
    "frozen": Frozen,
    "frozen_joint": FrozenJoint,
    "stuck": Stuck,
    "push": Push,
    "low_friction": LowFriction,
    "slow_inference": SlowInference,
    "exception": BrokenInference,
    "kill_policy": KillPolicy,
    "kill_sim": KillSim,
}
"""What can be broken on purpose, by the names that the file gives."""


class _File(Settings):
    """A file of faults."""

    faults: tuple[dict[str, Any], ...] = ()


def load_faults(name: str) -> tuple[Fault, ...]:
    """Read a file of faults; an empty name means none.

    Raises:
        G1MimicError: one line with the first mistake.
    """
    if not name:
        return ()
    path = find_file(name, subdirs=["config"], suffixes=[".yaml"], what="faults")
    entries = validate(_File, read_mapping(path), path).faults
    return tuple(
        read_fault(entry, f"{path}: faults.{number}") for number, entry in enumerate(entries)
    )


def read_fault(entry: dict[str, Any], source: str) -> Fault:
    """Return the fault that one entry of a file asks for.

    Raises:
        G1MimicError: one line with the first mistake, which begins with ``source``.
    """
    values = dict(entry)
    kind = str(values.pop("kind", ""))
    if kind not in FAULT_KINDS:
        near = did_you_mean(kind, FAULT_KINDS)
        raise BadValue(f"{source}: kind '{kind}' is none of {', '.join(FAULT_KINDS)}{near}")
    return validate(FAULT_KINDS[kind], values, source)


class FaultKindRow(NamedTuple):
    """One kind of fault, as people read of it."""

    kind: str
    parameters: tuple[SettingRow, ...]
    """Its keys in the file, besides ``at`` and ``duration``."""
    description: str


def fault_kinds_table() -> list[FaultKindRow]:
    """Return all kinds in the order of `FAULT_KINDS`."""
    return [
        FaultKindRow(
            name,
            tuple(row for row in settings_rows(kind) if row.key not in Fault.model_fields),
            " ".join((kind.__doc__ or "").split()),
        )
        for name, kind in FAULT_KINDS.items()
    ]
