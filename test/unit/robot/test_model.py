"""The MuJoCo model: the facts, the motors, the contacts, and whether it stands."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
from rigid_body import Robot

from g1_mimic.errors import G1MimicError
from g1_mimic.robot.kinematics import torso_pose, torso_quat
from g1_mimic.robot.model import (
    build_model,
    contact_count_slice,
    home_qpos,
    tracking_sensor_slice,
)
from g1_mimic.robot.names import ANCHOR_BODY_NAME, BODY_NAMES, JOINT_NAMES, TRACKED_BODY_NAMES
from g1_mimic.robot.profile import RobotProfile, load_profile


@pytest.fixture(scope="module")
def hardware() -> RobotProfile:
    """The default profile."""
    return load_profile("g1_29dof")


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    """The physical facts that the model was generated from."""
    path = Path(__file__).resolve().parents[4] / "shared" / "g1_facts.json"
    if not path.is_file():
        pytest.skip(f"no facts at {path}")
    return json.loads(path.read_text())


def random_qpos(model: mujoco.MjModel, rng: np.random.Generator) -> np.ndarray:
    """Return any pose: turned pelvis, joints anywhere in their ranges."""
    quat = rng.standard_normal(4)
    lower, upper = model.jnt_range[1:].T
    joints = rng.uniform(lower, upper)
    return np.concatenate([rng.standard_normal(3), quat / np.linalg.norm(quat), joints])


# The file


def test_generator_gives_the_committed_file(repository: Path, facts: dict[str, Any]) -> None:
    """models/g1/g1.xml is what tools/generate_g1_mjcf.py makes of the facts, byte for byte."""
    path = repository / "tools" / "generate_g1_mjcf.py"
    spec = importlib.util.spec_from_file_location("generate_g1_mjcf", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    committed = (repository / "models" / "g1" / "g1.xml").read_text(encoding="utf-8")
    assert module.generate(facts) == committed


def test_bodies_have_the_facts_numbers(hardware: RobotProfile, facts: dict[str, Any]) -> None:
    """Names, tree, frames, masses, inertias and ranges are the facts' own."""
    model = build_model(hardware, scene=False)
    assert [model.body(b).name for b in range(1, model.nbody)] == list(BODY_NAMES)
    assert [model.joint(j).name for j in range(1, model.njnt)] == list(JOINT_NAMES)
    assert model.joint(0).name == "floating_base_joint"
    assert model.body_mass.sum() == pytest.approx(facts["total_mass"], abs=1e-9)
    for body in facts["bodies"]:
        ours = model.body(body["name"])
        assert model.body(ours.parentid[0]).name == body["parent"]
        assert ours.mass[0] == body["mass"]
        np.testing.assert_array_equal(ours.ipos, body["com"])
        np.testing.assert_array_equal(ours.inertia, body["principal_inertia"])
        np.testing.assert_allclose(ours.iquat, body["inertia_quat_wxyz"], atol=2e-9)
        np.testing.assert_array_equal(ours.pos, body["pos"])
        np.testing.assert_allclose(ours.quat, body["quat_wxyz"], atol=2e-9)
        for site in body["sites"]:
            np.testing.assert_array_equal(model.site(site["name"]).pos, site["pos"])
        if body["joint"].get("type") != "free":
            joint = model.joint(body["joint"]["name"])
            np.testing.assert_array_equal(joint.axis, body["joint"]["axis"])
            np.testing.assert_array_equal(joint.range, body["joint"]["range"])


def test_dynamics_match_an_independent_implementation(
    hardware: RobotProfile, facts: dict[str, Any]
) -> None:
    """Kinematics, mass matrix and gravity torques equal plain numpy's at random poses."""
    model = build_model(hardware, scene=False)
    data = mujoco.MjData(model)
    rng = np.random.default_rng(1)
    for _ in range(20):
        data.qpos[:] = random_qpos(model, rng)
        data.qvel[:] = 0.0
        mujoco.mj_forward(model, data)
        robot = Robot(facts, data.qpos)
        for name in BODY_NAMES:
            np.testing.assert_allclose(data.body(name).xpos, robot.pos[name], atol=1e-8)
            ours = data.body(name).xmat.reshape(3, 3)
            np.testing.assert_allclose(ours, robot.rot[name], atol=1e-8)
        mass, gravity = robot.mass_matrix_and_gravity()
        full = np.zeros((model.nv, model.nv))
        mujoco.mj_fullM(model, data, full)
        full -= np.diag(np.concatenate([np.zeros(6), hardware.armature]))
        np.testing.assert_allclose(full, mass, atol=1e-7)
        np.testing.assert_allclose(data.qfrc_bias, gravity, atol=1e-6)


