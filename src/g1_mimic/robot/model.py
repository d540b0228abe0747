"""The MuJoCo model of the robot, built from ``models/g1`` and a profile."""

from __future__ import annotations

from typing import Literal

import mujoco
import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.files import share_dir
from g1_mimic.robot.names import JOINT_NAMES, NUM_JOINTS, TRACKED_BODY_NAMES
from g1_mimic.robot.profile import RobotProfile

Feet = Literal["spheres", "capsules"]
Motors = Literal["pd", "torque_speed", "feed_forward"]

IMU_SITE = "imu_in_pelvis"
HOME_KEYFRAME = "home"
HOIST = "hoist"
"""Equality constraint that can hold the pelvis."""
FLOOR_GEOM = "floor"

_FLOOR_BIT, _ROBOT_BIT = 1, 2
_DC_MOTOR = int(mujoco.mjtGain.mjGAIN_DCMOTOR)
_TRACKING_SENSORS = (
    ("pos", mujoco.mjtSensor.mjSENS_FRAMEPOS, 3),
    ("quat", mujoco.mjtSensor.mjSENS_FRAMEQUAT, 4),
    ("lin_vel", mujoco.mjtSensor.mjSENS_FRAMELINVEL, 3),
    ("ang_vel", mujoco.mjtSensor.mjSENS_FRAMEANGVEL, 3),
)
_MOTOR_SENSORS = (
    ("torque", mujoco.mjtSensor.mjSENS_ACTUATORFRC),
    ("speed", mujoco.mjtSensor.mjSENS_ACTUATORVEL),
)
_CONTACT_SENSORS = (
    ("contact_left_foot", "left_ankle_roll_link"),
    ("contact_right_foot", "right_ankle_roll_link"),
    ("contact_all", "pelvis"),
)
"""Sensor name and the root of the subtree whose contacts with the floor it counts."""


def build_model(
    profile: RobotProfile,
    *,
    timestep: float = 0.005,
    feet: Feet = "spheres",
    self_collision: bool = False,
    scene: bool = True,
    tracking_sensors: bool = False,
    hoist: bool = False,
    visuals: bool = True,
    motors: Motors = "pd",
    joint_friction: float = 0.0,
) -> mujoco.MjModel:
    """Build the robot with actuators that act as the motors' PD loops.

    The state is ``qpos`` [36] = pelvis position 3, pelvis quaternion 4 (w x y z), joints 29, and
    ``qvel`` [35] = pelvis linear velocity 3 (world), angular velocity 3 (pelvis frame), joints 29.
    ``ctrl`` [29] is the target angle; joints and actuators have the order of ``JOINT_NAMES``.
    Sensors: ``imu_quat`` 4, ``imu_gyro`` 3, ``imu_acc`` 3, then the tracking sensors.

    Args:
        profile: gains, armature, limits and default pose.
        timestep: physics step, s.
        feet: what touches the floor: 4 spheres per foot, or the sole's 7 capsules at less than half
            the speed.
        self_collision: let the robot's bodies touch one another; else they touch the floor only.
        scene: add floor, light and camera; without it the robot is alone in the world.
        tracking_sensors: add pose and velocity of ``TRACKED_BODY_NAMES``, in blocks
            (see ``tracking_sensor_slice``), torque and speed of the motors (see
            ``motor_sensor_slice``), and, where there is a floor, counts of its contacts (see
            ``contact_count_slice``).
        hoist: add the weld ``HOIST`` between world and pelvis, switched off.
        visuals: keep geoms and textures that are only looked at; without them physics is 8% faster
            and the model takes 0.08 rather than 5.6 MB.
        motors: what bounds the torque of the PD loops: ``pd`` the profile's torque limit alone,
            ``torque_speed`` also its torque-speed line (`control.pd_target.torque_range`), at each
            physics step. ``feed_forward`` is that with three controls per motor: target angle,
            target velocity and feed-forward torque, so that ``ctrl`` is [87].
        joint_friction: factor on the profile's friction of motors and gears.

    Raises:
        G1MimicError: if the profile does not fit the model, or an argument is unknown.
    """
    if feet not in ("spheres", "capsules"):
        raise BadValue(f"feet must be 'spheres' or 'capsules', not '{feet}'")
    path = share_dir() / "models" / "g1" / ("scene.xml" if scene else "g1.xml")
    spec = mujoco.MjSpec.from_file(str(path))
    _set_physics(spec, timestep)
    _set_contacts(spec, feet, self_collision)
    if not visuals:
        _drop_visuals(spec)
    _apply_profile(spec, profile, motors)
    _set_friction(spec, profile, joint_friction)
    _add_imu(spec)
    if tracking_sensors:
        _add_tracking_sensors(spec)
        _add_motor_sensors(spec)
        if scene:
            _add_contact_counts(spec)
    if hoist:
        spec.add_equality(
            name=HOIST,
            type=mujoco.mjtEq.mjEQ_WELD,
            objtype=mujoco.mjtObj.mjOBJ_BODY,
            name1="world",
            name2="pelvis",
            active=False,
        )
    ctrl = np.zeros((NUM_JOINTS, 3 if motors == "feed_forward" else 1))
    ctrl[:, 0] = profile.default_position
    spec.add_key(name=HOME_KEYFRAME, qpos=home_qpos(profile), ctrl=ctrl.ravel())
    model = spec.compile()
    _check(model, profile)
    return model


