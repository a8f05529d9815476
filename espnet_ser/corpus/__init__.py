"""The corpus: from a release on disk to checked, typed records, folds and data directories. Knows nothing of torch."""
