"""ROS 2 parameters from validated settings: one definition of names, defaults and bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from g1_mimic.errors import G1MimicError
from g1_mimic.settings import Settings, merge, validate

SettingsT = TypeVar("SettingsT", bound=Settings)

_BUILT_IN = ("use_sim_time", "start_type_description_service", "qos_overrides")


class Parameters(Generic[SettingsT]):
    """The parameters of a node, declared from a `Settings` class.

    Nested settings have dotted names. Every parameter carries its description, and its range
    where both bounds are known, so that rqt shows sliders; all but the `LIVE` ones are read-only.
    A whole number is taken for a float. A name that is no setting is an error, not ignored.

    Args:
        node: made with ``automatically_declare_parameters_from_overrides=True``.
        model: the settings class.
        on_change: called with the new settings when a live parameter is set; a G1MimicError
            refuses them.

    Raises:
        G1MimicError: one line with the first bad parameter.
    """

    def __init__(
        self,
        node: Node,
        model: type[SettingsT],
        on_change: Callable[[SettingsT], None] | None = None,
    ) -> None:
        self._model, self._on_change = model, on_change
        self._source = f"parameters of node '{node.get_name()}'"
        given = {
            name: parameter.value
            for name, parameter in node.get_parameters_by_prefix("").items()
            if name.split(".")[0] not in _BUILT_IN
        }
        self.settings: SettingsT = validate(model, _nest(given), self._source)
        for name in given:
            node.undeclare_parameter(name)
        fields = dict(_fields(model))
        for name, value in _flatten(self.settings.model_dump(mode="json")):
            descriptor = _descriptor(fields.get(name))
            node.declare_parameter(name, value, descriptor, ignore_override=True)
        node.add_on_set_parameters_callback(self._set)

    def _set(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        changes = {p.name: p.value for p in parameters if p.name.split(".")[0] not in _BUILT_IN}
        if not changes:
            return SetParametersResult(successful=True)
        data = merge(self.settings.model_dump(mode="json"), _nest(changes))
        try:
            settings = validate(self._model, data, self._source)
            if self._on_change is not None:
                self._on_change(settings)
        except G1MimicError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.settings = settings
        return SetParametersResult(successful=True)


def _nest(flat: dict[str, Any]) -> dict[str, Any]:
    """Turn ``{"a.b": 1}`` into ``{"a": {"b": 1}}``; arrays become lists."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, leaf = name.split(".")
        plain = value.tolist() if hasattr(value, "tolist") else value
        for parent in reversed([*parents, leaf]):
            plain = {parent: plain}
        merge(nested, plain)
    return nested


def _flatten(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for key, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", field


def _descriptor(field: FieldInfo | None) -> ParameterDescriptor:
    """Describe one parameter to rqt and ``ros2 param describe``."""
    # Dynamic typing lets "3" stand for 3.0; the settings class has the last word on types.
    descriptor = ParameterDescriptor(dynamic_typing=True, read_only=True)
    if field is None:  # an entry of a mapping
        return descriptor
    extra = field.json_schema_extra
    descriptor.read_only = not (isinstance(extra, dict) and extra.get("live"))
    descriptor.description = " ".join((field.description or "").split())
    if get_origin(field.annotation) is Literal:
        choices = ", ".join(str(choice) for choice in get_args(field.annotation))
        descriptor.additional_constraints = f"one of: {choices}"
    low = high = None
    for bound in field.metadata:
        low = next((getattr(bound, k) for k in ("ge", "gt") if hasattr(bound, k)), low)
        high = next((getattr(bound, k) for k in ("le", "lt") if hasattr(bound, k)), high)
    if low is not None and high is not None:
        if field.annotation is int:
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
        elif field.annotation is float:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high))
            ]
    return descriptor
