"""What the launch files share: arguments that are settings, and failing when a node failed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, EmitEvent
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from g1_mimic.errors import BadValue, G1MimicError
from g1_mimic.files import find_file, share_dir
from g1_mimic.settings import (
    Settings,
    read_mapping,
    ros_parameters,
    ros_sections,
    settings_rows,
    validate,
)
from launch import LaunchContext

PARAMS_FILE = "params_file"
"""The argument that every launch file has beside its own."""

RECORDER_TAPS = "_recorder"
"""The node that listens for the recorder; hidden from lists."""


class Argument(NamedTuple):
    """An argument of a launch file. It is empty by default: then the parameter file decides."""

    kind: type
    description: str
    choices: tuple[str, ...] = ()


Arguments = Mapping[str, Argument]


def from_settings(
    model: type[Settings], node: str, default: str, names: Iterable[str], **empty: str
) -> dict[str, Argument]:
    """Return arguments that are settings: type, description, choices and default are theirs.

    Args:
        model: the settings of the node.
        node: its name.
        default: name of the parameter file in the package's ``config``.
        names: the settings.
        empty: what an empty argument means where that is not what the parameter file says.
    """
    path = _config_file(default)
    shipped = validate(model, ros_parameters(read_mapping(path), node, path), path)
    rows = {row.key: row for row in settings_rows(model, defaults=shipped)}
    arguments = {}
    for name in names:
        row, text = rows[name], rows[name].description
        if name in empty:
            text = f"{text.partition(' empty:')[0].rstrip(';,.')}; empty: {empty[name]}"
        elif value := row.default.strip("'"):
            text = f"{text.rstrip('.')}; empty: as in {PARAMS_FILE} (shipped: {value})"
        kind = row.kind if row.kind in (bool, int, float) else str
        arguments[name] = Argument(kind, text.rstrip("."), row.choices)
    return arguments


def declare(arguments: Arguments, default: str) -> list[DeclareLaunchArgument]:
    """Declare ``arguments`` and ``params_file``, which replaces the file ``default``."""
    file = Argument(str, f"Parameters (YAML); empty: the shipped config/{default}.yaml")
    return [
        DeclareLaunchArgument(
            name,
            default_value="",
            description=argument.description,
            choices=["", *argument.choices] if argument.choices else None,
        )
        for name, argument in {**arguments, PARAMS_FILE: file}.items()
    ]


def given_arguments(context: LaunchContext, arguments: Arguments) -> dict[str, Any]:
    """Return the values of those arguments that are not empty, as node parameters.

    Raises:
        G1MimicError: if a value is not of its argument's type, or an argument that was not
            declared looks like a misspelled one (launch itself takes any name).
    """
    known = [*arguments, PARAMS_FILE]
    for name in context.launch_configurations:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        if name not in known and near:
            raise BadValue(f"unknown argument {name}:=…; did you mean {near[0]}:=…?")
    values = {}
    for name, argument in arguments.items():
        text = LaunchConfiguration(name).perform(context).strip()
        if text:
            values[name] = _convert(name, text, argument.kind)
    return values


def _convert(name: str, text: str, kind: type) -> Any:
    if kind is str:
        # Without the type, launch would read a name such as "on" or "1" as YAML.
        return ParameterValue(text, value_type=str)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise BadValue(f"{name}:={text} is neither true nor false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise BadValue(f"{name}:={text} is not {what}") from None


def nested_list(parameters: Mapping[str, Any]) -> str:
    """Return the first key whose list holds mappings or lists, or an empty string."""
    for key, value in parameters.items():
        if isinstance(value, Mapping) and (inner := nested_list(value)):
            return f"{key}.{inner}"
        if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            return key
    return ""


def parameter_file(context: LaunchContext, default: str, nodes: Iterable[str]) -> str:
    """Return the path of the file that ``params_file`` names, which must speak of ``nodes``.

    Args:
        context: of the launch.
        default: name of a file in the package's ``config``, taken if the argument is empty.
        nodes: names of the nodes that the file is given to.

    Raises:
        G1MimicError: if it is missing, no YAML, has no section for any of them, one whose name
            looks like a misspelled node, or sections in an order in which the launch's own
            arguments would not count.
    """
    path = _config_file(LaunchConfiguration(PARAMS_FILE).perform(context).strip() or default)
    data, nodes = read_mapping(path), list(nodes)
    for section in ros_sections(data):
        last = section.rpartition("/")[2]
        near = difflib.get_close_matches(last, nodes, n=1, cutoff=0.75)
        if last not in nodes and near:
            raise BadValue(f"{path}: section {section} is for no node; did you mean {near[0]}?")
    failures = []
    for node in nodes:
        own = ros_sections(data, node)
        if f"/{node}" in own and own[-1] != f"/{node}":
            # ROS applies sections by the first appearance of their names over all files; the
            # arguments come in a section /NODE.
            raise BadValue(
                f"{path}: section {own[-1]} comes after /{node} and would win over the launch's "
                "arguments; move it to the front"
            )
        try:
            parameters = ros_parameters(data, node, path)
            if key := nested_list(parameters):
                raise BadValue(
                    f"{path}: {key} is a list of mappings or lists, which ROS parameters cannot "
                    "hold; write texts, e.g. motion: [walk:2, stand]"
                )
        except G1MimicError as error:
            failures.append(error)
    if len(failures) == len(nodes):
        raise failures[0]
    return str(path)


def _config_file(name: str) -> Path:
    return find_file(name, subdirs=["config"], suffixes=[".yaml"], what=PARAMS_FILE)


def package_node(executable: str, parameters: list[Any], *, named: bool = True) -> Node:
    """Return a process of the package.

    Args:
        executable: what runs, and the name of the node.
        parameters: of the node; with a name they come after what a parameter file says.
        named: False if the process has several nodes.
    """
    return Node(
        package="g1_mimic",
        executable=executable,
        name=executable if named else None,
        namespace="" if named else None,
        output="both",
        emulate_tty=True,
        parameters=parameters,
    )


def monitor(robot: Any, view: bool = True) -> list[Node]:
    """Return the node ``monitor`` and, where ROS's robot_state_publisher is installed, that too.

    Args:
        robot: profile whose limits the robot's description has; empty: the default one.
        view: show the robot; else there is the tree of diagnostics only.
    """
    parameters: dict[str, Any] = {"robot": robot} if robot else {}
    others = []
    if not view:
        parameters["view_rate"] = 0.0
    elif _is_installed("robot_state_publisher") and _is_installed("tf2_msgs"):
        parameters["link_transforms"] = False
        text = (share_dir() / "models" / "g1" / "g1.urdf").read_text(encoding="utf-8")
        others.append(
            Node(
                package="robot_state_publisher",
                executable="robot_state_publisher",
                name="robot_state_publisher",
                namespace="",
                parameters=[{"robot_description": ParameterValue(text, value_type=str)}],
                # The monitor describes the robot with the limits of its profile.
                remappings=[("robot_description", "robot_state_publisher/robot_description")],
            )
        )
    return [package_node("monitor", [parameters]), *others]


def _is_installed(package: str) -> bool:
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def require_success(event: ProcessExited, context: LaunchContext) -> None:
    """Fail the launch (status 1) if a process ended with an error while nothing was shut down.

    Raises:
        RuntimeError: `ros2 launch` shows it as "Caught exception in launch".
    """
    if event.returncode != 0 and not context.is_shutdown:
        raise RuntimeError(f"{event.process_name} failed with status {event.returncode}")


def end_with(event: ProcessExited, context: LaunchContext) -> list[EmitEvent]:
    """End the launch with the process that ended: status 0, or 1 if it failed."""
    require_success(event, context)
    return [EmitEvent(event=Shutdown(reason=f"{event.process_name} has ended"))]
