"""Metadata of policy files: exact, readable by others, and checked."""

from __future__ import annotations

import pytest

from g1_mimic.errors import G1MimicError
from g1_mimic.policy.contract import PolicyContract
from g1_mimic.policy.metadata import read_metadata, write_metadata
from g1_mimic.robot.names import JOINT_NAMES, TRACKED_BODY_NAMES
from g1_mimic.robot.profile import load_profile

BFS = [0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 22, 4, 10, 16, 23, 5, 11, 17, 24, 18, 25, 19, 26]
BFS += [20, 27, 21, 28]


@pytest.fixture
def metadata() -> PolicyContract:
    """What an export for the default robot writes."""
    profile = load_profile("g1_29dof")
    return PolicyContract(
        joint_names=JOINT_NAMES,
        joint_stiffness=tuple(profile.stiffness.tolist()),
        joint_damping=tuple(profile.damping.tolist()),
        default_joint_pos=tuple(profile.default_position.tolist()),
        action_scale=tuple(profile.action_scale.tolist()),
        observation_names=("command", "actions"),
        observation_history_lengths=(1, 1),
        anchor_body_name="torso_link",
        body_names=TRACKED_BODY_NAMES,
        run_path="walk@1000",
        robot_profile="g1_29dof",
        robot_profile_hash=profile.hash,
        torque_limit=tuple(profile.torque_limit.tolist()),
        velocity_limit=tuple(profile.velocity_limit.tolist()),
        motion_name="walk, slowly",
        motion_looped=True,
        num_frames=101,
    )


def test_round_trip_is_exact(metadata: PolicyContract) -> None:
    """Every number comes back to the last bit; every value is one string."""
    props = write_metadata(metadata)
    assert all(isinstance(value, str) for value in props.values())
    assert read_metadata(props) == metadata
    assert props["joint_names"].split(",") == list(JOINT_NAMES)
    assert float(props["action_scale"].split(",")[-1]) == metadata.action_scale[-1] != 0.075


def test_beyondmimic_file_is_read(metadata: PolicyContract) -> None:
    """Three decimals, breadth-first joints, integers as 1.000 and only BeyondMimic's keys."""
    props = {
        "run_path": "entity/project/run",
        "joint_names": ",".join(JOINT_NAMES[i] for i in BFS),
        "joint_stiffness": ",".join(f"{metadata.joint_stiffness[i]:.3f}" for i in BFS),
        "joint_damping": ",".join(f"{metadata.joint_damping[i]:.3f}" for i in BFS),
        "default_joint_pos": ",".join(f"{metadata.default_joint_pos[i]:.3f}" for i in BFS),
        "command_names": "motion",
        "observation_names": "command,motion_anchor_pos_b",
        "observation_history_lengths": "1.000,1.000",
        "action_scale": ",".join(f"{metadata.action_scale[i]:.3f}" for i in BFS),
        "anchor_body_name": "torso_link",
        "body_names": ",".join(TRACKED_BODY_NAMES),
    }
    read = read_metadata(props)
    assert read.joint_names[1] == "right_hip_pitch_joint"
    assert read.observation_history_lengths == (1, 1)
    assert (read.num_frames, read.torque_limit) == (0, ())
    ours = read.in_robot_order()
    assert ours.joint_names == JOINT_NAMES
    for key in ("joint_stiffness", "default_joint_pos", "action_scale"):
        assert getattr(ours, key) == pytest.approx(getattr(metadata, key), abs=6e-4)


def test_single_action_scale_is_for_all_joints(metadata: PolicyContract) -> None:
    """mjlab writes one number if all joints share it."""
    props = write_metadata(metadata) | {"action_scale": "0.500"}
    assert read_metadata(props).action_scale == (0.5,) * 29


@pytest.mark.parametrize("key", ["joint_names", "observation_names", "body_names"])
def test_missing_key_is_named(metadata: PolicyContract, key: str) -> None:
    """A policy whose scale or joints are not known cannot be run."""
    props = write_metadata(metadata)
    for broken in ({k: v for k, v in props.items() if k != key}, props | {key: ""}):
        with pytest.raises(G1MimicError, match=f"metadata '{key}' is missing"):
            read_metadata(broken)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("action_scale", ",".join(["0.5"] * 28), "28 numbers for 29 joints"),
        ("action_scale", ",".join(["0.5"] * 28 + ["0.0"]), "right_wrist_yaw_joint is 0.0, not pos"),
        ("joint_stiffness", ",".join(["nan"] * 29), "left_hip_pitch_joint is nan"),
        ("joint_damping", ",".join(["-1"] * 29), "negative"),
        ("torque_limit", ",".join(["inf"] * 29), "is inf"),
        ("default_joint_pos", "a" * 500, "bad value 'a{60}'"),
        ("joint_names", ",".join(("tail_joint", *JOINT_NAMES[1:])), "lack 'left_hip_pitch_joint'"),
        ("joint_names", ",".join((*JOINT_NAMES, "tail_joint")), "unknown 'tail_joint'"),
        ("joint_names", ",".join((*JOINT_NAMES, JOINT_NAMES[0])), "twice"),
        ("motion_looped", "maybe", "bad value 'maybe'"),
        ("num_frames", "3.5", "bad value '3.5'"),
        ("control_rate_hz", "0", "control_rate_hz"),
        ("format_version", "99", "update it"),
        ("observation_history_lengths", "1,5,1", "3 values for 2 observation terms"),
        ("observation_history_lengths", "1,-1", "not within 0 and 1000"),
        ("command_names", "twist", "only 'motion' is known"),
        ("anchor_body_name", "head", "not among 'body_names'"),
    ],
)
def test_nonsense_is_refused(metadata: PolicyContract, key: str, value: str, message: str) -> None:
    """A value that no controller could use is one line that begins with its key."""
    with pytest.raises(G1MimicError, match=message) as caught:
        read_metadata(write_metadata(metadata) | {key: value})
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"metadata '{key}'")


def test_unknown_keys_are_ignored(metadata: PolicyContract) -> None:
    """Files of other exporters carry more."""
    props = write_metadata(metadata) | {"observation_terms_clip": "-inf;inf"}
    assert read_metadata(props) == metadata
