"""Randomised robots: what is drawn is what MuJoCo simulates, by seed, and nothing else changes."""

from __future__ import annotations

import copy
from typing import Any

import mujoco
import numpy as np
import pytest
from one_more import in_a_fresh_interpreter

from g1_mimic.control.state import RobotState
from g1_mimic.envs.config import EnvConfig
from g1_mimic.envs.disturbances import RandomisedRobots, add_base_velocity, draw_push
from g1_mimic.envs.drawn_robots import (
    RobotDraw,
    damping_ratio,
    draw_noise,
    draw_robots,
    randomise_model,
    sense,
)
from g1_mimic.envs.randomisation import PRESETS, Randomisation
from g1_mimic.envs.tracking_env import TrackingEnv
from g1_mimic.errors import G1MimicError
from g1_mimic.motion.files import load_motion
from g1_mimic.robot.model import Motors, build_model
from g1_mimic.robot.profile import load_profile
from g1_mimic.rotations import quat_apply, quat_from_rpy
from g1_mimic.settings import validate

PROFILE = load_profile("g1_29dof")
EVERYTHING = Randomisation(
    preset="asap",
    link_inertia=(0.8, 1.2),
    restitution=(0.0, 0.5),
    armature=(0.9, 1.1),
    joint_friction=(0.0, 0.2),
    encoder_bias=(-0.02, 0.02),
    gyro_bias=(-0.02, 0.02),
    push_interval_s=(0.1, 0.3),
)


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return build_model(PROFILE)


def one(model: mujoco.MjModel, seed: int = 0, **ranges: Any) -> RobotDraw:
    """A single robot from ``ranges``."""
    config = Randomisation(**ranges).resolved()
    return draw_robots(config, 1, model.nbody, np.random.default_rng(seed))


def make_robots(model: mujoco.MjModel, count: int = 3, **ranges: Any) -> RandomisedRobots:
    return RandomisedRobots(Randomisation(**ranges), model, PROFILE, count, 4, seed=0)


def make_env(randomisation: Randomisation, num_envs: int = 4, threads: int = 1) -> TrackingEnv:
    config = EnvConfig(threads=threads, randomisation=randomisation)
    return TrackingEnv(load_motion("stand"), PROFILE, config, num_envs, seed=1)


# -- settings -----------------------------------------------------------------------------------


def test_a_key_replaces_the_presets_value_and_only_that() -> None:
    """Ranges are the preset's, but for those that are given."""
    config = Randomisation(preset="asap", friction=(0.7, 0.8)).resolved()
    assert config.friction == (0.7, 0.8)
    for name, value in PRESETS["asap"].items():
        assert name == "friction" or getattr(config, name) == value
    assert config.restitution == (0.0, 0.0)


def test_settings_that_are_written_out_keep_presets_apart_from_keys() -> None:
    """A preset that is chosen after a round trip counts for all keys that were not given."""
    dumped = EnvConfig(randomisation=Randomisation(preset="asap", friction=(1, 1))).model_dump()
    assert dumped["randomisation"] == {"preset": "asap", "friction": (1.0, 1.0)}
    dumped["randomisation"]["preset"] = "mjlab"
    again = EnvConfig(**dumped).randomisation.resolved()
    assert again.friction == (1.0, 1.0) and again.stiffness == (1.0, 1.0)
    assert again.encoder_bias == (-0.01, 0.01)


@pytest.mark.parametrize("preset", ["none", "mild", "beyondmimic", "mjlab", "asap"])
def test_every_preset_is_valid_and_known(preset: Any) -> None:
    """Each name of the table is a choice, and its values pass the checks."""
    assert set(PRESETS) == {"none", "mild", "beyondmimic", "mjlab", "asap"}
    resolved = Randomisation(preset=preset).resolved()
    assert (resolved == Randomisation()) == (preset == "none")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"friction": [1.2, 0.3]}, "friction: the lower end 1.2 is above the upper end 0.3"),
        ({"link_mass": [0.0, 1.0]}, "link_mass: 0 is below 0.1"),
        ({"preset": "isaac"}, "randomisation.preset: 'isaac' is none of none, mild"),
        ({"frictoin": [1, 1]}, "did you mean 'friction'?"),
        ({"gyro_noise": -1.0}, "randomisation.gyro_noise: Input should be greater"),
        ({"torso_com": [float("nan"), 0, 0]}, "torso_com.0: Input should be"),
    ],
)
def test_impossible_ranges_are_one_line(data: dict[str, Any], words: str) -> None:
    """A bad range is refused with its key."""
    with pytest.raises(G1MimicError) as error:
        validate(EnvConfig, {"randomisation": data}, "x.yaml")
    assert words in str(error.value) and "\n" not in str(error.value)


