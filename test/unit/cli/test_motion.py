"""Laws of ``g1-mimic motion``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from g1_mimic.cli.main import main
from g1_mimic.cli.motion_make import KINDS
from g1_mimic.files import share_dir
from g1_mimic.motion.files import load_motion
from g1_mimic.robot.render import contact_sheet


def test_info_prints_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    """A shipped clip is found by name and has nothing against it."""
    assert main(["motion", "info", "walk"]) == 0
    out = capsys.readouterr().out
    assert "motion 'walk'" in out
    assert "no errors, no warnings" in out


def test_info_as_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs can read the report."""
    assert main(["motion", "info", "stand", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["errors"] == []
    assert report["figures"]["frames"] == 501


def test_info_of_a_wrong_clip_has_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A clip that can be read but not shown is reported, not refused."""
    clip = load_motion("stand")
    rows = np.concatenate([clip.qpos()[:5, :7], np.rad2deg(clip.joint_pos[:5])], axis=1)
    np.savetxt(tmp_path / "a.csv", rows, delimiter=",")
    assert main(["motion", "info", str(tmp_path / "a.csv"), "--quat-order", "wxyz"]) == 1
    assert "degrees" in capsys.readouterr().out


def test_convert_writes_what_others_read(tmp_path: Path) -> None:
    """An .npz in Isaac order, cut to a part, shows the same motion."""
    out = tmp_path / "part.npz"
    assert (
        main(["motion", "convert", "walk", str(out), "--order", "isaac", "--frames", "50:150"]) == 0
    )
    clip, whole = load_motion(out), load_motion("walk")
    assert (clip.name, clip.num_frames, clip.looped) == ("part", 100, False)
    np.testing.assert_allclose(clip.joint_pos, whole.joint_pos[50:150], atol=1e-9)
    np.testing.assert_allclose(clip.body_pos_w, whole.body_pos_w[50:150], atol=1e-6)
    assert str(np.load(out)["joint_names"][1]) == "right_hip_pitch_joint"


def test_converting_a_whole_loop_keeps_it_looped(tmp_path: Path) -> None:
    """Nothing cut, nothing lost."""
    assert main(["motion", "convert", "stand", str(tmp_path / "a.json")]) == 0
    assert load_motion(tmp_path / "a.json").looped


def test_make_is_reproducible(tmp_path: Path) -> None:
    """The same seed writes the same bytes."""
    for name in ("a", "b"):
        command = ["motion", "make", "stand", "--seed", "3", "--duration", "6", "--fps", "25"]
        assert main([*command, "--name", "x", "--out", str(tmp_path / f"{name}.json")]) == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def shipped_commands() -> list[str]:
    """Return the commands that the clips' README records."""
    text = (share_dir() / "models/motions/README.md").read_text(encoding="utf-8")
    return re.findall(r"^g1-mimic (motion make .*)$", text, re.MULTILINE)


@pytest.mark.parametrize("command", shipped_commands())
def test_shipped_clips_are_what_make_makes(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorded command makes the file in the package, to the last digit but one."""
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 0
    made = json.loads(next(tmp_path.iterdir()).read_text())
    name = command.split()[-1]
    assert next(tmp_path.iterdir()).name == name
    shipped = json.loads((share_dir() / "models/motions" / name).read_text())
    # Another processor may round the last digit differently.
    np.testing.assert_allclose(made.pop("frames"), shipped.pop("frames"), atol=2e-6)
    assert made == shipped


def test_every_shipped_clip_has_a_command_and_is_small() -> None:
    """No clip without a recipe, none above 400 kB."""
    files = sorted((share_dir() / "models/motions").glob("*.json"))
    assert sorted(command.split()[-1] for command in shipped_commands()) == [f.name for f in files]
    assert max(file.stat().st_size for file in files) < 400_000


def test_every_kind_has_a_maker_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """What the command line offers is what the package can make, each with its options."""
    from g1_mimic.motion import synthesis

    assert sorted(f"make_{kind}" for kind in KINDS) == sorted(synthesis.__all__)
    for kind in KINDS:
        with pytest.raises(SystemExit) as end:
            main(["motion", "make", kind, "--help"])
        assert end.value.code == 0
        assert "--fps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "nosuch"], "motion 'nosuch' not found; the package offers: dance, "),
        (["info", "walk", "--fps", "-5"], "must be above 0, not -5"),
        (["info", "walk", "--quat-order", "xyzw"], "--quat-order is for files that do not say it"),
        (["make", "walk", "--out", "x.bvh"], "written as .json, .npz, .csv"),
        (["make", "walk", "--out", "x.json", "--speed", "3"], "speed is 3"),
        (["make", "squat", "--out", "x.json", "--count", "0"], "count is 0; it must be from 1 to"),
        (["make", "march", "--out", "x.json", "--clearance", "nan"], "clearance is nan"),
        (["make", "mix", "--out", "x.json", "--seed", "-1"], "seed is -1; it must be from 0 to"),
        (["convert", "walk", "x.bvh"], "written as .json, .npz, .csv"),
        (["convert", "walk", "x.npz", "--frames", "many"], "--frames is FIRST:LAST, not 'many'"),
        (["convert", "walk", "x.npz", "--frames", "7:8"], "--frames 7:8 keeps 1 of"),
        (["show", "walk", "x.txt"], "pictures end in .png"),
        (["show", "walk", "x.png", "--poses", "0"], "at least 1"),
    ],
)
def test_wrong_wishes_end_in_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Status 2, one line that says what is wrong, and no file."""
    monkeypatch.chdir(tmp_path)
    assert main(["motion", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_contact_sheet_keeps_every_picture() -> None:
    """Pictures stand in reading order; what is left of the last row is white."""
    pictures = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 3), np.uint8)
    sheet = contact_sheet(pictures, columns=2)
    assert sheet.shape == (6, 6, 3)
    assert sheet[::2, ::3, 0].tolist() == [[0, 1], [2, 3], [4, 255]]


def test_show_draws_the_clip(opengl: None, tmp_path: Path) -> None:
    """A picture shows the asked-for poses and is not empty; a film has every other frame."""
    import imageio.v3 as iio

    assert main(["motion", "show", "stand", str(tmp_path / "a.png"), "--poses", "4"]) == 0
    command = ["motion", "convert", "stand", str(tmp_path / "b.json"), "--frames", "0:21"]
    assert main(command) == 0
    assert main(["motion", "show", str(tmp_path / "b.json"), str(tmp_path / "b.gif")]) == 0
    assert len(iio.imread(tmp_path / "b.gif")) == 11
    picture = iio.imread(tmp_path / "a.png")
    assert picture.shape == (360, 1280, 3)
    assert picture.std() > 10.0


def test_converting_to_csv_and_back_keeps_the_motion(tmp_path: Path) -> None:
    """The options for the file that is read and the one that is written are told apart."""
    table = tmp_path / "a.csv"
    command = ["motion", "convert", "stand", str(table), "--csv-quat-order", "wxyz"]
    assert main(command) == 0
    assert np.loadtxt(table, delimiter=",")[0, 3] > 0.9
    bare = tmp_path / "bare.csv"
    bare.write_text("\n".join(line for line in table.read_text().splitlines() if line[0] != "#"))
    told = ["--format", "csv", "--quat-order", "wxyz", "--joints", "mjcf", "--source-fps", "50"]
    assert main(["motion", "convert", str(bare), str(tmp_path / "b.npz"), *told]) == 0
    again, clip = load_motion(tmp_path / "b.npz"), load_motion("stand")
    np.testing.assert_allclose(again.qpos(), clip.qpos(), atol=1e-6)


def test_info_says_how_a_file_was_read(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Format, quaternion order and joints are told, in the rate of the file."""
    assert main(["motion", "info", str(shared_data / "asap_walk_level1.pkl"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["figures"]["format"] == "pickle, by the first bytes"
    assert report["figures"]["frame rate [Hz]"] == 30.0
    for part in ("ASAP", "xyzw", "wrists stand at their default"):
        assert part in report["figures"]["notes"]
    assert report["verdict"] == "usable with warnings"
    assert any(hint.startswith("--follow-ground") for hint in report["hints"])
