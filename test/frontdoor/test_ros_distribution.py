"""The front door on a machine that has a ROS 2 distribution."""

from __future__ import annotations

from pathlib import Path

import pytest

SETUP_BASH = """\
export ROS_DISTRO={name}
export AMENT_PREFIX_PATH={prefix}
export PYTHONPATH={prefix}/lib/python
export PATH={prefix}/bin:$PATH
"""


@pytest.fixture
def install_ros(door, tmp_path):
    """Installs a distribution of that name, with the given Python modules; returns its prefix."""

    def install(name: str = "kilted", modules: tuple[str, ...] = ("rclpy", "launch_ros")) -> Path:
        prefix = tmp_path / "ros" / name
        (prefix / "share" / "ament_index").mkdir(parents=True)
        (prefix / "bin").mkdir()
        for module in modules:
            (prefix / "lib" / "python").mkdir(parents=True, exist_ok=True)
            (prefix / "lib" / "python" / f"{module}.py").touch()
        (prefix / "setup.bash").write_text(SETUP_BASH.format(name=name, prefix=prefix))
        (prefix / "bin" / "ros2").write_text(f"#!/bin/sh\necho ros2 of {name}\n")
        (prefix / "bin" / "ros2").chmod(0o755)
        door.environment["G1_ROS_ROOT"] = str(prefix.parent)
        door.environment["G1_PYTHON"] = "python3"
        # The search for the right Python starts the real one, which must see only this prefix.
        door.environment.pop("PYTHONPATH", None)
        return prefix

    return install


def test_the_distribution_is_used(door, install_ros):
    """Its ros2 and its prefix come through, under the package; the stand-in stays out."""
    prefix = install_ros()
    script = 'ros2; echo "$ROS_DISTRO"; echo "$AMENT_PREFIX_PATH"; echo "$PYTHONPATH"; g1-mimic'
    out = door.call("bash", "-c", script).stdout.splitlines()
    (pkg,) = door.folders("pkg")
    assert out[:2] == ["ros2 of kilted", "kilted"]
    assert out[2] == f"{door.root}/.g1/{pkg}/install/g1_mimic:{prefix}"
    assert out[3] == f"{prefix}/lib/python"
    assert out[4] == "g1-mimic"


def test_only_what_the_distribution_lacks_is_installed(door, install_ros):
    """A venv over its Python gets the PyPI packages, no ROS wheels and no stand-in."""
    install_ros()
    door.call("true")
    (venv,) = door.calls("-m venv")
    assert "--system-site-packages" in venv
    installs = door.calls("pip install")
    assert any("requirements/core.txt" in line for line in installs)
    assert not any("ros.txt" in line or "ros2_standin" in line for line in installs)
    # The fake distribution has numpy 1: its message packages break under numpy 2.
    (constraints,) = (door.root / ".g1").glob("env-*/constraints.txt")
    assert constraints.read_text() == "numpy<2\n"
    assert all(str(constraints) in line for line in installs)


def test_tools_run_under_the_environments_python(door, install_ros):
    """colcon and pytest of the distribution would not see the packages: ours are found first."""
    install_ros()
    out = door.call("bash", "-c", "command -v colcon pytest mypy").stdout.splitlines()
    (env,) = door.folders("env")
    assert out == [f"{door.root}/.g1/{env}/bin/{tool}" for tool in ("colcon", "pytest", "mypy")]


def test_launch_files_see_the_packages(door, install_ros):
    """The distribution's ros2, a Python script, runs under the environment's Python as well."""
    ros2 = install_ros() / "bin" / "ros2"
    ros2.write_text("#!/usr/bin/python3\n")
    door.call("ros2", "launch", "g1_mimic", "a b")
    assert door.calls("")[-1] == f"{ros2} launch g1_mimic a b"


def test_sourced_or_not_is_the_same_environment(door, install_ros):
    """A call from a shell that has sourced the distribution reuses what an unsourced one built."""
    prefix = install_ros()
    script = "echo $PATH $AMENT_PREFIX_PATH $PYTHONPATH"
    unsourced = door.call("bash", "-c", script).stdout
    door.environment |= {
        "ROS_DISTRO": "kilted",
        "AMENT_PREFIX_PATH": str(prefix),
        "PYTHONPATH": f"{prefix}/lib/python",
        "PATH": f"{prefix}/bin:{door.environment['PATH']}",
    }
    assert door.call("bash", "-c", script).stdout == unsourced
    assert len(door.calls("-m venv")) == 1


def test_own_workspace_stays_over_the_distribution(door, install_ros):
    """The order of prefixes that the user has sourced is kept under the package's."""
    prefix = install_ros()
    door.environment |= {"ROS_DISTRO": "kilted", "AMENT_PREFIX_PATH": f"/workspace:{prefix}"}
    out = door.call("bash", "-c", "echo $AMENT_PREFIX_PATH").stdout.strip()
    assert out.endswith(f"/install/g1_mimic:/workspace:{prefix}")


def test_newest_of_several(door, install_ros):
    """Of several distributions the last by name is taken, and a ROS 1 is none."""
    install_ros("humble")
    jazzy = install_ros("jazzy")
    (jazzy.parent / "noetic").mkdir()
    (jazzy.parent / "noetic" / "setup.bash").touch()
    assert door.call("ros2").stdout == "ros2 of jazzy\n"


def test_new_distribution_makes_a_new_environment(door, install_ros):
    """An environment of wheels is stale once a distribution is installed."""
    door.call("true")
    install_ros()
    assert door.call("ros2").stdout == "ros2 of kilted\n"
    assert len(door.calls("-m venv")) == 2


def test_incomplete_distribution(door, install_ros):
    """A distribution without launch_ros is named in one line with the package to install."""
    install_ros(modules=("rclpy",))
    result = door.call("true")
    assert result.returncode == 1
    line = result.stderr.splitlines()[-1]
    assert "No module named 'launch_ros'" in line and "install ros-kilted-ros-base" in line
