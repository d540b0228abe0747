"""A trained policy drives the simulated robot: ros2 launch g1_mimic deploy_sim.launch.py"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from g1_mimic.errors import G1MimicError
from g1_mimic.files import find_file, share_dir
from g1_mimic.policy.locate import default_policy
from launch import LaunchContext, LaunchDescription

BOTH, SIM, POLICY = ("mujoco_sim", "policy"), ("mujoco_sim",), ("policy",)

# name: (which nodes get it, its type, description). Empty means: as in params_file.
ARGUMENTS: dict[str, tuple[tuple[str, ...], type, str]] = {
    "policy": (BOTH, str, "Policy file (ONNX), or the name of one that ships; "
               "empty: the newest under ./runs, else the one that ships"),
    "motion": (POLICY, str, "Name of the motion that the policy must track (a policy carries its "
               "clip); empty: whatever it carries"),
    "robot": (BOTH, str, "Robot profile, name or path; empty: the one the policy was trained with"),
    "realtime_factor": (BOTH, float, "Simulated per wall second; 0: lock-step, as fast as possible "
                        "and reproducible; empty: as in params_file (1.0)"),
    "duration": (BOTH, float, "Seconds of tracking until everything ends; 0: for ever; "
                 "empty: as in params_file (0)"),
    "seed": (BOTH, int, "Seed of start and sensor noise; empty: as in params_file (0)"),
    "viewer": (SIM, bool, "Show MuJoCo's viewer (true or false); empty: as in params_file (false)"),
    "report": (POLICY, str, "Where to write the JSON report at the end; empty: none"),
}  # fmt: skip


def convert(name: str, text: str, kind: type) -> Any:
    """Return the value of a launch argument.

    Raises:
        G1MimicError: if ``text`` is no such value.
    """
    if kind is str:
        return ParameterValue(text, value_type=str)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise G1MimicError(f"{name}:={text} is neither true nor false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        raise G1MimicError(f"{name}:={text} is not a number") from None


def nodes(context: LaunchContext) -> list[Any]:
    """Start both nodes with the arguments that were given."""
    given = {name: LaunchConfiguration(name).perform(context).strip() for name in ARGUMENTS}
    given["policy"] = given["policy"] or str(default_policy(Path("runs")))
    parameters: dict[str, dict[str, Any]] = {name: {} for name in BOTH}
    for name, (receivers, kind, _) in ARGUMENTS.items():
        if given[name]:
            for receiver in receivers:
                parameters[receiver][name] = convert(name, given[name], kind)
    params_file = LaunchConfiguration("params_file").perform(context)
    path = find_file(params_file, subdirs=["config"], suffixes=[".yaml"], what="params_file")
    actions: list[Any] = []
    ended = watcher()
    for name in BOTH:
        # Name and namespace are given so that these parameters come after those of the file.
        node = Node(
            package="g1_mimic",
            executable=name,
            name=name,
            namespace="",
            output="both",
            parameters=[str(path), parameters[name]],
        )
        watch = OnProcessExit(target_action=node, on_exit=ended)
        actions += [RegisterEventHandler(watch), node]
    return actions


def watcher() -> Callable[[ProcessExited, LaunchContext], list[Any]]:
    """Return what happens when a node has ended: a failed one fails the launch.

    When one has ended well the other follows by itself (after a run of limited duration, with its
    report written); if it does not, it is told to.
    """
    running = set(BOTH)

    def ended(event: ProcessExited, context: LaunchContext) -> list[Any]:
        if context.is_shutdown:
            return []
        if event.returncode != 0:
            raise RuntimeError(f"{event.process_name} failed with status {event.returncode}")
        running.discard(event.process_name.rpartition("-")[0])
        shutdown = EmitEvent(event=Shutdown(reason=f"{event.process_name} has ended"))
        return [TimerAction(period=3.0, actions=[shutdown])] if running else [shutdown]

    return ended


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the nodes."""
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value="", description=description)
                for name, (_, _, description) in ARGUMENTS.items()
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=str(share_dir() / "config" / "deploy_sim.yaml"),
                description="Parameters of both nodes (YAML); replaces the shipped file",
            ),
            OpaqueFunction(function=nodes),
        ]
    )
