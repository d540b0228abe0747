"""What tables show of an evaluation, on the terminal and on the page."""

from __future__ import annotations

from g1_mimic.evaluation.conditions import PUSH_EVERY_S
from g1_mimic.evaluation.suite import Assessment

COLUMNS = {
    "success": "success_rate",
    "survived s": "survival_s",
    "MPKPE m": "mpkpe_m",
    "relative m": "root_relative_mpkpe_m",
    "joints rad": "joint_error_rad",
    "joints rad/s": "joint_velocity_error_rad_s",
    "hands, feet m": "end_effector_position_error_m",
    "rad": "end_effector_orientation_error_rad",
    "torque N·m": "torque_nm",
    "power W": "power_w",
    "at limit": "torque_limit_share",
}
"""What the page's table of a suite shows of each condition."""

NARROW = {
    "no fall": "success_rate",
    "time": "survival_s",
    "MPKPE": "mpkpe_m",
    "rela- tive": "root_relative_mpkpe_m",
    "joints": "joint_error_rad",
    "hands feet": "end_effector_position_error_m",
    "power": "power_w",
    "at limit": "torque_limit_share",
}
"""What fits on a terminal of 80 columns."""
UNITS = "time s, key bodies m, joints rad, hands and feet m, power W"


def push_line(assessment: Assessment) -> str:
    """Return what the pushes say in a sentence; nothing if there were none."""
    if not assessment.of("pushes"):
        return ""
    half, strongest = assessment.half_failure_push, assessment.curve("pushes")[0][-1]
    how = f"m/s, one every {PUSH_EVERY_S:g} s,"
    if half is None:
        return f"Pushes of up to {strongest:.2f} {how} fail less than half of the episodes."
    return f"Pushes of {half:.2f} {how} fail half of the episodes."
