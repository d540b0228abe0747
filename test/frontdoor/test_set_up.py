"""The front door: when it sets up, what it makes, what it says."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

HAS_GPU = Path("/proc/driver/nvidia/version").exists() or Path("/usr/bin/nvidia-smi").exists()


class TestCommand:
    """COMMAND runs as if it had been called directly."""

    def test_arguments_folder_and_status_pass_through(self, door, tmp_path):
        """Arguments arrive verbatim, the caller's folder is kept, the exit status comes back."""
        result = door.call("bash", "-c", 'pwd; printf "<%s>" "$@"; exit 7', "-", "a b", "", "*",
                           cwd=tmp_path)  # fmt: skip
        assert result.stdout == f"{tmp_path}\n<a b><><*>"
        assert result.returncode == 7

    def test_takes_the_place_of_the_front_door(self, door):
        """A signal to the front door's process is a signal to COMMAND, and so is its death."""
        door.call("true")
        script = "trap 'exit 9' TERM; echo $$; while :; do sleep 0.01; done"
        process = door.start("bash", "-c", script)
        assert process.stdout and int(process.stdout.readline()) == process.pid
        process.terminate()
        assert process.wait(timeout=30) == 9
        process.communicate()
        assert door.call("bash", "-c", "kill -KILL $$").returncode == -signal.SIGKILL

    def test_standard_output_is_the_commands_alone(self, door):
        """Progress goes to standard error, also on the call that sets up."""
        result = door.call("echo", "hello")
        assert result.stdout == "hello\n"
        assert "[1/4]" in result.stderr and "[4/4]" in result.stderr

    def test_environment(self, door):
        """The package's, the stand-in's and the environment's commands and paths come first."""
        door.environment["AMENT_PREFIX_PATH"] = "/elsewhere"
        script = 'g1-mimic; ros2; command -v python; echo "$AMENT_PREFIX_PATH"; echo "$PYTHONPATH"'
        out = door.call("bash", "-c", script).stdout.splitlines()
        (env,), (pkg,) = door.folders("env"), door.folders("pkg")
        home = door.root / ".g1"
        assert out[:3] == ["g1-mimic", "stand-in", f"{home}/{env}/bin/python"]
        assert out[3] == f"{home}/{pkg}/install/g1_mimic:{home}/{env}:/elsewhere"
        assert out[4] == f"{home}/{pkg}/standin"

    def test_nested_call_changes_nothing(self, door):
        """A call inside the environment sees the environment that it is in."""
        names = "echo $PATH $AMENT_PREFIX_PATH $PYTHONPATH $LD_LIBRARY_PATH"
        once = door.call("bash", "-c", names).stdout
        assert door.call(str(door.root / "g1"), "bash", "-c", names).stdout == once

    def test_usage(self, door):
        """Without a command, and with --help, it says how it is used and sets nothing up."""
        assert door.call().returncode == 2
        assert door.call("--help").returncode == 0
        for result in (door.call(), door.call("--help")):
            assert result.stdout.startswith("Usage: ./g1 COMMAND")
        assert not (door.root / ".g1").exists()

    def test_unknown_command(self, door):
        """A command that is not there is named in one line, with the shell's status for it."""
        result = door.call("no-such-command")
        assert result.returncode == 127
        assert result.stderr.splitlines()[-1] == (
            "g1: there is no command no-such-command in the environment"
        )


