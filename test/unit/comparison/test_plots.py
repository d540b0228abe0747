"""Plots of runs: what is drawn is what was logged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from g1_mimic.comparison.curves import read_curves
from g1_mimic.comparison.plots import draw, plot_runs
from g1_mimic.envs.starts import ClipStarts, StartSampler, StartsConfig
from g1_mimic.errors import G1MimicError
from g1_mimic.learning.run.folder import RunFolder
from g1_mimic.learning.run.starts_history import StartsHistory

CONFIG = StartsConfig(strategy="failure_bins", smoothing=0.5)


def history(entries: int = 3) -> StartsHistory:
    """A run in which robots visit the first two of three seconds and fall in the second one."""
    sampler = StartSampler(CONFIG, [ClipStarts(150)], 50.0)
    result = StartsHistory(sampler.clips)
    for k in range(1, entries + 1):
        for _ in range(50):
            sampler.record(np.array([10, 60]), np.array([False, k > 1]), np.zeros(2))
        result.add(1000 * k, sampler)
    return result


def make_run(path: Path, factor: float = 1.0) -> Path:
    """A run folder: three log intervals of a minute each, resumed after the second."""
    folder = RunFolder(path)
    folder.create({})
    for steps in ((1000, 2000, 2500), (3000,)):  # 2500 was logged after the last checkpoint
        writer = SummaryWriter(str(folder.events), purge_step=2001 if steps == (3000,) else None)
        for step in steps:
            writer.add_scalar("eval/survival", factor * step / 4000, step)
            writer.add_scalar("train/time_s", 60.0 * step / 1000, step)
        writer.close()
    history().write(folder.starts)
    return path


def test_curves_show_what_was_logged(tmp_path: Path) -> None:
    """Against steps and against time, for every run, without what a resumed run took back."""
    runs = [read_curves(make_run(tmp_path / name, f)) for name, f in (("a", 1.0), ("b", 0.5))]
    figure = draw(runs)
    axes = {(a.get_title(), a.get_xlabel()): a for a in figure.axes}
    title = "evaluation: survived share"
    for label, scale in (("environment steps (1000)", 1.0), ("training time (min)", 1.0)):
        lines = axes[title, label].get_lines()
        assert [line.get_label() for line in lines] == ["a", "b"]
        np.testing.assert_allclose(lines[0].get_xdata(), np.array([1.0, 2.0, 3.0]) * scale)
        np.testing.assert_allclose(lines[1].get_ydata(), [0.125, 0.25, 0.375])


def test_phase_picture_shows_the_hard_second(tmp_path: Path) -> None:
    """Colours are the history's numbers: time in the clip along x, progress upwards."""
    figure = draw([read_curves(make_run(tmp_path / "a"))])
    meshes = {a.get_title(): a.collections[0] for a in figure.axes if "start" in a.get_title()
              or "fail" in a.get_title()}  # fmt: skip
    assert len(meshes) == 2
    for title, mesh in meshes.items():
        values = mesh.get_array()
        assert values is not None and values.shape == (3, 3)
        if "start" in title:
            np.testing.assert_allclose(values, history().probabilities * 3)
            assert values[2].argmax() == 1
        else:
            assert values[1].tolist() == [0.0, 50.0, None]  # once per control step; never there
    edges = mesh.get_coordinates()  # type: ignore[attr-defined]
    np.testing.assert_allclose(edges[0, :, 0], [0, 1, 2, 3])
    np.testing.assert_allclose(edges[:, 0, 1], [0, 1, 2, 3])


def test_failure_rate_is_per_robot_and_second() -> None:
    """Falls over visits times 50 per second, of the time since the entry before."""
    sampler = StartSampler(CONFIG, [ClipStarts(100)], 50.0)
    result = StartsHistory(sampler.clips)
    sampler.record(np.array([10, 11, 12, 13]), np.array([True, False, False, False]), np.zeros(4))
    result.add(4, sampler)
    sampler.record(np.array([10, 60]), np.array([False, True]), np.zeros(2))
    result.add(6, sampler)
    np.testing.assert_array_equal(result.failure_rate, [[12.5, np.nan], [0.0, 50.0]])


def test_history_round_trips_and_damage_is_named(tmp_path: Path) -> None:
    """A written history reads back the same; a truncated file is one line."""
    path = tmp_path / "phases.npz"
    history().write(path)
    again = StartsHistory.read(path)
    for name, array in history().state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], array)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(G1MimicError, match=r"phases\.npz: damaged") as error:
        StartsHistory.read(path)
    assert "\n" not in str(error.value)


def test_runs_without_data_are_named(tmp_path: Path) -> None:
    """A run that has logged nothing is one line; one without evaluations is drawn without them."""
    folder = RunFolder(tmp_path / "new")
    folder.create({})
    with pytest.raises(G1MimicError, match="has no metrics yet"):
        plot_runs([str(folder.path)], tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()
    make_run(tmp_path / "a")
    (tmp_path / "a" / "phases.npz").unlink()
    message = plot_runs([str(tmp_path / "a")], tmp_path / "x.svg")
    assert message.endswith("x.svg: 1 run") and (tmp_path / "x.svg").stat().st_size > 10_000
