"""A trained policy drives the simulated robot: ros2 launch g1_mimic deploy_sim.launch.py"""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
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

from g1_mimic.nodes.launching import (
    RECORDER_TAPS,
    Arguments,
    declare,
    given_arguments,
    monitor,
    parameter_file,
    require_success,
)
from g1_mimic.policy.locate import default_policy
from launch import LaunchContext, LaunchDescription

ARGUMENTS: Arguments = {
    "policy": (str, "Policy file (ONNX), or the name of one that ships with the package; "
               "empty: the newest under ./runs, else the one that ships"),
    "motion": (str, "What to track: clips that the policy carries, or other motions (names, files, "
               "folders), comma-separated; the first to begin with; empty: all that it carries"),
    "action_scale": (str, "Only for a policy that lacks it (holosoma's): rad per unit action, for "
                     "all joints, or effort for 0.25·effort/stiffness"),
    "robot": (str, "Robot profile (name or file); empty: the one the policy was trained with"),
    "realtime_factor": (float, "Simulated per wall second; 0: lock-step, as fast as possible and "
                        "reproducible; empty: as in params_file (1.0)"),
    "duration": (float, "Seconds of tracking until everything ends; 0: for ever; "
                 "empty: as in params_file (0)"),
    "seed": (int, "Seed of start and sensor noise; empty: as in params_file (0)"),
    "viewer": (bool, "Show MuJoCo's viewer; empty: as in params_file (false)"),
    "faults": (str, "YAML file of what is to break on purpose and when (README, Faults); "
               "empty: nothing"),
    "report": (str, "Where to write the JSON report at the end; empty: none"),
    "view": (bool, "Start the node monitor (tree of diagnostics, robot_description, markers, tf); "
             "empty: true, but false with realtime_factor:=0"),
    "composed": (bool, "Both nodes in one process, without messages between them: several times as "
                 "fast, with the same results; needs realtime_factor:=0; empty: false"),
    "record": (str, "true: record all topics to recordings/DATE-TIME.mcap; or the MCAP file to "
               "write; empty or false: none"),
}  # fmt: skip
RECEIVERS = {
    "mujoco_sim": ("policy", "action_scale", "robot", "realtime_factor", "duration", "seed",
                   "viewer", "faults"),
    "policy": ("policy", "action_scale", "motion", "robot", "realtime_factor", "duration", "seed",
               "report", "faults"),
    "recorder": ("policy", "action_scale", "robot"),
}  # fmt: skip
"""Which arguments each node takes."""
ROBOT_NODES = ("mujoco_sim", "policy")
"""The nodes that a launch cannot be without."""
CLOCKS = {"mujoco_sim": False, "policy": True}
"""Who takes the time from the topic clock: not the simulation, which publishes it. Whatever the
parameter file says: stamps of one clock and an age by another mean a fault."""
DEFAULT_PARAMETERS = "deploy_sim"
PARTING_TIME = 3.0
"""Time that a node has to end by itself once the other one has, s."""


def nodes(context: LaunchContext) -> list[Any]:
    """Start both nodes with the arguments that were given."""
    given = given_arguments(context, ARGUMENTS)
    if "policy" not in given:
        given["policy"] = str(default_policy(Path("runs")))
    path = parameter_file(context, DEFAULT_PARAMETERS, ROBOT_NODES)
    recorders = recorder(context, given)
    listening = [RECORDER_TAPS] if recorders else []
    actions = [*recorders, *viewers(context, given)]
    composed = bool(given.get("composed"))
    own: dict[str, dict[str, Any]] = {}
    for name in ROBOT_NODES:
        own[name] = {key: given[key] for key in RECEIVERS[name] if key in given}
        # Nobody misses the first states, or the answers to them.
        partners = [] if composed else [other for other in ROBOT_NODES if other != name]
        own[name]["wait_for"] = ",".join([*partners, *listening])
        own[name]["use_sim_time"] = CLOCKS[name]
    if composed:
        processes = [composition(context, path, own)]
    else:
        processes = [
            # Name and namespace are given so that these come after what the file says.
            robot_process(name, [path, own[name]], name=name, namespace="")
            for name in ROBOT_NODES
        ]
    ended = when_ended(len(processes))
    for process in processes:
        handler = OnProcessExit(target_action=process, on_exit=ended)
        actions += [RegisterEventHandler(handler), process]
    return actions


def robot_process(executable: str, parameters: list[Any], **names: str) -> Node:
    """Return a process that the launch cannot be without."""
    return Node(
        package="g1_mimic",
        executable=executable,
        output="both",
        emulate_tty=True,
        parameters=parameters,
        **names,
    )


def composition(context: LaunchContext, path: str, own: dict[str, dict[str, Any]]) -> Node:
    """Return the one process of both nodes, each with parameters of its own after the file's."""
    sections = {}
    for name, values in own.items():
        plain = {
            key: value.evaluate(context) if isinstance(value, ParameterValue) else value
            for key, value in values.items()
        }
        sections[f"/{name}"] = {"ros__parameters": plain}
    with tempfile.NamedTemporaryFile(
        "w", prefix="launch_params_", suffix=".yaml", delete=False, encoding="utf-8"
    ) as file:
        yaml.safe_dump(sections, file)
    atexit.register(Path(file.name).unlink, missing_ok=True)
    return robot_process("composed", [path, file.name])


def recorder(context: LaunchContext, given: dict[str, Any]) -> list[Any]:
    """Start the recorder if it is asked for; nobody else ends with it."""
    record = LaunchConfiguration("record").perform(context).strip()
    if record.lower() in ("", "false"):
        return []
    file = "" if record.lower() == "true" else record
    parameters = {key: given[key] for key in RECEIVERS["recorder"] if key in given}
    return [
        Node(
            package="g1_mimic",
            executable="recorder",
            name="recorder",
            namespace="",
            output="both",
            emulate_tty=True,
            parameters=[{**parameters, "file": ParameterValue(file, value_type=str)}],
        )
    ]


def viewers(context: LaunchContext, given: dict[str, Any]) -> list[Any]:
    """Start what shows the robot and gathers diagnostics."""
    view = given.get("view")
    if view is None:
        view = given.get("realtime_factor") != 0.0
    if not view:
        return []
    return monitor(given.get("robot", ""))


def when_ended(count: int) -> Callable[[ProcessExited, LaunchContext], list[Any]]:
    """Return what happens when one of ``count`` processes has ended: a failed one fails the launch.

    When one has ended well the other follows by itself (after a run of limited duration, with its
    report written); if it does not, it is told to.
    """
    ended: list[str] = []

    def handle(event: ProcessExited, context: LaunchContext) -> list[Any]:
        require_success(event, context)
        ended.append(event.process_name)
        shutdown = EmitEvent(event=Shutdown(reason=f"{event.process_name} has ended"))
        if context.is_shutdown:
            return []
        if len(ended) == count:
            return [shutdown]
        return [TimerAction(period=PARTING_TIME, actions=[shutdown])]

    return handle


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the nodes."""
    return LaunchDescription(
        [
            *declare(ARGUMENTS),
            DeclareLaunchArgument(
                "params_file",
                default_value="",
                description="Parameters of both nodes (YAML); replaces the shipped "
                "config/deploy_sim.yaml",
            ),
            OpaqueFunction(function=nodes),
        ]
    )
