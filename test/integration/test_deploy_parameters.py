"""Parameters, messages and diagnostics of the nodes, with real rclpy in one process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, Field

rclpy = pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from nav_msgs.msg import Odometry  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import Imu, JointState  # noqa: E402

from g1_mimic.control.modes import Mode  # noqa: E402
from g1_mimic.control.state import JointCommand  # noqa: E402
from g1_mimic.errors import G1MimicError  # noqa: E402
from g1_mimic.nodes.deployment.state_input import StateCollector  # noqa: E402
from g1_mimic.nodes.shared.common import ERROR, OK, Diagnostics  # noqa: E402
from g1_mimic.nodes.shared.messages import (  # noqa: E402
    JointReader,
    gains_message,
    read_gains,
    set_stamp,
)
from g1_mimic.nodes.shared.parameters import Parameters  # noqa: E402
from g1_mimic.robot.names import JOINT_NAMES  # noqa: E402
from g1_mimic.settings import LIVE, Settings  # noqa: E402


class Inner(Settings):
    model_config = ConfigDict(use_attribute_docstrings=True)

    gain: float = Field(1.0, ge=0.0, le=2.0, json_schema_extra=LIVE)
    """A gain, live."""
    steps: int = Field(3, ge=1, le=9)
    """A number of steps."""


class Outer(Settings):
    model_config = ConfigDict(use_attribute_docstrings=True)

    speed: float = 1.5
    """A speed, m/s."""
    kind: Literal["fast", "slow"] = "slow"
    terms: tuple[str, ...] = ("a", "b")
    inner: Inner = Inner()


MakeNode = Callable[..., Any]


@pytest.fixture
def make_node() -> Iterator[MakeNode]:
    """Make nodes with parameter overrides."""
    nodes: list[Any] = []

    def make(*overrides: str) -> Any:
        arguments = [part for text in overrides for part in ("-p", text)]
        rclpy.init(args=["--ros-args", *arguments])
        node = rclpy.create_node("tested", automatically_declare_parameters_from_overrides=True)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown()


def test_parameters_are_the_settings(make_node: MakeNode) -> None:
    """Defaults, overrides and nested names arrive in the settings and on the node alike."""
    node = make_node("speed:=3", "inner.steps:=5", "terms:=['c']")
    settings = Parameters(node, Outer).settings
    assert settings == Outer(speed=3.0, terms=("c",), inner=Inner(steps=5))
    assert node.get_parameter("speed").value == 3.0
    assert isinstance(node.get_parameter("speed").value, float)
    assert node.get_parameter("inner.steps").value == 5
    assert node.get_parameter("kind").value == "slow"


def test_parameters_describe_themselves(make_node: MakeNode) -> None:
    """Descriptions, ranges, choices and what is read-only reach rqt."""
    node = make_node()
    Parameters(node, Outer)
    assert node.describe_parameter("speed").description == "A speed, m/s."
    assert node.describe_parameter("speed").read_only
    assert node.describe_parameter("kind").additional_constraints == "one of: fast, slow"
    gain = node.describe_parameter("inner.gain")
    assert not gain.read_only
    assert (gain.floating_point_range[0].from_value, gain.floating_point_range[0].to_value) == (
        0,
        2,
    )
    steps = node.describe_parameter("inner.steps").integer_range[0]
    assert (steps.from_value, steps.to_value) == (1, 9)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("sped:=1.0", "sped: unknown key; did you mean 'speed'"),
        ("inner.gian:=1.0", "inner.gian: unknown key; did you mean 'gain'"),
        ("kind:=medium", "kind: Input should be 'fast' or 'slow'"),
        ("inner.gain:=3.0", "inner.gain: Input should be less than or equal to 2"),
        ("speed:=quick", "speed: Input should be a valid number"),
    ],
)
def test_a_bad_parameter_is_named(make_node: MakeNode, override: str, words: str) -> None:
    """Misspelled, out of range, wrong type: one line that names node and parameter."""
    with pytest.raises(G1MimicError, match="parameters of node 'tested'") as caught:
        Parameters(make_node(override), Outer)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_live_parameters_change_and_others_do_not(make_node: MakeNode) -> None:
    """Setting a live parameter changes the settings and tells the node; a bad value does not."""
    node = make_node()
    heard: list[Outer] = []
    parameters = Parameters(node, Outer, heard.append)
    assert node.set_parameters([Parameter("inner.gain", value=0.5)])[0].successful
    assert parameters.settings.inner.gain == 0.5 and heard == [parameters.settings]
    assert not node.set_parameters([Parameter("inner.gain", value=2.5)])[0].successful
    assert not node.set_parameters([Parameter("inner.gain", value="high")])[0].successful
    assert not node.set_parameters([Parameter("speed", value=1.0)])[0].successful
    assert parameters.settings.inner.gain == 0.5 and len(heard) == 1


def test_diagnostics_tell_changes_of_the_whole_and_of_parts(make_node: MakeNode) -> None:
    """A status of the node and one of each part; what has not changed is not told again."""
    node = make_node()
    told: list[Any] = []
    node.create_subscription(DiagnosticArray, "diagnostics", told.append, 10)
    state = [OK, "fine"]
    diagnostics = Diagnostics(
        node,
        lambda: (OK, "well", {}),
        {"timing": lambda: (state[0], state[1], {"latency_ms": 0.25})},
    )

    def heard(count: int) -> list[Any]:
        for _ in range(1000):
            if len(told) >= count:
                break
            rclpy.spin_once(node, timeout_sec=0.02)
        return told

    diagnostics.publish()
    assert [s.name for s in heard(1)[0].status] == ["tested", "tested/timing"]
    diagnostics.publish_on_change()
    state[:] = [ERROR, "broken"]
    diagnostics.publish_on_change()
    whole, last = heard(2)[1].status
    assert (whole.level, whole.message) == (b"\x00", "well")
    assert (last.level, last.message) == (b"\x02", "broken")
    assert (last.values[0].key, last.values[0].value) == ("latency_ms", "0.25")


@given(st.permutations(list(JOINT_NAMES)), st.integers(0, 3))
def test_joints_are_read_by_name(names: list[str], extra: int) -> None:
    """Any order and any further joints give the same array."""
    names = [*names, *(f"finger_{i}" for i in range(extra))]
    value = {name: float(i) for i, name in enumerate(JOINT_NAMES)}
    message = JointState(name=names, position=[value.get(name, -1.0) for name in names])
    reader = JointReader("joint_states")
    for _ in range(2):
        np.testing.assert_array_equal(reader.read(message, "position"), np.arange(29.0))


def test_joint_messages_that_lack_something_are_named() -> None:
    """A missing joint, a doubled one and a missing value are told apart."""
    names = list(JOINT_NAMES)
    reader = JointReader("joint_states")
    with pytest.raises(G1MimicError, match="'left_hip_pitch_joint' and 1 more is missing"):
        reader.read(JointState(name=names[2:], position=[0.0] * 27), "position")
    with pytest.raises(G1MimicError, match="named twice"):
        reader.read(JointState(name=[*names, names[3]], position=[0.0] * 30), "position")
    with pytest.raises(G1MimicError, match="0 values of velocity for 29 joints"):
        reader.read(JointState(name=names, position=[0.0] * 29), "velocity")
    assert reader.read(JointState(name=names), "effort", default=0.0).tolist() == [0.0] * 29


def test_gains_survive_the_way() -> None:
    """Label, stiffness and damping come out as they went in."""
    rng = np.random.default_rng(0)
    command = JointCommand(np.zeros(29), rng.random(29), rng.random(29), 0, Mode.STAND)
    label, stiffness, damping = read_gains(gains_message(command))
    assert label == "stand"
    np.testing.assert_array_equal(stiffness, command.stiffness)
    np.testing.assert_array_equal(damping, command.damping)


@dataclasses.dataclass
class Feed:
    """Makes the three messages of a state."""

    collector: StateCollector

    def add(self, topic: str, stamp: int) -> Any:
        message = {"joint_states": JointState, "imu": Imu, "odom": Odometry}[topic]()
        if topic == "joint_states":
            message = JointState(
                name=list(JOINT_NAMES), position=[stamp * 1.0] * 29, velocity=[0.0] * 29
            )
        set_stamp(message.header.stamp, stamp)
        return self.collector.add(topic, serialize_message(message))


@given(st.lists(st.sampled_from(["joint_states", "imu", "odom"]), max_size=60))
def test_states_are_complete_and_in_order_whatever_the_arrival(topics: list[str]) -> None:
    """Each topic in its own order, any mixture of topics: every state given once, ascending."""
    feed = Feed(StateCollector(odometry=True))
    sent = dict.fromkeys(("joint_states", "imu", "odom"), 0)
    given_stamps = []
    for topic in topics:
        sent[topic] += 1
        if complete := feed.add(topic, sent[topic]):
            state, _ = complete
            assert state.joint_pos[0] == state.stamp and state.base_pos is not None
            given_stamps.append(state.stamp)
    assert given_stamps == sorted(set(given_stamps))
    if max(sent.values()) <= min(sent.values()) + 16:
        assert given_stamps == list(range(1, min(sent.values()) + 1))


def test_a_repeated_state_is_given_again() -> None:
    """Repetition of the last stamp shows that the sender lives."""
    feed = Feed(StateCollector(odometry=False))
    for stamp in (5, 5, 6):
        assert feed.add("imu", stamp) is None
        complete = feed.add("joint_states", stamp)
        assert complete and complete[0].stamp == stamp


@pytest.mark.parametrize("topic", ["joint_states", "imu"])
def test_a_topic_whose_time_goes_back_is_an_error(topic: str) -> None:
    """Another sender, or one that was started anew, is not taken for the old one."""
    feed = Feed(StateCollector(odometry=False))
    feed.add("imu", 2_000_000_000)
    feed.add("joint_states", 2_000_000_000)
    with pytest.raises(G1MimicError, match=f"{topic}: time went back by 1.500 s"):
        feed.add(topic, 500_000_000)
