"""What the robot is: joints, gains, limits, action scale and the MuJoCo model."""

from g1_mimic.robot.guide import G1_ACTION_SCALE

__all__ = ["G1_ACTION_SCALE"]
