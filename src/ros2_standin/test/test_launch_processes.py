"""How ros2 launch ends, restarts and watches its processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time

import pytest

standin_only = pytest.mark.skipif(
    "ROS2_COMMAND" in os.environ, reason="where the stand-in differs on purpose"
)


# Something to do once the first process has written its first line.
WHEN_READY = (
    "RegisterEventHandler(OnProcessIO(on_stdout=lambda event: {}, handle_once=True)),"
)


def pid_of(output: str, name: str) -> int:
    """Return the process id of a started process."""
    return int(re.search(rf"\[{name}\]: process started with pid \[(\d+)\]", output)[1])


def alive(pid: int) -> bool:
    """Return whether a process still runs."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_ctrl_c_is_forwarded_and_status_is_0(start, launch_file):
    """Without a terminal Ctrl-C reaches every process through launch; a second one is ignored."""
    launch = start("launch", launch_file("stubborn('a'), stubborn('b'),"))
    launch.wait_for("ready a")
    launch.wait_for("ready b")
    launch.send(signal.SIGINT)
    assert launch.finish() == 0
    assert launch.output.count("got SIGINT") == 2
    assert "[WARNING] [launch]: user interrupted with ctrl-c (SIGINT)\n" in launch.output
    assert launch.output.count("process has finished cleanly") == 2


def test_stubborn_process_is_terminated_then_killed(start, launch_file):
    """SIGINT, then SIGTERM, then SIGKILL; a second Ctrl-C in between is ignored."""
    launch = start(
        "launch",
        launch_file("stubborn(additional_env={'IGNORE': 'SIGINT SIGTERM'}),"),
        "sigterm_timeout:=0.4",
        "sigkill_timeout:=0.4",
    )
    launch.wait_for("ready")
    launch.send(signal.SIGINT)
    launch.wait_for("got SIGINT")
    launch.send(signal.SIGINT)
    assert launch.finish() == 0
    for text in (
        "user interrupted with ctrl-c (SIGINT) again, ignoring...",
        "sending signal 'SIGINT' to process[stubborn-1]",
        "process[stubborn-1] failed to terminate '0.4' seconds after receiving 'SIGINT', "
        "escalating to 'SIGTERM'",
        "got SIGTERM",
        "process[stubborn-1] failed to terminate '0.8' seconds after receiving 'SIGTERM', "
        "escalating to 'SIGKILL'",
        "exit code -9",
    ):
        assert text in launch.output, launch.output


def test_terminal_sends_ctrl_c_once(ros2_words, environment, launch_file):
    """On a terminal each process gets exactly one SIGINT: from the terminal, not from launch."""
    controller, terminal = os.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *ros2_words, "launch", str(launch_file("stubborn(),"))],
        env=environment, stdin=terminal, stdout=terminal, stderr=terminal,
    )
    os.close(terminal)
    output = b""
    sent = False
    try:
        while data := os.read(controller, 4096):
            output += data
            if b"ready" in output and not sent:
                sent = True
                os.write(controller, b"\x03")
    except OSError:  # how the end of the terminal shows
        pass
    assert process.wait(20) == 0
    assert output.count(b"got SIGINT") == 1
    assert b"sending signal 'SIGINT'" not in output


@standin_only
def test_sigterm_ends_the_processes_too(start, launch_file):
    """SIGTERM to launch leaves no process behind, and says so by its status."""
    launch = start("launch", launch_file("stubborn(),"))
    pid = pid_of(launch.wait_for("ready"), "stubborn-1")
    launch.send(signal.SIGTERM)
    assert launch.finish() == 1
    assert "got SIGINT" in launch.output
    assert not alive(pid)


def test_exception_ends_what_is_running(start, launch_file):
    """An exception shuts the running processes down and gives status 1."""
    launch = start(
        "launch",
        launch_file(
            WHEN_READY.format('Node(package="demo_pkg", executable="none")') + "stubborn(),"
        ),
    )
    assert launch.finish() == 1
    assert "Caught exception in launch" in launch.output
    assert "executable 'none' not found" in launch.output
    assert "got SIGINT" in launch.output


