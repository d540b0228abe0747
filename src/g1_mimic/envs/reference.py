"""The clips as the environment reads them: arrays indexed by frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from g1_mimic.control.pd_target import action_base
from g1_mimic.envs.config import EnvConfig
from g1_mimic.envs.disturbances import add_base_velocity
from g1_mimic.envs.observations import ReferenceFrame
from g1_mimic.envs.rewards import BodyPoses
from g1_mimic.envs.starts import ClipStarts
from g1_mimic.errors import BadValue
from g1_mimic.motion.clip import ClipSpan, MotionClip
from g1_mimic.motion.dynamics import with_base_torque
from g1_mimic.motion.library import MotionLibrary
from g1_mimic.motion.trajectory import CONTROL_RATE
from g1_mimic.motion.validate import foot_heights
from g1_mimic.robot.names import ANCHOR_BODY_NAME, NUM_JOINTS, TRACKED_BODY_NAMES
from g1_mimic.robot.profile import RobotProfile
from g1_mimic.rotations import quat_from_rpy, quat_multiply, quat_slerp

FOOT_CONTACT_HEIGHT = 0.02
"""A reference foot counts as on the floor while its sole is within this distance of it, m."""

# BeyondMimic's reset ranges (tracking_env_cfg.py): x, y, z (m), roll, pitch, yaw (rad).
RESET_POSE = np.array([0.05, 0.05, 0.01, 0.1, 0.1, 0.2])
RESET_VELOCITY = np.array([0.5, 0.5, 0.2, 0.52, 0.52, 0.78])
RESET_JOINT = np.full(NUM_JOINTS, 0.1)


def clip_action_base(clip: MotionClip, profile: RobotProfile, kind: str) -> np.ndarray:
    """Return what raw actions are added to at each frame of ``clip`` [T, 29], rad.

    ``kind`` is `EnvConfig.action_base`. Training adds it in the environment, an exported policy
    carries it as a constant.
    """
    clip = with_base_torque(clip, profile, kind)
    return action_base(
        kind,
        clip.joint_pos,
        clip.joint_vel,
        clip.joint_torque,
        profile.default_position,
        profile.stiffness,
        profile.damping,
    )


class Reference:
    """Reference arrays by frame: those of all clips, one clip after the other.

    A looped clip is unrolled, each lap where the one before ended, so that an episode may start
    anywhere in the first lap and run on. ``lagged_bodies`` are the tracked bodies one physics step
    before each frame, which is the time that MuJoCo's sensors show after a control step.
    ``start_lift`` is how far a robot must be raised at each frame to be out of the floor: captured
    motions dip into it by centimetres, and contact forces would throw a robot started there.

    Attributes:
        spans: where each clip is.
        num_starts: frames of each clip that an episode may start from.
        last_frame: for each frame, the last one of its clip.

    Raises:
        G1MimicError: if a clip is not at the control rate or too short.
    """

    def __init__(
        self, motions: MotionClip | MotionLibrary, profile: RobotProfile, config: EnvConfig
    ) -> None:
        clips = MotionLibrary.of(motions).clips
        # The last frame of a clip has no next one to track, of a looped clip it is the first.
        self.num_starts = tuple(clip.num_frames - 1 for clip in clips)
        parts = [_arrays(clip, profile, config) for clip in clips]
        lengths = [len(part["qpos"]) for part in parts]
        firsts = np.cumsum([0, *lengths[:-1]])
        self.spans = tuple(
            ClipSpan(clip.name, int(first), length, clip.looped)
            for clip, first, length in zip(clips, firsts, lengths, strict=True)
        )
        self.last_frame = np.repeat([span.last for span in self.spans], lengths)

        def of_all(name: str) -> np.ndarray:
            return np.concatenate([part[name] for part in parts])

        self.qpos, self.qvel, self.base = of_all("qpos"), of_all("qvel"), of_all("base")
        self.anchor_pos, self.anchor_quat = of_all("anchor_pos"), of_all("anchor_quat")
        self._lagged = BodyPoses(*(of_all(name) for name in ("pos", "quat", "lin_vel", "ang_vel")))
        height = of_all("foot_height")
        self.foot_contact = height < FOOT_CONTACT_HEIGHT
        self.start_lift = np.maximum(0.0, -height.min(1))

    def clip_starts(self, shares: Sequence[float]) -> list[ClipStarts]:
        """Return the frames of each clip that episodes may start from, and its share of them."""
        return [
            ClipStarts(num, span.looped, span.first, share, span.name)
            for num, span, share in zip(self.num_starts, self.spans, shares, strict=True)
        ]

    def frame(self, frame: np.ndarray) -> ReferenceFrame:
        """Return what robots should do at each of ``frame`` [N]."""
        return ReferenceFrame(
            self.qpos[frame, 7:],
            self.qvel[frame, 6:],
            self.anchor_pos[frame],
            self.anchor_quat[frame],
        )

    def start_states(
        self, frame: np.ndarray, scale: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return states near each of ``frame`` [n] for robots to start in: qpos [n, 36], qvel.

        Args:
            frame: frames of the reference [n].
            scale: on the ranges of the noise.
            rng: draws it.
        """
        qpos, qvel = self.qpos[frame].copy(), self.qvel[frame].copy()

        def draw(ranges: np.ndarray) -> np.ndarray:
            return scale * rng.uniform(-ranges, ranges, (len(frame), len(ranges)))

        pose, velocity = draw(RESET_POSE), draw(RESET_VELOCITY)
        qpos[:, :3] += pose[:, :3]
        qpos[:, 2] += self.start_lift[frame]
        qpos[:, 3:7] = quat_multiply(quat_from_rpy(*pose[:, 3:].T), qpos[:, 3:7])
        add_base_velocity(qpos, qvel, velocity)
        qpos[:, 7:] += draw(RESET_JOINT)
        return qpos, qvel

    def lagged_bodies(self, frame: np.ndarray) -> BodyPoses:
        """Return the tracked bodies one physics step before ``frame`` [N]."""
        r = self._lagged
        return BodyPoses(r.pos[frame], r.quat[frame], r.lin_vel[frame], r.ang_vel[frame])


