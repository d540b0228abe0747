"""Motion imitation for the Unitree G1: training in MuJoCo, deployment through ROS 2."""

__version__ = "0.1.0"
