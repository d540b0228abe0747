"""The task: vectorised physics, observations, rewards, terminations and episode starts."""