def _one_more_key() -> None:
    from typing import Annotated

    import numpy as np
    from pydantic import Field

    from g1_mimic.envs import randomisation
    from g1_mimic.envs.drawn_robots import Drawn

    class Randomisation(randomisation.Randomisation):
        joint_damping: Annotated[
            randomisation.Range,
            randomisation.Lowest(0.0),
            Drawn((29,), lambda model, nominal, by: np.copyto(model.dof_damping[6:], by)),
        ] = Field((0.0, 0.0), description="Viscous friction of each joint.")
        tilt: Annotated[randomisation.Width, Drawn((3,), sensed="base_ang_vel", noise=True)] = 0.0

    randomisation.Randomisation = Randomisation  # type: ignore[misc]

    from one_more import shown_everywhere

    from g1_mimic.envs.config import EnvConfig
    from g1_mimic.envs.tracking_env import TrackingEnv
    from g1_mimic.motion.files import load_motion
    from g1_mimic.robot.profile import load_profile
    from g1_mimic.simulation.simulator import Simulator

    key, about = "env.randomisation.joint_damping", "Viscous friction of each joint."
    shown_everywhere(key, "[0.0, 0.0]", about)
    (row,) = (row for row in randomisation.randomisation_table() if row[0] == "joint_damping")
    assert row == ("joint_damping", about, "[0.0, 0.0]", *[""] * len(randomisation.PRESETS))
    profile = load_profile("g1_29dof")
    ranges = {"joint_damping": (0.2, 0.4), "tilt": 0.5}
    config = EnvConfig(threads=1, randomisation=ranges)
    env = TrackingEnv(load_motion("stand"), profile, config, 3, seed=1)
    seen = env.reset(0)
    assert env.robots.models is not None
    drawn = np.array([model.dof_damping[6:] for model in env.robots.models])
    np.testing.assert_array_equal(drawn, env.robots.draw.joint_damping)
    assert len(np.unique(drawn)) == 3 * 29 and 0.2 <= drawn.min() < drawn.max() <= 0.4
    calm = TrackingEnv(load_motion("stand"), profile, EnvConfig(threads=1), 3, seed=1)
    off = (seen.policy - calm.reset(0).policy)[:, 64:67]  # the gyroscope
    assert 0.1 < np.abs(off).max() <= 0.5
    sim = Simulator(profile, randomisation=config.randomisation)
    assert 0.2 <= sim.model.dof_damping[6:].min() < sim.model.dof_damping[6:].max() <= 0.4
    env.close()
    calm.close()


def test_one_more_key_is_one_more_field() -> None:
    """It is found wherever settings are told, is drawn for each robot, and does what it says."""
    in_a_fresh_interpreter(_one_more_key)


# -- models ---------------------------------------------------------------------------------------


def test_models_are_only_built_where_robots_differ_in_them(model: mujoco.MjModel) -> None:
    """Sensor errors, delays and pushes need one model, friction needs one for each robot."""
    assert make_robots(model).models is None
    same = {"encoder_bias": (-0.1, 0.1), "joint_pos_noise": 0.1, "push_velocity": (1.0,) * 6}
    assert make_robots(model, action_delay_s=(0.0, 0.02), **same).models is None
    models = make_robots(model, friction=(0.5, 1.0)).models
    assert models is not None and len({id(m) for m in models}) == 3


def test_a_neutral_draw_is_the_nominal_model(model: mujoco.MjModel) -> None:
    """Whatever a model was before, a robot without deviations is the nominal one to the bit."""
    changed, scratch = copy.copy(model), mujoco.MjData(model)
    config = EVERYTHING.resolved()
    draw = draw_robots(config, 1, model.nbody, np.random.default_rng(0))
    randomise_model(changed, model, draw, 0, scratch)
    assert (changed.body_mass[1:] != model.body_mass[1:]).all()
    randomise_model(changed, model, one(model), 0, scratch)
    for name in dir(model):
        value = getattr(model, name)
        if isinstance(value, np.ndarray) and not name.startswith("_"):
            np.testing.assert_array_equal(value, getattr(changed, name), err_msg=name)


