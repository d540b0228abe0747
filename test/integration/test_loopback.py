"""What the tests' nodes may reach: this machine and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from ros_process import Client

LOOPBACK = "0100007F"
"""127.0.0.1 as the kernel prints it."""


@pytest.mark.skipif(
    "FASTDDS_DEFAULT_PROFILES_FILE" not in os.environ, reason="the profile is for Fast DDS"
)
def test_nodes_listen_on_the_loopback_alone() -> None:
    client = Client("recluse")
    try:
        own = {os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}
        rows = [line.split() for line in Path("/proc/self/net/udp").read_text().splitlines()[1:]]
        addresses = {row[1].split(":")[0] for row in rows if f"socket:[{row[9]}]" in own}
    finally:
        client.close()
    assert addresses == {LOOPBACK}