def test_left_and_right_are_mirror_images(hardware: RobotProfile) -> None:
    """A mirrored pose needs the mirrored gravity torques, to the asymmetry of the robot's parts."""
    model = build_model(hardware, scene=False)
    data = mujoco.MjData(model)
    swapped = [
        JOINT_NAMES.index(
            n.replace("left", "right") if n.startswith("left") else n.replace("right", "left")
        )
        for n in JOINT_NAMES
    ]
    sign = np.array([-1.0 if "roll" in n or "yaw" in n else 1.0 for n in JOINT_NAMES])

    def torques(joints: np.ndarray) -> np.ndarray:
        data.qpos[:] = np.concatenate([[0, 0, 1, 1, 0, 0, 0], joints])
        mujoco.mj_forward(model, data)
        return data.qfrc_bias[6:].copy()

    lower, upper = model.jnt_range[1:].T
    ends = np.sort([sign * lower[swapped], sign * upper[swapped]], axis=0)
    np.testing.assert_allclose(ends, [lower, upper], atol=1e-9)
    rng = np.random.default_rng(2)
    for _ in range(20):
        joints = rng.uniform(lower, upper)
        mirrored = sign * joints[swapped]
        expected = sign * torques(joints)[swapped]
        assert abs(expected).max() > 1.0
        # The torso's centre of mass lies 0.5 mm off the middle, left and right parts differ a bit.
        np.testing.assert_allclose(torques(mirrored), expected, atol=0.1)


# Motors and sensors


def test_motors_are_saturated_pd_loops(hardware: RobotProfile) -> None:
    """The torque is clip(kp·(q* − q) − kd·q̇, ± limit), for targets far inside and far outside."""
    model = build_model(hardware)
    data = mujoco.MjData(model)
    rng = np.random.default_rng(3)
    saturated = 0
    for spread in (0.05, 3.0):
        for _ in range(10):
            data.qpos[:] = random_qpos(model, rng)
            data.qvel[6:] = spread * rng.standard_normal(29)
            data.ctrl[:] = data.qpos[7:] + spread * rng.standard_normal(29)
            mujoco.mj_forward(model, data)
            torque = hardware.stiffness * (data.ctrl - data.qpos[7:])
            torque -= hardware.damping * data.qvel[6:]
            limit = hardware.torque_limit
            saturated += int((abs(torque) > limit).sum())
            np.testing.assert_allclose(data.actuator_force, np.clip(torque, -limit, limit))
            np.testing.assert_allclose(data.qfrc_actuator[6:], data.actuator_force)
    assert 100 < saturated < 500
    assert [model.actuator(i).name for i in range(model.nu)] == list(JOINT_NAMES)


def test_armature_comes_from_the_profile() -> None:
    """Each joint's reflected inertia is its profile's."""
    for name in ("g1_29dof", "g1_guide"):
        profile = load_profile(name)
        model = build_model(profile)
        np.testing.assert_array_equal(model.dof_armature[6:], profile.armature)


def test_tracking_sensors_are_the_body_frames(hardware: RobotProfile) -> None:
    """The 182 values are positions, quaternions, linear and angular velocities, in blocks."""
    model = build_model(hardware, tracking_sensors=True)
    data = mujoco.MjData(model)
    rng = np.random.default_rng(4)
    data.qpos[:] = random_qpos(model, rng)
    data.qvel[:] = rng.standard_normal(model.nv)
    mujoco.mj_forward(model, data)
    values = data.sensordata[tracking_sensor_slice(model)]
    assert values.shape == (182,)
    pos, quat = values[:42].reshape(14, 3), values[42:98].reshape(14, 4)
    linear, angular = values[98:140].reshape(14, 3), values[140:].reshape(14, 3)
    for i, name in enumerate(TRACKED_BODY_NAMES):
        body = model.body(name).id
        np.testing.assert_allclose(pos[i], data.xpos[body], atol=1e-12)
        np.testing.assert_allclose(abs(quat[i] @ data.xquat[body]), 1.0, atol=1e-12)
        jacp, jacr = np.zeros((3, model.nv)), np.zeros((3, model.nv))
        mujoco.mj_jac(model, data, jacp, jacr, data.xpos[body], body)
        np.testing.assert_allclose(linear[i], jacp @ data.qvel, atol=1e-9)
        np.testing.assert_allclose(angular[i], jacr @ data.qvel, atol=1e-9)


