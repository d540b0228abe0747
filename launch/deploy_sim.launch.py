"""A trained policy drives the simulated robot: ros2 launch g1_mimic deploy_sim.launch.py"""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from launch.actions import EmitEvent, OpaqueFunction, RegisterEventHandler, TimerAction
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from g1_mimic.deployment.settings import PolicyChoice
from g1_mimic.nodes.deployment.settings import PolicyNodeSettings
from g1_mimic.nodes.launching import (
    RECORDER_TAPS,
    Argument,
    declare,
    from_settings,
    given_arguments,
    monitor,
    package_node,
    parameter_file,
    require_success,
)
from g1_mimic.policy.locate import default_policy
from g1_mimic.simulation.settings import SimSettings
from launch import LaunchContext, LaunchDescription

DEFAULT_PARAMETERS = "deploy_sim"
ARGUMENTS = {
    **from_settings(
        PolicyNodeSettings,
        "policy",
        DEFAULT_PARAMETERS,
        ["policy", "motion", "action_scale", "robot", "realtime_factor", "duration", "seed",
         "faults", "report"],
        policy="the newest under ./runs, else the one that ships",
    ),
    **from_settings(SimSettings, "mujoco_sim", DEFAULT_PARAMETERS, ["viewer"]),
    "view": Argument(
        bool,
        "Start the node monitor (tree of diagnostics, robot_description, markers, tf); empty: "
        "true, but false with realtime_factor:=0",
    ),
    "composed": Argument(
        bool,
        "Both nodes in one process, without messages between them: several times as fast, with "
        "the same results; needs realtime_factor:=0; empty: false",
    ),
    "record": Argument(
        str,
        "true: record all topics to recordings/DATE-TIME.mcap; or the MCAP file to write; empty or "
        "false: none",
    ),
}  # fmt: skip
TAKES = {"mujoco_sim": SimSettings, "policy": PolicyNodeSettings, "recorder": PolicyChoice}
"""The settings that tell which arguments each node takes."""
ROBOT_NODES = ("mujoco_sim", "policy")
"""The nodes that a launch cannot be without."""
CLOCKS = {"mujoco_sim": False, "policy": True}
"""Who takes the time from the topic clock: not the simulation, which publishes it. Whatever the
parameter file says: stamps of one clock and an age by another mean a fault."""
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
        own[name] = taken(name, given)
        # Nobody misses the first states, or the answers to them.
        partners = [] if composed else [other for other in ROBOT_NODES if other != name]
        own[name]["wait_for"] = ",".join([*partners, *listening])
        own[name]["use_sim_time"] = CLOCKS[name]
    if composed:
        processes = [composition(context, path, own)]
    else:
        processes = [package_node(name, [path, own[name]]) for name in ROBOT_NODES]
    ended = when_ended(len(processes))
    for process in processes:
        handler = OnProcessExit(target_action=process, on_exit=ended)
        actions += [RegisterEventHandler(handler), process]
    return actions


def taken(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return those of the arguments that a node takes."""
    return {key: value for key, value in given.items() if key in TAKES[name].model_fields}


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
    return package_node("composed", [path, file.name], named=False)


def recorder(context: LaunchContext, given: dict[str, Any]) -> list[Any]:
    """Start the recorder if it is asked for; nobody else ends with it."""
    record = LaunchConfiguration("record").perform(context).strip()
    if record.lower() in ("", "false"):
        return []
    file = "" if record.lower() == "true" else record
    parameters = {**taken("recorder", given), "file": ParameterValue(file, value_type=str)}
    return [package_node("recorder", [parameters])]


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
        [*declare(ARGUMENTS, DEFAULT_PARAMETERS), OpaqueFunction(function=nodes)]
    )
