"""Clips made from scratch that the robot can balance: standing exercises, steps and dances.

The feet are planted exactly (inverse kinematics), and the centre of mass follows from where the
floor shall push (``solve``). A clip is made of one plan or of several in a chain (``plan``).
"""

from g1_mimic.motion.synthesis.arms import make_punch, make_wave
from g1_mimic.motion.synthesis.compose import make_dance, make_mix
from g1_mimic.motion.synthesis.standing import make_squat, make_stand, make_sway, make_weight_shift
from g1_mimic.motion.synthesis.stepping import make_march, make_turn, make_walk

__all__ = [
    "make_dance",
    "make_march",
    "make_mix",
    "make_punch",
    "make_squat",
    "make_stand",
    "make_sway",
    "make_turn",
    "make_walk",
    "make_wave",
    "make_weight_shift",
]
