"""What a recording must say about ROS messages: definitions, type hashes, quality of service."""

from __future__ import annotations

import importlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

from g1_mimic.errors import BadState

_SEPARATOR = "=" * 80
_FIELD = re.compile(r"^\s*([a-zA-Z][\w/]*)(?:<=\d+)?(?:\[[^\]]*\])?\s+\w+")
_PRIMITIVES = frozenset(
    ["bool", "byte", "char", "string", "wstring", "float32", "float64"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)


def message_class(kind: str) -> Any:
    """Return the Python class of a message type.

    Raises:
        G1MimicError: if the package that defines it is not installed.
    """
    package, _, name = kind.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError):
        raise BadState(f"message type {kind} is not installed on this machine") from None


def is_stamped(kind: Any) -> bool:
    """True if messages of the class ``kind`` begin with a header."""
    return next(iter(kind.get_fields_and_field_types().values()), "") == "std_msgs/Header"


def message_definition(kind: str, *, inner: bool = False) -> str:
    """Return the text of a message type and, behind separators, of all types in it.

    The form is that of the MCAP schema encoding ``ros2msg``.

    Args:
        kind: such as ``sensor_msgs/msg/JointState``.
        inner: as a part of another message: behind a separator, too.

    Raises:
        G1MimicError: if the package that defines a type is not installed.
    """
    package, _, name = kind.split("/")
    texts: dict[str, str] = {}
    _collect(f"{package}/{name}", texts)
    parts = [f"{_SEPARATOR}\nMSG: {name}\n{text}" for name, text in texts.items()]
    if not inner:
        parts[0] = next(iter(texts.values()))
    return "\n".join(parts)


def _collect(name: str, texts: dict[str, str]) -> None:
    """Add the definition of ``name`` (package/Name) and those that it needs, depth first."""
    if name in texts:
        return
    text = _read(name)
    texts[name] = text
    package = name.split("/")[0]
    for line in text.splitlines():
        match = _FIELD.match(line.split("#")[0])
        if match is None or match[1] in _PRIMITIVES or "=" in line.split("#")[0]:
            continue
        _collect(match[1] if "/" in match[1] else f"{package}/{match[1]}", texts)


@lru_cache(maxsize=256)
def _read(name: str) -> str:
    package, _, message = name.partition("/")
    try:
        path = Path(get_package_share_directory(package), "msg", f"{message}.msg")
        return path.read_text(encoding="utf-8")
    except (PackageNotFoundError, OSError):
        raise BadState(f"no definition of message type {name} on this machine") from None


def fitting_qos(endpoints: list[TopicEndpointInfo], depth: int) -> QoSProfile:
    """Return the strictest quality of service that all publishers of a topic can meet.

    Without a publisher yet: what an ordinary one offers.
    """
    profiles = [endpoint.qos_profile for endpoint in endpoints]
    reliable = all(p.reliability == ReliabilityPolicy.RELIABLE for p in profiles)
    latched = bool(profiles) and all(
        p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in profiles
    )
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def offered_qos(endpoints: list[TopicEndpointInfo]) -> str:
    """Return the publishers' quality of service as rosbag2 stores it.

    Policies are numbers, which every version of rosbag2 reads.
    """
    return str(yaml.safe_dump([_qos(endpoint.qos_profile) for endpoint in endpoints]))


def _qos(profile: QoSProfile) -> dict[str, Any]:
    def duration(value: Any) -> dict[str, int]:
        seconds, nanoseconds = divmod(value.nanoseconds, 1_000_000_000)
        return {"sec": seconds, "nsec": nanoseconds}

    return {
        "history": int(profile.history),
        "depth": profile.depth,
        "reliability": int(profile.reliability),
        "durability": int(profile.durability),
        "deadline": duration(profile.deadline),
        "lifespan": duration(profile.lifespan),
        "liveliness": int(profile.liveliness),
        "liveliness_lease_duration": duration(profile.liveliness_lease_duration),
        "avoid_ros_namespace_conventions": False,
    }


def type_hash(endpoints: list[TopicEndpointInfo]) -> str:
    """Return the REP-2011 hash of what the publishers send; empty if they do not tell."""
    for endpoint in endpoints:
        found = getattr(endpoint, "topic_type_hash", None)  # since Iron
        if found is not None:
            text = str(found)
            return text if text.startswith("RIHS") else ""
    return ""
