"""Arguments and parameter files of launch files: mistakes are found before a node starts."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("launch.actions")

from g1_mimic.errors import G1MimicError
from g1_mimic.nodes.launching import given_arguments, parameter_file
from launch import LaunchContext

ARGUMENTS = {"motion": (str, ""), "num_envs": (int, ""), "resume": (bool, "")}


def context(**values: str) -> LaunchContext:
    result = LaunchContext()
    defaults = {**dict.fromkeys(ARGUMENTS, ""), "params_file": ""}
    result.launch_configurations.update({**defaults, **values})
    return result


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
