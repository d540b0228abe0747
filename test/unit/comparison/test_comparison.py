"""Comparing arms: statistics against hand-made cases, arms, runs that resume, the report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from g1_mimic.cli.main import main
from g1_mimic.comparison.arms import parse_arm, parse_arms
from g1_mimic.comparison.findings import find
from g1_mimic.comparison.report import to_markdown, write_report
from g1_mimic.comparison.results import CURVES, SIZES, RunResult
from g1_mimic.comparison.statistics import (
    bootstrap_band,
    interquartile_mean,
    mean,
    paired_ratio,
    reach,
    spread,
    wavering,
)
from g1_mimic.errors import G1MimicError


class TestStatistics:
    def test_interquartile_mean_leaves_a_quarter_out_at_either_end(self) -> None:
        """Of eight values the middle four count, of five the middle three."""
        assert interquartile_mean(np.array([100.0, 1, 2, 3, 4, -50, 5, 0])) == 2.5
        assert interquartile_mean(np.array([9.0, 1, 2, 3, -9])) == 2.0
        assert interquartile_mean(np.array([[7.0], [8.0]])).tolist() == [7.0, 8.0]

    def test_a_target_is_reached_between_evaluations(self) -> None:
        """The crossing is interpolated; the first one counts, whatever follows."""
        steps, reached = reach(
            np.array([10.0, 20, 30]), np.array([[0.0, 1.0, 0.2], [0.0, 0.4, 0.8]]), 0.5
        )
        assert steps.tolist() == [15.0, 22.5]
        assert reached.all()

    def test_a_run_that_never_gets_there_counts_with_all_it_took(self) -> None:
        """Censored runs have the last x, and are told apart; an early start is no crossing."""
        steps, reached = reach(np.array([10.0, 20]), np.array([[0.0, 0.1], [0.9, 0.9]]), 0.5)
        assert steps.tolist() == [20.0, 10.0]
        assert reached.tolist() == [False, True]

    def test_x_may_differ_between_seeds(self) -> None:
        """Computing times are each run's own."""
        times = np.array([[1.0, 3.0], [10.0, 30.0]])
        assert reach(times, np.array([[0.0, 1.0]] * 2), 0.5)[0].tolist() == [2.0, 20.0]

    def test_a_steady_rise_does_not_waver(self) -> None:
        """Only the deviation from the trend of the last third counts."""
        steady = np.linspace(0.0, 3.0, 12)
        shaken = steady.copy()
        shaken[-4:] += [0.1, -0.1, -0.1, 0.1]  # no part of a line
        assert wavering(np.stack([steady, shaken])) == pytest.approx([0.0, 0.1])

    def test_spread_is_the_samples_deviation(self) -> None:
        """As numpy's with one degree of freedom less; of one seed there is none."""
        values = np.array([1.0, 2, 4, 9])
        assert spread(values) == pytest.approx(np.std(values, ddof=1))
        assert spread(np.array([3.0])) == 0.0

    def test_pairing_takes_common_seeds_out(self) -> None:
        """An arm 10 % better in every seed is that for sure, however the seeds differ."""
        baseline = np.array([1.0, 5.0, 30.0, 100.0, 7.0])
        ratio = paired_ratio(1.1 * baseline, baseline, mean)
        assert ratio.value == pytest.approx(1.1)
        assert (ratio.low, ratio.high) == (pytest.approx(1.1), pytest.approx(1.1))
        assert ratio.clear

    def test_intervals_cover_the_truth_as_often_as_they_say(self) -> None:
        """Of 200 comparisons of equals with 16 seeds, about 5 % claim a difference."""
        rng = np.random.default_rng(0)
        wrong = 0
        for k in range(200):
            a, b = rng.normal(10.0, 1.0, (2, 16))
            ratio = paired_ratio(a, b, mean, draws=500, seed=k)
            wrong += not ratio.low <= 1.0 <= ratio.high
        assert wrong <= 24  # the bootstrap of 16 seeds is a little too sure of itself

    def test_two_seeds_say_nothing_of_chance(self) -> None:
        """There is a ratio, and no interval."""
        ratio = paired_ratio(np.array([2.0, 2.2]), np.array([1.0, 1.1]), mean)
        assert ratio.value == pytest.approx(2.0)
        assert np.isnan([ratio.low, ratio.high]).all() and not ratio.clear

    def test_more_arms_widen_the_corrected_interval_only(self) -> None:
        """Bonferroni's correction for what is looked at side by side."""
        rng = np.random.default_rng(1)
        a, b = rng.normal(10.0, 1.0, (2, 12))
        one, six = (paired_ratio(a, b, mean, arms=arms) for arms in (1, 6))
        assert (one.low, one.high) == (six.low, six.high) == (one.corrected_low, one.corrected_high)
        assert six.corrected_low < six.low < six.high < six.corrected_high

    def test_the_band_holds_the_curve(self) -> None:
        """The interquartile mean lies in its own band, which vanishes where seeds agree."""
        curves = np.random.default_rng(2).normal(size=(8, 5))
        curves[:, 0] = 3.0
        low, high = bootstrap_band(curves)
        assert (
            (low <= interquartile_mean(curves.T)) & (interquartile_mean(curves.T) <= high)
        ).all()
        assert low[0] == high[0] == 3.0