def home_qpos(profile: RobotProfile) -> np.ndarray:
    """Return the default pose [36]: standing at the origin, facing x."""
    return np.concatenate([[0, 0, profile.pelvis_height, 1, 0, 0, 0], profile.default_position])


def tracking_sensor_slice(model: mujoco.MjModel) -> slice:
    """Return where the tracking sensors lie in ``sensordata``: 14·(3 + 4 + 3 + 3) = 182 numbers.

    Blocks in this order: positions 14 x 3 (m, world), quaternions 14 x 4, linear velocities of the
    body frames' origins 14 x 3 (m/s, world), angular velocities 14 x 3 (rad/s, world).

    Raises:
        G1MimicError: if the model was built without them.
    """
    count = len(TRACKED_BODY_NAMES) * sum(size for _, _, size in _TRACKING_SENSORS)
    return _sensors(model, f"tracking_pos_{TRACKED_BODY_NAMES[0]}", count)


def motor_sensor_slice(model: mujoco.MjModel) -> slice:
    """Return where the motors lie in ``sensordata``: 29 torques (N·m), then 29 speeds (rad/s).

    The torque is what the actuator applies, after its limits.

    Raises:
        G1MimicError: if the model was built without tracking sensors.
    """
    return _sensors(model, f"torque_{JOINT_NAMES[0]}", len(_MOTOR_SENSORS) * NUM_JOINTS)


def contact_count_slice(model: mujoco.MjModel) -> slice:
    """Return where ``sensordata`` counts contacts with the floor: left foot, right foot, all.

    Raises:
        G1MimicError: if the model was built without tracking sensors or without a floor.
    """
    return _sensors(model, _CONTACT_SENSORS[0][0], len(_CONTACT_SENSORS))


def _sensors(model: mujoco.MjModel, first: str, count: int) -> slice:
    """Return where ``count`` numbers lie in ``sensordata``, from the sensor ``first`` on."""
    number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SENSOR, first)
    if number < 0:
        raise BadValue(
            f"the model has no sensor {first}; build it with a scene and tracking_sensors=True"
        )
    start = int(model.sensor_adr[number])
    return slice(start, start + count)


def _set_physics(spec: mujoco.MjSpec, timestep: float) -> None:
    option = spec.option
    option.timestep = timestep
    # The PD's damping is integrated implicitly: at 5 ms an explicit step of the hardware's gains
    # has damping / armature · dt = 1.26 and would ring (2 is the limit of stability).
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    # The elliptic cone costs 20% and changes no tracking result; Newton converges in a few
    # iterations, so the caps only bound the rare worst case.
    option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    option.iterations = 20
    option.ls_iterations = 20


def _set_contacts(spec: mujoco.MjSpec, feet: Feet, self_collision: bool) -> None:
    """Choose what may touch what through the collision bits, and drop unused foot geoms."""
    for geom in list(spec.geoms):
        kind = geom.classname.name
        if geom.name == FLOOR_GEOM:
            geom.contype, geom.conaffinity = _FLOOR_BIT, 0
        elif kind in ("collision", "foot_capsule", "foot_sphere"):
            floor = kind == "collision" or kind == f"foot_{feet.removesuffix('s')}"
            robot = self_collision and kind != "foot_sphere"
            if not floor and not robot:
                spec.delete(geom)
                continue
            geom.contype = _ROBOT_BIT if robot else 0
            geom.conaffinity = (_FLOOR_BIT if floor else 0) | (_ROBOT_BIT if robot else 0)
            geom.condim = 3
            geom.friction = [1.0, 0.005, 0.0001]
            # The robot's friction counts, whatever the floor's is: one place to randomise it.
            geom.priority = 1


def _drop_visuals(spec: mujoco.MjSpec) -> None:
    for geom in list(spec.geoms):
        geom.material = ""
        if geom.classname.name == "visual":
            spec.delete(geom)
    for unused in [*spec.materials, *spec.textures]:
        spec.delete(unused)


