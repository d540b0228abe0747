"""Node ``mujoco_sim``: the rim of the simulated robot."""
