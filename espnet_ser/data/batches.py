"""Batches of utterances of like length, composed afresh every epoch.

Random batches of IEMOCAP pad more audio than they hold; strictly sorted ones always meet in the same company. Sorting by a
jittered length has the little padding of the one and the variety of the other.
"""

from collections.abc import Sequence

import numpy as np


def length_batches(
    num_samples: Sequence[int], batch_size: int, seed: int = 0, epoch: int = 0, jitter: float = 0.1, shuffle: bool = True
) -> list[list[int]]:
    """Splits utterances into batches of like length.

    Args:
        num_samples: Length of each utterance.
        batch_size: Utterances in a batch (the last may hold fewer).
        seed: With ``epoch``, decides composition and order: the same pair always gives the same batches.
        epoch: Counts from 1 in training.
        jitter: Standard deviation of the noise on the logarithm of the lengths before sorting.
        shuffle: False for strict order of length, longest first (evaluation: out of memory shows at once, if at all).

    Returns:
        Indices, each utterance once.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    keys = np.log(np.asarray(num_samples, dtype=np.float64))
    rng = np.random.default_rng([seed, epoch])
    if shuffle:
        keys = keys + rng.normal(0.0, jitter, len(keys))
    order = np.argsort(-keys, kind="stable").tolist()
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if shuffle:
        batches = [batches[i] for i in rng.permutation(len(batches))]
    return batches