class TestStaleness:
    """What changes which part of the environment."""

    def test_second_call_does_nothing(self, door):
        """Once set up, a call starts no Python and prints nothing of its own."""
        door.call("true")
        before = door.calls("")
        assert door.call("true").stderr == ""
        assert door.calls("") == before

    @pytest.mark.parametrize("name", ["core.txt", "train.txt", "dev.txt", "ros.txt", "colcon.txt"])
    def test_requirements_make_a_new_environment(self, door, name):
        """A changed requirement gives a new environment, and the old one is removed."""
        door.call("true")
        old = door.folders("env")
        with (door.root / "requirements" / name).open("a") as file:
            file.write("another-package\n")
        door.call("true")
        assert len(door.calls("-m venv")) == 2
        assert len(door.folders("env")) == 1 and not door.folders("env") & old

    @pytest.mark.parametrize(
        "name",
        ["setup.py", "setup.cfg", "package.xml", "colcon.meta", "launch/new.launch.py",
         "config/tasks/new.json", "models/motions/new.json", "src/g1_mimic/__init__.py",
         "src/ros2_standin/launch/__init__.py", "src/ros2_standin/launch/new.py"],
    )  # fmt: skip
    def test_package_metadata_builds_the_package_alone(self, door, name):
        """What colcon and the stand-in were installed from rebuilds these in their environment."""
        door.call("true")
        old = door.folders("pkg")
        path = door.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write("\n")
        door.call("true")
        assert len(door.calls("-m venv")) == 1
        assert len(door.calls("-m colcon")) == 2
        assert len(door.folders("pkg")) == 1 and not door.folders("pkg") & old

    @pytest.mark.parametrize(
        "name",
        [
            "launch/train.launch.py",
            "launch/.train.launch.py.swp",
            "src/g1_mimic/core.py",
            "src/ros2_standin/test/test_launch.py",
        ],
    )
    def test_linked_files_build_nothing(self, door, name):
        """Code and shared files are links into the checkout: an edit needs no build."""
        door.call("true")
        (door.root / name).parent.mkdir(exist_ok=True)
        (door.root / name).write_text("second\n")
        door.call("true")
        assert len(door.calls("-m colcon")) == 1

    def test_moved_checkout(self, door, tmp_path):
        """Scripts hold the path of their environment: a moved checkout sets up anew."""
        door.call("true")
        door.root = door.root.rename(tmp_path / "moved")
        assert "[1/4]" in door.call("true").stderr

    def test_lost_python(self, door):
        """An environment whose Python is gone is not used."""
        door.call("true")
        next((door.root / ".g1").glob("env-*/bin/python")).unlink()
        assert "[1/4]" in door.call("true").stderr

    def test_a_running_command_keeps_its_environment(self, door):
        """An old environment stays until the last command in it has ended."""
        process = door.start("bash", "-c", "echo ready; read -r line < gate")
        os.mkfifo(door.root / "gate")
        assert process.stdout and process.stdout.readline() == "ready\n"
        old = door.folders("env")
        (door.root / "requirements" / "core.txt").write_text("numpy\n")
        door.call("true")
        assert old < door.folders("env")
        (door.root / "gate").write_text("go\n")
        process.communicate(timeout=30)
        (door.root / "launch" / "new.launch.py").touch()  # the next set-up cleans up
        door.call("true")
        assert not door.folders("env") & old


class TestAtomicity:
    """A half-made environment is never used."""

    def test_two_calls_build_once(self, door, wait_for):
        """Of two calls at the same time one sets up, and the other says that it waits."""
        gate = door.make_pip("hangs")
        first = door.start("echo", "first")
        wait_for((door.fake / "pip-pid").exists, "pip")
        second = door.start("echo", "second")
        assert second.stderr and "waiting for it" in second.stderr.readline()
        gate.unlink()
        assert first.communicate(timeout=30)[0] == "first\n"
        assert second.communicate(timeout=30)[0] == "second\n"
        assert len(door.calls("-m venv")) == len(door.calls("-m colcon")) == 1

    def test_kill_of_the_whole_set_up(self, door, wait_for):
        """After kill -9 of the front door and its children the next call starts over."""
        gate = door.make_pip("hangs")
        process = door.start("true")
        wait_for((door.fake / "pip-pid").exists, "pip")
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        gate.unlink()
        (half_made,) = (door.root / ".g1").glob("env-*")
        (half_made / "left-over").touch()
        assert door.call("echo", "works").stdout == "works\n"
        assert len(door.calls("-m venv")) == 2
        assert not (half_made / "left-over").exists()

    def test_kill_of_the_front_door_alone(self, door, wait_for):
        """The next call waits while a step of a killed set-up still writes, then starts over."""
        gate = door.make_pip("hangs")
        process = door.start("true")
        wait_for((door.fake / "pip-pid").exists, "pip")
        process.kill()
        # The subshell that sets up is killed too; pip itself lives on.
        pip = int((door.fake / "pip-pid").read_text())
        for pid in group_members(process.pid) - {pip}:
            if not is_sleep(pid):
                os.kill(pid, signal.SIGKILL)
        second = door.start("echo", "works")
        assert second.stderr and "waiting for it" in second.stderr.readline()
        assert len(door.calls("-m venv")) == 1
        gate.unlink()
        assert second.communicate(timeout=30)[0] == "works\n"
        process.communicate(timeout=30)
        assert len(door.calls("-m venv")) == 2

    def test_half_made_of_another_state_is_removed(self, door):
        """What a killed set-up of an earlier state of the checkout left is cleaned up."""
        for name in ("env-0123", "pkg-0123"):
            (door.root / ".g1" / name / "lib").mkdir(parents=True)
        door.call("true")
        assert len(door.folders("env")) == len(door.folders("pkg")) == 1

    def test_failed_build_is_repeated(self, door):
        """A call after a failed set-up does not take what that one left."""
        failure = door.make_pip("fails", "ERROR: broken\n")
        assert door.call("true").returncode == 1
        failure.unlink()
        assert door.call("echo", "works").stdout == "works\n"


def group_members(group: int) -> set[int]:
    """The processes of a process group."""
    members = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[2]) == group and fields[0] != "Z":
            members.add(int(stat.parent.name))
    return members


def is_sleep(pid: int) -> bool:
    """Whether the process is the fake pip's sleep (or has ended)."""
    try:
        return Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
    except OSError:
        return True


