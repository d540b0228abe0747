"""What the robot is: joints, gains, limits, action scale and the MuJoCo model."""