def _arrays(clip: MotionClip, profile: RobotProfile, config: EnvConfig) -> dict[str, np.ndarray]:
    """Return the arrays of one clip, unrolled if it is looped."""
    if abs(clip.fps - CONTROL_RATE) > 1e-6:
        raise BadValue(
            f"motion '{clip.name}' has {clip.fps:g} frames/s, the controller runs at "
            f"{CONTROL_RATE:g}: resample it"
        )
    if clip.num_frames < 3:
        raise BadValue(f"motion '{clip.name}' has fewer than 3 frames")
    clip = with_base_torque(clip, profile, config.action_base)
    if clip.looped:
        clip = clip.unrolled(clip.num_frames + config.max_steps)
    bodies = [clip.body_index(name) for name in TRACKED_BODY_NAMES]
    anchor = clip.body_index(ANCHOR_BODY_NAME)
    lag = config.physics_dt * CONTROL_RATE
    return {
        "qpos": clip.qpos(),
        "qvel": clip.qvel(),
        "base": clip_action_base(clip, profile, config.action_base),
        "anchor_pos": clip.body_pos_w[:, anchor],
        "anchor_quat": clip.body_quat_w[:, anchor],
        "pos": _back(clip.body_pos_w[:, bodies], lag),
        "quat": _back_quat(clip.body_quat_w[:, bodies], lag),
        "lin_vel": _back(clip.body_lin_vel_w[:, bodies], lag),
        "ang_vel": _back(clip.body_ang_vel_w[:, bodies], lag),
        "foot_height": foot_heights(clip),
    }


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
