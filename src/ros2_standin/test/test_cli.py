"""The ros2 command on a running system."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REAL = "ROS2_COMMAND" in os.environ
WAIT = ("--spin-time", "3") if REAL else ()  # the stand-in waits by itself for what it is to find
standin_only = pytest.mark.skipif(REAL, reason="where the stand-in differs on purpose")


@pytest.fixture(scope="module")
def system(prefix, session_environment):
    """The nodes /demo and /life, running."""
    nodes = [
        subprocess.Popen(
            [prefix / "lib/demo_pkg" / name], env=session_environment, stdout=subprocess.PIPE
        )
        for name in ("node", "lifecycle")
    ]
    for node in nodes:
        assert node.stdout.readline()
    yield
    for node in nodes:
        node.kill()
        node.wait()


@pytest.fixture
def look(ros2, system):
    """Runs a ros2 command that is to succeed on the running system and returns its output."""

    def run(*words: str, until: str = "") -> str:
        for _ in range(3):  # a list may miss what discovery is late to find
            status, output = ros2(*words)
            if until in output:
                break
        assert status == 0, output
        assert until in output
        return output

    return run


def test_help_names_every_command(ros2):
    """ros2 and ros2 --help list the commands; a verb's --help tells its arguments."""
    for words in ([], ["--help"]):
        status, output = ros2(*words)
        assert status == 0
        for name in ("launch", "run", "pkg", "node", "topic", "service", "param", "lifecycle"):
            assert re.search(rf"^ +{name} +\w", output, re.M)
    status, output = ros2("topic", "echo", "--help")
    assert status == 0 and output.startswith("usage: ros2 topic echo ") and "--once" in output
    status, output = ros2("topic")
    assert status == 0 and "echo" in output


def test_unknown_words_are_usage_errors(ros2):
    """A command or an option that does not exist gives status 2 and the usage."""
    for words in (["no-such"], ["topic", "no-such"], ["topic", "list", "--no-such"]):
        status, output = ros2(*words)
        assert status == 2 and output.startswith("usage: ros2")


def test_pkg(ros2, prefix):
    """Packages are found under every prefix, with their executables."""
    status, output = ros2("pkg", "list")
    assert status == 0 and {"demo_pkg", "rclpy"} <= set(output.split())
    assert ros2("pkg", "prefix", "demo_pkg") == (0, f"{prefix}\n")
    assert ros2("pkg", "prefix", "--share", "demo_pkg") == (0, f"{prefix}/share/demo_pkg\n")
    assert ros2("pkg", "prefix", "no_pkg") == (1, "Package not found\n")
    expected = "demo_pkg lifecycle\ndemo_pkg node\ndemo_pkg stubborn\n"
    assert ros2("pkg", "executables", "demo_pkg") == (0, expected)


def test_run_passes_arguments_signals_and_status(ros2, start):
    """ros2 run runs an executable with the rest of the line as it is."""
    running = start("run", "demo_pkg", "stubborn", "-x", "--ros-args", "-r", "a:=b")
    running.wait_for("ready -x --ros-args -r a:=b\n")
    os.killpg(running.process.pid, signal.SIGINT)  # as a terminal does
    assert running.finish() == 0
    assert "got SIGINT" in running.output
    assert ros2("run", "--prefix", "false", "demo_pkg", "node")[0] == 1
    assert ros2("run", "demo_pkg", "none") == (1, "No executable found\n")
    assert ros2("run", "no_pkg", "none") == (1, "Package 'no_pkg' not found\n")


def test_node_list_and_info(look, ros2):
    """Nodes are listed by full name and shown with what they offer."""
    assert look("node", "list", *WAIT, until="/demo\n/life\n").split() == ["/demo", "/life"]
    output = look("node", "info", "/demo", *WAIT)
    assert output.startswith("/demo\n  Subscribers:\n")
    assert "  Publishers:\n    /chatter: std_msgs/msg/String\n" in output
    assert "    /flag: std_srvs/srv/SetBool\n" in output
    assert ros2("node", "info", "/none", "--spin-time", "1") == (
        1, "Unable to find node '/none'\n"
    )


def test_topic_list(look):
    """Topics are listed, with types and counts where asked."""
    look("topic", "list", *WAIT, until="/chatter\n")
    look("topic", "list", "-t", *WAIT, until="/chatter [std_msgs/msg/String]\n")
    output = look("topic", "list", "-v", *WAIT, until="/chatter")
    assert "Published topics:\n" in output and "\n\nSubscribed topics:\n" in output
    assert " * /chatter [std_msgs/msg/String] 1 publisher\n" in output


def test_topic_info(look, ros2):
    """A topic is shown with its type, its counts and, where asked, its endpoints."""
    assert look("topic", "info", "/chatter", *WAIT) == (
        "Type: std_msgs/msg/String\nPublisher count: 1\nSubscription count: 0\n"
    )
    output = look("topic", "info", "-v", "/chatter", *WAIT)
    assert "Node name: demo\n" in output and "Reliability: RELIABLE" in output
    status, output = ros2("topic", "info", "/none", "--spin-time", "1")
    assert status == 1 and output == "Unknown topic '/none'\n"


