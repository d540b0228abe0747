"""A ROS package made for the tests, and the ros2 command under test.

``ROS2_COMMAND`` names another ros2 to run the same tests against, such as the real one.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

ROOT = Path(__file__).parents[1]
REAL = "ROS2_COMMAND" in os.environ
ROS2 = shlex.split(os.environ.get("ROS2_COMMAND", f"{sys.executable} -m ros2cli_standin"))
if not REAL:
    sys.path.insert(0, str(ROOT))

# Prints what it was started with and each signal, and ends only by those that it is told to obey.
STUBBORN = """
import os, signal, sys, time
ignored = os.environ.get("IGNORE", "").split()
def handle(number, frame):
    name = signal.Signals(number).name
    print("got", name, flush=True)
    if name not in ignored:
        sys.exit(0)
signal.signal(signal.SIGINT, handle)
signal.signal(signal.SIGTERM, handle)
print("ready", *sys.argv[1:], flush=True)
while True:
    time.sleep(0.05)
"""

NODE = """
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor, SetParametersResult
from std_msgs.msg import String
from std_srvs.srv import SetBool

rclpy.init()
node = Node("demo")
descriptor = ParameterDescriptor(
    description="A gain", floating_point_range=[FloatingPointRange(from_value=0.0, to_value=2.0)])
node.declare_parameter("gain", 1.0, descriptor)
node.declare_parameter("label", "none")
node.declare_parameter("group.counts", [1, 2])
node.declare_parameter("fixed", True, ParameterDescriptor(read_only=True))
publisher = node.create_publisher(String, "chatter", 10)
def answer(request, response):
    response.success, response.message = request.data, "as you like"
    return response
node.create_service(SetBool, "flag", answer)
node.create_timer(0.05, lambda: publisher.publish(String(data="hello")))
for name in ("gain", "label", "group.counts"):
    value = node.get_parameter(name).value
    print(name, "=", value if isinstance(value, (str, float)) else list(value), flush=True)
print("name", node.get_fully_qualified_name(), flush=True)
try:
    rclpy.spin(node)
except (KeyboardInterrupt, ExternalShutdownException):
    pass
"""

LIFECYCLE = """
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode
rclpy.init()
node = LifecycleNode("life")
print("up", flush=True)
try:
    rclpy.spin(node)
except (KeyboardInterrupt, ExternalShutdownException):
    pass
"""


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installed package ``demo_pkg`` with the executables stubborn, node and lifecycle."""
    root = tmp_path_factory.mktemp("prefix")
    marker = root / "share/ament_index/resource_index/packages/demo_pkg"
    for folder in (marker.parent, root / "share/demo_pkg/launch", root / "lib/demo_pkg"):
        folder.mkdir(parents=True)
    marker.touch()
    for name, text in (("stubborn", STUBBORN), ("node", NODE), ("lifecycle", LIFECYCLE)):
        path = root / "lib/demo_pkg" / name
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(0o755)
    return root


@pytest.fixture(scope="session")
def session_environment(prefix: Path) -> dict[str, str]:
    """The environment of ROS processes: the demo package, this machine only, no daemon."""
    paths = [str(prefix), *os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)]
    environment = dict(
        os.environ,
        AMENT_PREFIX_PATH=os.pathsep.join(path for path in paths if path),
        ROS_LOG_DIR=str(prefix / "log"),
        ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST",
        ROS_DOMAIN_ID=os.environ.get("ROS_DOMAIN_ID", str(60 + os.getpid() % 40)),
        PYTHONUNBUFFERED="1",
        ROS2CLI_DISABLE_DAEMON="1",
    )
    if not REAL:
        environment["PYTHONPATH"] = str(ROOT)
    for name in ("OVERRIDE_LAUNCH_PROCESS_OUTPUT", "FASTDDS_DEFAULT_PROFILES_FILE"):
        environment.pop(name, None)
    return environment


@pytest.fixture
def environment(session_environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The same with logs in a folder of the test's own."""
    return {**session_environment, "ROS_LOG_DIR": str(tmp_path / "log")}


@pytest.fixture
def ros2_words() -> list[str]:
    """The words of the ros2 command."""
    return ROS2


class Running:
    """A ros2 command in the background, whose output can be waited for."""

    def __init__(self, words: list[str], environment: dict[str, str], path: Path) -> None:
        self.path = path
        with path.open("wb") as file:
            self.process = subprocess.Popen(
                [*ROS2, *words],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self.path.read_text()

    def wait_for(self, text: str, timeout: float = 20.0) -> str:
        """Wait until ``text`` appears, and return the output."""
        end = time.monotonic() + timeout
        while text not in self.output:
            assert time.monotonic() < end, f"no {text!r} in:\n{self.output}"
            assert self.process.poll() is None or text in self.output, self.output
            time.sleep(0.02)
        return self.output

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command alone, as a terminal does not."""
        self.process.send_signal(number)

    def finish(self, timeout: float = 20.0) -> int:
        """Wait for its end and return the exit status."""
        return self.process.wait(timeout)


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts ros2 commands in the background and leaves none of their processes behind."""
    started: list[Running] = []

    def begin(*words: object, **extra: str) -> Running:
        path = tmp_path / f"output{len(started)}.txt"
        started.append(Running([str(word) for word in words], {**environment, **extra}, path))
        return started[-1]

    yield begin
    for running in started:
        with suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()


@pytest.fixture
def ros2(start: Callable[..., Running]) -> Callable[..., tuple[int, str]]:
    """Runs a ros2 command to its end and returns exit status and output."""

    def run(*words: object, **extra: str) -> tuple[int, str]:
        running = start(*words, **extra)
        return running.finish(30.0), running.output

    return run


HEAD = """
import os
from launch import LaunchDescription
from launch.actions import *
from launch.conditions import *
from launch.event_handlers import *
from launch.launch_description_sources import *
from launch.substitutions import *
from launch_ros.actions import *
from launch_ros.substitutions import *
from launch_ros.parameter_descriptions import *

def stubborn(*arguments, **options):
    options.setdefault("output", "screen")
    return Node(package="demo_pkg", executable="stubborn", arguments=list(arguments), **options)

def generate_launch_description():
    return LaunchDescription(["""


@pytest.fixture
def launch_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a launch file with the given entities (Python source) and returns its path."""

    def write(entities: str, name: str = "demo.launch.py") -> Path:
        path = tmp_path / name
        path.write_text(f"{HEAD}\n{entities}\n    ])\n")
        return path

    return write
