"""MCAP recordings, read back by rosbags, and reports drawn from them; no ROS is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

rosbags = pytest.importorskip("rosbags.highlevel")

from rosbags.typesys import Stores, get_types_from_msg, get_typestore  # noqa: E402

from g1_mimic.cli.main import main  # noqa: E402
from g1_mimic.errors import G1MimicError  # noqa: E402
from g1_mimic.motion.kinematics import forward_kinematics  # noqa: E402
from g1_mimic.recording.bag_reader import read_recording  # noqa: E402
from g1_mimic.recording.bag_writer import BagWriter, Topic  # noqa: E402
from g1_mimic.recording.facts import read_facts, recording_facts  # noqa: E402
from g1_mimic.recording.log_times import LogTimes, Received  # noqa: E402
from g1_mimic.recording.run_figures import run_figures  # noqa: E402
from g1_mimic.recording.transforms import TF_FIELDS, TF_KIND, RobotTransforms  # noqa: E402
from g1_mimic.robot.names import BODY_NAMES, JOINT_NAMES  # noqa: E402
from g1_mimic.robot.profile import load_profile  # noqa: E402
from g1_mimic.rotations import quat_apply, quat_multiply  # noqa: E402

STORE = get_typestore(Stores.ROS2_JAZZY)
JOINT_STATE = "sensor_msgs/msg/JointState"
PERIOD = 2_000_000
QOS = """\
- history: 1
  depth: 10
  reliability: 1
  durability: 2
  deadline: {sec: 9223372036, nsec: 854775807}
  lifespan: {sec: 9223372036, nsec: 854775807}
  liveliness: 1
  liveliness_lease_duration: {sec: 9223372036, nsec: 854775807}
  avoid_ros_namespace_conventions: false