class TestArms:
    def test_a_strategy_stands_for_its_settings(self) -> None:
        """What an arm does not name is uniform, whatever the package's default is."""
        assert parse_arm("per").settings == {
            "sampling": "per", "phase": {"strategy": "uniform"}
        }  # fmt: skip
        assert parse_arm("failure_bins").settings == {
            "sampling": "uniform", "phase": {"strategy": "failure_bins"}
        }  # fmt: skip
        assert parse_arm("per_critic+error_bins").settings == {
            "sampling": "per_critic", "phase": {"strategy": "error_bins"}
        }  # fmt: skip

    def test_settings_by_hand(self) -> None:
        """NAME:key=value,… sets anything, on top of strategies that NAME may name."""
        arm = parse_arm("hot:sampling=per,replay.alpha=0.8")
        assert (arm.name, arm.settings) == ("hot", {"sampling": "per", "replay": {"alpha": 0.8}})
        assert parse_arm("per:replay.alpha=0.8").settings["sampling"] == "per"
        lists = parse_arm("a:learner.critic_hidden=[256,128],env.critic_observation=[]")
        assert lists.settings["learner"] == {"critic_hidden": [256, 128]}
        assert lists.settings["env"] == {"critic_observation": []}

    @pytest.mark.parametrize(
        ("texts", "words"),
        [
            (["prr+failure_bins"], "'prr' is none of the strategies .* did you mean 'per'"),
            (["a b:x=1"], "a name has"),
            (["x:per"], "arm x: per: write KEY=VALUE"),
            (["per", "per"], "two arms are called 'per'"),
        ],
    )
    def test_what_is_wrong_with_an_arm_is_said(self, texts: list[str], words: str) -> None:
        """One line that names the arm."""
        with pytest.raises(G1MimicError, match=words):
            parse_arms(texts)


def result(score: np.ndarray, priorities: float = 0.0) -> RunResult:
    steps = 1000.0 * np.arange(1, len(score) + 1)
    curves = dict.fromkeys(CURVES, steps / 100.0)
    curves |= {"eval/score": score, "eval/survival": np.clip(score, 0.0, 1.0)}
    sizes = dict(zip(SIZES, (1e6, priorities), strict=True))
    return RunResult(steps, curves, sizes)


@pytest.fixture
def results() -> dict[str, dict[int, RunResult]]:
    """Arm ``fast`` learns in half the steps and ends 10 % higher, in every seed."""
    time_ = np.arange(1.0, 31.0)
    made: dict[str, dict[int, RunResult]] = {"uniform": {}, "fast": {}}
    for seed, level in enumerate((1.0, 1.1, 0.9, 1.05)):
        made["uniform"][seed] = result(level * np.minimum(time_ / 20.0, 1.0))
        made["fast"][seed] = result(1.1 * level * np.minimum(time_ / 10.0, 1.0), 4000.0)
    return made


