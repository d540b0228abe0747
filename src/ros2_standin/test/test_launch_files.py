"""What ros2 launch makes of launch files: arguments, substitutions, scopes, output."""

from __future__ import annotations

import re

import pytest

ECHO = 'LogInfo(msg=["who=", LaunchConfiguration("who")]),'
DECLARE = 'DeclareLaunchArgument("who", default_value="nobody", description="Whom to greet"),'


def logged(output: str) -> list[str]:
    """Return the messages of LogInfo."""
    return re.findall(r"\[INFO\] \[launch.user\]: (.*)", output)


@pytest.mark.parametrize(
    ("words", "expected"),
    [([], "nobody"), (["who:=a"], "a"), (["who:=a", "other:=1", "who:=b:=c"], "b:=c")],
)
def test_last_argument_wins_and_unknown_ones_are_accepted(ros2, launch_file, words, expected):
    """name:=value sets an argument, the last one counts, others do no harm."""
    status, output = ros2("launch", launch_file(DECLARE + ECHO), *words)
    assert (status, logged(output)) == (0, [f"who={expected}"])


@pytest.mark.parametrize("word", ["who", ":=a", "who:="])
def test_malformed_argument_is_an_error(ros2, launch_file, word):
    """What is not name:=value ends the command with one line and status 1."""
    status, output = ros2("launch", launch_file(DECLARE), word)
    assert status == 1
    assert output == f"malformed launch argument '{word}', expected format '<name>:=<value>'\n"


@pytest.mark.parametrize(
    ("entities", "words", "message"),
    [
        ('DeclareLaunchArgument("m", choices=["x", "y"]),', ["m:=z"], "Valid options are"),
        ('DeclareLaunchArgument("m", description="must"),', [], "missing required argument 'm'"),
        ('LogInfo(msg=LaunchConfiguration("no")),', [], "configuration 'no' does not exist"),
        ('Node(package="no_pkg", executable="x"),', [], "no_pkg"),
        ('Node(package="demo_pkg", executable="no_exe"),', [], "no_exe"),
        ('OpaqueFunction(function=lambda context: 1 / 0),', [], "division by zero"),
        ('LogInfo(msg="x", condition=IfCondition("maybe")),', [], "maybe"),
        ('LogInfo(msg=EnvironmentVariable("NO_SUCH")),', [], "NO_SUCH"),
    ],
)
def test_errors_in_a_launch_file_give_status_1(ros2, launch_file, entities, words, message):
    """Whatever goes wrong in a launch file is one 'Caught exception in launch', status 1."""
    status, output = ros2("launch", launch_file(entities), *words)
    lines = [line for line in output.splitlines() if "Caught exception in launch" in line]
    assert status == 1
    assert len(lines) == 1 and message in lines[0]


def test_show_args_lists_the_arguments(ros2, launch_file):
    """-s shows name, description, choices, default; included and conditional arguments too."""
    launch_file('DeclareLaunchArgument("inner"),', "inner.launch.py")
    path = launch_file(
        DECLARE
        + 'DeclareLaunchArgument("mode", default_value="a", choices=["a", "b"]),'
        + 'IncludeLaunchDescription(PythonLaunchDescriptionSource([os.path.dirname(__file__), '
        + '"/inner.launch.py"])),'
        + 'GroupAction([DeclareLaunchArgument("rare", default_value=["x", '
        + 'LaunchConfiguration("who")])], condition=IfCondition("true")),'
    )
    status, output = ros2("launch", "-s", path)
    assert status == 0
    assert output == (
        "Arguments (pass arguments as '<name>:=<value>'):\n\n"
        "    'who':\n        Whom to greet\n        (default: 'nobody')\n\n"
        "    'mode':\n        One of: ['a', 'b']\n        (default: 'a')\n\n"
        "    'inner':\n        no description given\n\n"
        "    'rare':*\n        no description given\n"
        "        (default: 'x' + LaunchConfig('who'))\n\n"
        "* argument(s) which are only used if specific conditions occur\n"
    )


def test_print_shows_the_description_without_running_it(ros2, launch_file):
    """-p prints the tree and runs nothing."""
    entities = 'LogInfo(msg="hi"), ExecuteProcess(cmd=["touch", "x"], cwd="/nowhere"),'
    status, output = ros2("launch", "-p", launch_file(entities))
    assert status == 0
    assert "├── LogInfo('hi')\n└── ExecuteProcess(cmd=['touch', 'x']" in output.replace("─ ─", "──")


