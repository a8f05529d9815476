"""Checks of a finished system: hashes, and scores computed again."""
