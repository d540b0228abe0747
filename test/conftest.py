"""What all tests share: where the checkout is and where the shared recordings are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Tests command a robot by its topics: they must never reach one that is on the network.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
# The networks here are small: threads that wait for one another only slow the tests down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recordings beside the checkout; a test that asks for it skips without it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no shared recordings at {folder}")
    return folder