def test_package_and_file_name_find_the_launch_file(ros2, prefix, launch_file):
    """ros2 launch PACKAGE FILE looks in the package's share folder."""
    path = launch_file('LogInfo(msg=ThisLaunchFileDir()),')
    path.rename(prefix / "share/demo_pkg/launch/by_name.launch.py")
    status, output = ros2("launch", "demo_pkg", "by_name.launch.py", "x:=1")
    assert (status, logged(output)) == (0, [str(prefix / "share/demo_pkg/launch")])
    status, output = ros2("launch", "demo_pkg", "other.launch.py")
    assert status == 1 and "'other.launch.py' was not found in the share directory" in output
    status, output = ros2("launch", "no_such_pkg", "other.launch.py")
    assert status == 1 and output.startswith("Package 'no_such_pkg' not found")


def test_substitutions(ros2, launch_file):
    """Each substitution yields what its real counterpart does."""
    cases = {
        'PathJoinSubstitution([FindPackageShare("demo_pkg"), "a", "b"])': "/share/demo_pkg/a/b",
        'PythonExpression(["2 * ", LaunchConfiguration("n"), " + cos(0)"])': "7.0",
        'PythonExpression(["\'", LaunchConfiguration("n"), "\' == \'3\'"])': "True",
        'EnvironmentVariable("SURELY_UNSET", default_value="d")': "d",
        'EnvironmentVariable("GIVEN")': "g",
        'Command(["echo -n ", LaunchConfiguration("n")])': "3",
        'FindExecutable(name="sh")': "/sh",
        'LaunchConfiguration("unset", default=5)': "5",
        'EqualsSubstitution(LaunchConfiguration("n"), "3")': "true",
        'NotEqualsSubstitution("a", "b")': "true",
        'NotSubstitution("true")': "false",
        'AndSubstitution("true", "0")': "false",
        'OrSubstitution("false", "1")': "true",
        'TextSubstitution(text="t")': "t",
    }
    entities = "".join(f"LogInfo(msg={case})," for case in cases)
    path = launch_file('SetLaunchConfiguration("n", "3"),' + entities)
    status, output = ros2("launch", path, GIVEN="g")
    assert status == 0, output
    found = logged(output)
    assert len(found) == len(cases)
    for case, actual, expected in zip(cases, found, cases.values(), strict=True):
        assert actual == expected or (expected[0] == "/" and actual.endswith(expected)), case


def test_groups_restore_configurations_and_environment(ros2, launch_file):
    """What a scoped group sets ends with it; an unscoped group's settings stay."""
    show = 'LogInfo(msg=[LaunchConfiguration("v"), EnvironmentVariable("VAR")]),'
    change = 'SetLaunchConfiguration("v", "in"), SetEnvironmentVariable("VAR", "side"),' + show
    status, output = ros2(
        "launch",
        launch_file(
            'SetLaunchConfiguration("v", "out"),'
            f"GroupAction([{change}]), {show} GroupAction([{change}], scoped=False), {show}"
            f'GroupAction([{show}], forwarding=False, launch_configurations={{"v": "only"}}),'
        ),
        VAR="er",
    )
    assert status == 0, output
    assert logged(output) == ["inside", "outer", "inside", "inside", "onlyer"]


def test_includes_receive_arguments(ros2, launch_file):
    """launch_arguments set the included file's arguments; its defaults fill the rest."""
    launch_file(DECLARE + ECHO, "inner.launch.py")
    source = '[os.path.dirname(__file__), "/inner.launch.py"]'
    path = launch_file(
        f"GroupAction([IncludeLaunchDescription(PythonLaunchDescriptionSource({source}))]),"
        f"IncludeLaunchDescription(PythonLaunchDescriptionSource({source}), "
        'launch_arguments={"who": ["x", "y"]}.items()),'
    )
    status, output = ros2("launch", path)
    assert (status, logged(output)) == (0, ["who=nobody", "who=xy"])


def test_conditions_opaque_functions_and_timers(ros2, launch_file):
    """Conditions gate actions, functions yield actions, timers fire once, later."""
    status, output = ros2(
        "launch",
        launch_file(
            'TimerAction(period=0.2, actions=[LogInfo(msg="late")]),'
            'LogInfo(msg="yes", condition=IfCondition(" TRUE ")),'
            'LogInfo(msg="no", condition=UnlessCondition("1")),'
            'OpaqueFunction(function=lambda context, a, b=0: [LogInfo(msg=f"{a}{b}")], '
            'args=[1], kwargs={"b": 2}),'
        ),
    )
    assert (status, logged(output)) == (0, ["yes", "12", "late"])