def test_the_mass_matrix_is_that_of_the_drawn_bodies(model: mujoco.MjModel) -> None:
    """Kinetic energy by the mass matrix equals the sum over bodies with the drawn masses."""
    changed, data = copy.copy(model), mujoco.MjData(model)
    draw = draw_robots(EVERYTHING.resolved(), 1, model.nbody, np.random.default_rng(3))
    randomise_model(changed, model, draw, 0, data)
    rng = np.random.default_rng(0)
    data.qpos[7:] = rng.uniform(-0.3, 0.3, 29)
    data.qvel[:] = rng.standard_normal(35)
    mujoco.mj_forward(changed, data)
    product = np.zeros(35)
    mujoco.mj_mulM(changed, data, product, data.qvel)
    torso, velocity, energy = model.body("torso_link").id, np.zeros(6), 0.0
    for body in range(1, model.nbody):
        offset = model.body_ipos[body] + (draw.torso_com[0] if body == torso else 0.0)
        mujoco.mj_objectVelocity(
            changed, data, mujoco.mjtObj.mjOBJ_XBODY, body, velocity, 0
        )  # of the body's frame, in the world
        frame = data.xmat[body].reshape(3, 3)
        speed = velocity[3:] + np.cross(velocity[:3], frame @ offset)
        mass = model.body_mass[body] * draw.mass[0, body]
        axes = np.zeros(9)
        mujoco.mju_quat2Mat(axes, model.body_iquat[body])
        turning = (frame @ axes.reshape(3, 3)).T @ velocity[:3]
        inertia = model.body_inertia[body] * draw.inertia[0, body]
        energy += 0.5 * mass * speed @ speed + 0.5 * inertia @ turning**2
    armature = model.dof_armature[6:] * draw.armature[0]
    energy += 0.5 * armature @ data.qvel[6:] ** 2
    assert 0.5 * data.qvel @ product == pytest.approx(energy, rel=1e-9)
    mass = (model.body_mass * draw.mass[0])[1:].sum()
    assert changed.body_subtreemass[0] == pytest.approx(mass)


@pytest.mark.parametrize("motors", ["pd", "torque_speed"])
def test_gains_and_friction_are_those_drawn(motors: Motors) -> None:
    """Motors answer with the drawn gains, joints and feet with the drawn friction."""
    model = build_model(PROFILE, motors=motors)
    changed, data = copy.copy(model), mujoco.MjData(model)
    draw = one(
        model, stiffness=(0.5, 1.5), damping=(0.5, 1.5), friction=(0.4, 0.4),
        joint_friction=(0.1, 0.3),
    )  # fmt: skip
    randomise_model(changed, model, draw, 0, data)
    mujoco.mj_resetDataKeyframe(changed, data, 0)
    data.qpos[2] -= 0.005  # into the floor
    data.qvel[6:] = 0.2
    data.ctrl[:] += 0.01
    mujoco.mj_forward(changed, data)
    torque = 0.01 * PROFILE.stiffness * draw.stiffness[0]
    torque -= 0.2 * PROFILE.damping * draw.damping[0]
    np.testing.assert_allclose(data.actuator_force, torque, atol=1e-9)
    np.testing.assert_array_equal(changed.dof_frictionloss[6:], draw.joint_friction[0])
    contacts = data.contact
    assert data.ncon >= 8 and (contacts.friction[:, 0] == 0.4).all()


@pytest.mark.parametrize("restitution", [0.2, 0.35, 0.5])
@pytest.mark.parametrize(("timestep", "tolerance"), [(0.0005, 0.01), (0.005, 0.05)])
def test_bodies_bounce_with_the_drawn_restitution(
    model: mujoco.MjModel, restitution: float, timestep: float, tolerance: float
) -> None:
    """A falling ball leaves the floor with the drawn fraction of its speed, at training's steps."""
    changed, draw = copy.copy(model), one(model, restitution=(restitution, restitution))
    randomise_model(changed, model, draw, 0, mujoco.MjData(model))
    solref = changed.geom_solref[np.flatnonzero(model.geom_priority)[0]]
    assert solref[1] == pytest.approx(float(damping_ratio(restitution)))
    spec = mujoco.MjSpec()
    spec.option.timestep = timestep
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1])
    ball = spec.worldbody.add_body(pos=[0, 0, 0.12])
    ball.add_freejoint()
    ball.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.02] * 3, priority=1, solref=solref)
    falling = spec.compile()
    data, speed = mujoco.MjData(falling), []
    while data.time < 0.5:
        mujoco.mj_step(falling, data)
        speed.append(data.qvel[2])
    lowest = int(np.argmin(speed))
    assert max(speed[lowest:]) / -speed[lowest] == pytest.approx(restitution, abs=tolerance)


# -- sensors and motors ---------------------------------------------------------------------------


