"""Arguments and parameter files of launch files: mistakes are found before a node starts."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("launch.actions")

from g1_mimic.errors import G1MimicError
from g1_mimic.learning.config import TrainConfig
from g1_mimic.nodes.launching import (
    Argument,
    declare,
    from_settings,
    given_arguments,
    parameter_file,
)
from launch import LaunchContext

ARGUMENTS = {
    "motion": Argument(str, ""),
    "num_envs": Argument(int, ""),
    "resume": Argument(bool, ""),
}


def context(**values: str) -> LaunchContext:
    result = LaunchContext()
    defaults = {**dict.fromkeys(ARGUMENTS, ""), "params_file": ""}
    result.launch_configurations.update({**defaults, **values})
    return result


def test_arguments_are_settings() -> None:
    """Type, description, choices and the default of the shipped file come from the settings."""
    names = ["num_envs", "sampling", "run_dir", "resume"]
    arguments = from_settings(TrainConfig, "trainer", "train", names, run_dir="a new one")
    assert arguments["num_envs"] == (
        int, "Robots simulated side by side; empty: as in params_file (shipped: 64)", ()
    )  # fmt: skip
    assert arguments["run_dir"].description == "Folder of the run; empty: a new one"
    assert arguments["resume"].kind is bool
    declared = {argument.name: argument for argument in declare(arguments, "train")}
    assert [*declared] == [*names, "params_file"]
    assert declared["sampling"].choices == ["", "uniform", "per", "lap", "per_critic", "recency"]
    assert "(shipped: lap)" in declared["sampling"].description
    assert "config/train.yaml" in declared["params_file"].description


def test_empty_arguments_are_not_given() -> None:
    """Only what the user wrote becomes a parameter, of its own type."""
    given = given_arguments(context(num_envs="8", resume="True"), ARGUMENTS)
    assert given == {"num_envs": 8, "resume": True}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"num_envs": "many"}, "num_envs:=many is not a whole number"),
        ({"resume": "yes"}, "resume:=yes is neither true nor false"),
        ({"motoin": "walk"}, "unknown argument motoin:=…; did you mean motion:=…?"),
        ({"param_file": "x"}, "did you mean params_file"),
    ],
)
def test_mistakes_are_named(values: dict[str, str], words: str) -> None:
    """A value of the wrong type and a misspelled name are refused."""
    with pytest.raises(G1MimicError) as error:
        given_arguments(context(**values), ARGUMENTS)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/**:\n  ros__parameters: {a: 1}\n", ""),
        ("policy:\n  ros__parameters: {a: 1}\n", ""),
        ("trainer:\n  ros__parameters: {a: 1}\n", "no section for node"),
        ("polcy:\n  ros__parameters: {a: 1}\n", "did you mean policy?"),
        ("policy: {ros__parameters: {}}\nmujoco_sin: {ros__parameters: {}}\n", "mujoco_sim?"),
        ("/**: {ros__parameters: {a: 1}}\npolicy: {ros__parameters: {a: 2}}\n", ""),
        ("policy: {ros__parameters: {}}\n/**: {ros__parameters: {a: 1}}\n", "/** comes after"),
        ("/policy: {ros__parameters: {}}\n/**/policy: {ros__parameters: {}}\n", "to the front"),
    ],
)
def test_parameter_files_must_speak_of_the_nodes(tmp_path: Path, text: str, words: str) -> None:
    """A file for one of the nodes will do; one for none, or with a misspelled one, will not."""
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with_file = context(params_file=str(path))
    nodes = ["mujoco_sim", "policy"]
    if not words:
        assert parameter_file(with_file, "train", nodes) == str(path)
        return
    with pytest.raises(G1MimicError) as error:
        parameter_file(with_file, "train", nodes)
    assert words in str(error.value)
