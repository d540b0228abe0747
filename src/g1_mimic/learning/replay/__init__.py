"""Storage of transitions: the ring, its fields, and the priorities by which it is sampled."""
