"""What all tests share: where the checkout is and where the shared recordings are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# How long an example takes says more about the machine's other work than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
# Tests command a robot by its topics: they must never reach one that is on the network. And they
# kill nodes, beside which Fast DDS's shared memory now and then brings those down that end then.
if os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp") == "rmw_fastrtps_cpp":
    os.environ["FASTDDS_DEFAULT_PROFILES_FILE"] = str(ROOT / "config" / "dds" / "loopback.xml")
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "SYSTEM_DEFAULT"
else:
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
# The networks here are small: threads that wait for one another only slow the tests down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recordings beside the checkout; a test that asks for it skips without it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no shared recordings at {folder}")
    return folder


@pytest.fixture(scope="session")
def balancing_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy file that needs no training: it stands still by feedback on ankles and legs.

    One linear layer: the ankles answer the pelvis' tilt and turning rate, the other leg joints
    their own error. It keeps the real robot model up for as long as one likes.
    """
    import numpy as np
    import torch

    from g1_mimic.envs.observations import term_slices
    from g1_mimic.motion.kinematics import complete_clip
    from g1_mimic.policy.contract import PolicyContract
    from g1_mimic.policy.export import export_policy
    from g1_mimic.robot.names import ANCHOR_BODY_NAME, JOINT_NAMES, TRACKED_BODY_NAMES
    from g1_mimic.robot.profile import load_profile

    profile = load_profile("g1_29dof")
    pose = np.concatenate([[0, 0, profile.pelvis_height, 1, 0, 0, 0], profile.default_position])
    rows = np.tile(pose, (51, 1))
    clip = complete_clip("still", 50.0, rows[:, :3], rows[:, 3:7], rows[:, 7:], True)
    terms = ("projected_gravity", "base_ang_vel", "joint_pos_error", "command")
    terms += ("motion_anchor_ori_b", "joint_pos", "joint_vel", "actions")
    parts = term_slices(terms)
    gain = np.zeros((29, parts["actions"].stop))
    gravity, rate = parts["projected_gravity"].start, parts["base_ang_vel"].start
    for i, name in enumerate(JOINT_NAMES):
        if "ankle_pitch" in name:
            gain[i, gravity], gain[i, rate + 1] = 6.0, 1.5
        elif "ankle_roll" in name:
            gain[i, gravity + 1], gain[i, rate] = -1.8, 0.45
        elif i < 15:
            gain[i, parts["joint_pos_error"].start + i] = 1.0 if "waist" in name else 3.0
    actor = torch.nn.Linear(gain.shape[1], 29)
    with torch.no_grad():
        actor.weight.copy_(torch.as_tensor(gain / profile.action_scale[:, None]))
        actor.bias.zero_()
    metadata = PolicyContract(
        joint_names=JOINT_NAMES,
        joint_stiffness=tuple(profile.stiffness.tolist()),
        joint_damping=tuple(profile.damping.tolist()),
        default_joint_pos=tuple(profile.default_position.tolist()),
        action_scale=tuple(profile.action_scale.tolist()),
        observation_names=terms,
        anchor_body_name=ANCHOR_BODY_NAME,
        body_names=TRACKED_BODY_NAMES,
        robot_profile=profile.name,
        robot_profile_hash=profile.hash,
        torque_limit=tuple(profile.torque_limit.tolist()),
        velocity_limit=tuple(profile.velocity_limit.tolist()),
        action_base="reference",
    )
    path = tmp_path_factory.mktemp("policy") / "balance.onnx"
    export_policy(path, actor, clip, metadata)
    return path


@pytest.fixture(scope="session")
def opengl() -> None:
    """Skips the test where nothing can be drawn."""
    from g1_mimic.errors import G1MimicError
    from g1_mimic.motion.files import load_motion
    from g1_mimic.robot.render import render_frames

    try:
        render_frames(load_motion("stand").qpos()[:1], size=(32, 32))
    except G1MimicError as error:
        pytest.skip(str(error))
