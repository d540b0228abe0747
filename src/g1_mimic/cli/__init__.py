"""The command line `g1-mimic`: every argparse of the project, and nothing else. Needs no ROS."""
