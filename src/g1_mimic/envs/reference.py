"""The clip as the environment reads it: arrays indexed by control step."""

from __future__ import annotations

import numpy as np

from g1_mimic.envs.config import EnvConfig
from g1_mimic.envs.rewards import BodyPoses
from g1_mimic.errors import G1MimicError
from g1_mimic.motion.clip import MotionClip
from g1_mimic.motion.trajectory import CONTROL_RATE
from g1_mimic.motion.validate import foot_heights
from g1_mimic.robot.names import ANCHOR_BODY_NAME, TRACKED_BODY_NAMES
from g1_mimic.robot.profile import RobotProfile
from g1_mimic.rotations import quat_slerp

FOOT_CONTACT_HEIGHT = 0.02
"""A reference foot counts as on the floor while its sole is within this distance of it, m."""


def action_base(clip: MotionClip, profile: RobotProfile, kind: str) -> np.ndarray:
    """Return what raw actions are added to at each frame of ``clip`` [T, 29], rad.

    ``kind`` is `EnvConfig.action_base`. Training adds it in the environment, an exported policy
    carries it as a constant.
    """
    if kind == "default":
        return np.tile(profile.default_position, (clip.num_frames, 1))
    if kind == "reference":
        return clip.joint_pos.copy()
    return clip.joint_pos + profile.damping / profile.stiffness * clip.joint_vel


class Reference:
    """Reference arrays by frame, long enough for every episode.

    A looped clip is unrolled, each lap where the one before ended, so that an episode may start
    anywhere in the first lap and run on. ``lagged_bodies`` are the tracked bodies one physics step
    before each frame, which is the time that MuJoCo's sensors show after a control step.
    ``start_lift`` is how far a robot must be raised at each frame to be out of the floor: captured
    motions dip into it by centimetres, and contact forces would throw a robot started there.

    Raises:
        G1MimicError: if the clip is not at the control rate or too short.
    """

    def __init__(self, clip: MotionClip, profile: RobotProfile, config: EnvConfig) -> None:
        if abs(clip.fps - CONTROL_RATE) > 1e-6:
            raise G1MimicError(
                f"motion '{clip.name}' has {clip.fps:g} frames/s, the controller runs at "
                f"{CONTROL_RATE:g}: resample it"
            )
        if clip.num_frames < 3:
            raise G1MimicError(f"motion '{clip.name}' has fewer than 3 frames")
        # The last frame of a clip has no next one to track, of a looped clip it is the first.
        self.num_starts = clip.num_frames - 1
        if clip.looped:
            clip = clip.unrolled(clip.num_frames + config.max_steps)
        self.num_frames = clip.num_frames
        self.qpos, self.qvel = clip.qpos(), clip.qvel()
        self.base = action_base(clip, profile, config.action_base)
        bodies = [clip.body_index(name) for name in TRACKED_BODY_NAMES]
        anchor = clip.body_index(ANCHOR_BODY_NAME)
        self.anchor_pos = clip.body_pos_w[:, anchor]
        self.anchor_quat = clip.body_quat_w[:, anchor]
        lag = config.physics_dt * CONTROL_RATE
        self._lagged = BodyPoses(
            _back(clip.body_pos_w[:, bodies], lag),
            _back_quat(clip.body_quat_w[:, bodies], lag),
            _back(clip.body_lin_vel_w[:, bodies], lag),
            _back(clip.body_ang_vel_w[:, bodies], lag),
        )
        height = foot_heights(clip)
        self.foot_contact = height < FOOT_CONTACT_HEIGHT
        self.start_lift = np.maximum(0.0, -height.min(1))

    def lagged_bodies(self, frame: np.ndarray) -> BodyPoses:
        """Return the tracked bodies one physics step before ``frame`` [N]."""
        r = self._lagged
        return BodyPoses(r.pos[frame], r.quat[frame], r.lin_vel[frame], r.ang_vel[frame])


def _back(values: np.ndarray, lag: float) -> np.ndarray:
    """Interpolate ``values`` [T, …] at ``lag`` frames before each frame."""
    result = values.copy()
    result[1:] = (1.0 - lag) * values[1:] + lag * values[:-1]
    return result


def _back_quat(quats: np.ndarray, lag: float) -> np.ndarray:
    """Interpolate orientations [T, B, 4] at ``lag`` frames before each frame."""
    result = quats.copy()
    result[1:] = quat_slerp(quats[1:], quats[:-1], np.full(quats[1:].shape[:-1], lag))
    return result
