"""What the tests of the deployment nodes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import subprocess


@pytest.fixture
def watcher() -> Iterator[Any]:
    pytest.importorskip("rclpy")
    from deploy_processes import Watcher

    result = Watcher()
    yield result
    result.close()


@pytest.fixture
def pair(
    watcher: Any, balancing_policy: Path
) -> Iterator[tuple[subprocess.Popen[str], subprocess.Popen[str]]]:
    """Both nodes in real time, the robot in its hoist, where a slow machine does no harm."""
    from deploy_processes import running

    shared = {"policy": balancing_policy}
    choices = {"autostart": True, "odometry": True, "start_mode": "stand", "stand_time": 0.3}
    patient = {"state_timeout": 2.0, "max_missed_inferences": 50}
    with (
        running("mujoco_sim", **shared, watchdog_periods=25) as sim,
        running("policy", **shared, **choices, **patient) as policy,
    ):
        watcher.wait_for(lambda: watcher.modes[-1:] == ["stand"], "mode stand")
        watcher.wait_for(lambda: watcher.said("mujoco_sim") == "in the hoist", "driven robot")
        yield sim, policy