def test_topic_echo(look, ros2):
    """Messages are shown as YAML, as values of a field, or separated by commas."""
    words = (*WAIT, "--once", "/chatter")
    assert look("topic", "echo", *words) == "data: hello\n---\n"
    assert look("topic", "echo", *words, "--field", "data") == "hello\n---\n"
    assert look("topic", "echo", *words, "--csv") == "hello\n"
    assert look("topic", "echo", *words, "-l", "2") == "data: he...\n---\n"
    status, output = ros2("topic", "echo", "--spin-time", "1", "/none")
    assert (status, output) == (
        1,
        "WARNING: topic [/none] does not appear to be published yet\n"
        "Could not determine the type for the passed topic\n",
    )


MESSAGE = (
    "{header: auto, name: [a, 'no'], position: [1, 2.5]}",
    "sensor_msgs/msg/JointState",
    r"header:\n  stamp:\n    sec: [1-9]\d+\n    nanosec: \d+\n  frame_id: ''\n"
    r"name:\n- a\n- 'no'\nposition:\n- 1.0\n- 2.5\nvelocity: \[\]\neffort: \[\]\n---\n",
)
NESTED = (
    '{status: [{level: !!binary "AQ==", name: n, values: [{key: k, value: v}]}]}',
    "diagnostic_msgs/msg/DiagnosticArray",
    r'(?s).*status:\n- level: "\\x01"\n  name: n\n  message: \'\'\n  hardware_id: \'\'\n'
    r"  values:\n  - key: k\n    value: v\n---\n",
)


@pytest.mark.parametrize(("values", "kind", "shown"), [MESSAGE, NESTED])
def test_topic_pub_reaches_topic_echo(start, values, kind, shown):
    """What pub sends from YAML, echo shows as YAML; pub --times waits for the listener."""
    echo = start("topic", "echo", "--once", "/made", kind)
    pub = start("topic", "pub", "--times", "10", "--rate", "10", "/made", kind, values)
    assert pub.finish() == 0, pub.output
    assert "publisher: beginning loop\npublishing #1: " in pub.output
    assert echo.finish() == 0
    assert re.fullmatch(shown, echo.output), echo.output


def test_topic_pub_rejects_what_does_not_fit(ros2):
    """An unknown type, field or value is one line and status 1."""
    for kind, values, message in (
        ("no_msgs/msg/No", "{}", "The passed message type is invalid"),
        ("std_msgs/msg/String", "data", "The passed value needs to be a dictionary in YAML format"),
        ("std_msgs/msg/String", "{no: 1}", "Failed to populate field: "),
    ):
        status, output = ros2("topic", "pub", "--once", "-w", "0", "/x", kind, values)
        assert status == 1 and output.startswith(message)


def test_topic_hz_and_bw(start, system):
    """Rate and bandwidth are reported every second from what arrives."""
    hz, bw = start("topic", "hz", "/chatter"), start("topic", "bw", "/chatter")
    hz.wait_for("window:")
    bw.wait_for("max:")
    for running in (hz, bw):
        running.send(signal.SIGINT)
        assert running.finish() in (0, 2)
    rate = re.search(
        r"^average rate: ([\d.]+)\n\tmin: [\d.]+s max: [\d.]+s std dev: [\d.]+s window: \d+\n",
        hz.output, re.M,
    )
    assert 2.0 < float(rate[1]) < 200.0  # 20 Hz, on however busy a machine
    assert re.search(
        r"^[\d.]+ K?B/s from \d+ messages\n\tMessage size mean: 1\d B min: 1\d B max: 1\d B\n",
        bw.output, re.M,
    )


def test_service_list_and_call(look, ros2):
    """Services are listed and called with YAML."""
    look("service", "list", "-t", *WAIT, until="/flag [std_srvs/srv/SetBool]\n")
    output = look("service", "call", "/flag", "std_srvs/srv/SetBool", "{data: true}")
    assert (
        "requester: making request: std_srvs.srv.SetBool_Request(data=True)\n\n"
        "response:\nstd_srvs.srv.SetBool_Response(success=True, message='as you like')\n"
    ) in output
    status, output = ros2("service", "call", "/flag", "std_srvs/srv/No", "{}")
    assert status == 1 and output.startswith("The passed service type is invalid")


def test_param_get_set_and_list(look, ros2):
    """Parameters are listed, read and set."""
    names = look("param", "list", "/demo", *WAIT).split()
    assert {"gain", "label", "group.counts", "fixed", "use_sim_time"} <= set(names)
    assert look("param", "get", "--hide-type", "/demo", "group.counts", *WAIT) == "[1, 2]\n"
    assert look("param", "set", "/demo", "gain", "1.5", *WAIT) == "Set parameter successful\n"
    assert look("param", "get", "/demo", "gain", *WAIT) == "Double value is: 1.5\n"


