"""The node monitor: the tree of diagnostics and the robot as RViz sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue  # noqa: E402
from nav_msgs.msg import Odometry  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from visualization_msgs.msg import Marker, MarkerArray  # noqa: E402

from g1_mimic.nodes.monitor.diagnostics_tree import STALE_AFTER, DiagnosticsTree  # noqa: E402
from g1_mimic.nodes.monitor.node import MonitorNode  # noqa: E402
from g1_mimic.nodes.monitor.robot_view import Pose  # noqa: E402
from g1_mimic.nodes.shared.common import LATCHED_QOS, STREAM_QOS  # noqa: E402
from g1_mimic.nodes.shared.messages import set_quaternion, set_vector3  # noqa: E402
from g1_mimic.nodes.shared.wire import JointStateWriter  # noqa: E402
from g1_mimic.robot.model import build_model  # noqa: E402
from g1_mimic.robot.names import ANCHOR_BODY_NAME, BODY_NAMES  # noqa: E402
from g1_mimic.robot.profile import load_profile  # noqa: E402

WAIT = 20.0


def status(name: str, level: int, message: str = "") -> DiagnosticStatus:
    values = [KeyValue(key="k", value="v")]
    return DiagnosticStatus(level=bytes([level]), name=name, message=message, values=values)


def told(tree: DiagnosticsTree, now: float) -> dict[str, tuple[int, str]]:
    return {s.name: (s.level[0], s.message) for s in tree.statuses(now)}


def test_the_tree_has_a_branch_above_every_leaf() -> None:
    """Names are paths, branches come first and have the worst level below them."""
    tree = DiagnosticsTree()
    tree.update(status("policy", 0, "track"), 0.0)
    tree.update(status("policy/limits", 1, "often at a limit"), 0.0)
    tree.update(status("arm/left/hand", 0, "there"), 0.0)
    result = told(tree, 0.1)
    assert result == {
        "/g1": (1, "Warning"),
        "/g1/arm": (0, "OK"),
        "/g1/arm/left": (0, "OK"),
        "/g1/arm/left/hand": (0, "there"),
        "/g1/policy": (0, "track"),
        "/g1/policy/limits": (1, "often at a limit"),
    }
    names = list(result)
    assert all(names.index(n.rpartition("/")[0]) < names.index(n) for n in names if n != "/g1")


def test_silence_is_stale() -> None:
    """A part that is silent is an error of the whole, silence of all is stale."""
    tree = DiagnosticsTree()
    tree.update(status("policy", 0, "track"), 0.0)
    assert told(tree, STALE_AFTER + 0.1)["/g1"] == (3, "Stale")
    tree.update(status("sim", 0, "running"), STALE_AFTER)
    result = told(tree, STALE_AFTER + 1.0)
    assert result["/g1/policy"] == (3, "silent for 4 s; last: track")
    assert result["/g1"] == (2, "Error") and result["/g1/sim"] == (0, "running")


def test_only_a_change_of_level_is_news() -> None:
    """What `update` returns decides whether the tree is told at once."""
    tree = DiagnosticsTree()
    assert tree.update(status("policy", 0), 0.0)
    assert not tree.update(status("policy", 0, "other words"), 1.0)
    assert tree.update(status("policy", 2), 2.0)


@pytest.mark.parametrize("body", ["pelvis", ANCHOR_BODY_NAME])
def test_links_are_where_mujoco_has_them(body: str) -> None:
    """Whichever body's pose is known, all links are those of the simulation."""
    model = build_model(load_profile("g1_29dof"))
    data = mujoco.MjData(model)
    generator = np.random.default_rng(3)
    data.qpos[:3], data.qpos[3:7] = [1.0, -2.0, 0.7], [0.5, 0.5, -0.5, 0.5]
    data.qpos[7:] = generator.uniform(*model.jnt_range[1:].T)
    mujoco.mj_kinematics(model, data)
    pose = Pose(0, data.qpos[7:].copy(), body, data.body(body).xpos, data.body(body).xquat)
    pos, quat = pose.links()
    for i, name in enumerate(BODY_NAMES):
        assert np.allclose(pos[i], data.body(name).xpos, atol=1e-9)
        assert abs(quat[i] @ data.body(name).xquat) == pytest.approx(1.0, abs=1e-9)