"""


def topic(name: str, kind: str) -> Topic:
    return Topic(name, kind, STORE.generate_msgdef(kind, ros_version=2)[0], QOS)


def joint_state(
    stamp: int, position: Any, effort: Any = (), mode: str = "", names: Any = JOINT_NAMES
) -> bytes:
    types = STORE.types
    seconds, nanoseconds = divmod(stamp, 1_000_000_000)
    header = types["std_msgs/msg/Header"](
        types["builtin_interfaces/msg/Time"](seconds, nanoseconds), mode
    )
    arrays = [np.asarray(values, np.float64) for values in (position, (), effort)]
    message = types[JOINT_STATE](header, list(names), *arrays)
    return bytes(STORE.serialize_cdr(message, JOINT_STATE))


def write_run(path: Path, states: int = 200, close: bool = True) -> BagWriter:
    """Write a run: state i holds i/1000 rad, its target comes i µs later, torques are 10 N·m."""
    bag = BagWriter(path, recording_facts("p.onnx", "walk", load_profile("g1_29dof")))
    for name in ("/joint_states", "/joint_targets", "/reference/joint_states"):
        bag.add_topic(topic(name, JOINT_STATE))
    wall = 1_700_000_000_000_000_000
    for i in range(states):
        stamp, sent = i * PERIOD, wall + i * PERIOD
        state = joint_state(stamp, np.full(29, i / 1000), np.full(29, -10.0))
        bag.write("/joint_states", state, stamp, sent)
        mode = "stand" if i < 50 else "track"
        answer = joint_state(stamp, np.zeros(29), mode=mode)
        bag.write("/joint_targets", answer, stamp, sent + i * 1000)
        if i % 10 == 0:
            reference = joint_state(stamp, np.full(29, i / 1000 - 0.25))
            bag.write("/reference/joint_states", reference, stamp, sent)
    if close:
        bag.close()
    return bag


def test_an_independent_reader_gets_what_was_written(tmp_path: Path) -> None:
    """rosbags finds the profile, the topics, their QoS and every message, in the order of time."""
    path = tmp_path / "run.mcap"
    write_run(path)
    with rosbags.AnyReader([path]) as reader:
        assert {c.topic: c.msgcount for c in reader.connections} == {
            "/joint_states": 200,
            "/joint_targets": 200,
            "/reference/joint_states": 20,
        }
        assert reader.connections[0].ext.offered_qos_profiles[0].depth == 10
        messages = list(reader.messages())
        values = [reader.deserialize(raw, c.msgtype) for c, _, raw in messages]
    assert [t for _, t, _ in messages] == sorted(t for _, t, _ in messages)
    states = [v for v, (c, _, _) in zip(values, messages, strict=True) if c.topic[1:7] == "joint_"]
    assert states[0].name == list(JOINT_NAMES)
    assert max(v.position[0] for v in states) == 0.199


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    """A second recording of the same name is refused and the first stays as it is."""
    path = tmp_path / "run.mcap"
    write_run(path, 3)
    before = path.read_bytes()
    with pytest.raises(G1MimicError, match="exists already"):
        BagWriter(path, {})
    assert path.read_bytes() == before


def test_a_recording_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """After a flush nothing is lost, wherever the file ends behind it."""
    path = tmp_path / "run.mcap"
    bag = write_run(path, close=False)
    bag.flush()
    size = path.stat().st_size
    bag.close()
    data = path.read_bytes()
    for end in (size, size + 1, size + 20, len(data) - 1):
        (tmp_path / "cut.mcap").write_bytes(data[:end])
        recording = read_recording(tmp_path / "cut.mcap")
        assert len(recording.joints["joint_states"]) == 200
    (tmp_path / "cut.mcap").write_bytes(data[:size])
    assert not read_recording(tmp_path / "cut.mcap").complete
    assert read_recording(path).complete


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89MCAP0\r\n"])
def test_what_is_no_recording_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    """Neither a traceback nor an empty report."""
    (tmp_path / "no.mcap").write_bytes(content)
    with pytest.raises(G1MimicError, match="no MCAP file"):
        read_recording(tmp_path / "no.mcap")


def test_a_recording_without_a_robot_is_refused(tmp_path: Path) -> None:
    """The message says what is missing."""
    BagWriter(tmp_path / "empty.mcap", {}).close()
    with pytest.raises(G1MimicError, match="no joint_states"):
        read_recording(tmp_path / "empty.mcap")


def test_joints_are_read_by_name(tmp_path: Path) -> None:
    """A message in another order gives the same series."""
    order = np.random.default_rng(0).permutation(29)
    position = np.arange(29.0)
    bag = BagWriter(tmp_path / "run.mcap", {})
    bag.add_topic(topic("/joint_states", JOINT_STATE))
    names = [JOINT_NAMES[i] for i in order]
    bag.write("/joint_states", joint_state(5, position[order], names=names), 5, 5)
    bag.close()
    series = read_recording(tmp_path / "run.mcap").joints["joint_states"]
    assert series.position[0].tolist() == position.tolist()
    assert np.isnan(series.effort).all()


def test_the_figures_are_those_of_the_run(tmp_path: Path) -> None:
    """Errors, torque shares, latencies and modes have their known values."""
    write_run(tmp_path / "run.mcap")
    figures = run_figures(read_recording(tmp_path / "run.mcap"))
    assert len(figures.time) == 200 and figures.time[-1] == pytest.approx(0.398)
    assert np.allclose(figures.joint_error, 0.25) and len(figures.joint_error) == 20
    assert np.allclose(figures.latency_ms, np.arange(200) * 1e-3)
    assert figures.unanswered == 0
    limit = load_profile("g1_29dof").deploy_torque_limit
    assert np.allclose(figures.torque_share, 10.0 / limit)
    assert [mode for _, _, mode in figures.modes] == ["stand", "track"]
    assert figures.modes[1][0] == pytest.approx(0.1)
    upper = load_profile("g1_29dof").position_upper
    lower = load_profile("g1_29dof").position_lower
    assert np.allclose(figures.position_margin, np.minimum(-lower, upper - 0.199))


def test_repeated_states_count_once(tmp_path: Path) -> None:
    """Of a state that was sent again, the first sending is the one that was answered late."""
    bag = BagWriter(tmp_path / "run.mcap", {})
    for name in ("/joint_states", "/joint_targets"):
        bag.add_topic(topic(name, JOINT_STATE))
    for sent in (1_000_000, 3_000_000):
        bag.write("/joint_states", joint_state(0, np.zeros(29), np.zeros(29)), 0, sent)
    bag.write("/joint_targets", joint_state(0, np.zeros(29)), 0, 4_000_000)
    bag.close()
    figures = run_figures(read_recording(tmp_path / "run.mcap"))
    assert figures.latency_ms.tolist() == [3.0]


def test_facts_survive_the_file() -> None:
    """Limits come back exactly; broken facts are refused."""
    profile = load_profile("g1_guide")
    data = recording_facts("p", "walk", profile)
    facts = read_facts(data)
    assert facts.motion == "walk" and facts.robot == "g1_guide"
    assert np.array_equal(facts.deploy_torque_limit, profile.deploy_torque_limit)
    with pytest.raises(G1MimicError, match="facts"):
        read_facts({**data, "position_lower": "[1, 2]"})


def received(name: str, sent: int, stamp: int | None = None) -> Received:
    data = b"\0\1\0\0" + b"\0" * 4 if stamp is None else joint_state(stamp, np.zeros(29))
    return Received(name, data, sent, sent + 7, stamp is not None)


def test_log_times_are_on_the_clock_of_the_states() -> None:
    """Stamped messages have their own time, others that of the state before; none is lost."""
    times = LogTimes("/joint_states")
    assert list(times.order([received("/policy/mode", 1)])) == []
    got = list(
        times.order(
            [
                received("/policy/action", 12),
                received("/joint_states", 10, 2_000_000),
                received("/joint_targets", 13, 1_900_000),
                received("/diagnostics", 14, 10**18),
                received("/joint_states", 20, 4_000_000),
            ]
        )
    )
    assert [(m.topic, at) for at, m in got] == [
        ("/policy/mode", 2_000_000),
        ("/joint_states", 2_000_000),
        ("/policy/action", 2_000_000),
        ("/joint_targets", 1_900_000),
        ("/diagnostics", 2_000_000),
        ("/joint_states", 4_000_000),
    ]


def test_without_states_the_wall_time_counts() -> None:
    """What was held comes out in the end."""
    times = LogTimes("/joint_states")
    list(times.order([received("/rosout", 3)]))
    assert [at for at, _ in times.release()] == [10]


@settings(max_examples=20, deadline=None)
@given(
    angles=st.lists(st.floats(-2.0, 2.0), min_size=29, max_size=29),
    stamp=st.integers(0, 2**31 * 10**9 - 1),
)
def test_transforms_are_those_of_the_forward_kinematics(angles: list[float], stamp: int) -> None:
    """The message, read by rosbags, chained from link to link, gives every body's pose."""
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(TF_FIELDS, TF_KIND))
    root_pos, root_quat = np.array([0.1, -0.2, 0.8]), np.array([0.8, 0.0, 0.6, 0.0])
    data = RobotTransforms("odom").encode(stamp, root_pos, root_quat, np.array(angles))
    message: Any = store.deserialize_cdr(data, TF_KIND)
    poses = {"odom": (np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0]))}
    for transform in message.transforms:
        time = transform.header.stamp
        assert time.sec * 10**9 + time.nanosec == stamp
        t, r = transform.transform.translation, transform.transform.rotation
        parent_pos, parent_quat = poses[transform.header.frame_id]
        poses[transform.child_frame_id] = (
            parent_pos + quat_apply(parent_quat, np.array([t.x, t.y, t.z])),
            quat_multiply(parent_quat, np.array([r.w, r.x, r.y, r.z])),
        )
    wanted_pos, wanted_quat = forward_kinematics(
        root_pos[None], root_quat[None], np.array([angles])
    )
    for i, name in enumerate(BODY_NAMES):
        assert np.allclose(poses[name][0], wanted_pos[0, i], atol=1e-12)
        assert np.allclose(poses[name][1], wanted_quat[0, i], atol=1e-12)


@pytest.mark.parametrize("ending", ["png", "html"])
def test_a_report_is_drawn(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command writes a picture, or a page that needs nothing beside it."""
    write_run(tmp_path / "run.mcap")
    output = tmp_path / f"report.{ending}"
    assert main(["report", str(tmp_path / "run.mcap"), "-o", str(output)]) == 0
    assert str(output) in capsys.readouterr().out
    content = output.read_bytes()
    if ending == "png":
        assert content.startswith(b"\x89PNG") and len(content) > 50_000
    else:
        text = content.decode()
        assert "data:image/png;base64," in text and 'src="http' not in text
        assert "left_knee_joint" in text and "0.25" in text and "walk" in text


def test_a_report_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown ending and a missing file are one line each, and nothing is written."""
    write_run(tmp_path / "run.mcap", 3)
    assert main(["report", str(tmp_path / "run.mcap"), "-o", str(tmp_path / "r.txt")]) == 2
    assert main(["report", str(tmp_path / "none.mcap"), "-o", str(tmp_path / "r.png")]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 2 and ".html" in error[0] and "none.mcap" in error[1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.mcap"]