def test_param_describe(look):
    """A description has type, bounds and whether it can be written."""
    assert look("param", "describe", "/demo", "gain", "fixed", *WAIT) == (
        "Parameter name: gain\n  Type: double\n  Description: A gain\n  Constraints:\n"
        "    Min value: 0.0\n    Max value: 2.0\n"
        "Parameter name: fixed\n  Type: boolean\n  Constraints:\n    Read only: true\n"
    )


def test_param_errors(ros2, system):
    """Unknown nodes, unknown parameters and refused values are one line."""
    status, output = ros2("param", "set", "/demo", "gain", "9.0", *WAIT)
    assert output.startswith("Setting parameter failed: ")
    assert REAL or status == 1
    assert ros2("param", "get", "/demo", "none", *WAIT) == (1, "Parameter not set\n")
    assert ros2("param", "get", "/none", "gain", "--timeout", "1") == (1, "Node not found\n")


def test_param_load(look, tmp_path):
    """A parameter file can be loaded into a running node."""
    path = tmp_path / "p.yaml"
    path.write_text("/**:\n  ros__parameters:\n    label: new\n    group:\n      counts: [1, 2]\n")
    output = look("param", "load", "/demo", str(path), *WAIT)
    assert sorted(output.splitlines()) == [
        "Set parameter group.counts successful", "Set parameter label successful",
    ]


@standin_only
def test_param_dump_can_be_loaded(look, ros2, tmp_path):
    """A dump is a parameter file; what is read-only in it fails alone."""
    path = tmp_path / "p.yaml"
    path.write_text(look("param", "dump", "/demo"))
    parameters = yaml.safe_load(path.read_text())["/demo"]["ros__parameters"]
    assert parameters["group"] == {"counts": [1, 2]} and parameters["fixed"] is True
    status, output = ros2("param", "load", "/demo", path)
    assert status == 1  # because of the read-only one
    assert "Set parameter gain successful" in output and "Set parameter fixed failed" in output


def test_lifecycle_nodes_and_get(look, ros2):
    """Lifecycle nodes are listed with their states, and no others."""
    assert look("lifecycle", "nodes", *WAIT, until="/life") == "/life\n"
    assert look("lifecycle", "get", *WAIT, until="/life") == "/life: unconfigured [1]\n"
    assert ros2("lifecycle", "get", "/demo", "--spin-time", "1") == (1, "Node not found\n")


def test_lifecycle_set(look, ros2):
    """A transition is asked for by its name; one that is not possible lists those that are."""
    assert look("lifecycle", "set", "/life", "configure", *WAIT) == "Transitioning successful\n"
    assert look("lifecycle", "get", "/life", *WAIT) == "inactive [2]\n"
    status, output = ros2("lifecycle", "set", "/life", "configure", *WAIT)
    assert status == 1
    assert output.startswith("Unknown transition requested, available ones are:\n- ")
    assert "\n- activate [3]" in output
    look("lifecycle", "set", "/life", "cleanup", *WAIT)


@standin_only
def test_real_ros2_takes_over(ros2, tmp_path):
    """Where a ROS 2 distribution is sourced, ros2 becomes its ros2 and launch is an error."""
    for path in ("share/launch/package.xml", "bin/ros2"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text('#!/bin/sh\necho "the real one: $@"\n')
        (tmp_path / path).chmod(0o755)
    status, output = ros2("topic", "list", AMENT_PREFIX_PATH=str(tmp_path))
    assert (status, output) == (0, "the real one: topic list\n")


@standin_only
def test_launch_refuses_to_hide_a_real_one(session_environment, tmp_path):
    """Importing launch is an error where a sourced ROS 2 distribution has one."""
    (tmp_path / "share/launch").mkdir(parents=True)
    (tmp_path / "share/launch/package.xml").touch()
    result = subprocess.run(
        [sys.executable, "-c", "import launch_ros"], capture_output=True, text=True, check=False,
        env={**session_environment, "AMENT_PREFIX_PATH": str(tmp_path)},
    )
    assert result.returncode == 1
    assert f"ImportError: the ROS 2 distribution at {tmp_path} has launch" in result.stderr


@standin_only
def test_build_refuses_to_hide_a_real_one(session_environment, tmp_path):
    """The distribution does not build where a sourced ROS 2 distribution has launch."""
    (tmp_path / "share/launch").mkdir(parents=True)
    (tmp_path / "share/launch/package.xml").touch()
    result = subprocess.run(
        [sys.executable, "setup.py", "--version"], cwd=Path(__file__).parents[1],
        capture_output=True, text=True, check=False,
        env={**session_environment, "AMENT_PREFIX_PATH": str(tmp_path)},
    )
    assert result.returncode == 1
    assert result.stderr.strip().endswith(f"would hide the real ROS 2 launch in {tmp_path}")
