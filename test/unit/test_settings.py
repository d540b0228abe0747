"""Settings: one clear line for every mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from g1_mimic.envs.task import TaskConfig
from g1_mimic.errors import G1MimicError
from g1_mimic.learning.config import TrainConfig, load_train_config
from g1_mimic.nodes.deployment.settings import PolicyNodeSettings
from g1_mimic.robot.profile import ActuatorSettings, ProfileSettings
from g1_mimic.settings import (
    LIVE,
    OneOf,
    Settings,
    merge,
    nest,
    read_mapping,
    ros_parameters,
    settings_rows,
    validate,
)
from g1_mimic.simulation.settings import SimSettings


def test_the_packages_file_is_valid_and_equals_the_defaults() -> None:
    """config/train.yaml documents the defaults: reading it changes nothing."""
    assert load_train_config() == TrainConfig()


def test_the_file_for_hard_clips_is_found_by_name_and_valid() -> None:
    """config/train_hard.yaml is of more robots and a larger network, and of nothing else."""
    hard, usual = load_train_config("train_hard"), TrainConfig()
    assert hard.num_envs > usual.num_envs
    assert sum(hard.learner.actor_hidden) > sum(usual.learner.actor_hidden)
    same = {"env", "phase", "replay", "sampling", "updates_per_step", "motion", "robot", "seed"}
    assert hard.model_dump(include=same) == usual.model_dump(include=same)


def test_the_file_for_pushed_robots_is_found_by_name_and_valid() -> None:
    """config/train_robust.yaml: BeyondMimic's robots, mirrored, with the same clip and reward."""
    robust, usual = load_train_config("train_robust"), TrainConfig()
    assert robust.env.randomisation.resolved().push_velocity[0] == 0.5
    assert robust.mirror and robust.replay.capacity > usual.replay.capacity
    same = {"exclude": {"randomisation"}}
    assert robust.env.model_dump(**same) == usual.env.model_dump(**same)


def test_misspelled_key_names_its_place_and_the_right_one() -> None:
    """A typo in a nested key gives the file, the path of the key and a suggestion."""
    data = {"learner": {"learning_rat": 1e-3}}
    with pytest.raises(G1MimicError) as error:
        validate(TrainConfig, data, "my.yaml")
    assert str(error.value) == (
        "my.yaml: learner.learning_rat: unknown key; did you mean 'learning_rate'?"
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"num_envs": 0}, "num_envs: Input should be greater than 0"),
        ({"sampling": "best"}, "sampling: 'best' is none of uniform, per, lap, per_critic, rec"),
        ({"sampling": "per-critic"}, "did you mean 'per_critic'?"),
        ({"phase": {"strategy": "failure"}}, "did you mean 'failure_bins'?"),
        ({"env": {"randomisation": {"preset": "mjlib"}}}, "did you mean 'mjlab'?"),
        ({"env": {"physics_dt": 0.003}}, "env.physics_dt: must divide the control period"),
        ({"env": {"policy_observation": ["command", "smell"]}}, "unknown observation term 'smell'"),
        ({"replay": {"capacity": 64}}, "replay.capacity holds fewer than"),
    ],
)
def test_bad_values_are_one_line(data: dict, words: str) -> None:
    """Every value out of range is refused with its key in one line."""
    with pytest.raises(G1MimicError) as error:
        validate(TrainConfig, data, "x.yaml")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_ros_sections_merge_in_file_order() -> None:
    """The wildcard and the node's own section are read, other nodes' are not."""
    data = {
        "/**": {"ros__parameters": {"seed": 1, "env": {"threads": 1}}},
        "trainer": {"ros__parameters": {"env": {"feet": "capsules"}}},
        "policy": {"ros__parameters": {"seed": 9}},
    }
    assert ros_parameters(data, "trainer", "x.yaml") == {
        "seed": 1,
        "env": {"threads": 1, "feet": "capsules"},
    }
    assert ros_parameters({"seed": 3}, "trainer", "x.yaml") == {"seed": 3}


