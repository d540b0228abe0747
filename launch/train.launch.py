"""Train a policy: ros2 launch g1_mimic train.launch.py motion:=walk"""

from __future__ import annotations

from typing import Any

from launch.actions import OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration

from g1_mimic.learning.config import TRAINER_NODE, TrainConfig
from g1_mimic.nodes.launching import (
    PARAMS_FILE,
    declare,
    end_with,
    from_settings,
    given_arguments,
    monitor,
    package_node,
    parameter_file,
)
from launch import LaunchContext, LaunchDescription

DEFAULT_PARAMETERS = "train"
ARGUMENTS = from_settings(
    TrainConfig,
    TRAINER_NODE,
    DEFAULT_PARAMETERS,
    ["task", "motion", "robot", "num_envs", "total_env_steps", "sampling", "seed", "device",
     "run_dir", "warm_start", "resume"],
)  # fmt: skip


def nodes(context: LaunchContext) -> list[Any]:
    """Start the trainer with the arguments that were given."""
    given = given_arguments(context, ARGUMENTS)
    file = LaunchConfiguration(PARAMS_FILE).perform(context).strip()
    parameters: list[Any] = [given]
    if file or not given.get("resume"):
        # A resumed run has settings of its own, which the shipped file must not change.
        parameters.insert(0, parameter_file(context, DEFAULT_PARAMETERS, [TRAINER_NODE]))
    trainer = package_node("trainer", parameters)
    handler = OnProcessExit(target_action=trainer, on_exit=end_with)
    return [RegisterEventHandler(handler), trainer, *monitor("", view=False)]


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the trainer."""
    return LaunchDescription(
        [*declare(ARGUMENTS, DEFAULT_PARAMETERS), OpaqueFunction(function=nodes)]
    )
