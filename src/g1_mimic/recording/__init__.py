"""Recordings of the running robot: MCAP files in rosbag2's form, and what can be read from them."""
