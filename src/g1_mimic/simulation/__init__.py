"""The simulated robot, seen as the hardware shows itself, and its faults on purpose. No ROS."""