def test_noise_reaches_the_policy_alone() -> None:
    """With noisy sensors the robots move as without, and the critic's own terms are the same."""
    clean = make_env(Randomisation())
    noise = {"joint_pos_noise": 0.01, "joint_vel_noise": 0.5, "gyro_noise": 0.2}
    noisy = make_env(Randomisation(orientation_noise=0.05, **noise))
    a, b = clean.reset(5), noisy.reset(5)
    rng = np.random.default_rng(0)
    for _ in range(30):
        actions = rng.uniform(-1, 1, (4, 29))
        a, b = clean.step(actions).observations, noisy.step(actions).observations
        own = slice(clean.policy_size, None)
        np.testing.assert_array_equal(a.critic[:, own], b.critic[:, own])
        np.testing.assert_array_equal(b.critic[:, : clean.policy_size], b.policy)
        change = np.abs(a.policy - b.policy)
        # command, two columns of a rotation, gyroscope, angles, velocities, actions
        parts = np.split(change.max(0), [58, 64, 67, 96, 125])
        assert parts[0].max() == parts[5].max() == 0.0
        for part, width in zip(parts[1:5], (0.12, 0.2, 0.01, 0.5), strict=True):
            assert 0.1 * width < part.max() <= width + 1e-6


def test_an_encoder_offset_shifts_what_is_seen_and_what_is_done(model: mujoco.MjModel) -> None:
    """Policy and motor go by the same encoder: seen q + b, held t − b; a default pose is −b."""
    biased = make_robots(model, encoder_bias=(0.03, 0.03))
    posed = make_robots(model, default_pose=(-0.03, -0.03))
    target = np.zeros((3, 4, 29))
    np.testing.assert_allclose(biased.motor_targets(target), -0.03)
    env = make_env(Randomisation(encoder_bias=(0.03, 0.03)))
    plain = make_env(Randomisation())
    joints = slice(67, 96)
    difference = (env.reset(5).policy - plain.reset(5).policy)[:, joints]
    np.testing.assert_allclose(difference, 0.03, atol=1e-6)
    for robots in (biased, posed):
        np.testing.assert_array_equal(robots.draw.encoder_offset, 0.03)


def test_measurements_have_uniform_errors_of_the_given_width() -> None:
    """Noise fills its width evenly; a turned pelvis stays a unit quaternion."""
    ranges = Randomisation(preset="beyondmimic").resolved()
    noise = draw_noise(ranges, np.random.default_rng(0), (4000,))
    for name, width in (("joint_pos", 0.01), ("joint_vel", 0.5), ("ang_vel", 0.2)):
        values = noise[name]
        assert np.abs(values).max() <= width
        assert values.std() == pytest.approx(width / np.sqrt(3), rel=0.02)
    quat = np.tile([1.0, 0.0, 0.0, 0.0], (4000, 1))
    zero = np.zeros((4000, 29))
    state = RobotState(0, zero, zero, quat, zero[:, :3])
    draw = draw_robots(ranges, 1, 31, np.random.default_rng(0))
    measured = sense(state, ranges, draw, slice(None), noise)
    np.testing.assert_allclose(np.linalg.norm(measured.base_quat, axis=-1), 1.0)
    # a small rotation vector is twice the quaternion's vector part
    np.testing.assert_allclose(2 * measured.base_quat[:, 1:], noise["orientation"], atol=1e-4)


