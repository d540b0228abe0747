"""The controller goes over to another clip in closed loop with the simulated robot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from g1_mimic.control.modes import Mode
from g1_mimic.deployment.controller import PolicyController
from g1_mimic.deployment.safety import ControllerSettings
from g1_mimic.errors import G1MimicError
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.names import ANCHOR_BODY_NAME
from g1_mimic.robot.profile import load_profile
from g1_mimic.simulation.simulator import Simulator, start_on_floor

PROFILE = load_profile("g1_29dof")


class Loop:
    """A robot on the floor, driven by a policy that balances and was made for ``still``."""

    def __init__(self, path: Path, motion: str, **settings: object) -> None:
        self.policy = OnnxPolicy.load(path)
        frame = self.policy.reference(0)
        start = start_on_floor(
            PROFILE, frame.joint_pos, ANCHOR_BODY_NAME, frame.anchor_pos, frame.anchor_quat
        )
        self.sim = Simulator(PROFILE, start_qpos=start)
        chosen = ControllerSettings.model_validate({"stand_time": 0.2, **settings})
        self.control = PolicyController(self.policy, PROFILE, chosen, motion=motion)
        self.control.activate()
        self.targets: list[np.ndarray] = []

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 500)):
            command = self.control.step(self.sim.state())
            self.targets.append(command.position)
            self.sim.set_target(command)
            if command.mode is Mode.TRACK and self.sim.hoisted:
                self.sim.release()
            self.sim.step()


def test_switching_while_tracking_keeps_the_robot_up(balancing_policy: Path) -> None:
    """There and back again without a fall, and no target jumps."""
    loop = Loop(balancing_policy, "still,wave", blend_time=0.8)
    loop.run(1.5)
    assert loop.control.mode is Mode.TRACK and loop.control.player.current == "still"
    loop.control.switch("wave")
    with pytest.raises(G1MimicError, match="still going over to 'wave'"):
        loop.control.switch("still")
    loop.run(2.0)
    assert loop.control.player.current == "wave" and loop.control.mode is Mode.TRACK
    loop.control.switch("still")
    loop.run(2.0)
    assert loop.control.mode is Mode.TRACK, loop.control.mode_state.fault
    assert loop.sim.data.qpos[2] > 0.7
    steps = np.abs(np.diff(loop.targets, axis=0))
    assert steps.max() <= (PROFILE.velocity_limit * 0.002).max() + 1e-9


def test_switching_in_stand_moves_to_the_new_first_pose(balancing_policy: Path) -> None:
    """From where the targets are, in the time that stand takes; track begins with the new clip."""
    loop = Loop(balancing_policy, "still,wave", start_mode="stand")
    loop.run(0.5)
    before = loop.targets[-1]
    loop.control.switch("wave")
    loop.run(0.02)
    assert np.abs(loop.targets[-1] - before).max() < 0.05
    with pytest.raises(G1MimicError, match="does not stand"):
        loop.control.track()
    loop.run(0.4)
    loop.control.track()
    loop.run(0.02)
    assert loop.control.mode is Mode.TRACK and loop.control.player.current == "wave"


def test_switching_in_damping_chooses_what_comes_next(balancing_policy: Path) -> None:
    """Nothing moves; a name that is not there is refused, and the choice stays."""
    loop = Loop(balancing_policy, "still,wave", start_mode="damping")
    loop.control.switch("wave")
    loop.run(0.02)
    assert loop.control.mode is Mode.DAMPING and loop.control.player.current == "wave"
    with pytest.raises(G1MimicError, match="no motion 'jump'"):
        loop.control.switch("jump")
    assert loop.control.player.names == ("still", "wave")
    assert loop.control.player.strange_names == ("wave",)