def test_imu_measures_in_the_pelvis_frame(hardware: RobotProfile) -> None:
    """Quaternion = pelvis orientation, gyro = qvel[3:6], accelerometer at rest = −gravity."""
    model = build_model(hardware, scene=False)
    data = mujoco.MjData(model)
    rng = np.random.default_rng(5)
    data.qpos[:] = random_qpos(model, rng)
    data.qvel[3:6] = rng.standard_normal(3)
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(abs(data.sensor("imu_quat").data @ data.qpos[3:7]), 1.0)
    np.testing.assert_allclose(data.sensor("imu_gyro").data, data.qvel[3:6], atol=1e-12)
    held = build_model(hardware, hoist=True)
    data = mujoco.MjData(held)
    data.qpos[:] = home_qpos(hardware) + np.eye(36)[2]
    data.ctrl[:] = hardware.default_position
    mujoco.mj_forward(held, data)
    held.eq_data[0, :11] = [0, 0, 0, 0, 0, 1.757, 1, 0, 0, 0, 1]
    data.eq_active[0] = 1
    for _ in range(400):
        mujoco.mj_step(held, data)
    up = data.body("pelvis").xmat.reshape(3, 3)[2]  # the world's z axis in the pelvis frame
    np.testing.assert_allclose(data.sensor("imu_acc").data, 9.81 * up, atol=0.01)


# Contacts


@pytest.mark.parametrize("feet", ["spheres", "capsules"])
@pytest.mark.parametrize("profile", ["g1_29dof", "g1_guide"])
def test_home_pose_stands_on_the_floor(feet: Any, profile: str) -> None:
    """In the home keyframe the lowest point of each sole is within 1.5 mm of the floor."""
    settings = load_profile(profile)
    model = build_model(settings, feet=feet)
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
    mujoco.mj_forward(model, data)
    np.testing.assert_array_equal(data.ctrl, settings.default_position)
    for side in ("left", "right"):
        lowest = min(
            data.geom_xpos[g][2] - 0.01 - abs(data.geom_xmat[g][8]) * model.geom_size[g][1]
            for g in range(model.ngeom)
            if model.geom(g).name.startswith((f"{side}_sole", f"{side}_foot"))
        )
        assert abs(lowest) < 1.5e-3


def test_sole_spheres_lie_within_the_capsule_sole(hardware: RobotProfile) -> None:
    """The spheres span most of the capsules' support and never reach beyond it in x or y."""
    model = build_model(hardware, feet="capsules", self_collision=True, scene=False)
    spheres = build_model(hardware, feet="spheres", scene=False)
    for side in ("left", "right"):
        points = []
        for i in range(1, 8):
            geom = model.geom(f"{side}_foot{i}_collision")
            matrix = np.zeros(9)
            mujoco.mju_quat2Mat(matrix, geom.quat)
            axis = matrix.reshape(3, 3)[:, 2] * geom.size[1]
            points += [geom.pos + axis, geom.pos - axis]
        sole = np.array(points)
        corners = np.array([spheres.geom(f"{side}_sole{i}").pos for i in range(1, 5)])
        reach, span = np.ptp(corners, axis=0), np.ptp(sole, axis=0)
        assert (corners.max(0)[:2] <= sole.max(0)[:2]).all()
        assert (corners.min(0)[:2] >= sole.min(0)[:2]).all()
        assert (reach[:2] > 0.85 * span[:2]).all()
        np.testing.assert_allclose(corners[:, 2], sole[:, 2].mean(), atol=1e-4)


