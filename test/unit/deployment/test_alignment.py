"""Laws of the reference that is moved to the robot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from g1_mimic.deployment.alignment import AlignedReference, ClipFrames
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.names import ANCHOR_BODY_NAME
from g1_mimic.rotations import quat_error, quat_from_rpy, quat_yaw


@pytest.fixture(scope="module", params=[True, False], ids=["looped", "once"])
def made(
    request: pytest.FixtureRequest, make_policy: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, OnnxPolicy]:
    path: Path = tmp_path_factory.mktemp("policy") / "sway.onnx"
    return make_policy(path, looped=request.param), OnnxPolicy.load(path)


def frames_of(policy: OnnxPolicy) -> ClipFrames:
    """The policy's only clip."""
    return ClipFrames.of_policy(policy, policy.metadata.spans(policy.num_frames)[0])


def test_without_alignment_the_frames_are_those_of_the_unrolled_clip(made: Any) -> None:
    """Three laps of a looped clip that walks and turns equal the clip unrolled."""
    source, policy = made
    clip = source.clip
    frames = 3 * clip.num_frames if clip.looped else clip.num_frames
    wanted = clip.unrolled(frames)
    anchor = clip.body_index(ANCHOR_BODY_NAME)
    reference = AlignedReference(frames_of(policy))
    for step in range(frames):
        frame = reference.frame(step)
        np.testing.assert_allclose(frame.joint_pos, wanted.joint_pos[step], atol=1e-6)
        np.testing.assert_allclose(frame.joint_vel, wanted.joint_vel[step], atol=1e-4)
        np.testing.assert_allclose(frame.anchor_pos, wanted.body_pos_w[step, anchor], atol=1e-5)
        assert quat_error(frame.anchor_quat, wanted.body_quat_w[step, anchor]) < 1e-5


def test_alignment_moves_heading_and_place_only(made: Any) -> None:
    """Frame 0 gets the robot's heading and x, y; height and tilt stay the clip's."""
    _, policy = made
    reference = AlignedReference(frames_of(policy))
    before = reference.frame(0)
    robot = quat_from_rpy(np.array(0.1), np.array(-0.2), np.array(2.5))
    reference.align(np.array([3.0, -4.0, 0.5]), robot)
    after = reference.frame(0)
    np.testing.assert_allclose(after.anchor_pos[:2], [3.0, -4.0], atol=1e-9)
    assert after.anchor_pos[2] == pytest.approx(before.anchor_pos[2])
    assert quat_yaw(after.anchor_quat) == pytest.approx(2.5)
    np.testing.assert_allclose(after.joint_pos, before.joint_pos)


def test_alignment_keeps_the_way_from_frame_to_frame(made: Any) -> None:
    """Distances and turns along the clip do not depend on where the robot stands."""
    source, policy = made
    plain, moved = (AlignedReference(frames_of(policy)) for _ in range(2))
    moved.align(np.array([1.0, 1.0, 0.7]), quat_from_rpy(*np.array([0.0, 0.0, -1.0])))
    far = 60 if source.clip.looped else 20
    for a, b in ((0, far), (3, far - 1)):
        distances = [
            np.linalg.norm(r.frame(b).anchor_pos - r.frame(a).anchor_pos) for r in (plain, moved)
        ]
        assert distances[0] == pytest.approx(distances[1])


def test_a_clip_that_ends_holds_its_last_frame(made: Any) -> None:
    """Time steps of a looped clip cycle without its last frame, others stop at it."""
    source, policy = made
    clip = frames_of(policy)
    last = source.clip.num_frames - 1
    assert clip.lap_and_frame(last - 1) == (0, last - 1)
    assert clip.lap_and_frame(last) == ((1, 0) if source.clip.looped else (0, last))
    assert clip.lap_and_frame(10 * last + 5) == ((10, 5) if source.clip.looped else (0, last))
