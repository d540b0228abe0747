"""What launch_ros makes of nodes: command lines, parameters, namespaces, life cycles."""

from __future__ import annotations

import re
import signal

import yaml


def ready_line(output: str) -> list[str]:
    """Return the words that the process was started with."""
    return re.search(r"\] ready ?(.*)", output)[1].split()


def test_command_line_of_a_node(start, launch_file):
    """Arguments, then --ros-args with name, namespace, parameters and remappings in this order."""
    launch = start(
        "launch",
        launch_file(
            "stubborn('--flag', LaunchConfiguration('v'), name='n', namespace='ns', "
            "parameters=[{'a': 1}], remappings=[('from', 'to')], "
            "ros_arguments=['--log-level', 'warn']),"
        ),
        "v:=val",
    )
    launch.wait_for("ready")
    words = ready_line(launch.output)
    file = words[words.index("--params-file") + 1]
    assert words == [
        "--flag", "val", "--ros-args", "--log-level", "warn", "--ros-args", "-r", "__node:=n",
        "-r", "__ns:=/ns", "--params-file", file, "-r", "from:=to",
    ]
    with open(file) as text:
        assert yaml.safe_load(text) == {"/ns/n": {"ros__parameters": {"a": 1}}}
    launch.send(signal.SIGINT)
    assert launch.finish() == 0


def test_dictionaries_become_typed_parameter_files(start, launch_file):
    """Plain values keep their type, substitutions are read as YAML, nested names are dotted."""
    launch = start(
        "launch",
        launch_file(
            'SetLaunchConfiguration("n", "3"), SetLaunchConfiguration("t", "1e3x"),'
            'SetLaunchConfiguration("list", "[1, 2]"),'
            "stubborn(parameters=[{"
            "'text': '3', 'flag': True, 'mixed': [1, 2.5], 'words': ['a', '1'], "
            "'number': LaunchConfiguration('n'), "
            "'joined': ['x', LaunchConfiguration('n')], "
            "'forced': ParameterValue(LaunchConfiguration('n'), value_type=str), "
            "'real': ParameterValue(LaunchConfiguration('n'), value_type=float), "
            "'items': ParameterValue(LaunchConfiguration('list')), "
            "'group': {'inner': LaunchConfiguration('t')}}]),"
        ),
    )
    launch.wait_for("ready")
    words = ready_line(launch.output)
    with open(words[words.index("--params-file") + 1]) as file:
        text = file.read().replace("!!python/tuple", "")
    assert yaml.safe_load(text) == {
        "/**": {
            "ros__parameters": {
                "text": "3", "flag": True, "mixed": [1.0, 2.5], "words": ["a", "1"], "number": 3,
                "joined": "x3", "forced": "3", "real": 3.0, "items": [1, 2], "group.inner": "1e3x",
            }
        }
    }


def test_bad_parameters_are_errors(ros2, launch_file):
    """Empty and mixed lists have no ROS type."""
    for value in ("[]", "[1, 'a']", "LaunchConfiguration('m')"):
        path = launch_file(f"stubborn(parameters=[{{'x': {value}}}]),")
        status, output = ros2("launch", path, "m:={a: 1}")
        assert status == 1 and "Caught exception in launch" in output


def test_parameters_reach_the_node(start, launch_file, tmp_path):
    """Files and dictionaries arrive in the node; a missing file is only a warning."""
    (tmp_path / "p.yaml").write_text("/**:\n  ros__parameters:\n    label: file\n")
    (tmp_path / "s.yaml").write_text(
        "/**:\n  ros__parameters:\n    group:\n      counts: [$(var n), 8]\n"
    )
    launch = start(
        "launch",
        launch_file(
            'Node(package="demo_pkg", executable="node", name="mine", namespace="space", '
            'output="screen", parameters=[os.path.dirname(__file__) + "/p.yaml", '
            'ParameterFile(os.path.dirname(__file__) + "/s.yaml", allow_substs=True), '
            '{"label": "dict"}, Parameter("gain", 0.5), "/no/such/file.yaml"]),'
        ),
        "n:=7",
    )
    launch.wait_for("name /space/mine")
    assert "gain = 0.5" in launch.output
    assert "label = dict" in launch.output
    assert "group.counts = [7, 8]" in launch.output
    assert "Parameter file path is not a file: /no/such/file.yaml" in launch.output
    launch.send(signal.SIGINT)
    assert launch.finish() == 0


def test_groups_push_namespaces_parameters_and_remappings(start, launch_file):
    """PushROSNamespace, SetParameter and SetRemap reach the nodes of their group only."""
    launch = start(
        "launch",
        launch_file(
            'GroupAction([PushROSNamespace("a"), PushROSNamespace("b"), SetParameter("p", 1.5), '
            'SetRemap("x", "y"), stubborn("in", name="n", namespace="c", exec_name="in")]),'
            'stubborn("out", exec_name="out"),'
        ),
    )
    launch.wait_for("ready in")
    launch.wait_for("ready out")
    inside = re.search(r"\[in-1\] ready in (.*)", launch.output)[1]
    outside = re.search(r"\[out-2\] ready out (.*)", launch.output)[1]
    assert inside == "--ros-args -r __node:=n -r __ns:=/a/b/c -p p:=1.5 -r x:=y"
    assert outside == "--ros-args"


LIFECYCLE = """
from launch.actions import EmitEvent, RegisterEventHandler
from launch.events import matches_action
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

def change(node, transition):
    return EmitEvent(event=ChangeState(
        lifecycle_node_matcher=matches_action(node), transition_id=transition))

def entities():
    node = LifecycleNode(
        package="demo_pkg", executable="lifecycle", name="life", namespace="", output="screen")
    return [
        RegisterEventHandler(OnStateTransition(
            target_lifecycle_node=node, goal_state="inactive",
            entities=[LogInfo(msg="configured"), change(node, Transition.TRANSITION_ACTIVATE)])),
        RegisterEventHandler(OnStateTransition(
            target_lifecycle_node=node, start_state="activating", goal_state="active",
            entities=[LogInfo(msg="activated"), Shutdown()])),
        node,
        change(node, Transition.TRANSITION_CONFIGURE),
    ]

"""


def test_lifecycle_node_is_configured_and_activated(ros2, launch_file):
    """ChangeState drives a lifecycle node, OnStateTransition hears of it."""
    path = launch_file("*entities()")
    path.write_text(path.read_text().replace("def generate", LIFECYCLE + "def generate"))
    status, output = ros2("launch", path)
    assert status == 0, output
    assert re.findall(r"\[launch.user\]: (.*)", output) == ["configured", "activated"]