@pytest.mark.parametrize("steps", [0, 1, 3, 4, 6, 8])
def test_delayed_actions_come_whole_physics_steps_later(model: mujoco.MjModel, steps: int) -> None:
    """In physics step t the motors follow the action of the control step that t − delay lies in."""
    delay = steps * 0.005
    robots = make_robots(model, action_delay_s=(delay, delay), encoder_bias=(0, 0.001))
    robots.restart(np.arange(3), np.full((3, 29), -1.0))
    for k in range(6):
        desired = robots.delayed(np.full((3, 29), float(k)))
        times = np.arange(4 * k, 4 * k + 4) - steps
        wanted = np.where(times < 0, -1.0, times // 4)
        np.testing.assert_array_equal(
            np.broadcast_to(desired, (3, 4, 29)), np.broadcast_to(wanted[:, None], (3, 4, 29))
        )


def test_torque_noise_is_a_fraction_of_the_limit(model: mujoco.MjModel) -> None:
    """At rest the motors' torques differ by at most the drawn fraction of the limit."""
    robots = make_robots(model, torque_noise=(0.1, 0.1))
    targets = robots.motor_targets(np.zeros((3, 4, 29)))
    share = targets * PROFILE.stiffness / PROFILE.torque_limit
    assert 0.09 < np.abs(share).max() <= 0.1


# -- pushes ---------------------------------------------------------------------------------------


def test_pushes_come_in_their_interval_with_their_size(model: mujoco.MjModel) -> None:
    """Between two pushes of a robot lie interval seconds; each adds at most the given speed."""
    robots = make_robots(
        model, count=20, push_interval_s=(0.5, 1.0), push_velocity=(0.3, 0.2, 0.1, 0.0, 0.0, 0.4)
    )
    qpos, qvel = np.tile(model.qpos0, (20, 1)), np.zeros((20, 35))
    robots.restart(np.arange(20), np.zeros((20, 29)))
    pushed = []
    for _ in range(500):
        before = qvel.copy()
        robots.push(qpos, qvel)
        change = qvel - before
        assert (np.abs(change).max(0)[:6] <= [0.3, 0.2, 0.1, 0.0, 0.0, 0.4]).all()
        assert not change[:, 6:].any()
        pushed.append(change.any(1))
    for robot in np.array(pushed).T:
        gaps = np.diff(np.flatnonzero(robot)) * 0.02
        assert len(gaps) >= 9 and gaps.min() >= 0.5 - 1e-9 and gaps.max() <= 1.0 + 0.02


def test_a_push_turns_about_the_worlds_axes() -> None:
    """The angular velocity that is added is the given one, in the world, for a lying robot too."""
    ranges = Randomisation(push_velocity=(0.1, 0.1, 0.1, 1.0, 1.0, 1.0))
    velocity = draw_push(ranges, np.random.default_rng(0), 5)
    qpos, qvel = np.zeros((5, 36)), np.zeros((5, 35))
    qpos[:, 3:7] = quat_from_rpy(*np.random.default_rng(1).uniform(-1, 1, (3, 5)))
    add_base_velocity(qpos, qvel, velocity)
    np.testing.assert_allclose(qvel[:, :3], velocity[:, :3])
    np.testing.assert_allclose(quat_apply(qpos[:, 3:7], qvel[:, 3:6]), velocity[:, 3:])


# -- seeds ----------------------------------------------------------------------------------------


def run(env: TrackingEnv, steps: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    seen = [env.step(rng.uniform(-1, 1, (env.num_envs, 29))) for _ in range(steps)]
    return np.array([result.observations.critic for result in seen])


def test_same_seed_same_robots() -> None:
    """A seed gives the same robots and episodes again, with any number of threads."""
    first = make_env(EVERYTHING, threads=1)
    first.reset(7)
    a = run(first, 60)
    other = make_env(EVERYTHING, threads=2)
    other.reset(3)
    run(other, 20)
    other.reset(7)
    np.testing.assert_array_equal(a, run(other, 60))
    other.reset(8)
    assert (a != run(other, 60)).any()
    assert np.isfinite(a).all()


def test_a_restored_environment_goes_on_to_the_bit() -> None:
    """Models, offsets, delayed actions, noise and pushes are part of the state."""
    env, other = make_env(EVERYTHING), make_env(EVERYTHING)
    env.reset(2)
    run(env, 25)
    other.load_state_dict(copy.deepcopy(env.state_dict()))
    np.testing.assert_array_equal(other.observe().critic, env.observe().critic)
    np.testing.assert_array_equal(run(other, 60, seed=4), run(env, 60, seed=4))


@pytest.mark.parametrize("every_episode", [True, False])
def test_randomisation_can_begin_in_the_middle(every_episode: bool) -> None:
    """A state of robots that were all alike, or drawn otherwise, is gone on from with new draws."""
    ranges = EVERYTHING.model_copy(update={"every_episode": every_episode})
    for before in (Randomisation(), Randomisation(friction=(0.5, 0.6))):
        plain, env = make_env(before), make_env(ranges)
        plain.reset(2)
        run(plain, 5)
        env.load_state_dict(copy.deepcopy(plain.state_dict()))
        np.testing.assert_array_equal(env.physics.qpos, plain.physics.qpos)
        assert env.robots.models is not None
        masses = np.array([m.body_mass.sum() for m in env.robots.models])
        assert len(set(masses)) == len(masses)
        assert np.isfinite(run(env, 30)).all()


@pytest.mark.parametrize("every_episode", [True, False])
def test_robots_change_with_the_episode_or_never(every_episode: bool) -> None:
    """A reset draws that robot anew and leaves the others, or it changes none."""
    env = make_env(EVERYTHING.model_copy(update={"every_episode": every_episode}))
    env.reset(0)
    assert env.robots.models is not None
    before = [m.body_mass.copy() for m in env.robots.models]
    env.reset_to(np.array([2]), np.array([0]))
    after = [m.body_mass for m in env.robots.models]
    same = [bool((a == b).all()) for a, b in zip(before, after, strict=True)]
    assert same == [True, True, not every_episode, True]
