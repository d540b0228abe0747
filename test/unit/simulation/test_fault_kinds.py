"""Faults on purpose: one table of kinds, which the file's check, errors and the page follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import Field

from g1_mimic.control.state import RobotState
from g1_mimic.errors import G1MimicError
from g1_mimic.robot.profile import load_profile
from g1_mimic.simulation.fault_kinds import (
    FAULT_KINDS,
    Fault,
    fault_kinds_table,
    load_faults,
    read_fault,
)
from g1_mimic.simulation.injected_faults import FaultInjector, FaultyPolicy
from g1_mimic.simulation.simulator import STATE_PERIOD_NS, Simulator

KNEE = "left_knee_joint"


def fault_file(folder: Path, *entries: dict[str, Any]) -> str:
    path = folder / "faults.yaml"
    path.write_text(yaml.safe_dump({"faults": list(entries)}))
    return str(path)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"kind": "dropouts", "at": 1.0}, "did you mean 'dropout'?"),
        ({"kind": "earthquake", "at": 1.0}, "none of dropout, delay, jitter"),
        ({"at": 1.0}, "none of dropout"),
        ({"kind": "nan", "at": 1.0, "joint": "left_knie_joint"}, "did you mean 'left_knee_joint'?"),
        ({"kind": "push", "at": -1.0, "speed": 1.0}, "at: Input should be greater than or equal"),
        ({"kind": "delay", "at": 1.0}, "seconds: Field required"),
        ({"kind": "stuck", "at": 1.0, "joint": KNEE, "jiont": KNEE}, "did you mean 'joint'?"),
    ],
)
def test_a_wrong_fault_is_named(entry: dict[str, Any], words: str, tmp_path: Path) -> None:
    """One line with the file, the place and the mistake."""
    right = {"kind": "dropout", "at": 0.0}
    with pytest.raises(G1MimicError) as caught:
        load_faults(fault_file(tmp_path, right, entry))
    message = str(caught.value)
    assert "faults.yaml: faults.1" in message and words in message and "\n" not in message


class LooseScrews(Fault):
    """Everything gets lighter."""

    left: float = Field(0.5, gt=0.0, le=1.0)
    """Share of each mass that stays."""
    changes = ("body_mass",)

    def on_robot(self, sim: Simulator, begins: bool) -> None:
        sim.model.body_mass *= self.left


def test_one_more_kind_is_known_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An entry in the table: the file takes it, errors and page name it, and it acts in time."""
    monkeypatch.setitem(FAULT_KINDS, "loose_screws", LooseScrews)
    (fault,) = load_faults(
        fault_file(tmp_path, {"kind": "loose_screws", "at": 0.004, "duration": 0.004})
    )
    for entry, words in (
        ({"kind": "loose_screw", "at": 0.0}, "did you mean 'loose_screws'?"),
        ({"kind": "x", "at": 0.0}, "loose_screws"),
        ({"kind": "loose_screws", "at": 0.0, "leftt": 1.0}, "did you mean 'left'?"),
        ({"kind": "loose_screws", "at": 0.0, "left": 2.0}, "less than or equal to 1"),
    ):
        with pytest.raises(G1MimicError, match=words.replace("?", "\\?")):
            read_fault(entry, "test")
    row = next(row for row in fault_kinds_table() if row.kind == "loose_screws")
    assert row.description == "Everything gets lighter."
    (left,) = row.parameters
    assert (left.key, left.values, left.default) == ("left", "number, > 0, ≤ 1", "0.5")
    assert left.description == "Share of each mass that stays."
    sim, injector = Simulator(load_profile("g1_29dof")), FaultInjector((fault,))
    whole, shares = sim.model.body_mass.sum(), []
    injector.begin(sim.time_ns)
    for _ in range(6):
        injector.act_on(sim)
        sim.step()
        shares.append(sim.model.body_mass.sum() / whole)
    assert shares == [1.0, 1.0, 0.5, 0.5, 1.0, 1.0]


def test_the_table_tells_every_key_of_every_kind() -> None:
    """Defaults, choices and meanings; what must be given has no default."""
    rows = {row.kind: row for row in fault_kinds_table()}
    assert list(rows) == list(FAULT_KINDS)
    assert all(
        row.description and all(p.description for p in row.parameters) for row in rows.values()
    )
    assert [p.key for p in rows["push"].parameters] == ["speed", "direction"]
    assert rows["stuck"].parameters[0].default == "" != rows["frozen"].parameters[0].default


def test_late_states_keep_their_order_and_each_jitter_its_seed() -> None:
    """Two jitters: a state waits for the longer of both delays and for those before it."""
    entries = [{"kind": "jitter", "at": 0.0, "seconds": 0.01, "seed": seed} for seed in (1, 2)]
    injector = FaultInjector(tuple(read_fault(entry, "test") for entry in entries))
    injector.begin(0)
    arrived: list[tuple[int, int]] = []
    for stamp in range(0, 100 * STATE_PERIOD_NS, STATE_PERIOD_NS):
        state = RobotState(stamp, *(np.zeros(n) for n in (29, 29, 4, 3)))
        arrived += [(stamp, came.stamp) for came in injector.deliver(state)]
    draws = np.maximum(*(np.random.default_rng(s).uniform(0.0, 0.01, 100) for s in (1, 2)))
    due = np.maximum.accumulate(np.arange(100) * 0.002 + draws)
    wanted = np.ceil(np.round(due / 0.002, 6)).astype(int) * STATE_PERIOD_NS
    assert [stamp for _, stamp in arrived] == sorted(stamp for _, stamp in arrived)
    assert [at for at, _ in arrived] == [at for at in wanted if at < 100 * STATE_PERIOD_NS]


def test_a_slow_policy_is_slow_when_the_plan_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are counted in policy periods; before and after the fault nothing waits."""
    slept: list[float] = []
    monkeypatch.setattr("g1_mimic.simulation.fault_kinds.time.sleep", slept.append)

    class Still:
        def act(self, obs: np.ndarray, time_step: int) -> np.ndarray:
            return obs

    entry = {"kind": "slow_inference", "at": 0.04, "duration": 0.06, "seconds": 0.5}
    faulty = FaultyPolicy(Still(), (read_fault(entry, "test"),), 0.02)
    for call in range(8):
        faulty.act(np.zeros(3), 0)
        assert len(slept) == min(max(call - 1, 0), 3)
