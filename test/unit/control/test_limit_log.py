"""Which limits held commands is counted right, however rarely somebody asks."""

from __future__ import annotations

import numpy as np

from g1_mimic.control.limit_log import LimitLog
from g1_mimic.control.pd_target import LimitHits
from g1_mimic.robot.names import JOINT_NAMES, NUM_JOINTS


def hits(**joints: list[int]) -> LimitHits:
    """Return which joints each limit held."""
    rows = {name: np.zeros(NUM_JOINTS, bool) for name in LimitHits._fields}
    for name, indices in joints.items():
        rows[name][indices] = True
    return LimitHits(**rows)


def test_totals_count_commands_whenever_they_are_asked_for() -> None:
    """Asked for every 7 commands, every 300, or once: the same, and beyond what is kept."""
    rng = np.random.default_rng(0)
    commands = [LimitHits(*(rng.random((3, NUM_JOINTS)) < 0.02)) for _ in range(1234)]
    expected = {
        name: sum(bool(getattr(c, name).any()) for c in commands) for name in LimitHits._fields
    }
    for interval in (7, 300, 10_000):
        log = LimitLog()
        for number, command in enumerate(commands):
            log.add(command)
            if number % interval == 0:
                log.totals()
        assert log.totals() == expected


def test_a_limit_that_holds_a_joint_for_a_second_is_told() -> None:
    """Not before a second is over, not any more after a second of freedom, nor after `forget`."""
    log = LimitLog()
    for _ in range(499):
        log.add(hits(torque=[3, 4]))
    assert log.warning() == ""
    log.add(hits(torque=[3, 4]))
    assert log.warning() == f"limited for the last second: torque of {JOINT_NAMES[3]} and 1 more"
    log.forget()
    assert log.warning() == "" and log.totals()["torque"] == 500
    for _ in range(500):
        log.add(hits(velocity=[5]))
    assert log.warning() == f"limited for the last second: velocity of {JOINT_NAMES[5]}"
    for _ in range(500):
        log.add(hits())
    assert log.warning() == ""
    assert log.totals() == {"position": 0, "velocity": 500, "torque": 500}