@pytest.mark.parametrize("feet", ["spheres", "capsules"])
def test_self_collision_is_a_choice(feet: Any, hardware: RobotProfile) -> None:
    """Arms folded in touch the body with self_collision and pass through without."""
    pose = home_qpos(hardware)
    for name, left, right in (("shoulder_yaw", -0.9, 0.9), ("shoulder_roll", -0.25, 0.25)):
        pose[7 + JOINT_NAMES.index(f"left_{name}_joint")] = left
        pose[7 + JOINT_NAMES.index(f"right_{name}_joint")] = right

    def touching(self_collision: bool) -> set[frozenset[str]]:
        model = build_model(hardware, feet=feet, self_collision=self_collision)
        data = mujoco.MjData(model)
        data.qpos[:] = pose
        mujoco.mj_forward(model, data)
        return {
            frozenset(model.body(model.geom_bodyid[g]).name for g in (c.geom1, c.geom2))
            for c in data.contact
        }

    pairs = touching(True)
    assert any("world" not in pair for pair in pairs), pairs
    assert all("world" in pair for pair in touching(False))


@pytest.mark.parametrize("feet", ["spheres", "capsules"])
def test_walking_never_touches_itself(feet: Any, hardware: RobotProfile, shared_data: Path) -> None:
    """The home pose and a recorded walk have no contact between the robot's own bodies."""
    walk = np.loadtxt(shared_data / "kimodo_walk.csv", delimiter=",")  # quaternion w x y z
    model = build_model(hardware, feet=feet, self_collision=True, scene=False)
    data = mujoco.MjData(model)
    for pose in [home_qpos(hardware), *walk]:
        data.qpos[:] = pose
        mujoco.mj_fwdPosition(model, data)
        assert data.ncon == 0


def test_neighbours_never_touch_in_any_pose(hardware: RobotProfile) -> None:
    """No joint angle brings bodies into contact that only small links separate."""
    model = build_model(hardware, feet="capsules", self_collision=True, scene=False)
    data = mujoco.MjData(model)
    rng = np.random.default_rng(6)
    parent = model.body_parentid
    seen = 0
    for _ in range(300):
        data.qpos[:] = random_qpos(model, rng)
        mujoco.mj_fwdPosition(model, data)
        for contact in data.contact:
            a, b = sorted(model.geom_bodyid[g] for g in (contact.geom1, contact.geom2))
            # A grandchild, or its child across the two small links of wrist and waist.
            assert a not in (parent[b], parent[parent[b]]), (model.body(a).name, model.body(b).name)
            seen += 1
    assert seen > 100


def test_contact_counts_tell_the_feet(hardware: RobotProfile) -> None:
    """Standing: four spheres on each foot, eight in all; lifted: none."""
    model = build_model(hardware, tracking_sensors=True)
    data = mujoco.MjData(model)
    data.qpos[:] = home_qpos(hardware)
    data.qpos[2] -= 0.003  # both ends of the soles below the floor
    mujoco.mj_forward(model, data)
    assert data.sensordata[contact_count_slice(model)].tolist() == [4, 4, 8]
    data.qpos[2] += 0.5
    mujoco.mj_forward(model, data)
    assert data.sensordata[contact_count_slice(model)].tolist() == [0, 0, 0]


# Standing


def holding_targets(model: mujoco.MjModel, qpos: np.ndarray, profile: RobotProfile) -> np.ndarray:
    """Return targets whose springs carry the robot's weight in ``qpos``, both feet equally loaded.

    The targets are fixed: there is no feedback but the motors' own.
    """
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    torque = data.qfrc_bias.copy()
    for side in ("left", "right"):
        foot = model.body(f"{side}_ankle_roll_link").id
        below = np.array([data.subtree_com[0][0], data.xpos[foot][1], 0.0])
        jacobian = np.zeros((3, model.nv))
        mujoco.mj_jac(model, data, jacobian, None, below, foot)
        torque -= jacobian.T @ np.array([0.0, 0.0, 0.5 * 9.81 * model.body_mass.sum()])
    return qpos[7:] + torque[6:] / profile.stiffness


def stand(profile: RobotProfile, feet: Any, knee: float, seconds: float) -> float:
    """Stand with bent knees; return the time the pelvis fell below 0.45 m, or infinity."""
    model = build_model(profile, feet=feet)
    data = mujoco.MjData(model)
    qpos = home_qpos(profile)
    bend = knee / profile.default_position[3]
    for hip in (7, 13):
        qpos[hip] *= bend
        qpos[hip + 3] = knee
        qpos[hip + 4] = -knee - qpos[hip]  # soles level
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    soles = [
        data.geom_xpos[g][2]
        for g in range(model.ngeom)
        if "_sole" in model.geom(g).name or "_foot" in model.geom(g).name
    ]
    qpos[2] -= min(soles) - 0.01
    data.qpos[:] = qpos
    data.ctrl[:] = holding_targets(model, qpos, profile)
    while data.time < seconds:
        mujoco.mj_step(model, data)
        if data.qpos[2] < 0.45:
            return data.time
    return float("inf")