@pytest.fixture
def spin() -> Iterator[tuple[MonitorNode, Any, Callable[..., None]]]:
    """A monitor in this process, a second node, and a function that waits for something."""
    rclpy.init()
    monitor, other = MonitorNode(), rclpy.create_node("other")
    executor = SingleThreadedExecutor()
    for node in (monitor, other):
        executor.add_node(node)

    def wait_for(condition: Callable[[], object], again: Callable[[], None]) -> None:
        deadline = time.monotonic() + WAIT
        while not condition():
            assert time.monotonic() < deadline
            again()
            executor.spin_once(timeout_sec=0.02)

    yield monitor, other, wait_for
    executor.shutdown()
    monitor.close()
    for node in (monitor, other):
        node.destroy_node()
    rclpy.try_shutdown()


def test_robot_and_reference_are_shown(spin: tuple[MonitorNode, Any, Callable[..., None]]) -> None:
    """Description and markers come: every shape once for the robot, once for its reference."""
    _, other, wait_for = spin
    texts: list[str] = []
    arrays: list[MarkerArray] = []
    trees: list[DiagnosticArray] = []
    other.create_subscription(
        String, "robot_description", lambda m: texts.append(m.data), LATCHED_QOS
    )
    other.create_subscription(MarkerArray, "robot_markers", arrays.append, 1)
    other.create_subscription(DiagnosticArray, "diagnostics_agg", trees.append, 10)
    out = {
        topic: other.create_publisher(kind, topic, STREAM_QOS)
        for topic, kind in (
            ("joint_states", JointState),
            ("odom", Odometry),
            ("reference/joint_states", JointState),
            ("reference/odom", Odometry),
            ("diagnostics", DiagnosticArray),
        )
    }

    def publish() -> None:
        for prefix, x, body in (("", 0.5, "pelvis"), ("reference/", 1.5, ANCHOR_BODY_NAME)):
            out[f"{prefix}joint_states"].publish(JointStateWriter().stamped(0))
            odom = Odometry(child_frame_id=body)
            set_vector3(odom.pose.pose.position, np.array([x, 0.0, 0.8]))
            set_quaternion(odom.pose.pose.orientation, np.array([1.0, 0, 0, 0]))
            out[f"{prefix}odom"].publish(odom)
        out["diagnostics"].publish(DiagnosticArray(status=[status("sim", 1, "slow")]))

    def shown() -> set[str]:
        return {marker.ns for array in arrays[-1:] for marker in array.markers}

    wait_for(lambda: texts and shown() == {"robot", "reference"} and trees, publish)
    assert ElementTree.fromstring(texts[0]).attrib["name"] == "g1"
    markers = arrays[-1].markers
    robot = [m for m in markers if m.ns == "robot"]
    ghost = [m for m in markers if m.ns == "reference"]
    assert len(robot) == len(ghost) > 100
    assert {m.header.frame_id for m in markers} == {"odom"}
    assert len({(m.ns, m.id) for m in markers}) == len(markers)
    assert all(m.action == Marker.ADD and m.scale.x > 0 for m in markers)
    assert all(m.color.a < 1.0 for m in ghost) and all(m.color.a == 1.0 for m in robot)
    assert np.mean([m.pose.position.x for m in robot]) == pytest.approx(0.5, abs=0.1)
    assert np.mean([m.pose.position.x for m in ghost]) == pytest.approx(1.5, abs=0.1)
    wait_for(lambda: any(len(tree.status) == 2 for tree in trees), publish)
    assert [s.name for s in trees[-1].status] == ["/g1", "/g1/sim"]
