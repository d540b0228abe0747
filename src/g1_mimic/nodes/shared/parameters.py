"""ROS 2 parameters from validated settings: one definition of names, defaults and bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from g1_mimic.errors import G1MimicError
from g1_mimic.settings import SettingRow, Settings, merge, nest, settings_rows, validate

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
        known = descriptors(model)
        for name, value in _flatten(self.settings.model_dump(mode="json")):
            descriptor = known.get(name) or _undescribed()  # an entry of a mapping
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
    """Turn parameters into settings; arrays become lists."""
    return nest({k: v.tolist() if hasattr(v, "tolist") else v for k, v in flat.items()})


def _flatten(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def descriptors(model: type[Settings]) -> dict[str, ParameterDescriptor]:
    """Return what rqt and ``ros2 param describe`` say of each parameter."""
    return {row.key: _descriptor(row) for row in settings_rows(model)}


def _undescribed() -> ParameterDescriptor:
    # Dynamic typing lets "3" stand for 3.0; the settings class has the last word on types.
    return ParameterDescriptor(dynamic_typing=True, read_only=True)


def _descriptor(row: SettingRow) -> ParameterDescriptor:
    descriptor = _undescribed()
    descriptor.read_only, descriptor.description = not row.live, row.description
    if row.choices:
        descriptor.additional_constraints = f"one of: {', '.join(row.choices)}"
    low = row.limits.get("ge", row.limits.get("gt"))
    high = row.limits.get("le", row.limits.get("lt"))
    if low is not None and high is not None:
        if row.kind is int:
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
        elif row.kind is float:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high))
            ]
    return descriptor
