"""Batches of utterances, drawn at random every epoch.

Of whatever lengths: the encoder computes no padding (see :mod:`espnet_ser.models.packed_batch`). Batches of like length, the
usual way to save padding, hold few classes where length tells the class, and so disturb the training that they speed up.
"""

from collections.abc import Sequence

import numpy as np


def compose_batches(
    num_samples: Sequence[int],
    batch_size: int | None = 16,
    batch_bins: int | None = None,
    seed: int = 0,
    epoch: int = 0,
    shuffle: bool = True,
) -> list[list[int]]:
    """Splits utterances into batches.

    Args:
        num_samples: Length of each utterance.
        batch_size: The most utterances in a batch; None for any number.
        batch_bins: The most samples in a batch, together; None for any number. A longer utterance is a batch alone.
        seed: With ``epoch``, decides composition and order: the same pair always gives the same batches.
        epoch: Counts from 1 in training.
        shuffle: False for order of length, longest first (evaluation: out of memory shows at once, if at all).

    Returns:
        Indices, each utterance once; in a batch the longest first, so that ranks that deal it out among them get like shares.
    """
    for name, value in (("batch_size", batch_size), ("batch_bins", batch_bins)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    most = float("inf") if batch_size is None else batch_size
    most_samples = float("inf") if batch_bins is None else batch_bins
    by_length = np.argsort(-np.asarray(num_samples, dtype=np.int64), kind="stable")
    order = np.random.default_rng([seed, epoch]).permutation(len(num_samples)) if shuffle else by_length
    batches: list[list[int]] = []
    total = 0
    for index in order.tolist():
        total += num_samples[index]
        if not batches or len(batches[-1]) >= most or total > most_samples:
            batches.append([])
            total = num_samples[index]
        batches[-1].append(index)
    return [sorted(batch, key=lambda index: -num_samples[index]) for batch in batches]