def test_shutdown_cancels_timers_and_tells_its_handlers(ros2, launch_file):
    """Shutdown ends the launch at once, with its reason for OnShutdown."""
    status, output = ros2(
        "launch",
        launch_file(
            'RegisterEventHandler(OnShutdown(on_shutdown=lambda event, context: '
            'LogInfo(msg="bye: " + event.reason))),'
            'TimerAction(period=60.0, actions=[LogInfo(msg="never")]),'
            'TimerAction(period=0.1, actions=[Shutdown(reason="enough")]),'
        ),
    )
    assert (status, logged(output)) == (0, ["bye: enough"])


SPEAK = 'ExecuteProcess(cmd=["sh", "-c", "echo out; echo err >&2"], {})'


@pytest.mark.parametrize(
    ("options", "flag", "screen", "log"),
    [
        ("", (), {"err"}, {"out", "err"}),
        ('output="screen"', (), {"out", "err"}, set()),
        ('output="both"', (), {"out", "err"}, {"out", "err"}),
        ('output={"stdout": "screen", "stderr": "log"}', (), {"out"}, {"err"}),
        ("", ("-a",), {"out", "err"}, {"out", "err"}),
    ],
)
def test_output_goes_where_it_is_told(ros2, launch_file, tmp_path, options, flag, screen, log):
    """output= decides between screen and log file, and -a overrides it."""
    status, output = ros2("launch", *flag, launch_file(SPEAK.format(options) + ","))
    assert status == 0
    written = (tmp_path / "log/latest/launch.log").read_text()
    assert set(re.findall(r"^\[sh-1\] (\w+)$", output, re.M)) == screen
    assert set(re.findall(r"^[\d.]+ \[sh-1\] (\w+)$", written, re.M)) == log


def test_log_folder_and_latest_link(ros2, launch_file, tmp_path):
    """Each launch logs into a folder of its own, which 'latest' names."""
    _, output = ros2("launch", launch_file(ECHO), "who:=a")
    folder = re.search(r"All log files can be found below (\S+)", output)[1]
    assert (tmp_path / "log/latest").resolve() == (tmp_path / "log" / folder).resolve()
    written = (tmp_path / "log/latest/launch.log").read_text()
    assert re.search(r"^[\d.]+ \[INFO\] \[launch.user\]: who=a$", written, re.M)


def test_process_lines_and_names(ros2, launch_file):
    """Processes are named after the executable (or name=) and numbered; the prefix comes first."""
    entities = (
        'ExecuteProcess(cmd=["echo", "a"], output="screen"),'
        'ExecuteProcess(cmd=["echo", "b"], output="screen", name="mine"),'
        'ExecuteProcess(cmd=["false"]),'
        'ExecuteProcess(cmd=["echo $X"], shell=True, output="screen", name="sh", '
        'additional_env={"X": "y"}),'
        'ExecuteProcess(cmd=["pwd"], cwd="/", output="screen", prefix="env"),'
    )
    status, output = ros2("launch", launch_file(entities))
    assert status == 0  # even though one has failed
    for pattern in (
        r"^\[echo-1\] a$",
        r"^\[mine-2\] b$",
        r"^\[sh-4\] y$",
        r"^\[env-5\] /$",
        r"^\[INFO\] \[echo-1\]: process started with pid \[\d+\]$",
        r"^\[INFO\] \[echo-1\]: process has finished cleanly \[pid \d+\]$",
        r"^\[ERROR\] \[false-3\]: process has died \[pid \d+, exit code 1, cmd 'false'\]\.$",
    ):
        assert re.search(pattern, output, re.M), (pattern, output)


def test_emulate_tty_gives_the_process_a_terminal(ros2, launch_file):
    """With emulate_tty the process sees a terminal, and its lines arrive whole."""
    command = '["sh", "-c", "test -t 1 && echo terminal || echo pipe; printf rest"]'
    entities = "".join(
        f'ExecuteProcess(cmd={command}, output="screen", emulate_tty={tty}),'
        for tty in (True, False)
    )
    status, output = ros2("launch", launch_file(entities))
    assert status == 0
    assert "[sh-1] terminal\n" in output and "[sh-2] pipe\n" in output
    assert output.count("rest\n") == 2
