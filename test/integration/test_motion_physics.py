"""Shipped clips in MuJoCo's physics: a controller that knows the dynamics can follow them."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from g1_mimic.motion.balance import looped_zero_moment_point, sole_points
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.files import load_motion
from g1_mimic.robot.model import build_model
from g1_mimic.robot.profile import RobotProfile, load_profile
from g1_mimic.robot.skeleton import FOOT_BODY_NAMES

STIFFNESS, DAMPING = 100.0, 20.0
"""1/s² and 1/s of the error of every degree of freedom, critically damped."""
SUBSTEPS = 10
LEVER = 0.05
"""m: a moment on a foot weighs as much as the force with this lever."""


def load_on_feet(clip: MotionClip) -> np.ndarray:
    """Return the part [T, 2] of the load on each foot: all on the one that stands alone, else by
    the distance of the zero-moment point."""
    soles = sole_points(clip)
    point = looped_zero_moment_point(clip)[:, None]
    far = np.linalg.norm(soles[..., :2].mean(axis=2) - point, axis=-1)
    load = far[:, ::-1] / far.sum(axis=1, keepdims=True)
    lifted = soles[..., 2].min(axis=2) > 1e-3
    load[lifted] = 0.0
    return np.maximum(load / load.sum(axis=1, keepdims=True), 1e-6)


def track(clip: MotionClip, profile: RobotProfile) -> tuple[np.ndarray, float]:
    """Follow a clip through the motors alone, by inverse dynamics from the simulated state.

    Returns:
        How far the pelvis is off [T - 1] m, and the largest torque over its limit.
    """
    step = 1.0 / (SUBSTEPS * clip.fps)
    model = build_model(profile, feet="capsules", timestep=step)
    alone = build_model(profile, scene=False)
    data, inverse = mujoco.MjData(model), mujoco.MjData(alone)
    qpos, qvel, load = clip.qpos(), clip.qvel(), load_on_feet(clip)
    qacc = np.gradient(qvel, 1.0 / clip.fps, axis=0)
    feet = [alone.body(name).id for name in FOOT_BODY_NAMES]
    scale = np.tile([1.0, 1.0, 1.0, LEVER**2, LEVER**2, LEVER**2], 2)
    jacobian, error = np.zeros((12, alone.nv)), np.zeros(alone.nv)
    data.qpos[:], data.qvel[:] = qpos[0], qvel[0]
    off, largest = np.zeros(clip.num_frames - 1), 0.0
    for index in range(SUBSTEPS * (clip.num_frames - 1)):
        frame, part = index // SUBSTEPS, index % SUBSTEPS / SUBSTEPS
        velocity = (1.0 - part) * qvel[frame] + part * qvel[frame + 1]
        wanted = qpos[frame].copy()
        mujoco.mj_integratePos(alone, wanted, 0.5 * (qvel[frame] + velocity), part / clip.fps)
        mujoco.mj_differentiatePos(alone, error, 1.0, data.qpos, wanted)
        off[frame] = max(off[frame], np.linalg.norm(error[:3]))
        inverse.qpos[:], inverse.qvel[:] = data.qpos, data.qvel
        inverse.qacc[:] = (1.0 - part) * qacc[frame] + part * qacc[frame + 1]
        inverse.qacc[:] += STIFFNESS * error + DAMPING * (velocity - data.qvel)
        mujoco.mj_inverse(alone, inverse)
        for side, body in enumerate(feet):
            rows = jacobian[6 * side : 6 * side + 6]
            mujoco.mj_jacBody(alone, inverse, rows[:3], rows[3:], body)
        weight = scale * np.repeat((1.0 - part) * load[frame] + part * load[frame + 1], 6)
        base = jacobian[:, :6]
        push = np.linalg.solve((base.T * weight) @ base, inverse.qfrc_inverse[:6])
        torque = (inverse.qfrc_inverse - jacobian.T @ (weight * (base @ push)))[6:]
        largest = max(largest, float((abs(torque) / profile.torque_limit).max()))
        # Through the motors' PD loops, whose limits stay in force.
        spring = (torque + profile.damping * data.qvel[6:]) / profile.stiffness
        data.ctrl[:] = data.qpos[7:] + spring
        mujoco.mj_step(model, data)
    return off, largest


@pytest.mark.parametrize("name", ["squat", "wave", "march", "turn", "dance", "walk", "walk_slow"])
def test_clip_can_be_followed(name: str) -> None:
    """Within the motors' limits and on real contacts the pelvis stays within 1 cm of the clip."""
    off, torque = track(load_motion(name), load_profile("g1_29dof"))
    assert off.max() < 0.01
    assert torque < 1.0
