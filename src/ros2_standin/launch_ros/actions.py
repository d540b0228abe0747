"""Actions for nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from launch.actions import ExecuteProcess
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from rclpy.validate_namespace import validate_namespace
from rclpy.validate_node_name import validate_node_name

from launch import Action, EventHandler, LaunchContext, SomeSubstitutionsType
from launch import logging as launch_logging

from .events.lifecycle import TRANSITIONS, ChangeState, StateTransition
from .parameter_descriptions import (
    Parameter,
    ParameterFile,
    evaluate_dict,
    temporary_parameter_file,
)
from .ros_adapters import get_ros_node
from .substitutions import ExecutableInPackage

__all__ = [
    "LifecycleNode", "Node", "PushROSNamespace", "PushRosNamespace", "SetParameter", "SetRemap",
]

Text = SomeSubstitutionsType


def join_namespace(base: str | None, namespace: str | None) -> str | None:
    """Return ``namespace``, absolute; relative to ``base`` unless it is absolute already."""
    if base is None and namespace is None:
        return None
    if namespace is None or not namespace.startswith("/"):
        namespace = f"{base or ''}/{namespace or ''}"
    return "/" + namespace.strip("/")


class Node(ExecuteProcess):
    """Runs a ROS node.

    Args:
        executable: name of an executable in ``package``, or a path.
        package: the ROS package.
        name: name of the node (default: the one in its code).
        namespace: its namespace, relative to the surrounding ones unless it begins with ``/``.
        exec_name: label of its output (default: the executable's file name).
        parameters: parameter files and dictionaries.
        remappings: pairs (from, to).
        ros_arguments: further words behind ``--ros-args``.
        arguments: words of the command line.
        kwargs: as for :class:`launch.actions.ExecuteProcess`.
    """

    def __init__(
        self,
        *,
        executable: Text,
        package: Text | None = None,
        name: Text | None = None,
        namespace: Text | None = None,
        exec_name: Text | None = None,
        parameters: Iterable[Any] | None = None,
        remappings: Iterable[tuple[Text, Text]] | None = None,
        ros_arguments: Iterable[Text] | None = None,
        arguments: Iterable[Text] | None = None,
        **kwargs: Any,
    ) -> None:
        path = executable if package is None else ExecutableInPackage(executable, package)
        words = [path, *(arguments or ())]
        if ros_arguments is not None:
            words += ["--ros-args", *ros_arguments]
        super().__init__(cmd=words, name=exec_name, **kwargs)
        if isinstance(parameters, (str, Mapping)):
            raise TypeError(f"Expecting list of parameters, got {parameters}")
        self.node_package = package
        self.node_executable = executable
        self._node_name = name
        self._namespace = namespace
        self._parameters = list(parameters or ())
        self._remappings = list(remappings or ())
        self._full_name: str | None = None

    @property
    def node_name(self) -> str:
        """The full name of the node, once executed."""
        if self._full_name is None:
            raise RuntimeError("cannot access 'node_name' before executing action")
        return self._full_name

    def execute(self, context: LaunchContext) -> None:
        # A second execution fails below; it must not add the arguments again.
        if self._full_name is None:
            words = ["--ros-args", *self._name_words(context), *self._parameter_words(context)]
            remappings = list(context.launch_configurations.get("ros_remaps", ()))
            for pair in self._remappings:
                remappings.append(tuple(perform_substitutions(context, part) for part in pair))
            for source, target in remappings:
                words += ["-r", f"{source}:={target}"]
            self.cmd += [normalize_to_list_of_substitutions(word) for word in words]
        super().execute(context)

    def _name_words(self, context: LaunchContext) -> list[str]:
        words = []
        name = "<node_name_unspecified>"
        if self._node_name is not None:
            name = perform_substitutions(context, self._node_name)
            validate_node_name(name)
            words += ["-r", f"__node:={name}"]
        given = None
        if self._namespace is not None:
            given = perform_substitutions(context, self._namespace)
        namespace = join_namespace(context.launch_configurations.get("ros_namespace"), given)
        if namespace is not None:
            validate_namespace(namespace)
            words += ["-r", f"__ns:={namespace}"]
        self._fully_named = self._node_name is not None and namespace is not None
        prefix = "<node_namespace_unspecified>" if namespace is None else namespace.rstrip("/")
        self._full_name = f"{prefix}/{name}"
        return words

    def _parameter_words(self, context: LaunchContext) -> list[str]:
        words = []
        for name, value in context.launch_configurations.get("global_params", {}).items():
            words += ["-p", f"{name}:={_yaml_text(value)}"]
        for item in self._parameters:
            if isinstance(item, Parameter):
                name = perform_substitutions(context, item.name)
                words += ["-p", f"{name}:={_yaml_text(item.evaluate(context))}"]
                continue
            if isinstance(item, Mapping):
                # The full name where it is known: a section for all nodes would lose against
                # an earlier file's section for this node.
                section = self._full_name if self._fully_named else "/**"
                table = {section: {"ros__parameters": evaluate_dict(context, item)}}
                path = temporary_parameter_file(yaml.safe_dump(table, default_flow_style=False))
            else:
                file = item if isinstance(item, ParameterFile) else ParameterFile(item)
                path = file.evaluate(context)
            if path.is_file():
                words += ["--params-file", str(path)]
            else:
                launch_logging.get_logger("launch_ros.actions.node").warning(
                    f"Parameter file path is not a file: {path}"
                )
        return words


def _yaml_text(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()


class PushROSNamespace(Action):
    """Puts the following nodes into a namespace, until the end of the surrounding group."""

    def __init__(self, namespace: Text, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.namespace = namespace

    def execute(self, context: LaunchContext) -> None:
        base = context.launch_configurations.get("ros_namespace")
        namespace = join_namespace(base, perform_substitutions(context, self.namespace)) or "/"
        validate_namespace(namespace)
        context.launch_configurations["ros_namespace"] = namespace


PushRosNamespace = PushROSNamespace


class SetParameter(Action):
    """Sets a parameter of all the following nodes, until the end of the surrounding group."""

    def __init__(self, name: Text, value: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parameter = {tuple(normalize_to_list_of_substitutions(name)): value}

    def execute(self, context: LaunchContext) -> None:
        known = context.launch_configurations.get("global_params", {})
        context.launch_configurations["global_params"] = {
            **known, **evaluate_dict(context, self.parameter)
        }


class SetRemap(Action):
    """Remaps a name for all the following nodes, until the end of the surrounding group."""

    def __init__(self, src: Text, dst: Text, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pair = (src, dst)

    def execute(self, context: LaunchContext) -> None:
        pair = tuple(perform_substitutions(context, part) for part in self.pair)
        known = context.launch_configurations.get("ros_remaps", [])
        context.launch_configurations["ros_remaps"] = [*known, pair]


class LifecycleNode(Node):
    """Runs a lifecycle node, tells of its transitions and asks for them.

    Emits :class:`~launch_ros.events.lifecycle.StateTransition` and obeys
    :class:`~launch_ros.events.lifecycle.ChangeState`.
    """

    def __init__(self, *, name: Text, namespace: Text, **kwargs: Any) -> None:
        super().__init__(name=name, namespace=namespace, **kwargs)

    def execute(self, context: LaunchContext) -> None:
        from lifecycle_msgs.msg import TransitionEvent
        from lifecycle_msgs.srv import ChangeState as ChangeStateService

        super().execute(context)
        assert context.asyncio_loop is not None
        self._ros_node = get_ros_node(context)
        # In the executor's thread; the event queue belongs to the loop's.
        loop = context.asyncio_loop

        def emit(message: Any) -> None:
            event = StateTransition(action=self, msg=message)
            loop.call_soon_threadsafe(context.emit_event_sync, event)

        self._subscription = self._ros_node.create_subscription(
            TransitionEvent,
            f"{self.node_name}/transition_event",
            emit,
            10,
        )
        self._client = self._ros_node.create_client(
            ChangeStateService, f"{self.node_name}/change_state"
        )
        context.register_event_handler(
            EventHandler(
                matcher=lambda event: (
                    isinstance(event, ChangeState) and event.lifecycle_node_matcher(self)
                ),
                entities=self._on_change_state,
            )
        )

    def _on_change_state(self, event: Any, context: LaunchContext) -> None:
        assert context.asyncio_loop is not None
        context.add_completion_future(
            context.asyncio_loop.run_in_executor(
                None, self._change_state, context, event.transition_id
            )
        )

    def _change_state(self, context: LaunchContext, transition_id: int) -> None:
        import threading

        from lifecycle_msgs.srv import ChangeState as ChangeStateService

        logger = launch_logging.get_logger("launch_ros.actions.lifecycle_node")
        while not self._client.wait_for_service(timeout_sec=0.5):
            if context.is_shutdown:
                logger.warning(f"Abandoning wait for the '{self._client.srv_name}' service")
                return
        request = ChangeStateService.Request()
        request.transition.id = transition_id
        answered = threading.Event()
        future = self._client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        while not answered.wait(0.5):
            if context.is_shutdown:
                logger.warning(f"Abandoning the answer of '{self._client.srv_name}'")
                return
        if not future.result().success:
            logger.error(
                f"Failed to make transition '{TRANSITIONS[transition_id]}' for LifecycleNode "
                f"'{self.node_name}'"
            )
