"""The robot as plain arrays is the robot that MuJoCo compiles."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from g1_mimic.errors import G1MimicError
from g1_mimic.robot import skeleton as module
from g1_mimic.robot.model import build_model
from g1_mimic.robot.names import BODY_NAMES, JOINT_NAMES
from g1_mimic.robot.profile import load_profile
from g1_mimic.robot.skeleton import FOOT_BODY_NAMES, load_skeleton


def test_every_number_is_mujocos() -> None:
    """Tree, frames, masses and inertias are the compiled model's, to the last digit."""
    model = build_model(load_profile("g1_29dof"), feet="capsules", scene=False)
    skeleton = load_skeleton()
    bodies = [model.body(name).id for name in BODY_NAMES]
    parents = [bodies.index(i) if i else -1 for i in model.body_parentid[bodies]]
    assert list(skeleton.parents) == parents
    for ours, theirs in (
        (skeleton.pos, model.body_pos),
        (skeleton.quat, model.body_quat),
        (skeleton.mass, model.body_mass),
        (skeleton.com, model.body_ipos),
        (skeleton.inertia, model.body_inertia),
        (skeleton.inertia_quat, model.body_iquat),
    ):
        np.testing.assert_array_equal(ours, theirs[bodies])
    joints = [model.joint(name).id for name in JOINT_NAMES]
    np.testing.assert_array_equal(skeleton.axis[1:], model.jnt_axis[joints])
    np.testing.assert_array_equal(model.jnt_bodyid[joints], bodies[1:])


def test_soles_are_the_geoms_that_touch_the_floor() -> None:
    """The spheres are the ends of the capsules that carry a foot in the compiled model."""
    model = build_model(load_profile("g1_29dof"), feet="capsules")
    skeleton = load_skeleton()
    for side, name in enumerate(FOOT_BODY_NAMES):
        touching = (model.geom_bodyid == model.body(name).id) & (model.geom_conaffinity > 0)
        points = []
        for i in np.flatnonzero(touching):
            assert model.geom_type[i] == mujoco.mjtGeom.mjGEOM_CAPSULE
            matrix = np.zeros(9)
            mujoco.mju_quat2Mat(matrix, model.geom_quat[i])
            half = matrix.reshape(3, 3)[:, 2] * model.geom_size[i, 1]
            points += [model.geom_pos[i] - half, model.geom_pos[i] + half]
        np.testing.assert_array_equal(skeleton.foot_points[side], points)
        np.testing.assert_array_equal(
            skeleton.foot_radius[side], np.repeat(model.geom_size[touching, 0], 2)
        )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name="torso_link"', 'name="trunk"', "bodies"),
        ('<joint name="waist_roll_joint"', '<joint pos="0 0 1" name="waist_roll_joint"', "joint"),
        ('mass="3.813"', "", "mass"),
        ("</mujoco>", "", "cannot be read"),
    ],
)
def test_another_robot_is_refused(tmp_path, monkeypatch, old, new, said) -> None:
    """A model file that is not the G1's, or no XML, is one line that names it."""
    text = (module.share_dir() / "models" / "g1" / "g1.xml").read_text()
    assert old in text
    (tmp_path / "models" / "g1").mkdir(parents=True)
    (tmp_path / "models" / "g1" / "g1.xml").write_text(text.replace(old, new))
    monkeypatch.setattr(module, "share_dir", lambda: tmp_path)
    with pytest.raises(G1MimicError, match=said):
        load_skeleton.__wrapped__()
