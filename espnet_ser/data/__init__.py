"""Data directories and audio on disk, and what turns them into batches."""