@pytest.mark.parametrize("feet", ["spheres", "capsules"])
@pytest.mark.parametrize("knee", [0.669, 1.3])
def test_hardware_profile_stands(feet: Any, knee: float, hardware: RobotProfile) -> None:
    """Two seconds in the default pose and in a half squat, on the motors' PD alone."""
    assert stand(hardware, feet, knee, 2.0) == float("inf")


@pytest.mark.parametrize("feet", ["spheres", "capsules"])
def test_guide_profile_cannot_hold_a_half_squat(feet: Any) -> None:
    """16 N·m at the knee do not carry the robot: it is down in half a second.

    This is why the guide's profile is not the default. The static load at the knee is 10.6 N·m in
    the default pose on two feet, 21 N·m at 1.3 rad of bend, and twice that on one foot.
    """
    assert stand(load_profile("g1_guide"), feet, 1.3, 2.0) < 0.6


# Kinematics without MuJoCo


def test_torso_pose_equals_mujocos(hardware: RobotProfile) -> None:
    """The numpy chain from pelvis to torso equals MuJoCo's, batched, and torch's equals numpy's."""
    torch = pytest.importorskip("torch")
    model = build_model(hardware, scene=False)
    data = mujoco.MjData(model)
    rng = np.random.default_rng(7)
    poses = np.array([random_qpos(model, rng) for _ in range(50)])
    pos, quat = torso_pose(poses[:, :3], poses[:, 3:7], poses[:, 19:22])
    for i, pose in enumerate(poses):
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(pos[i], data.body(ANCHOR_BODY_NAME).xpos, atol=1e-9)
        np.testing.assert_allclose(abs(quat[i] @ data.body(ANCHOR_BODY_NAME).xquat), 1.0)
    batch = torch.from_numpy(poses)
    torch_pos, torch_quat = torso_pose(batch[:, :3], batch[:, 3:7], batch[:, 19:22])
    np.testing.assert_allclose(torch_pos.numpy(), pos, atol=1e-12)
    np.testing.assert_allclose(torch_quat.numpy(), quat, atol=1e-12)
    for i, pose in enumerate(poses):  # a single robot, which is reckoned with in plain numbers
        one_pos, one_quat = torso_pose(pose[:3], pose[3:7], pose[19:22])
        np.testing.assert_allclose(one_pos, pos[i], atol=1e-12)
        np.testing.assert_array_equal(one_quat, torso_quat(pose[3:7], pose[19:22]))
        np.testing.assert_allclose(one_quat, quat[i], atol=1e-12)


# Errors


def test_wrong_requests_are_one_line(hardware: RobotProfile) -> None:
    """Unknown feet, missing sensors and limits beyond the mechanics are refused by name."""
    with pytest.raises(G1MimicError, match="'spheres' or 'capsules', not 'boots'"):
        build_model(hardware, feet="boots")  # type: ignore[arg-type]
    with pytest.raises(G1MimicError, match="tracking_sensors=True"):
        tracking_sensor_slice(build_model(hardware))
    with pytest.raises(G1MimicError, match="scene"):
        contact_count_slice(build_model(hardware, scene=False, tracking_sensors=True))
    wide = dataclasses.replace(hardware, position_upper=hardware.position_upper + 0.1)
    with pytest.raises(G1MimicError, match=r"left_hip_pitch_joint.*mechanical"):
        build_model(wide)


def test_physics_does_not_depend_on_looks(hardware: RobotProfile) -> None:
    """Without its visual geoms the robot moves exactly as with them."""
    ends = []
    for visuals in (True, False):
        model = build_model(hardware, visuals=visuals)
        data = mujoco.MjData(model)
        mujoco.mj_resetDataKeyframe(model, data, 0)
        for _ in range(200):
            mujoco.mj_step(model, data)
        ends.append(data.qpos.copy())
    np.testing.assert_array_equal(ends[0], ends[1])
