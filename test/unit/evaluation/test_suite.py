"""Evaluation beyond the robot of training: conditions, pushes, the suite and its page."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from g1_mimic.cli.main import main
from g1_mimic.errors import G1MimicError
from g1_mimic.evaluation.conditions import (
    ABOUT,
    DELAYS_S,
    PARTS,
    PUSH_SPEEDS,
    Condition,
    conditions,
    half_failure,
    pushes,
)
from g1_mimic.evaluation.options import Options
from g1_mimic.evaluation.policy_env import make_policy_env
from g1_mimic.evaluation.suite import assess
from g1_mimic.policy.runtime import OnnxPolicy


@pytest.fixture(scope="module")
def policy(balancing_policy: Path) -> OnnxPolicy:
    return OnnxPolicy.load(balancing_policy)


# -- conditions -----------------------------------------------------------------------------------


def test_the_nominal_robot_always_comes_first_and_full_is_everything() -> None:
    """Parts come in their order, whatever the order asked for."""
    assert [c.part for c in conditions(["delay"])] == ["nominal"] + ["delay"] * 4
    every = conditions(["full"])
    assert list(dict.fromkeys(c.part for c in every)) == list(PARTS)
    assert every == conditions(["second_robot", *reversed(PARTS)])
    assert len({(c.part, c.name) for c in every}) == len(every)
    assert [c.value for c in every if c.part == "pushes"] == list(PUSH_SPEEDS)
    with pytest.raises(G1MimicError, match="--suite moon: the parts are nominal, randomised"):
        conditions(["pushes", "moon"])


def test_a_push_adds_its_speed_to_the_pelvis_level_with_the_ground(policy: OnnxPolicy) -> None:
    """At its times alone, in the same directions whatever the speed, another for each robot."""
    env = make_policy_env(policy, "", 5, {"episode_length_s": 10.0, "threads": 1})
    env.reset(3)
    changes = {}
    for speed in (0.5, 2.0):
        disturb = pushes(speed, 5, env.config.max_steps, seed=7)
        moments = []
        for step in range(env.config.max_steps):
            before = env.physics.qvel.copy()
            if disturb(env, step):
                moments.append(step)
                changes[speed, step] = env.physics.qvel - before
            else:
                np.testing.assert_array_equal(env.physics.qvel, before)
        assert moments == [50, 150, 250, 350, 450]
    env.close()
    for (speed, step), change in changes.items():
        np.testing.assert_allclose(np.hypot(change[:, 0], change[:, 1]), speed)
        np.testing.assert_allclose(change[:, 2:], 0.0, atol=1e-12)
        np.testing.assert_allclose(change / speed, changes[0.5, step] / 0.5, atol=1e-9)
        assert np.ptp(change[:, 0]) > 0.1 * speed
    assert np.abs(changes[0.5, 50] - changes[0.5, 150]).max() > 0.1


def test_the_second_robot_differs_in_joints_contacts_and_time_step(policy: OnnxPolicy) -> None:
    """Each of its models has them, also after robots were drawn anew."""
    condition = conditions(["second_robot"])[1]
    env = make_policy_env(policy, "", 2, condition.config, condition.armature)
    nominal = make_policy_env(policy, "", 1, {})
    condition.prepare(env)
    env.reset(1)
    assert env.robots.models is not None and len(env.robots.models) == 2
    for model in env.robots.models:
        np.testing.assert_allclose(model.dof_armature[6:], 0.01)
        np.testing.assert_allclose(model.dof_frictionloss[6:], 0.1)
        collides = model.geom_priority > 0
        np.testing.assert_allclose(model.geom_friction[collides, 0], 0.8)
        np.testing.assert_allclose(model.geom_solref[collides], [[0.01, 1.0]] * collides.sum())
        assert model.opt.cone == mujoco.mjtCone.mjCONE_ELLIPTIC
        assert model.opt.timestep == 0.002
        assert model.ngeom > nominal.model.ngeom  # capsules, and bodies that touch one another
    assert np.ptp(nominal.model.dof_armature[6:]) > 0.01
    env.close()
    nominal.close()


def test_a_delay_is_that_of_every_robot(policy: OnnxPolicy) -> None:
    """The motors answer so many physics steps later."""
    for condition, delay in zip(conditions(["delay"])[1:], DELAYS_S[1:], strict=True):
        env = make_policy_env(policy, "", 3, condition.config)
        env.reset(0)
        np.testing.assert_allclose(env.robots.draw.action_delay, delay)
        env.close()


# -- the push that half the episodes do not stand -------------------------------------------------


@given(st.floats(0.1, 20.0), st.integers(2, 40))
def test_half_failure_is_exact_on_a_straight_line(half: float, count: int) -> None:
    """Where success falls linearly, interpolation finds the crossing, whatever the steps."""
    speeds = np.linspace(0.0, 2.0 * half, count)
    assert half_failure(speeds, 1.0 - 0.5 * speeds / half) == pytest.approx(half)


def test_half_failure_at_the_ends() -> None:
    """Nothing is made up beyond what was measured; the first crossing counts."""
    assert half_failure([0.0, 1.0, 2.0], [1.0, 0.9, 0.5]) is None
    assert half_failure([0.0, 1.0], [0.4, 0.2]) == 0.0
    assert half_failure([0, 1, 2, 3], [1.0, 0.4, 0.6, 0.0]) == pytest.approx(5 / 6)


# -- the suite ------------------------------------------------------------------------------------


def test_a_suite_is_the_same_every_time_and_stops_pushing_in_time(policy: OnnxPolicy) -> None:
    """By seed; no stronger pushes once hardly any episode succeeds; each condition is told of."""
    options = Options(episodes=4, seconds=1.6, config={"threads": 1})
    wanted = [Condition("nominal", "nominal")]
    wanted += [Condition("pushes", f"{speed}", speed) for speed in (0.1, 6.0, 7.0)]
    lines: list[str] = []
    first = assess(policy, "balance", wanted, options, lines.append)
    assert [o.condition.value for o in first.of("pushes")] == [0.1, 6.0]
    assert len(lines) == 3 and lines[0].startswith("balance: 1/4 nominal: success 100% | ")
    assert lines[-1].endswith("| 0:00 left")
    speeds, success = first.curve("pushes")
    assert speeds.tolist() == [0.0, 0.1, 6.0] and success.tolist() == [1.0, 1.0, 0.0]
    assert first.half_failure_push == pytest.approx((0.1 + 6.0) / 2)
    again = assess(policy, "balance", wanted, options)
    assert again.as_dict() == first.as_dict()
    data = json.loads(json.dumps(first.as_dict()))
    assert data["pushes"]["6.0"]["success_rate"] == 0.0
    assert data["push_success"] == [[0.0, 1.0], [0.1, 1.0], [6.0, 0.0]]


@pytest.mark.rendering
def test_the_page_stands_alone(
    opengl: None, balancing_policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two policies: tables, plots and pictures, and nothing that is fetched from elsewhere."""
    page = tmp_path / "page.html"
    command = ["evaluate", str(balancing_policy), str(balancing_policy), "--suite", "randomised"]
    command += ["--episodes", "2", "--seconds", "0.2", "--html", str(page)]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "beyondmimic" in out and f"page: {page}" in err
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 1 + 2 * 2
    without = re.sub(r'data:image/png;base64,[^"]+', "", text)
    assert "http" not in without and "randomised: asap" in without and "mpkpe_m" in without
    assert ABOUT["randomised"] in without and ABOUT["delay"] not in html.unescape(without)


def test_a_page_without_pictures_says_why(
    balancing_policy: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where nothing can be drawn the rest of the page is there."""
    from g1_mimic.evaluation import page as module

    def fail(*args: object, **kwargs: object) -> None:
        raise G1MimicError("no offscreen OpenGL")

    monkeypatch.setattr(module, "render_motion", fail)
    page = tmp_path / "page.html"
    command = ["evaluate", str(balancing_policy), "--episodes", "1", "--seconds", "0.1", "--json"]
    assert main([*command, "--html", str(page)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["episodes"] == 1
    assert "no offscreen OpenGL" in err and "No pictures: no offscreen OpenGL" in page.read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--suite", "moon"], "--suite moon: the parts are"),
        (["--episodes", "0"], "arguments: episodes: Input should be greater"),
        (["--html", "page.txt"], "must end in .html"),
        (["--film"], "give --html FILE too"),
    ],
)
def test_mistakes_are_one_line(
    balancing_policy: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    """Each says what to write."""
    assert main(["evaluate", str(balancing_policy), *options]) == 2
    err = capsys.readouterr().err
    assert words in err and len(err.strip().splitlines()) == 1
