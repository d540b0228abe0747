"""Lists of motions: how users write them, and what is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from g1_mimic.errors import G1MimicError
from g1_mimic.files import share_dir
from g1_mimic.learning.config import TrainConfig
from g1_mimic.motion.library import (
    Choice,
    choices_text,
    distinct_names,
    load_motions,
    parse_choices,
    topic_word,
    whole_paths,
)

CLIPS = share_dir() / "models" / "motions"


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("walk", [("walk", 1.0)]),
        ("walk,stand", [("walk", 1.0), ("stand", 1.0)]),
        ("walk:2, stand:0.5", [("walk", 2.0), ("stand", 0.5)]),
        ("/data/a.csv:3,b.pkl#run", [("/data/a.csv", 3.0), ("b.pkl#run", 1.0)]),
        ("odd:name", [("odd:name", 1.0)]),
    ],
)
def test_lists_are_read(text: str, choices: list[tuple[str, float]]) -> None:
    """Items are separated by commas, a number after the last colon is the weight."""
    assert parse_choices(text) == [Choice(*c) for c in choices]


@pytest.mark.parametrize("text", ["", "walk,", ",", "walk:0", "walk:-1,stand", "walk:nan", ":2"])
def test_senseless_lists_are_refused(text: str) -> None:
    """An empty item or a weight that is not above 0 is one line."""
    with pytest.raises(G1MimicError) as error:
        parse_choices(text)
    assert "\n" not in str(error.value)


def test_a_file_may_hold_commas_and_colons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What exists as a file is that file, whatever its name looks like."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(CLIPS / "stand.json", "a,b:2")
    shutil.copy(CLIPS / "stand.json", "c:3")
    assert parse_choices("a,b:2") == [Choice("a,b:2")]
    assert parse_choices("c:3,c:3:4") == [Choice("c:3"), Choice("c:3", 4.0)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("walk:2,stand", "walk:2,stand"),
        (["walk", "stand:3"], "walk,stand:3"),
        ([{"motion": "walk", "weight": 2}, {"motion": "stand"}], "walk:2,stand:1"),
        ([{"motion": "walk", "weight": 0.25}, "squat"], "walk:0.25,squat"),
    ],
)
def test_yaml_lists_become_one_text(value: object, text: str) -> None:
    """Settings take a text, a list of texts, or of motions with weights."""
    assert choices_text(value) == text
    assert TrainConfig.model_validate({"motion": value}).motion == text
    again = yaml.safe_load(yaml.safe_dump(TrainConfig.model_validate({"motion": value}).motion))
    assert TrainConfig(motion=again).motion == text


@pytest.mark.parametrize(
    "value",
    [[], 3, [3], [{"weight": 2}], [{"motion": "walk", "weigth": 2}], [{"motion": "w", "weight": 0}],
     [{"motion": "w", "weight": "x"}], ["a,b", "c"], None],
)  # fmt: skip
def test_senseless_settings_are_refused(value: object) -> None:
    """The error names the key ``motion``."""
    with pytest.raises(ValueError, match="motion"):
        TrainConfig.model_validate({"motion": value})


def test_a_folder_is_all_clips_in_it(tmp_path: Path) -> None:
    """In the order of their names, each with the folder's weight; SONIC folders are one clip."""
    for name in ("squat", "stand"):
        shutil.copy(CLIPS / f"{name}.json", tmp_path)
    (tmp_path / ".hidden.json").write_text("no motion")
    (tmp_path / "notes.txt").write_text("not looked at")
    library = load_motions(f"{tmp_path}:3,walk:2")
    assert library.names == ("squat", "stand", "walk")
    assert library.shares == pytest.approx((3 / 8, 3 / 8, 2 / 8))


def test_folders_without_clips_and_bad_files_are_named(tmp_path: Path) -> None:
    """One line names the folder, or the file in it that is no motion."""
    with pytest.raises(G1MimicError, match=f"{tmp_path} holds no motions"):
        load_motions(str(tmp_path))
    shutil.copy(CLIPS / "stand.json", tmp_path)
    (tmp_path / "walk.csv").write_text("1,2,3\n")
    with pytest.raises(G1MimicError, match=r"walk\.csv") as error:
        load_motions(str(tmp_path))
    assert "\n" not in str(error.value)


def test_a_single_clip_keeps_its_name(tmp_path: Path) -> None:
    """Only of several clips are the names made distinct words."""
    shutil.copy(CLIPS / "stand.json", tmp_path / "0 odd-name.json")
    assert load_motions(str(tmp_path)).names == load_motions("stand").names
    library = load_motions(f"{tmp_path},stand")
    assert library.names == ("stand", "stand_2")


@given(st.lists(st.text(max_size=6), max_size=8))
def test_names_are_distinct_words(names: list[str]) -> None:
    """Whatever the files are called, every clip has a name of its own that ROS accepts."""
    words = distinct_names(names)
    assert len(set(words)) == len(names) == len(words)
    for word in words:
        assert word.isascii() and word.isidentifier()
    assert topic_word("dance1_subject2") == "dance1_subject2"


def test_own_files_are_named_by_whole_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run can be continued from another folder; the package's clips keep their short names."""
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    shutil.copy(CLIPS / "stand.json", "mine/a.json")
    assert (
        whole_paths("mine/a.json:2,walk,mine") == f"{tmp_path}/mine/a.json:2,walk,{tmp_path}/mine"
    )
    assert whole_paths("walk") == "walk"
    Path("walk").mkdir()  # the package's clip comes before a folder of the same name
    assert whole_paths("walk:2") == "walk:2"
