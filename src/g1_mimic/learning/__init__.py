"""How the robot learns: experience buffers, networks, learner, trainer, checkpoints."""