def test_exception_in_the_moment_of_a_start_leaves_no_process(start, launch_file):
    """A process that has just begun when the launch file fails is ended and waited for."""
    fail = "RegisterEventHandler(OnProcessStart(on_start=lambda event, context: 1 / 0)),"
    launch = start("launch", launch_file(fail + 'ExecuteProcess(cmd=["sleep", "987"]),'))
    assert launch.finish() == 1
    assert not alive(pid_of(launch.output, "sleep-1"))


def test_raising_event_handler_gives_status_1(ros2, launch_file):
    """A launch file can report a failed node by raising in OnProcessExit; without, status is 0."""
    node = 'ExecuteProcess(cmd=["sh", "-c", "exit 3"]{}),'
    function = """, on_exit=lambda event, context: (_ for _ in ()).throw(
        RuntimeError(f"failed with {event.returncode}"))"""
    assert ros2("launch", launch_file(node.format("")))[0] == 0
    status, output = ros2("launch", launch_file(node.format(function)))
    assert status == 1
    assert "Caught exception in launch (see debug for traceback): failed with 3" in output


def test_required_process_ends_the_others(start, launch_file):
    """on_exit=Shutdown() ends everything else with SIGINT once the process has ended."""
    launch = start(
        "launch",
        launch_file(
            WHEN_READY.format('ExecuteProcess(cmd=["true"], on_exit=Shutdown(reason="r"))')
            + "stubborn(),"
        ),
    )
    assert launch.finish() == 0
    assert "process[true-2] was required: shutting down launched system" in launch.output
    assert "got SIGINT" in launch.output


def test_respawn_after_any_exit_up_to_the_limit(ros2, launch_file):
    """A respawned process starts again under its name, as often as allowed."""
    status, output = ros2(
        "launch",
        launch_file(
            'ExecuteProcess(cmd=["sh", "-c", "echo again"], output="screen", respawn=True, '
            "respawn_delay=0.1, respawn_max_retries=2),"
        ),
    )
    assert status == 0
    assert output.count("[sh-1] again") == 3
    assert output.count("process has finished cleanly") == 3


def test_no_respawn_during_shutdown(start, launch_file):
    """Ctrl-C ends the wait for a respawn and nothing starts again."""
    launch = start(
        "launch",
        launch_file('ExecuteProcess(cmd=["false"], respawn=True, respawn_delay=60.0),'),
    )
    launch.wait_for("process has died")
    time.sleep(0.2)
    launch.send(signal.SIGINT)
    assert launch.finish() == 0
    assert launch.output.count("process started") == 1


def test_event_handlers_see_starts_ends_and_output(ros2, launch_file):
    """OnProcessStart, OnProcessIO and OnProcessExit get the events of their process only."""
    path = launch_file("*entities()")
    path.write_text(path.read_text().replace("def generate", DEFINITIONS + "def generate"))
    status, output = ros2("launch", path)
    assert status == 0
    messages = re.findall(r"\[launch.user\]: (.*)", output)
    assert sorted(messages) == ["ended 0", "started", "wrote one"]


DEFINITIONS = """
def entities():
    first = ExecuteProcess(cmd=["echo", "one"])
    second = ExecuteProcess(cmd=["echo", "two"])
    return [
        RegisterEventHandler(OnProcessStart(target_action=first, on_start=[
            LogInfo(msg="started")])),
        RegisterEventHandler(OnProcessIO(target_action=first, on_stdout=lambda event:
            LogInfo(msg="wrote " + event.text.decode().strip()))),
        RegisterEventHandler(OnProcessExit(target_action=first, on_exit=lambda event, context:
            [LogInfo(msg=f"ended {event.returncode}")])),
        first, second,
    ]

"""
