"""Reading YAML and JSON into validated settings with one-line errors."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import NoneType
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic.config import JsonDict

from g1_mimic.errors import BadValue, read_error

SettingsT = TypeVar("SettingsT", bound="Settings")

LIVE: JsonDict = {"live": True}
"""``Field(json_schema_extra=LIVE)`` marks a setting that may be changed while a node runs."""


class Settings(BaseModel):
    """Base of all settings: immutable, and a key that is not known is an error."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        # The docstring under a field is its description, as ROS parameters show it.
        use_attribute_docstrings=True,
    )


class Check:
    """Base of marks that check a setting: ``Annotated[str, OneOf(TABLE)]``."""

    def check(self, value: Any) -> None:
        """Raise ValueError for a bad value."""
        raise NotImplementedError

    def _checked(self, value: Any) -> Any:
        self.check(value)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Return pydantic's description of the check."""
        return AfterValidator(self._checked).__get_pydantic_core_schema__(source, handler)


@dataclass(frozen=True)
class OneOf(Check):
    """Marks the name of an entry of ``table``, as the table is when a value is checked."""

    table: Collection[str]

    def check(self, value: str) -> None:
        """Raise ValueError for any other text, with the nearest name."""
        if value not in self.table:
            known = ", ".join(self.table)
            raise ValueError(f"'{value}' is none of {known}{did_you_mean(value, self.table)}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean '…'?" with the known name that is nearest, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def read_mapping(path: Path, *, as_json: bool | None = None) -> dict[str, Any]:
    """Read a YAML or JSON file whose top level is a mapping.

    Args:
        path: the file.
        as_json: whether it is JSON; by default its suffix says so.

    Raises:
        G1MimicError: if the file is missing, not readable or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json" if as_json is None else as_json:
            data = json.loads(text, object_pairs_hook=_without_duplicates)
        else:
            data = yaml.load(text, Loader=_StrictLoader)  # a SafeLoader
    except OSError as error:
        raise read_error(path, error) from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        detail = " ".join(str(error).split())
        raise BadValue(f"{path} is not valid {path.suffix.lstrip('.')}: {detail}") from error
    if not isinstance(data, dict):
        raise BadValue(f"{path} must hold a mapping at its top level")
    return data


def _without_duplicates(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """Make a mapping; of a key given twice, one value would silently be lost."""
    result = dict(pairs)
    if len(result) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise ValueError(f"key '{counts.most_common(1)[0][0]}' is there twice")
    return result


class _StrictLoader(yaml.SafeLoader):
    """YAML without code and without duplicate keys."""


def _construct_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    return _without_duplicates(loader.construct_pairs(node, deep=True))


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)


def validate(model: type[SettingsT], data: dict[str, Any], source: str | Path) -> SettingsT:
    """Build ``model`` from ``data``; ``source`` names the file in the error.

    Raises:
        G1MimicError: one line with the first problem, its place and, for a misspelled key, the
            nearest known one.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            known = getattr(_type_at(model, first["loc"][:-1]), "model_fields", ())
            message = f"unknown key{did_you_mean(str(first['loc'][-1]), known)}"
        elif first["type"] == "literal_error":
            message += did_you_mean(str(first["input"]), get_args(_type_at(model, first["loc"])))
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        where = f"{source}: {place}" if place else f"{source}"
        raise BadValue(f"{where}: {message}{more}") from None


def _type_at(model: type[BaseModel], location: tuple[int | str, ...]) -> Any:
    """Return the type of what is at ``location`` inside ``model``; None if nothing is known."""
    current: Any = model
    for part in location:
        if get_origin(current) is dict:  # the part is a key; what it may hold is the value's type
            current = get_args(current)[1]
            continue
        field = getattr(current, "model_fields", {}).get(part)
        if field is None:
            return None
        # Of an optional section, the section: the first of "Section | None".
        arguments = get_args(field.annotation)
        current = arguments[0] if NoneType in arguments else field.annotation
    return current


class SettingRow(NamedTuple):
    """One setting, as people and programs read of it."""

    key: str
    """Dotted."""
    values: str
    """What it may be."""
    default: str
    """As YAML; empty if one must be given."""
    live: bool
    """Whether it may be changed while a node runs."""
    description: str
    kind: Any
    """Its type."""
    choices: tuple[str, ...]
    """What it may be, if that is one of a few names."""
    limits: dict[str, float]
    """Of a number, by their names in pydantic: ge, gt, le, lt."""


def settings_rows(
    model: type[BaseModel], prefix: str = "", defaults: BaseModel | None = None
) -> Iterator[SettingRow]:
    """Yield a row for each setting, those of sections included, in the order of the class.

    Args:
        model: the settings class.
        prefix: what the keys begin with.
        defaults: settings whose values are the defaults, instead of the class's own.
    """
    for name, field in model.model_fields.items():
        kind, default = field.annotation, field.get_default(call_default_factory=True)
        if defaults is not None:
            default = getattr(defaults, name)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            given = default if isinstance(default, BaseModel) else None
            yield from settings_rows(kind, f"{prefix}{name}.", given)
            continue
        tables = [mark.table for mark in field.metadata if isinstance(mark, OneOf)]
        choices = tuple(tables[0]) if tables else _choices(kind)
        limits = {
            name: getattr(mark, name)
            for mark in field.metadata
            for name in ("ge", "gt", "le", "lt")
            if getattr(mark, name, None) is not None
        }
        extra = field.json_schema_extra
        yield SettingRow(
            f"{prefix}{name}",
            ", ".join(choices) or _values(kind, limits),
            "" if field.is_required() and defaults is None else yaml_text(default),
            isinstance(extra, dict) and bool(extra.get("live")),
            " ".join((field.description or "").split()),
            kind,
            choices,
            limits,
        )


def yaml_text(value: Any) -> str:
    """Return a value as one writes it in YAML."""
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True, width=1_000_000)
    return text.removesuffix("...\n").strip()


