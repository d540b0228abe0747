"""The node `trainer`: a training run with its metrics as topics and its controls as services."""

from __future__ import annotations

import sys
import threading
import traceback
from array import array

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.task import Future
from std_msgs.msg import Float32MultiArray, Float64

from g1_mimic.errors import G1MimicError
from g1_mimic.learning.config import TRAINER_NODE, TrainConfig
from g1_mimic.learning.run.progress import Progress
from g1_mimic.learning.session import open_trainer
from g1_mimic.learning.trainer import PRIORITY_HISTOGRAM
from g1_mimic.nodes.shared.common import (
    ERROR,
    OK,
    WARN,
    Diagnostics,
    switch_service,
    trigger_service,
)
from g1_mimic.nodes.shared.parameters import Parameters

_AWAITED = ("return", "eval/survival", "eval/score")
"""Metrics that come late but are topics from the start: rqt leaves out what it does not find."""


class TrainerNode(Node):
    """Runs the training loop in a thread; the executor serves topics, services and parameters.

    Parameters are those of `TrainConfig`. Topics: ``train/<metric>`` (std_msgs/Float64) once per
    log interval, ``train/phase_probabilities`` (std_msgs/Float32MultiArray, one number per bin of
    the clip), ``train/priority_histogram`` (likewise, `Replay.histogram`). Services:
    ``~/pause`` (SetBool), ``~/save_checkpoint`` and ``~/export_policy`` (Trigger).
    """

    def __init__(self) -> None:
        super().__init__(TRAINER_NODE, automatically_declare_parameters_from_overrides=True)
        self.finished: Future[int] = Future()
        self._settings = Parameters(self, TrainConfig, self._apply)
        self.trainer = open_trainer(self._settings.settings)
        self._metric_publishers: dict[str, Publisher[Float64]] = {}
        for name in _AWAITED:
            self._metric_publisher(name)
        self._starts = self.create_publisher(Float32MultiArray, "train/phase_probabilities", 10)
        self._priorities = self.create_publisher(Float32MultiArray, "train/priority_histogram", 10)
        self._progress: Progress | None = None
        self._paused = False
        self._failure = ""
        self.trainer.log.on_progress = self._report
        self._diagnostics = Diagnostics(self, self._status)
        switch_service(self, "~/pause", self._pause)
        trigger_service(self, "~/save_checkpoint", self._save)
        trigger_service(self, "~/export_policy", self._export)
        self.get_logger().info(f"run folder: {self.trainer.folder.path}")
        self._thread = threading.Thread(target=self._train, name="training", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop training, which writes a checkpoint, and wait for it."""
        self.trainer.control.stop()
        self._thread.join()

    def _train(self) -> None:
        status = 0
        try:
            self.trainer.run()
            policy = self.trainer.folder.policy
            if policy.exists():
                self.get_logger().info(f"policy: {policy}")
        except G1MimicError as error:
            self._failure, status = str(error), 2
            print(f"error: {error}", file=sys.stderr, flush=True)
        except Exception:
            self._failure, status = "the training loop broke down", 1
            self.get_logger().fatal(f"the training loop broke down:\n{traceback.format_exc()}")
        if not self.finished.done():
            self.finished.set_result(status)

    # -- out ------------------------------------------------------------------------------------

    def _metric_publisher(self, name: str) -> Publisher[Float64]:
        topic = f"train/{name.removeprefix('train/')}"
        publisher = self._metric_publishers.get(topic)
        if publisher is None:
            publisher = self.create_publisher(Float64, topic, 10)
            self._metric_publishers[topic] = publisher
        return publisher

    def _report(self, progress: Progress) -> None:
        self._progress = progress
        self.get_logger().info(str(progress))
        for name, value in {**progress.metrics, "env_steps": float(progress.env_steps)}.items():
            self._metric_publisher(name).publish(Float64(data=value))
        probabilities = self.trainer.env.starts.probabilities()
        self._starts.publish(Float32MultiArray(data=array("f", probabilities)))
        if PRIORITY_HISTOGRAM in progress.histograms:
            _, shares = progress.histograms[PRIORITY_HISTOGRAM]
            self._priorities.publish(Float32MultiArray(data=array("f", shares)))

    def _status(self) -> tuple[int, str, dict[str, object]]:
        if self._failure:
            return ERROR, self._failure, {}
        if self._progress is None:
            return OK, "starting", {}
        figures: dict[str, object] = {
            "run": str(self.trainer.folder.path),
            "env_steps": self._progress.env_steps,
            "steps_per_s": self._progress.steps_per_s,
            "remaining_s": self._progress.remaining_s,
        }
        if self._progress.faults:
            return WARN, self._progress.faults, figures
        return OK, "paused" if self._paused else "training", figures

    # -- in -------------------------------------------------------------------------------------

    def _apply(self, settings: TrainConfig) -> None:
        # Not waited for: the loop takes it over between two steps.
        self.trainer.control.post(lambda: self.trainer.apply(settings))

    def _pause(self, paused: bool) -> str:
        self._paused = paused
        self.trainer.control.pause(paused)
        self._diagnostics.publish_on_change()
        return "paused" if paused else "training"

    def _save(self) -> str:
        return str(self.trainer.control.call(self.trainer.save))

    def _export(self) -> str:
        return str(self.trainer.control.call(self.trainer.export_newest))
