"""The package as pip installs it, and on a robot's computer: without torch, MuJoCo, numba …"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from mcap.reader import make_reader
from packaging.requirements import Requirement

from g1_mimic.nodes.executables import NODES

IGNORED = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "install", "log", "runs", "docs", "test"
)
TRAINING = ("torch", "mujoco", "numba", "matplotlib", "gymnasium", "mink", "scipy", "onnx")


def run(
    *command: object, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in the root folder."""
    words = [str(word) for word in command]
    return subprocess.run(
        words, cwd="/", env=environment, capture_output=True, text=True, timeout=120
    )


def output(*command: object, environment: dict[str, str] | None = None) -> str:
    """Run a command that must succeed; its standard output."""
    result = run(*command, environment=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def others(name: str, marker: str) -> str:
    """What a path list of the environment names besides this package: folders without a file."""
    folders = os.environ.get(name, "").split(os.pathsep)
    return os.pathsep.join(f for f in folders if f and not (Path(f) / marker).exists())


def needed(file: Path) -> Iterator[str]:
    """The names of the installed distributions that a requirements file asks for, with theirs."""
    lines = file.read_text(encoding="utf-8").splitlines()
    waiting = [Requirement(line) for line in lines if line and not line.startswith("#")]
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        extras = ("", *requirement.extras)
        for text in distribution(requirement.name).requires or ():
            further = Requirement(text)
            marker = further.marker
            if further.name not in seen and (
                marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)
            ):
                waiting.append(further)
        if requirement.name not in seen:
            yield requirement.name
        seen.add(requirement.name)


def link(name: str, site: Path) -> None:
    """Let the environment of ``site`` have a distribution of this one."""
    found = distribution(name)
    for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
        if not (site / top).exists():
            (site / top).symlink_to(Path(str(found.locate_file(top))).resolve())


@pytest.fixture(scope="module")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that is built from that one.

    The checkout is one that nobody else may read, and nothing in it is executable but what has to.
    """
    checkout = tmp_path_factory.mktemp("checkout") / "private"
    shutil.copytree(repository, checkout, ignore=IGNORED)
    for path in (checkout, *checkout.rglob("*")):
        path.chmod(path.stat().st_mode & 0o700)
    out = tmp_path_factory.mktemp("dist")
    output(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, checkout)
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    """The wheel."""
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a robot's computer, before the package is installed.

    Of the packages that the tests run with it has those that requirements/core.txt names, with
    theirs, and ROS 2; nothing else.
    """
    packages = tmp_path_factory.mktemp("packages")
    for name in needed(repository / "requirements" / "core.txt"):
        link(name, packages)
    try:
        for name in needed(repository / "requirements" / "ros.txt"):
            link(name, packages)
    except PackageNotFoundError:
        pass  # there is a ROS 2 distribution, on the PYTHONPATH
    return os.environ | {
        "G1_MIMIC_SHARE": "",
        "PYTHONPATH": f"{packages}{os.pathsep}{others('PYTHONPATH', 'g1_mimic')}",
        "AMENT_PREFIX_PATH": others("AMENT_PREFIX_PATH", "share/g1_mimic"),
    }


