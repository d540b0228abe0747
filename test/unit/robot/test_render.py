"""Pictures and films: what they show, and what is said where they cannot be made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from g1_mimic.errors import G1MimicError
from g1_mimic.robot import render
from g1_mimic.robot.model import home_qpos
from g1_mimic.robot.profile import load_profile

SIZE = (160, 120)


@pytest.fixture(scope="module")
def home() -> np.ndarray:
    """The default pose [36]."""
    return home_qpos(load_profile("g1_29dof"))


def test_frames_show_the_robot_and_follow_it(opengl: None, home: np.ndarray) -> None:
    """The robot is in the middle of the picture wherever it walks, and its arm moves pixels."""
    away = home.copy()
    away[:2] = 7.0, -3.0  # whole pairs of tiles away: the floor looks the same
    raised = home.copy()
    raised[7 + 15] = -1.5
    gone = home.copy()
    gone[2] = -5.0
    frames = render.render_frames(np.array([home, away, raised, gone]), size=SIZE).astype(int)
    assert frames.shape == (4, 120, 160, 3)
    middle = (slice(None), slice(50, 110))

    def changed(a: int, b: int) -> float:
        return float((abs(frames[a] - frames[b])[middle].max(axis=-1) > 40).mean())

    assert changed(0, 3) > 0.10
    assert changed(0, 1) < 0.05
    assert 0.005 < changed(0, 2) < changed(0, 3)


def test_reference_is_a_blue_ghost(opengl: None, home: np.ndarray) -> None:
    """Drawing a reference adds blue and leaves the pose itself as it is elsewhere."""
    reference = home.copy()
    reference[1] += 0.5
    plain = render.render_frames(home[None], size=SIZE)[0].astype(int)
    both = render.render_frames(home[None], reference_qpos=reference[None], size=SIZE)[0]
    ghost = (abs(both.astype(int) - plain) > 12).any(axis=-1)
    assert 0.01 < ghost.mean() < 0.5
    blueness = both[ghost].astype(int)[:, 2] - both[ghost].astype(int)[:, 0]
    assert np.median(blueness) > np.median(plain[ghost][:, 2] - plain[ghost][:, 0]) + 20


def test_png_round_trip(tmp_path: Path) -> None:
    """A picture is read back as it was written."""
    frame = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    render.write_png(tmp_path / "a.png", frame)
    np.testing.assert_array_equal(iio.imread(tmp_path / "a.png"), frame)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_film_has_every_frame(ending: str, tmp_path: Path) -> None:
    """A film of ten frames of an odd size has ten frames, in order, of the even size below."""
    frames = np.zeros((10, 65, 97, 3), np.uint8)
    for t in range(10):
        frames[t] = 20 * t
    path = tmp_path / f"film{ending}"
    render.write_video(path, frames, fps=25.0)
    film = iio.imread(path)
    assert film.shape[:3] == (10, 64, 96)
    assert (np.diff(film.astype(int).mean(axis=(1, 2, 3))) > 5).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"qpos": np.zeros((3, 35))}, r"qpos must have the shape \[frames, 36\]"),
        ({"qpos": np.zeros((0, 36))}, "qpos must have the shape"),
        ({"qpos": np.full((2, 36), np.nan)}, "not finite in frame 0"),
        ({"qpos": np.zeros((2, 36)), "reference_qpos": np.zeros((3, 36))}, "3 frames"),
    ],
)
def test_wrong_poses_are_one_line(arguments: dict[str, Any], words: str) -> None:
    """Shapes and values that cannot be drawn are refused before anything is opened."""
    with pytest.raises(G1MimicError, match=words):
        render.render_frames(**arguments)


def test_wrong_endings_are_refused(tmp_path: Path) -> None:
    """A film or picture with another ending is refused, and nothing is written."""
    frames = np.zeros((1, 16, 16, 3), np.uint8)
    with pytest.raises(G1MimicError, match=r"\.mp4 or \.gif"):
        render.write_video(tmp_path / "film.avi", frames, fps=10.0)
    with pytest.raises(G1MimicError, match=r"\.png"):
        render.write_png(tmp_path / "picture.jpg", frames[0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("backend", ["osmesa_that_is_not_there", "glfw"])
def test_no_opengl_is_one_line(
    backend: str, monkeypatch: pytest.MonkeyPatch, home: np.ndarray
) -> None:
    """Where no OpenGL can be opened the error names the back end and says what to install."""
    if backend == "glfw":
        monkeypatch.setattr("mujoco.glfw.GLContext", lambda *size: 1 / 0)
    monkeypatch.setenv("MUJOCO_GL", backend)
    with pytest.raises(G1MimicError, match="libegl1") as caught:
        render.render_frames(home[None])
    assert backend in str(caught.value)
    assert "\n" not in str(caught.value)
