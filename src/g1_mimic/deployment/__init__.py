"""The controller: a policy file that answers states with safe commands. No ROS, no torch."""