class TestReport:
    def test_ratios_tell_what_was_put_in(self, results: dict[str, dict[int, RunResult]]) -> None:
        """Speed, final performance and memory of hand-made curves come out."""
        findings, _ = find(results, 0.5)
        ratios = findings.ratios["fast"]
        assert ratios["final"].value == pytest.approx(1.1)
        assert ratios["steps"].value == pytest.approx(2.0 * 1.1, rel=0.02)
        assert ratios["cpu_s"].value == pytest.approx(2.0 * 1.1, rel=0.02)
        assert ratios["spread"].value == pytest.approx(1 / 1.1)
        assert findings.arms["fast"].priority_share == pytest.approx(0.004)
        assert findings.target == 0.5
        usual = 0.9 * float(interquartile_mean(np.array([1.0, 1.1, 0.9, 1.05])))
        assert find(results)[0].target == pytest.approx(usual)

    def test_only_seeds_of_all_arms_count(self, results: dict[str, dict[int, RunResult]]) -> None:
        """Arms are compared seed by seed."""
        del results["fast"][1]
        assert find(results)[0].seeds == [0, 2, 3]
        results["fast"].clear()
        with pytest.raises(G1MimicError, match="no seed is finished in all arms"):
            find(results)

    def test_report_files(self, results: dict[str, dict[int, RunResult]], tmp_path: Path) -> None:
        """Markdown for people, JSON for programs, a picture."""
        findings = write_report(tmp_path, results, {"motion": "stand"})
        text = (tmp_path / "report.md").read_text()
        assert text == to_markdown(findings, {"motion": "stand"})
        assert "**1.10 [1.10, 1.10]**" in text and "0.40 %" in text
        assert json.loads((tmp_path / "report.json").read_text())["ratios"]["fast"]["final"]
        assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")

    def test_a_result_survives_its_file(self, tmp_path: Path) -> None:
        """Write and read give the same; a damaged file is named."""
        one = result(np.array([0.1, 0.7]), 5.0)
        one.write(tmp_path)
        again = RunResult.read(tmp_path)
        assert np.array_equal(one.env_steps, again.env_steps)
        assert all(np.array_equal(one.curves[name], again.curves[name]) for name in CURVES)
        (tmp_path / "result.json").write_text('{"env_steps": [1]}')
        with pytest.raises(G1MimicError, match="damaged"):
            RunResult.read(tmp_path)


QUICK = [
    "--motion=stand",
    "--steps=512",
    "--set=num_envs=8",
    "--set=warmup_env_steps=64",
    "--set=evaluation.interval_env_steps=256",
    "--set=evaluation.episodes=4",
    "--set=replay.batch_size=16",
    "--set=replay.capacity=1024",
    "--set=env.episode_length_s=0.2",
]


class TestRuns:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
    def test_interrupted_comparison_goes_on(self, tmp_path: Path, number: signal.Signals) -> None:
        """Ctrl-C and kill -9 leave checkpoints and no process."""
        arguments = ["compare", "-o", str(tmp_path), "--arms", "uniform", "per", "--seeds", "1"]
        command = [sys.executable, "-m", "g1_mimic", *arguments, *QUICK, "--steps=400000"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        log = tmp_path / "uniform" / "seed_0" / "log.txt"
        deadline = time.monotonic() + 240.0
        while not (log.exists() and "steps (" in log.read_text()):
            assert time.monotonic() < deadline, "no run began"
            time.sleep(0.2)
        process.send_signal(number)
        output = process.communicate(timeout=60.0)[0]
        if number == signal.SIGINT:
            assert process.returncode == 130
            assert "the same command goes on" in output
            assert not _alive(str(tmp_path))
        while _alive(str(tmp_path)):
            assert time.monotonic() < deadline + 60.0, "a run goes on by itself"
            time.sleep(0.2)
        assert list((tmp_path / "uniform" / "seed_0" / "checkpoints").glob("step_*"))

    def test_compare_trains_and_reports(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Every arm with every seed; a second call trains nothing, other settings are refused."""
        arguments = ["compare", "-o", str(tmp_path), "--arms", "uniform", "per", "--seeds", "1"]
        assert main([*arguments, *QUICK]) == 0
        assert "report:" in capsys.readouterr().out
        found = json.loads((tmp_path / "report.json").read_text())
        assert found["seeds"] == [0]
        assert 0.0 < found["arms"]["per"]["priority_share"] < 0.1
        assert not list(tmp_path.glob("*/*/checkpoints")), "they hold the replay and are large"
        written = (tmp_path / "per" / "seed_0" / "result.json").stat().st_mtime_ns
        assert main([*arguments, *QUICK]) == 0
        assert (tmp_path / "per" / "seed_0" / "result.json").stat().st_mtime_ns == written
        assert main([*arguments, *QUICK, "--set", "learner.gamma=0.9"]) == 2
        assert "learner.gamma: 0.97 there, 0.9 asked for" in capsys.readouterr().err

    def test_a_failed_run_is_told(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Its last words are shown; with nothing in common there is no report."""
        broken = "broken:motion=nowhere"
        arguments = ["compare", "-o", str(tmp_path), "--arms", "uniform", broken, "--seeds", "1"]
        assert main([*arguments, *QUICK]) == 2
        captured = capsys.readouterr()
        assert "broken seed 0 failed: g1-mimic: motion 'nowhere' not found" in captured.out
        assert "no seed is finished in all arms" in captured.err


def _alive(text: str) -> bool:
    """Whether a process with ``text`` in its command line is there."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if text in command and int(folder.name) != os.getpid():
            return True
    return False
