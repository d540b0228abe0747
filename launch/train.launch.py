"""Train a policy: ros2 launch g1_mimic train.launch.py motion:=walk"""

from __future__ import annotations

from typing import Any

from launch.actions import DeclareLaunchArgument, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from g1_mimic.nodes.launching import (
    Arguments,
    declare,
    end_with,
    given_arguments,
    monitor,
    parameter_file,
)
from launch import LaunchContext, LaunchDescription

ARGUMENTS: Arguments = {
    "task": (str, "Task JSON (the guide's format); says motion, robot, reward and sampling itself"),
    "motion": (str, "Clip to imitate: a name that ships (stand, walk, …) or a file; several with "
               "weights: walk:2,stand:1; or a folder of clips"),
    "robot": (str, "Robot profile: g1_29dof, g1_guide or a file"),
    "num_envs": (int, "Robots simulated side by side"),
    "total_env_steps": (int, "Control steps (20 ms each) over all robots"),
    "sampling": (str, "Replay: uniform, per, lap, per_critic or recency"),
    "seed": (int, "Seed of everything random in the run"),
    "device": (str, "Device of the learner: auto, cpu, cuda or cuda:N"),
    "run_dir": (str, "Folder of the run; empty: a new one under ./runs"),
    "warm_start": (str, "Run folder or checkpoint whose networks the run begins with"),
    "resume": (bool, "Continue the run in run_dir (empty: the newest) with its own settings; "
               "only arguments given here change them"),
}  # fmt: skip


def nodes(context: LaunchContext) -> list[Any]:
    """Start the trainer with the arguments that were given."""
    given = given_arguments(context, ARGUMENTS)
    file = LaunchConfiguration("params_file").perform(context).strip()
    parameters: list[Any] = [given]
    if file or not given.get("resume"):
        # A resumed run has settings of its own, which the shipped file must not change.
        parameters.insert(0, parameter_file(context, "train", ["trainer"]))
    # Name and namespace are given so that the arguments come after what the file says.
    trainer = Node(
        package="g1_mimic",
        executable="trainer",
        name="trainer",
        namespace="",
        output="both",
        emulate_tty=True,
        parameters=parameters,
    )
    handler = OnProcessExit(target_action=trainer, on_exit=end_with)
    return [RegisterEventHandler(handler), trainer, *monitor("", view=False)]


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the trainer."""
    return LaunchDescription(
        [
            *declare(ARGUMENTS),
            DeclareLaunchArgument(
                "params_file",
                default_value="",
                description="Settings (YAML); replaces the shipped config/train.yaml",
            ),
            OpaqueFunction(function=nodes),
        ]
    )
