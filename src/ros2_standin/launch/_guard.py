"""Importing this package is an error where a real ROS 2 is sourced: it must not be hidden."""

from ros2cli_standin import refuse_to_hide_real_ros2

refuse_to_hide_real_ros2()