def _apply_profile(spec: mujoco.MjSpec, profile: RobotProfile, motors: Motors) -> None:
    for i, name in enumerate(JOINT_NAMES):
        spec.joint(name).armature = profile.armature[i]
        limit = profile.torque_limit[i]
        motor = spec.add_actuator(
            name=name,
            target=name,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            forcelimited=True,
            forcerange=[-limit, limit],
        )
        if motors == "pd":
            motor.set_to_position(kp=profile.stiffness[i], kv=profile.damping[i])
            continue
        # A DC motor under current control gives the torque asked for until its voltage is at the
        # end: stiffness·(target − q) − damping·q̇ between ±saturation·(1 ∓ q̇ / no-load speed). With
        # a motor constant of 1 the voltage is in units of speed.
        speed = profile.no_load_speed[i]
        inputs = mujoco.mjtCtrlInput.mjINPUT_POS
        if motors == "feed_forward":
            inputs |= mujoco.mjtCtrlInput.mjINPUT_VEL | mujoco.mjtCtrlInput.mjINPUT_FF
        motor.set_to_dcmotor(
            motorconst=[1.0, 1.0],
            resistance=speed / profile.saturation_torque[i],
            controller=[profile.stiffness[i], 0.0, profile.damping[i], 0.0, 0.0, speed],
            ctrlspec=int(inputs),
        )


def _set_friction(spec: mujoco.MjSpec, profile: RobotProfile, factor: float) -> None:
    for i, name in enumerate(JOINT_NAMES):
        joint = spec.joint(name)
        joint.frictionloss = factor * profile.friction[i]
        joint.damping[0] = factor * profile.viscous_friction[i]


def gains(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    """Return stiffness and damping [29] of the motors of a `build_model`."""
    if _has_dc_motors(model):
        return model.actuator_gainprm[:, 4].copy(), model.actuator_gainprm[:, 6].copy()
    return model.actuator_gainprm[:, 0].copy(), -model.actuator_biasprm[:, 2]


def set_gains(model: mujoco.MjModel, stiffness: np.ndarray, damping: np.ndarray) -> None:
    """Give the motors of a `build_model` other gains [29]."""
    if _has_dc_motors(model):
        model.actuator_gainprm[:, 4] = stiffness
        model.actuator_gainprm[:, 6] = damping
    else:
        model.actuator_gainprm[:, 0] = stiffness
        model.actuator_biasprm[:, 1] = -stiffness
        model.actuator_biasprm[:, 2] = -damping


def _has_dc_motors(model: mujoco.MjModel) -> bool:
    return bool(model.actuator_gaintype[0] == _DC_MOTOR)


def _add_imu(spec: mujoco.MjSpec) -> None:
    for name, kind in (
        ("imu_quat", mujoco.mjtSensor.mjSENS_FRAMEQUAT),
        ("imu_gyro", mujoco.mjtSensor.mjSENS_GYRO),
        ("imu_acc", mujoco.mjtSensor.mjSENS_ACCELEROMETER),
    ):
        spec.add_sensor(name=name, type=kind, objtype=mujoco.mjtObj.mjOBJ_SITE, objname=IMU_SITE)


def _add_tracking_sensors(spec: mujoco.MjSpec) -> None:
    for label, kind, _ in _TRACKING_SENSORS:
        for body in TRACKED_BODY_NAMES:
            spec.add_sensor(
                name=f"tracking_{label}_{body}",
                type=kind,
                objtype=mujoco.mjtObj.mjOBJ_XBODY,  # the body's frame, not its centre of mass
                objname=body,
            )


def _add_motor_sensors(spec: mujoco.MjSpec) -> None:
    for label, kind in _MOTOR_SENSORS:
        for joint in JOINT_NAMES:
            spec.add_sensor(
                name=f"{label}_{joint}",
                type=kind,
                objtype=mujoco.mjtObj.mjOBJ_ACTUATOR,
                objname=joint,
            )


def _add_contact_counts(spec: mujoco.MjSpec) -> None:
    for name, body in _CONTACT_SENSORS:
        spec.add_sensor(
            name=name,
            type=mujoco.mjtSensor.mjSENS_CONTACT,
            objtype=mujoco.mjtObj.mjOBJ_XBODY,
            objname=body,
            reftype=mujoco.mjtObj.mjOBJ_GEOM,
            refname=FLOOR_GEOM,
            intprm=[1, 0, 1],  # one number: how many contacts were found
        )


def _check(model: mujoco.MjModel, profile: RobotProfile) -> None:
    """Hold the model to what the rest of the package takes for granted."""
    names = tuple(model.joint(j).name for j in range(1, model.njnt))
    if names != JOINT_NAMES or model.nq != NUM_JOINTS + 7 or model.nactuator != NUM_JOINTS:
        raise BadValue("models/g1/g1.xml does not have the 29 joints in their order")
    lower, upper = model.jnt_range[1:].T
    wide = (profile.position_lower < lower - 1e-9) | (profile.position_upper > upper + 1e-9)
    if wide.any():
        i = int(np.flatnonzero(wide)[0])
        raise BadValue(
            f"profile {profile.name}: joint '{JOINT_NAMES[i]}' has limits beyond the mechanical "
            f"range [{lower[i]:g}, {upper[i]:g}] of the model"
        )