@pytest.mark.parametrize("name", ["/**", "**", "trainer", "/trainer", "/*", "/**/trainer"])
def test_all_ways_to_name_a_node_are_understood(name: str) -> None:
    """A node is found by its name and by every wildcard of ROS 2."""
    data = {name: {"ros__parameters": {"seed": 1}}}
    assert ros_parameters(data, "trainer", "x.yaml") == {"seed": 1}


@pytest.mark.parametrize("name", ["trainr", "/robot/trainer", "/**/policy"])
def test_a_file_for_other_nodes_only_is_refused(name: str) -> None:
    """ROS 2 ignores such a file without a word; the error names who it is for."""
    data: dict[str, Any] = {name: {"ros__parameters": {"seed": 1}}}
    nested: dict[str, Any] = {}
    place = nested
    for part in name.strip("/").split("/"):
        place[part] = place = {}
    place["ros__parameters"] = {"seed": 1}
    for form in (data, nested):
        with pytest.raises(G1MimicError, match=r"^x.yaml: no section for node '/trainer'") as error:
            ros_parameters(form, "trainer", "x.yaml")
        assert f"/{name.strip('/')}" in str(error.value)


def test_merge_keeps_what_is_not_named() -> None:
    """Merging goes key by key at every depth."""
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}) == {"a": {"b": 1, "c": 3}}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("broken.yaml", "a: [1", "is not valid yaml"),
        ("broken.json", "{", "is not valid json"),
        ("list.yaml", "- 1", "must hold a mapping"),
        ("twice.yaml", "a:\n  b: 1\n  b: 2", "key 'b' is there twice"),
        ("twice.json", '{"a": {"b": 1, "b": 2}}', "key 'b' is there twice"),
    ],
)
def test_unreadable_files_are_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    """A file that is not YAML, JSON or a mapping is named in one line."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(G1MimicError) as error:
        read_mapping(path)
    assert words in str(error.value) and str(path) in str(error.value)
    assert "\n" not in str(error.value)


TABLE = {"hare": 1, "tortoise": 2}


class Legs(Settings):
    count: int = Field(4, ge=1, le=8, json_schema_extra=LIVE)
    """How many,
    at least one."""
    length: tuple[float, float] = (0.25, 0.5)


class Animal(Settings):
    name: str
    """What it is called."""
    kind: Annotated[str, OneOf(TABLE)] = "hare"
    food: Literal["grass", "carrots"] | None = None
    legs: Legs = Legs(count=2)


def test_rows_tell_what_each_setting_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Key, values, default (that of the section that holds it), whether it is live, description."""
    monkeypatch.setitem(TABLE, "snail", 3)
    rows = list(settings_rows(Animal, "zoo."))
    assert [row[:5] for row in rows] == [
        ("zoo.name", "text", "", False, "What it is called."),
        ("zoo.kind", "hare, tortoise, snail", "hare", False, ""),
        ("zoo.food", "grass, carrots, or null", "null", False, ""),
        ("zoo.legs.count", "whole number, ≥ 1, ≤ 8", "2", True, "How many, at least one."),
        ("zoo.legs.length", "list of 2 numbers", "[0.25, 0.5]", False, ""),
    ]
    assert rows[1].choices == ("hare", "tortoise", "snail") and rows[1].kind is str
    assert rows[3].limits == {"ge": 1, "le": 8} and rows[3].kind is int
    assert validate(Animal, {"name": "Eve", "kind": "snail"}, "x.yaml").kind == "snail"
    with pytest.raises(G1MimicError, match=r"kind: 'har' is none of hare, .*; did you mean 'hare'"):
        validate(Animal, {"name": "Eve", "kind": "har"}, "x.yaml")


@pytest.mark.parametrize(
    "model",
    [TrainConfig, SimSettings, PolicyNodeSettings, TaskConfig, ProfileSettings, ActuatorSettings],
)
def test_every_setting_says_what_it_is(model: type[Settings]) -> None:
    """Whoever reads --help, --show-args, rqt or the table of settings finds words for each."""
    assert [row.key for row in settings_rows(model) if len(row.description) < 10] == []


def test_dotted_keys_nest() -> None:
    """Keys that share a beginning share its section."""
    assert nest({"a.b": 1, "c": 2, "a.d.e": [3]}) == {"a": {"b": 1, "d": {"e": [3]}}, "c": 2}
