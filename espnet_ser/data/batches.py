"""Batches of utterances of like length, composed afresh every epoch.

Random batches of IEMOCAP pad more audio than they hold; strictly sorted ones always meet in the same company. Sorting by a
jittered length has the little padding of the one and the variety of the other.
"""

from collections.abc import Sequence

import numpy as np


def length_batches(
    num_samples: Sequence[int],
    batch_size: int | None = 16,
    batch_bins: int | None = None,
    seed: int = 0,
    epoch: int = 0,
    jitter: float = 0.03,
    shuffle: bool = True,
    least: int = 1,
) -> list[list[int]]:
    """Splits utterances into batches of like length.

    Args:
        num_samples: Length of each utterance.
        batch_size: The most utterances in a batch; None for any number.
        batch_bins: The most samples in a batch, padding included; None for any number. A longer utterance is a batch alone.
        seed: With ``epoch``, decides composition and order: the same pair always gives the same batches.
        epoch: Counts from 1 in training.
        jitter: Standard deviation of the noise on the logarithm of the lengths before sorting.
        shuffle: False for strict order of length, longest first (evaluation: out of memory shows at once, if at all).
        least: The fewest utterances in a batch, whatever its size, as far as there are so many (one for each rank).

    Returns:
        Indices, each utterance once.
    """
    for name, value in (("batch_size", batch_size), ("batch_bins", batch_bins)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    keys = np.log(np.asarray(num_samples, dtype=np.float64))
    rng = np.random.default_rng([seed, epoch])
    if shuffle:
        keys = keys + rng.normal(0.0, jitter, len(keys))
    batches: list[list[int]] = []
    longest = 0
    for index in np.argsort(-keys, kind="stable").tolist():
        longest = max(longest, num_samples[index])
        if not batches or len(batches[-1]) >= max(least, _fitting(longest, batch_size, batch_bins)):
            batches.append([])
            longest = num_samples[index]
        batches[-1].append(index)
    if len(batches) > 1 and len(batches[-1]) < least:
        rest = batches.pop()
        batches[-1] += rest
    if shuffle:
        batches = [batches[i] for i in rng.permutation(len(batches))]
    return batches


def _fitting(longest: int, batch_size: int | None, batch_bins: int | None) -> float:
    """How many utterances, the longest of so many samples, make a full batch."""
    by_number = float("inf") if batch_size is None else batch_size
    return by_number if batch_bins is None else min(by_number, batch_bins // longest)
