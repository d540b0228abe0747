"""Laws of the report on a clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from g1_mimic.errors import G1MimicError
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.files import load_motion, save_json
from g1_mimic.motion.kinematics import complete_clip
from g1_mimic.motion.validate import foot_heights, validate_clip
from g1_mimic.robot.model import home_qpos
from g1_mimic.robot.names import JOINT_NAMES
from g1_mimic.robot.profile import load_profile

KNEE = JOINT_NAMES.index("left_knee_joint")
PROFILE = load_profile("g1_29dof")


def still(change: Callable[[np.ndarray], None] | None = None, looped: bool = False) -> MotionClip:
    """Forty frames of standing, of which ``change`` may alter the qpos [40, 36]."""
    qpos = np.tile(home_qpos(PROFILE), (40, 1))
    if change is not None:
        change(qpos)
    return complete_clip("still", 50.0, qpos[:, :3], qpos[:, 3:7], qpos[:, 7:], looped)


def test_standing_still_is_clean() -> None:
    """The default pose breaks no rule, and the report says so in words."""
    report = validate_clip(still())
    assert (report.errors, report.warnings) == ([], [])
    assert "no errors, no warnings" in str(report)
    assert "motion 'still'" in str(report)
    assert report.figures["duration [s]"] == pytest.approx(0.78)


def test_degrees_are_an_error(tmp_path: Path) -> None:
    """Angles that no joint can reach are taken for degrees, and the clip does not load."""

    def degrees(qpos: np.ndarray) -> None:
        qpos[:, 7:] = np.rad2deg(qpos[:, 7:])

    report = validate_clip(still(degrees))
    assert "degrees" in report.errors[0]
    assert "left_knee_joint" in report.errors[0]
    save_json(still(degrees), tmp_path / "a.json")
    with pytest.raises(G1MimicError, match="degrees"):
        load_motion(tmp_path / "a.json")


def test_centimetres_are_an_error() -> None:
    """A pelvis 76 m above the floor is in centimetres."""

    def centimetres(qpos: np.ndarray) -> None:
        qpos[:, :3] *= 100.0

    assert "centimetres" in validate_clip(still(centimetres)).errors[0]


def test_joint_beyond_its_limit_is_named() -> None:
    """Frame, joint and size of the worst violation are told."""

    def overstretch(qpos: np.ndarray) -> None:
        qpos[10:13, 7 + KNEE] = PROFILE.position_lower[KNEE] - np.array([0.01, 0.03, 0.01])

    warnings = " ".join(validate_clip(still(overstretch)).warnings)
    assert "frame 11, left_knee_joint is 0.030 rad beyond its limit (3 frames are)" in warnings


def test_speed_and_jump_are_told_apart() -> None:
    """One frame's leap is a jump; steady turning above the limit is a speed."""

    def leap(qpos: np.ndarray) -> None:
        qpos[20:, 7 + KNEE] += 1.5

    assert any(
        "left_knee_joint jumps by 1.50 rad from frame 19 to 20" in warning
        for warning in validate_clip(still(leap)).warnings
    )

    def rush(qpos: np.ndarray) -> None:
        qpos[10:16, 7 + KNEE] = 0.1 + 0.44 * np.arange(6)  # 22 rad/s; the knee's limit is 20
        qpos[16:, 7 + KNEE] = 2.3

    warnings = " ".join(validate_clip(still(rush)).warnings)
    assert "left_knee_joint turns at 22.0 rad/s; its limit is 20.0" in warnings
    assert "left_knee_joint jumps" not in warnings


def test_teleporting_pelvis_is_told() -> None:
    """A metre from one frame to the next is a jump of the pelvis."""

    def teleport(qpos: np.ndarray) -> None:
        qpos[5:, 0] += 1.0

    assert any(
        "pelvis jumps from frame 4 to 5: 50.0 m/s" in w
        for w in validate_clip(still(teleport)).warnings
    )


def test_feet_in_the_floor_and_in_the_air_are_told() -> None:
    """Soles are measured at their lowest point, against the floor at z = 0."""
    on_floor = foot_heights(still())
    np.testing.assert_allclose(on_floor, on_floor[0, 0], atol=1e-3)
    for shift, message in ((-0.05, "in the floor"), (0.2, "never touch the floor")):

        def lift(qpos: np.ndarray, shift: float = shift) -> None:
            qpos[:, 2] += shift

        moved = still(lift)
        np.testing.assert_allclose(foot_heights(moved), on_floor + shift, atol=1e-12)
        assert any(message in warning for warning in validate_clip(moved).warnings)


def test_open_loop_is_an_error() -> None:
    """A clip marked looped must end as it began, but for where it is and heads."""

    def drift(qpos: np.ndarray) -> None:
        qpos[:, 0] = np.linspace(0.0, 2.0, 40)

    assert validate_clip(still(drift, looped=True)).errors == []

    def sag(qpos: np.ndarray) -> None:
        qpos[:, 7 + KNEE] += np.linspace(0.0, 0.1, 40)

    assert "0.100 (m or rad) off" in validate_clip(still(sag, looped=True)).errors[0]
    assert validate_clip(still(sag)).errors == []
