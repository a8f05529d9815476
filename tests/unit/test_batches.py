import numpy as np
import pytest

from espnet_ser.data.batches import length_batches

LENGTHS = np.random.default_rng(0).integers(9000, 500000, size=333).tolist()


def test_every_utterance_comes_once_an_epoch():
    batches = length_batches(LENGTHS, 16, seed=1, epoch=2)
    assert sorted(i for batch in batches for i in batch) == list(range(333))
    assert sorted(map(len, batches)) == [13] + [16] * 20


def test_epochs_differ_and_the_same_epoch_does_not():
    first = length_batches(LENGTHS, 16, seed=1, epoch=1)
    assert first == length_batches(LENGTHS, 16, seed=1, epoch=1)
    second = length_batches(LENGTHS, 16, seed=1, epoch=2)
    assert len({frozenset(batch) for batch in first} & {frozenset(batch) for batch in second}) <= 2
    assert first != length_batches(LENGTHS, 16, seed=2, epoch=1)


def test_padding_is_little():
    batches = length_batches(LENGTHS, 16, seed=1, epoch=1)
    padded = sum(len(batch) * max(LENGTHS[i] for i in batch) for batch in batches)
    assert padded / sum(LENGTHS) < 1.3
    shuffled = np.random.default_rng(0).permutation(LENGTHS)
    assert sum(16 * max(shuffled[i : i + 16]) for i in range(0, 320, 16)) / sum(LENGTHS) > 1.6


def test_evaluation_goes_from_long_to_short():
    batches = length_batches([5, 9, 7, 1], 2, shuffle=False)
    assert batches == [[1, 2], [0, 3]]


def test_batch_size_must_be_positive():
    with pytest.raises(ValueError, match="at least 1"):
        length_batches([1], 0)
