"""Files, hashes, locks, signals and processes: nothing here knows of speech."""
