"""The trainer node as a process: topics, services, parameters, signals, mistakes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from rcl_interfaces.srv import DescribeParameters, SetParameters  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from std_msgs.msg import Float32MultiArray, Float64  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402

from g1_mimic.learning.checkpoint import numbered  # noqa: E402
from g1_mimic.policy.runtime import OnnxPolicy  # noqa: E402

WAIT = 60.0
"""Wall time that anything may take on a busy machine, s."""

SMALL = {
    "num_envs": 8, "total_env_steps": 10_000_000, "warmup_env_steps": 160, "updates_per_step": 1,
    "device": "cpu", "log_interval_s": 0.2, "env.threads": 1, "env.episode_length_s": 0.5,
    "replay.capacity": 800, "replay.batch_size": 32, "learner.actor_hidden": [16],
    "learner.critic_hidden": [16], "evaluation.episodes": 4,
}  # fmt: skip


def command(**parameters: Any) -> list[str]:
    arguments = [sys.executable, "-m", "g1_mimic.nodes.trainer", "--ros-args"]
    for name, value in parameters.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        arguments += ["-p", f"{name}:={text}"]
    return arguments


class Client:
    """Hears and calls the trainer."""

    def __init__(self) -> None:
        rclpy.init()
        self.node = rclpy.create_node("client")
        self.steps: list[float] = []
        self.phases: list[Float32MultiArray] = []
        self.histograms: list[Float32MultiArray] = []
        self.status: list[str] = []
        subscribe = self.node.create_subscription
        subscribe(Float64, "train/env_steps", lambda m: self.steps.append(m.data), 10)
        subscribe(Float32MultiArray, "train/phase_probabilities", self.phases.append, 10)
        subscribe(Float32MultiArray, "train/priority_histogram", self.histograms.append, 10)
        subscribe(DiagnosticArray, "diagnostics", self._on_status, 10)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)

    def _on_status(self, message: DiagnosticArray) -> None:
        self.status += [status.message for status in message.status]

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + WAIT
        while not condition():
            assert time.monotonic() < deadline, f"no {what}"
            self.executor.spin_once(timeout_sec=0.02)

    def call(self, kind: Any, service: str, request: Any) -> Any:
        client = self.node.create_client(kind, service)
        self.wait_for(client.service_is_ready, f"service {service}")
        future = client.call_async(request)
        self.wait_for(future.done, f"answer of {service}")
        return future.result()

    def set(self, name: str, value: Any) -> Any:
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()]
        )
        return self.call(SetParameters, "/trainer/set_parameters", request).results[0]

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()


@pytest.fixture
def client() -> Iterator[Client]:
    result = Client()
    yield result
    result.close()


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A running trainer whose run folder is ``tmp_path / "run"``."""
    process = subprocess.Popen(
        command(run_dir=tmp_path / "run", **SMALL), text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate(timeout=WAIT)


def test_metrics_services_and_parameters(
    trainer: subprocess.Popen[str], client: Client, tmp_path: Path
) -> None:
    """Everything that rqt shows and does is there while training runs, and Ctrl-C ends it well."""
    client.wait_for(lambda: len(client.steps) > 2, "metrics")
    assert sorted(client.steps) == client.steps
    client.wait_for(lambda: client.phases, "phase probabilities")
    assert sum(client.phases[-1].data) == pytest.approx(1.0, abs=1e-5)
    client.wait_for(lambda: client.histograms, "priority histogram")
    assert sum(client.histograms[-1].data) == pytest.approx(1.0, abs=1e-5)
    client.wait_for(lambda: "training" in client.status, "diagnostics")

    saved = client.call(Trigger, "/trainer/save_checkpoint", Trigger.Request())
    assert saved.success and Path(saved.message).is_file()
    exported = client.call(Trigger, "/trainer/export_policy", Trigger.Request())
    assert OnnxPolicy.load(exported.message).metadata.motion_name == "stand"

    described = client.call(
        DescribeParameters,
        "/trainer/describe_parameters",
        DescribeParameters.Request(names=["learner.learning_rate", "updates_per_step", "motion"]),
    ).descriptors
    assert [d.read_only for d in described] == [False, False, True]
    assert "Gradient steps" in described[1].description
    assert described[1].integer_range[0].to_value == 64
    assert client.set("learner.learning_rate", 5e-4).successful
    refused = client.set("learner.learning_rate", -1.0)
    assert not refused.successful and refused.reason

    assert client.call(SetBool, "/trainer/pause", SetBool.Request(data=True)).success
    client.wait_for(lambda: client.status[-1] == "paused", "pause in diagnostics")
    count = len(client.steps)
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        client.executor.spin_once(timeout_sec=0.05)
    assert len(client.steps) <= count + 1
    assert client.call(SetBool, "/trainer/pause", SetBool.Request(data=False)).success
    client.wait_for(lambda: len(client.steps) > count + 2, "metrics after the pause")

    trainer.send_signal(signal.SIGINT)
    output, errors = trainer.communicate(timeout=WAIT)
    assert trainer.returncode == 0, errors
    assert "Traceback" not in output + errors
    assert len(numbered(tmp_path / "run" / "checkpoints")) >= 1


def test_a_run_ends_by_itself_and_is_resumed(tmp_path: Path) -> None:
    """The node ends with status 0 after its last step; resuming needs only the new length."""
    run = tmp_path / "run"
    first = {**SMALL, "run_dir": run, "total_env_steps": 400}
    done = subprocess.run(command(**first), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (run / "policy.onnx").is_file()
    more = command(run_dir=run, resume=True, total_env_steps=480)
    done = subprocess.run(more, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    names = [path.name for path in numbered(run / "checkpoints")]
    assert names == ["step_0000000400.pt", "step_0000000480.pt"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"num_env": 8}, "did you mean 'num_envs'"),
        ({"num_envs": 0}, "num_envs"),
        ({"motion": "moonwalk"}, "motion 'moonwalk' not found"),
        ({"resume": True, "run_dir": "/nonexistent/run"}, "is not a run folder"),
        ({"device": "gpu"}, "device 'gpu'"),
    ],
)
def test_mistakes_are_one_line_and_status_two(
    tmp_path: Path, parameters: dict[str, Any], words: str
) -> None:
    """A misspelled or impossible parameter gives one line without traceback, and status 2."""
    merged = {**SMALL, "run_dir": tmp_path / "run", **parameters}
    if "resume" in parameters:
        merged = parameters
    done = subprocess.run(command(**merged), capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and words in lines[0]
    assert "Traceback" not in done.stderr
