"""Filling a cache, timed as if it were training: each batch's utterances are computed and kept."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import ours


class Trainer(ours.Trainer):
    """Fills the cache that our row of the same stage reads, and then, to be timed, one that is thrown away."""

    def train(self, batches: Sequence[Sequence[int]]) -> None:
        """Fills a new cache with the utterances of these batches."""
        root = Path(self.job["folder"]) / "timed-cache"
        shutil.rmtree(root, ignore_errors=True)
        self.fill([self.dataset.examples[index] for batch in batches for index in batch], root)