class TestMessages:
    """What is missing is said in one line."""

    @staticmethod
    def last_line(door) -> str:
        result = door.call("true")
        assert result.returncode == 1
        assert "Traceback" not in result.stderr
        return result.stderr.splitlines()[-1]

    def test_wrong_python(self, door):
        """Without CPython 3.11 the line names it and how to get it, and nothing is installed."""
        (door.fake / "wrong-python").touch()
        line = self.last_line(door)
        assert "CPython 3.11 is needed" in line and "apt install python3.11" in line
        assert not door.calls("-m")

    def test_named_python(self, door):
        """G1_PYTHON is the one Python tried."""
        door.environment["G1_PYTHON"] = "/no/such/python"
        assert "/no/such/python" in self.last_line(door)

    @pytest.mark.parametrize(
        ("output", "said"),
        [
            ("WARNING: Retrying: [Errno -3] Temporary failure in name resolution\n"
             "ERROR: No matching distribution found for torch\n", "cannot be reached"),
            ("ERROR: Could not install: [Errno 28] No space left on device\n", "is full"),
            ("Collecting torch\nERROR: No matching distribution found for torch\n",
             "No matching distribution found for torch"),
            ("", "no message"),
        ],
    )  # fmt: skip
    def test_failing_pip(self, door, output, said):
        """A failed installation says which step, why, and where the whole output is."""
        door.make_pip("fails", output)
        line = self.last_line(door)
        assert "torch" in line and said in line and ".g1/setup.log" in line
        assert output in (door.root / ".g1" / "setup.log").read_text()

    def test_full_disk(self, door):
        """Too little space is said before anything is downloaded."""
        door.command("df", "#!/bin/sh\necho header\necho fs 100000000 9 1048576 99% /\n")
        assert "GB of disk are needed" in self.last_line(door)
        assert not door.calls("-m pip")

    def test_path_with_a_space(self, door, tmp_path):
        """A path that shebang lines cannot hold is refused."""
        door.root = door.root.rename(tmp_path / "with space")
        assert "has a space or a colon" in self.last_line(door)


class TestDeployOnly:
    """The environment of a robot's computer."""

    def test_only_what_deployment_needs(self, door):
        """With G1_DEPLOY_ONLY neither torch nor what trains and tests is installed."""
        door.environment["G1_DEPLOY_ONLY"] = "1"
        door.command("df", "#!/bin/sh\necho header\necho fs 100000000 9 2000000 9% /\n")
        assert door.call("g1-mimic").stdout == "g1-mimic\n"
        (install,) = [line for line in door.calls("pip install") if "--target" not in line]
        files = {word for word in install.split() if word.endswith(".txt")}
        assert files == {f"requirements/{name}.txt" for name in ("core", "colcon", "ros")}

    def test_is_an_environment_of_its_own(self, door):
        """A call without it builds the whole one: what is missing is never missed by chance."""
        door.environment["G1_DEPLOY_ONLY"] = "1"
        door.call("true")
        del door.environment["G1_DEPLOY_ONLY"]
        door.call("true")
        assert len(door.calls("-m venv")) == 2 and door.calls("requirements/train.txt")


class TestTorch:
    """Which build of torch is asked for."""

    @staticmethod
    def requests(door) -> list[str]:
        return [line.split("pip install ")[1] for line in door.calls("pip install torch")]

    @pytest.mark.skipif(HAS_GPU, reason="this machine has an NVIDIA GPU")
    def test_without_gpu(self, door):
        """Without a GPU the build for the CPU is taken, from a further index if one is given."""
        door.environment["G1_TORCH_INDEX_URL"] = "file:///an/index"
        door.call("true")
        (line,) = door.calls("torch==")
        assert "--extra-index-url file:///an/index torch==" in line and line.endswith("+cpu")

    @pytest.mark.skipif(HAS_GPU, reason="this machine has an NVIDIA GPU")
    def test_index_without_a_cpu_build(self, door):
        """Where there is no build for the CPU alone, the user is told before the large one."""
        lacks = "  '-m pip')\n    [[ $* != *+cpu ]] || { echo No matching distribution; exit 1; }\n"
        python = door.fake / "bin" / "python3.11"
        door.command("python3.11", python.read_text().replace("  '-m pip')\n", lacks))
        result = door.call("true")
        assert result.returncode == 0 and "G1_TORCH_INDEX_URL" in result.stderr
        first, second = self.requests(door)
        assert first == f"{second}+cpu"

    def test_with_gpu(self, door):
        """With a GPU exactly the release is taken, which is the CUDA build, and never +cpu."""
        door.command("nvidia-smi", "#!/bin/sh\n")
        door.command("df", "#!/bin/sh\necho header\necho fs 100000000 9 99999999 9% /\n")
        door.call("true")
        (request,) = self.requests(door)
        assert request.startswith("torch===2") and "+" not in request
