"""The URDF against the MuJoCo model it was made from, read back by MuJoCo's own URDF parser."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest

from g1_mimic.robot.model import build_model
from g1_mimic.robot.names import BODY_NAMES, JOINT_NAMES
from g1_mimic.robot.profile import RobotProfile, load_profile
from g1_mimic.robot.shapes import robot_shapes
from g1_mimic.robot.urdf import robot_urdf
from g1_mimic.rotations import quat_to_matrix


@pytest.fixture(scope="module", params=["g1_29dof", "g1_guide"])
def profile(request: pytest.FixtureRequest) -> RobotProfile:
    return load_profile(request.param)


@pytest.fixture(scope="module")
def read_back(profile: RobotProfile) -> mujoco.MjModel:
    """The URDF as MuJoCo reads it; the pelvis is fixed to the world."""
    spec = mujoco.MjSpec.from_string(robot_urdf(profile))
    spec.compiler.fusestatic = False
    spec.compiler.discardvisual = False
    return spec.compile()


@pytest.fixture(scope="module")
def original(profile: RobotProfile) -> mujoco.MjModel:
    return build_model(profile, scene=False)


def inertia_about_frame(model: mujoco.MjModel, body: int) -> np.ndarray:
    """Inertia tensor [3, 3] about the centre of mass, in the body's frame."""
    turn = quat_to_matrix(model.body_iquat[body])
    return turn @ np.diag(model.body_inertia[body]) @ turn.T


def test_masses_and_inertias_are_the_same(
    read_back: mujoco.MjModel, original: mujoco.MjModel
) -> None:
    """Every link has its mass, centre of mass and inertia tensor; so has the whole robot."""
    for name in BODY_NAMES:
        a, b = read_back.body(name).id, original.body(name).id
        assert read_back.body_mass[a] == pytest.approx(original.body_mass[b], rel=1e-9)
        assert np.allclose(read_back.body_ipos[a], original.body_ipos[b], atol=1e-9)
        ours, theirs = inertia_about_frame(read_back, a), inertia_about_frame(original, b)
        assert np.allclose(ours, theirs, atol=1e-9 * np.trace(theirs) + 1e-11)
    assert read_back.body_mass.sum() == pytest.approx(original.body_mass.sum(), rel=1e-9)


def test_joints_have_the_profile_s_limits(read_back: mujoco.MjModel, profile: RobotProfile) -> None:
    """Order, range, effort and velocity."""
    assert [read_back.joint(i).name for i in range(read_back.njnt)] == list(JOINT_NAMES)
    assert np.allclose(read_back.jnt_range[:, 0], profile.position_lower)
    assert np.allclose(read_back.jnt_range[:, 1], profile.position_upper)
    assert np.allclose(read_back.jnt_actfrcrange[:, 1], profile.torque_limit)
    limits = ElementTree.fromstring(robot_urdf(profile)).findall("joint/limit")
    velocities = [float(limit.attrib["velocity"]) for limit in limits]
    assert np.allclose(velocities, profile.velocity_limit)


def test_poses_are_those_of_the_model(
    read_back: mujoco.MjModel, original: mujoco.MjModel, profile: RobotProfile
) -> None:
    """In random poses every link is where MuJoCo's own model has it."""
    ours, theirs = mujoco.MjData(read_back), mujoco.MjData(original)
    generator = np.random.default_rng(0)
    for _ in range(20):
        pose = generator.uniform(profile.position_lower, profile.position_upper)
        ours.qpos[:], theirs.qpos[7:] = pose, pose
        theirs.qpos[:7] = 0, 0, 0, 1, 0, 0, 0
        mujoco.mj_kinematics(read_back, ours)
        mujoco.mj_kinematics(original, theirs)
        for name in BODY_NAMES:
            assert np.allclose(ours.body(name).xpos, theirs.body(name).xpos, atol=1e-8)
            assert np.allclose(ours.body(name).xmat, theirs.body(name).xmat, atol=1e-8)
    imu = ours.body("imu_in_pelvis").xpos
    assert np.allclose(imu, original.site("imu_in_pelvis").pos)


def test_collision_shapes_lie_where_the_model_s_do(original: mujoco.MjModel) -> None:
    """A capsule's two spheres span what MuJoCo says that it spans."""
    model = build_model(load_profile("g1_29dof"), scene=False, feet="capsules", self_collision=True)
    spheres = {tuple(np.round(s.pos, 9)) for s in robot_shapes(True) if s.kind == "sphere"}
    for geom in range(model.ngeom):
        if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CAPSULE and model.geom_contype[geom]:
            axis = quat_to_matrix(model.geom_quat[geom])[:, 2] * model.geom_size[geom, 1]
            for end in (model.geom_pos[geom] + axis, model.geom_pos[geom] - axis):
                assert tuple(np.round(end, 9)) in spheres


def test_the_shipped_file_is_what_the_tool_writes(repository: Path) -> None:
    """models/g1/g1.urdf is up to date (tools/generate_g1_urdf.py writes it)."""
    shipped = (repository / "models" / "g1" / "g1.urdf").read_text(encoding="utf-8")
    assert shipped == robot_urdf(load_profile("g1_29dof"))