_TYPES = {bool: "true or false", int: "whole number", float: "number", str: "text"}
_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def _choices(kind: Any) -> tuple[str, ...]:
    return tuple(map(str, get_args(kind))) if get_origin(kind) is Literal else ()


def _values(kind: Any, limits: dict[str, float]) -> str:
    """Return what a setting may be: its choices, or its type and range."""
    arguments = [argument for argument in get_args(kind) if argument is not NoneType]
    if NoneType in get_args(kind):
        return f"{', '.join(_choices(arguments[0])) or _values(arguments[0], limits)}, or null"
    if get_origin(kind) in (list, tuple):
        count = "" if get_origin(kind) is list or Ellipsis in arguments else f"{len(arguments)} "
        return f"list of {count}{'texts' if arguments[0] is str else 'numbers'}"
    told = (f"{_SIGNS[name]} {limit:g}" for name, limit in limits.items())
    return ", ".join([_TYPES.get(kind, "mapping"), *told])


def ros_parameters(data: dict[str, Any], node: str, source: str | Path) -> dict[str, Any]:
    """Return the parameters that a ROS 2 parameter file gives to ``node`` (in no namespace).

    A file without ``ros__parameters`` is returned as it is, so that the same YAML serves the
    command line and the nodes. Sections are merged in the order of the file.

    Raises:
        G1MimicError: if all sections are for other nodes, which ROS itself would not say;
            ``source`` names the file.
    """
    sections = list(_ros_sections(data))
    if not sections:
        return data
    own = [section for name, section in sections if _names(name, node)]
    if not own:
        names = ", ".join(name for name, _ in sections)
        raise BadValue(f"{source}: no section for node '/{node}' or '/**', only for {names}")
    merged: dict[str, Any] = {}
    for section in own:
        merge(merged, section or {})
    return merged


def ros_sections(data: dict[str, Any], node: str = "") -> list[str]:
    """Return the full names, with wildcards, of the sections of a ROS 2 parameter file.

    Args:
        data: what the file holds.
        node: name of a node (in no namespace) to which they must apply; empty: any.
    """
    return [name for name, _ in _ros_sections(data) if not node or _names(name, node)]


def _names(section: str, node: str) -> bool:
    """True if the full name ``section``, perhaps with wildcards, stands for ``node``."""
    # ROS writes ** for any number of names, which fnmatch's * is.
    return fnmatchcase(f"/{node}", section.replace("/**", "*"))


def _ros_sections(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the full names, with wildcards, of nodes in a parameter file and what they get."""
    for key, value in data.items():
        if isinstance(value, dict):
            name = f"{prefix}/{str(key).strip('/')}".replace("//", "/")
            if "ros__parameters" in value:
                yield name, value["ros__parameters"]
            else:
                yield from _ros_sections(value, name)


def merge(base: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    """Merge ``update`` into ``base`` key by key, in place, and return ``base``."""
    for key, value in update.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = value
    return base


def parse_assignments(assignments: list[str], source: str = "") -> dict[str, Any]:
    """Turn ``["a.b=1"]`` into ``{"a": {"b": 1}}``; values are read as YAML.

    Args:
        assignments: the items.
        source: what an error message begins with.

    Raises:
        G1MimicError: for an item without ``=``.
    """
    result: dict[str, Any] = {}
    for item in assignments:
        key, separator, text = item.partition("=")
        if not separator or not key:
            raise BadValue(f"{source}{item}: write KEY=VALUE, e.g. learner.gamma=0.98")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise BadValue(f"{source}{item}: the value is not valid YAML") from None
        merge(result, nest({key: value}))
    return result


def nest(flat: dict[str, Any]) -> dict[str, Any]:
    """Turn ``{"a.b": 1}`` into ``{"a": {"b": 1}}``."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        for part in reversed(key.split(".")):
            value = {part: value}
        merge(nested, value)
    return nested
