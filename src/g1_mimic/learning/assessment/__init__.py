"""How a policy does beyond the robot it was trained on: `g1-mimic evaluate --suite`."""
