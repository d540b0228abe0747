"""Is a clip one that the robot could show? A report that a person can read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from g1_mimic.motion.clip import MotionClip, lap_transforms
from g1_mimic.motion.formats.orders import DEGREES
from g1_mimic.motion.quality import floating_frames, foot_contacts, glitches
from g1_mimic.rotations import quat_conjugate, quat_error, quat_multiply, quat_yaw

if TYPE_CHECKING:
    from g1_mimic.robot.profile import RobotProfile

Figures = dict[str, float | int | bool | str]

_MAX_HEIGHT = 5.0
"""m: no pelvis is this high or low; positions in centimetres are."""
_PENETRATION = 0.02
"""m: a reference deeper in the floor than this asks for the impossible."""
_HOVER = 0.05
"""m: feet that never come closer to the floor than this do not stand."""
_JUMP_SPEED = 10.0
"""m/s of the pelvis."""
_LEVEL = 0.005
"""m: standing feet that are closer to the floor need no shift of the whole clip."""
_SLIP = 0.15
"""m/s: a standing foot that slides faster on average is no standing foot."""
_LOOP_GAP = 0.02
"""m and rad between the last frame and the first one moved."""


@dataclass
class MotionReport:
    """What is wrong (errors), doubtful (warnings) and measured (figures) about a clip."""

    name: str
    errors: list[str] = field(default_factory=list)
    """A clip with errors is refused."""
    warnings: list[str] = field(default_factory=list)
    """A clip with warnings loads; a policy may not be able to follow it there."""
    figures: Figures = field(default_factory=dict)
    """Named with their units, in the order in which they are printed."""
    hints: list[str] = field(default_factory=list)
    """Options of ``motion fix`` that help, each with what it helps against."""

    def hint(self, text: str) -> None:
        """Add a hint, unless it is there already."""
        if text not in self.hints:
            self.hints.append(text)

    @property
    def verdict(self) -> str:
        """``ok``, ``usable with warnings`` or ``not usable``."""
        if self.errors:
            return "not usable"
        return "usable with warnings" if self.warnings else "ok"

    def __str__(self) -> str:
        width = max(map(len, self.figures), default=0)
        lines = [f"motion '{self.name}'"]
        for key, value in self.figures.items():
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            lines.append(f"  {key:<{width}}  {shown}")
        lines += [f"  warning: {text}" for text in self.warnings]
        lines += [f"  error: {text}" for text in self.errors]
        if not self.errors and not self.warnings:
            lines.append("  no errors, no warnings")
        lines += [f"  hint: {text}" for text in self.hints]
        lines.append(f"  verdict: {self.verdict}")
        return "\n".join(lines)


def validate_clip(clip: MotionClip, profile: RobotProfile | None = None) -> MotionReport:
    """Check a complete clip against the robot.

    Names, shapes, finite values and unit quaternions are checked when a file is read (see
    ``Trajectory``); here follow joint limits, velocities against the limits, jumps, feet against
    the floor, and the seam of a looped clip.

    Args:
        clip: the clip.
        profile: whose limits to check against; the hardware's by default.
    """
    if profile is None:
        from g1_mimic.robot.profile import load_profile

        profile = load_profile()
    report = MotionReport(clip.name)
    report.figures |= {
        "frames": clip.num_frames,
        "frame rate [Hz]": clip.fps,
        "duration [s]": clip.duration,
        "looped": clip.looped,
        "notes": "; ".join(clip.notes) or "none",
    }
    _check_units(clip, report)
    if not report.errors:
        _check_joints(clip, profile, report)
        _check_accelerations(clip, profile, report)
        _check_jumps(clip, profile, report)
        _check_feet(clip, report)
        if clip.looped:
            _check_loop(clip, report)
    return report


def _check_units(clip: MotionClip, report: MotionReport) -> None:
    frame, joint = np.unravel_index(abs(clip.joint_pos).argmax(), clip.joint_pos.shape)
    worst = clip.joint_pos[frame, joint]
    if abs(worst) > DEGREES:
        report.errors.append(
            f"frame {frame}, {clip.joint_names[joint]} is {worst:.3g} rad; are the angles in "
            "degrees? Radians are needed"
        )
    highest = int(abs(clip.root_pos[:, 2]).argmax())
    height = clip.root_pos[highest, 2]
    if abs(height) > _MAX_HEIGHT:
        report.errors.append(
            f"frame {highest}, the pelvis is at z = {height:.3g} m; are the positions in "
            "centimetres, or is z not up? Metres with z up are needed"
        )


def _check_joints(clip: MotionClip, profile: RobotProfile, report: MotionReport) -> None:
    soft_lower, soft_upper = profile.soft_limits()
    beyond = np.maximum(
        profile.position_lower - clip.joint_pos, clip.joint_pos - profile.position_upper
    )
    outside_soft = ((clip.joint_pos < soft_lower) | (clip.joint_pos > soft_upper)).any(axis=1)
    report.figures["frames outside soft joint limits"] = int(outside_soft.sum())
    report.figures["frames outside joint limits"] = int((beyond > 1e-6).any(axis=1).sum())
    report.figures["farthest outside a joint limit [rad]"] = max(float(beyond.max()), 0.0)
    if beyond.max() > 1e-6:
        report.hint("--clamp moves joints that are a little outside their limits back")
    for joint in np.flatnonzero(beyond.max(axis=0) > 1e-6):
        frame = int(beyond[:, joint].argmax())
        report.warnings.append(
            f"frame {frame}, {clip.joint_names[joint]} is {beyond[frame, joint]:.3f} rad beyond "
            f"its limit ({int((beyond[:, joint] > 1e-6).sum())} frames are)"
        )
    ratio = abs(clip.joint_vel) / profile.velocity_limit
    frame, joint = np.unravel_index(ratio.argmax(), ratio.shape)
    report.figures["largest joint speed [rad/s]"] = float(abs(clip.joint_vel).max())
    report.figures["largest joint speed / limit"] = float(ratio.max())
    if ratio.max() > 1.0:
        report.warnings.append(
            f"frame {frame}, {clip.joint_names[joint]} turns at "
            f"{abs(clip.joint_vel[frame, joint]):.1f} rad/s; its limit is "
            f"{profile.velocity_limit[joint]:.1f} ({int((ratio > 1).any(axis=1).sum())} frames "
            "break a limit)"
        )
        report.hint("--smooth HZ slows the fastest joints down; --glitches if they jump")


def _check_accelerations(clip: MotionClip, profile: RobotProfile, report: MotionReport) -> None:
    """Compare with what the motor alone could do, its rotor carrying nothing: torque / armature.

    An upper bound that needs no model of the floor; a joint that is above it follows no torque.
    """
    if clip.num_frames < 3:
        return
    acceleration = abs(np.diff(clip.joint_pos, 2, axis=0)) * clip.fps**2
    ratio = acceleration / (profile.torque_limit / profile.armature)
    frame, joint = np.unravel_index(ratio.argmax(), ratio.shape)
    report.figures["largest joint acceleration [rad/s²]"] = float(acceleration.max())
    report.figures["largest joint acceleration / unloaded motor's"] = float(ratio.max())
    if ratio.max() > 1.0:
        report.warnings.append(
            f"frame {frame + 1}, {clip.joint_names[joint]} accelerates with "
            f"{acceleration[frame, joint]:.0f} rad/s², {ratio.max():.1f} times what its motor can "
            f"without any load ({int((ratio > 1.0).any(axis=1).sum())} frames do)"
        )
        report.hint("--smooth HZ takes fast vibrations out; --glitches single frames")


def _check_jumps(clip: MotionClip, profile: RobotProfile, report: MotionReport) -> None:
    spikes = np.flatnonzero(glitches(clip.root_pos, clip.root_quat, clip.joint_pos))
    report.figures["single frames that stick out"] = len(spikes)
    if spikes.size:
        shown = ", ".join(map(str, spikes[:8])) + (", …" if spikes.size > 8 else "")
        report.warnings.append(
            f"{spikes.size} single frame(s) stick out of their neighbours: {shown}"
        )
        report.hint("--glitches replaces single frames that stick out")
    step = np.linalg.norm(np.diff(clip.root_pos, axis=0), axis=1) * clip.fps
    report.figures["travelled in the plane [m]"] = float(
        np.linalg.norm(clip.root_pos[-1, :2] - clip.root_pos[0, :2])
    )
    report.figures["largest root speed [m/s]"] = float(step.max())
    if step.max() > _JUMP_SPEED:
        frame = int(step.argmax())
        report.warnings.append(
            f"the pelvis jumps from frame {frame} to {frame + 1}: {step.max():.1f} m/s"
        )
    turn = quat_error(clip.root_quat[1:], clip.root_quat[:-1])
    if turn.max() > 0.5:
        frame = int(turn.argmax())
        report.warnings.append(
            f"the pelvis turns by {turn.max():.2f} rad from frame {frame} to {frame + 1}"
        )
    # Central differences hide a jump of one frame; differences of neighbours do not.
    speed = abs(np.diff(clip.joint_pos, axis=0)) * clip.fps / profile.velocity_limit
    if speed.max() > 2.0:
        frame, joint = np.unravel_index(speed.argmax(), speed.shape)
        jump = clip.joint_pos[frame + 1, joint] - clip.joint_pos[frame, joint]
        report.warnings.append(
            f"{clip.joint_names[joint]} jumps by {jump:.2f} rad from frame {frame} to {frame + 1}"
        )


def foot_heights(clip: MotionClip) -> np.ndarray:
    """Return the height [T, 2] m of the lowest point of the left and right sole over the floor."""
    return foot_contacts(clip).height


def _check_feet(clip: MotionClip, report: MotionReport) -> None:
    contacts = foot_contacts(clip)
    height = contacts.height.min(axis=1)
    floating = floating_frames(clip, contacts)
    level, count = contacts.stance_level(), len(report.warnings)
    report.figures["height at which feet stand [m]"] = level
    report.figures["frames with a foot in the floor"] = int((height < -_PENETRATION).sum())
    report.figures["mean slip of a standing foot [m/s]"] = contacts.mean_slip()
    report.figures["frames that float"] = int(floating.sum())
    report.figures["lowest sole point [m]"] = float(height.min())
    report.figures["pelvis height, lowest and highest [m]"] = (
        f"{clip.root_pos[:, 2].min():.3f} {clip.root_pos[:, 2].max():.3f}"
    )
    if height.min() < -_PENETRATION:
        frame = int(height.argmin())
        report.warnings.append(
            f"frame {frame}, a foot is {-height.min():.3f} m in the floor "
            f"({int((height < -_PENETRATION).sum())} frames are below {-_PENETRATION} m)"
        )
    if height.min() > _HOVER:
        report.warnings.append(
            f"the feet never touch the floor: they stay {height.min():.3f} m above it"
        )
    elif level > _PENETRATION:
        report.warnings.append(f"standing feet are {level:.3f} m above the floor")
    elif floating.any():
        report.warnings.append(
            f"frame {int(floating.argmax())}, the robot floats: no foot is on the floor and it "
            f"does not fall ({int(floating.sum())} frames)"
        )
    if report.warnings[count:] and abs(level) > _LEVEL:
        report.hint("--ground puts the standing feet on the floor")
    elif report.warnings[count:] and not clip.looped:
        report.hint("--follow-ground puts the foot that stands on the floor all along")
    if contacts.mean_slip() > _SLIP:
        report.warnings.append(f"standing feet slide at {contacts.mean_slip():.2f} m/s on average")


def loop_gap(clip: MotionClip) -> float:
    """Return how far the last frame is from the first one moved in the plane (worst m or rad)."""
    turn, _ = lap_transforms(clip.root_pos, clip.root_quat, 2)
    tilt = quat_error(quat_multiply(turn[1], clip.root_quat[0]), clip.root_quat[-1])
    height = abs(clip.root_pos[-1, 2] - clip.root_pos[0, 2])
    joints = abs(clip.joint_pos[-1] - clip.joint_pos[0]).max()
    return float(max(tilt, height, joints))


def _check_loop(clip: MotionClip, report: MotionReport) -> None:
    gap = loop_gap(clip)
    turn = quat_yaw(quat_multiply(clip.root_quat[-1], quat_conjugate(clip.root_quat[0])))
    report.figures["turned per lap [rad]"] = float(turn)
    report.figures["gap at the seam of the loop [m, rad]"] = gap
    if gap > _LOOP_GAP:
        report.errors.append(
            f"the clip is marked looped, but its last frame is {gap:.3f} (m or rad) off its first "
            "one moved in the plane; close the loop or set looped to false"
        )
        report.hint("--loop blends the seam of a looped clip")
