"""A node as a process of its own, and a node beside it that hears and calls it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

WAIT = 60.0
"""Wall time that anything may take on a busy machine, s."""


def start(
    node: str, script: Path | None = None, options: Iterable[str] = (), **parameters: Any
) -> subprocess.Popen[str]:
    """Start a node of the package, or a script in its place, with parameters and ROS options."""
    program = [str(script)] if script else ["-m", "g1_mimic.nodes.executables", node]
    command = [sys.executable, *program, "--ros-args", *options]
    for name, value in parameters.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        command += ["-p", f"{name}:={text}"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    )


@contextmanager
def running(
    node: str, script: Path | None = None, options: Iterable[str] = (), **parameters: Any
) -> Iterator[subprocess.Popen[str]]:
    """A node that is gone at the end, whatever happens."""
    process = start(node, script, options, **parameters)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=WAIT)


class Client:
    """A node that hears others and calls their services; subclasses subscribe."""

    def __init__(self, name: str) -> None:
        rclpy.init()
        self.node = rclpy.create_node(name)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)

    def heard(self) -> str:
        """What has been heard so far, for the message of a wait in vain."""
        return ""

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.01)

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + WAIT
        while not condition():
            assert time.monotonic() < deadline, f"no {what}; {self.heard()}"
            self.executor.spin_once(timeout_sec=0.02)

    def call(self, kind: Any, service: str, request: Any) -> Any:
        client = self.node.create_client(kind, service)
        self.wait_for(client.service_is_ready, f"service {service}")
        future = client.call_async(request)
        self.wait_for(future.done, f"answer of {service}")
        return future.result()

    def trigger(self, service: str) -> Any:
        return self.call(Trigger, service, Trigger.Request())

    def set(self, node: str, name: str, value: Any) -> Any:
        """Set a parameter of a node."""
        parameter = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        return self.call(SetParameters, f"/{node}/set_parameters", request).results[0]
