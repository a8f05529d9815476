"""One training: the trainer, its checkpoints, the cache of what is frozen."""
