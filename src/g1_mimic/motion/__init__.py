"""What the robot should do: motion clips, their files, and clips made from scratch."""
