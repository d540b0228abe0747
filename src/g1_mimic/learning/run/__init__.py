"""What a run folder holds: configuration, checkpoints, logs, and what was contained on the way."""
