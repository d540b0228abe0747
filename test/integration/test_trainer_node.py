"""The trainer node as a process: topics, services, parameters, signals, mistakes."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from rcl_interfaces.srv import DescribeParameters  # noqa: E402
from ros_process import WAIT, Client, running  # noqa: E402
from std_msgs.msg import Float32MultiArray, Float64  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402

from g1_mimic.learning.run.checkpoint import numbered  # noqa: E402
from g1_mimic.policy.runtime import OnnxPolicy  # noqa: E402

SMALL = {
    "num_envs": 8, "total_env_steps": 10_000_000, "warmup_env_steps": 160, "updates_per_step": 1,
    "device": "cpu", "log_interval_s": 0.2, "env.threads": 1, "env.episode_length_s": 0.5,
    "replay.capacity": 800, "replay.batch_size": 32, "learner.actor_hidden": [16],
    "learner.critic_hidden": [16], "evaluation.episodes": 4,
}  # fmt: skip


class Listener(Client):
    """Hears and calls the trainer."""

    def __init__(self) -> None:
        super().__init__("client")
        self.steps: list[float] = []
        self.phases: list[Float32MultiArray] = []
        self.histograms: list[Float32MultiArray] = []
        self.status: list[str] = []
        subscribe = self.node.create_subscription
        subscribe(Float64, "train/env_steps", lambda m: self.steps.append(m.data), 10)
        subscribe(Float32MultiArray, "train/phase_probabilities", self.phases.append, 10)
        subscribe(Float32MultiArray, "train/priority_histogram", self.histograms.append, 10)
        subscribe(DiagnosticArray, "diagnostics", self._on_status, 10)

    def _on_status(self, message: DiagnosticArray) -> None:
        self.status += [status.message for status in message.status]


@pytest.fixture
def client() -> Iterator[Listener]:
    result = Listener()
    yield result
    result.close()


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A running trainer whose run folder is ``tmp_path / "run"``."""
    with running("trainer", run_dir=tmp_path / "run", **SMALL) as process:
        yield process


def finished(**parameters: Any) -> tuple[int | None, str]:
    """Run a trainer to its end; return its status and what it said on stderr."""
    with running("trainer", **parameters) as process:
        _, errors = process.communicate(timeout=2 * WAIT)
    return process.returncode, errors


def test_metrics_services_and_parameters(
    trainer: subprocess.Popen[str], client: Listener, tmp_path: Path
) -> None:
    """Everything that rqt shows and does is there while training runs, and Ctrl-C ends it well."""
    client.wait_for(lambda: len(client.steps) > 2, "metrics")
    assert sorted(client.steps) == client.steps
    client.wait_for(lambda: client.phases, "phase probabilities")
    assert sum(client.phases[-1].data) == pytest.approx(1.0, abs=1e-5)
    client.wait_for(lambda: client.histograms, "priority histogram")
    assert sum(client.histograms[-1].data) == pytest.approx(1.0, abs=1e-5)
    client.wait_for(lambda: "training" in client.status, "diagnostics")
    topics = {name for name, _ in client.node.get_topic_names_and_types()}
    assert {"/train/eval/survival", "/train/eval/score"} <= topics, "before any evaluation"

    saved = client.trigger("/trainer/save_checkpoint")
    assert saved.success and Path(saved.message).is_file()
    exported = client.trigger("/trainer/export_policy")
    assert OnnxPolicy.load(exported.message).metadata.motion_name == "stand"

    described = client.call(
        DescribeParameters,
        "/trainer/describe_parameters",
        DescribeParameters.Request(names=["learner.learning_rate", "updates_per_step", "motion"]),
    ).descriptors
    assert [d.read_only for d in described] == [False, False, True]
    assert "Gradient steps" in described[1].description
    assert described[1].integer_range[0].to_value == 64
    assert client.set("trainer", "learner.learning_rate", 5e-4).successful
    refused = client.set("trainer", "learner.learning_rate", -1.0)
    assert not refused.successful and refused.reason

    assert client.call(SetBool, "/trainer/pause", SetBool.Request(data=True)).success
    client.wait_for(lambda: client.status[-1] == "paused", "pause in diagnostics")
    count = len(client.steps)
    client.spin(1.0)
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
    status, errors = finished(**first)
    assert status == 0, errors
    assert (run / "policy.onnx").is_file()
    status, errors = finished(run_dir=run, resume=True, total_env_steps=480)
    assert status == 0, errors
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
    status, errors = finished(**merged)
    assert status == 2, errors
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and words in lines[0]
    assert "Traceback" not in errors