@pytest.fixture(scope="module")
def robot(
    wheel: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A virtual environment there, with the package; its commands become the first."""
    venv = tmp_path_factory.mktemp("robot") / "venv"
    output(sys.executable, "-m", "venv", "--without-pip", venv)
    install(wheel, venv / "bin" / "python")
    for name, folder in (("PATH", venv / "bin"), ("AMENT_PREFIX_PATH", venv)):
        environment[name] = f"{folder}{os.pathsep}{environment[name]}"
    return venv


def install(wheel: Path, python: Path, *options: object, **variables: str) -> None:
    """Install the wheel alone for a Python, which needs no pip of its own."""
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index"]
    output(*pip, "--no-compile", *options, wheel, environment=os.environ | variables)


def test_distributions_are_fit_to_be_published(built):
    """twine finds no fault with the metadata, the licence is an SPDX expression, types are told."""
    paths = sorted(built.iterdir())
    output(sys.executable, "-m", "twine", "check", "--strict", *paths)
    with zipfile.ZipFile(paths[0]) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        metadata = archive.read(name).decode()
        assert "g1_mimic/py.typed" in archive.namelist()
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert "\nDescription-Content-Type: text/markdown\n" in metadata


def test_data_travel_in_the_package_and_in_share(wheel, repository):
    """The wheel has each launch, config and model file twice: for itself, and for ROS."""
    sources = {
        path.relative_to(repository).as_posix()
        for top in ("launch", "config", "models")
        for path in (repository / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for place in ("g1_mimic/share/", f"{wheel.stem.rsplit('-', 3)[0]}.data/data/share/g1_mimic/"):
        found = {name.removeprefix(place) for name in names if name.startswith(place)}
        assert found - {"package.xml"} == sources


@pytest.mark.parametrize("way", ["--user", "--target", "--prefix", "--root"])
def test_every_way_of_installing_finds_its_data(way, wheel, robot, environment, tmp_path):
    """Commands and executables of ROS work wherever pip has put them, from any folder."""
    python, options = robot / "bin" / "python", [way, tmp_path]
    own = {"PYTHONUSERBASE": str(tmp_path)}
    if way == "--user":  # which a virtual environment does not have
        python, options = Path(sys._base_executable), [way, "--break-system-packages"]
    install(wheel, python, "--ignore-installed", *options, **own)
    (package,) = (path.parent for path in tmp_path.rglob("g1_mimic/__init__.py"))
    if way != "--user":
        own["PYTHONPATH"] = f"{package.parent}{os.pathsep}{environment['PYTHONPATH']}"
    (command,) = tmp_path.rglob("bin/g1-mimic")
    there = environment | own
    assert "verdict: ok" in output(command, "motion", "info", "walk", environment=there)
    interpreter = command.read_text().splitlines()[0].removeprefix("#!")
    where = "import g1_mimic.files as f; print(f.share_dir())"
    assert output(interpreter, "-c", where, environment=there) == f"{package / 'share'}\n"
    if way == "--target":
        return  # pip leaves out what a package wants to have in lib
    (policy,) = tmp_path.rglob("lib/g1_mimic/policy")
    parameters = ("-p", "policy:=/none.onnx", "-p", "autostart:=true")
    tried = run(policy, "--ros-args", *parameters, environment=there)
    assert tried.returncode == 2 and "/none.onnx" in tried.stderr


def test_only_the_command_is_on_the_path(robot):
    """What ROS starts is in lib/g1_mimic, one executable for each node, and not in bin."""
    (record,) = robot.glob("lib/python3.*/site-packages/g1_mimic-*.dist-info/RECORD")
    files = [line.split(",")[0] for line in record.read_text().splitlines()]
    assert [name for name in files if "/bin/" in name] == ["../../../bin/g1-mimic"]
    started = {path.name for path in (robot / "lib/g1_mimic").iterdir() if os.access(path, os.X_OK)}
    assert started == set(NODES)


def test_robots_computer_has_the_core_alone(robot, environment):
    """None of what trains is there, and what needs it says so in one line with the remedy."""
    look = f"import importlib.util as u; print([u.find_spec(n) for n in {TRAINING}])"
    told = output(robot / "bin" / "python", "-c", look, environment=environment)
    assert told == f"{[None] * len(TRAINING)}\n"
    for command in ("train --motion stand", "simulate walk", "motion make turn turn.json"):
        result = run(robot / "bin" / "g1-mimic", *command.split(), environment=environment)
        assert result.returncode == 2 and result.stderr.count("\n") == 1
        assert "pip install 'g1_mimic[train]'" in result.stderr


def test_robots_computer_reads_policies_and_clips(robot, environment):
    """The contract of a policy, and a clip completed by kinematics, without MuJoCo."""
    command = robot / "bin" / "g1-mimic"
    told = json.loads(output(command, "info", "walk", "--json", environment=environment))
    assert told["motion"] == "walk"
    assert "verdict: ok" in output(command, "motion", "info", "walk", environment=environment)


@pytest.mark.skipif(not shutil.which("ros2"), reason="there is no ros2")
def test_robots_computer_runs_policy_recorder_and_monitor(robot, environment, tmp_path):
    """Against a simulation elsewhere, the installed nodes track, record and tell how they are."""
    report, recording = tmp_path / "report.json", tmp_path / "run.mcap"
    shared = {"policy": "walk", "realtime_factor": 0.0, "duration": 1.0, "seed": 1}
    own = {"autostart": "true", "use_sim_time": "true", "stand_time": 0.3, "report": report}
    with (
        node(["ros2", "run", "g1_mimic", "monitor"], environment, {}) as monitor,
        node(
            ["ros2", "run", "g1_mimic", "recorder"],
            environment,
            {"file": recording, "policy": "walk"},
        ) as recorder,
        node(
            ["ros2", "run", "g1_mimic", "policy"],
            environment,
            {**shared, **own, "wait_for": "mujoco_sim,_recorder"},
        ) as policy,
        node(
            [sys.executable, "-m", "g1_mimic.nodes.executables", "mujoco_sim"],
            dict(os.environ),
            {**shared, "wait_for": "policy,_recorder"},
        ) as simulation,
    ):
        said = [process.communicate(timeout=90)[0] for process in (simulation, policy)]
        for process in (recorder, monitor):
            process.terminate()
            said.append(process.communicate(timeout=30)[0])
        processes = (simulation, policy, recorder, monitor)
        assert [process.returncode for process in processes] == [0] * 4, said
    assert "no view: this needs mujoco" in said[-1]
    figures = json.loads(report.read_text())
    assert figures["survived_s"] == 1.0 and not figures["fell"]
    with recording.open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary
    topics = {channel.topic for channel in summary.channels.values()}
    assert {"/joint_states", "/joint_targets", "/tf"} <= topics


@contextmanager
def node(
    command: list[str], environment: dict[str, str], parameters: dict[str, object]
) -> Iterator[subprocess.Popen[str]]:
    """A node that is gone at the end, whatever happens."""
    words = [*command, "--ros-args"]
    for name, value in parameters.items():
        words += ["-p", f"{name}:={value}"]
    process = subprocess.Popen(
        words, cwd="/", env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
