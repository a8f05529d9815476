import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet_ser.data.batches import compose_batches

LENGTHS = np.random.default_rng(0).integers(9000, 500000, size=333).tolist()


def test_every_utterance_comes_once_an_epoch():
    batches = compose_batches(LENGTHS, 16, seed=1, epoch=2)
    assert sorted(i for batch in batches for i in batch) == list(range(333))
    assert sorted(map(len, batches)) == [13] + [16] * 20


def test_epochs_differ_and_the_same_epoch_does_not():
    first = compose_batches(LENGTHS, 16, seed=1, epoch=1)
    assert first == compose_batches(LENGTHS, 16, seed=1, epoch=1)
    second = compose_batches(LENGTHS, 16, seed=1, epoch=2)
    assert len({frozenset(batch) for batch in first} & {frozenset(batch) for batch in second}) <= 2
    assert first != compose_batches(LENGTHS, 16, seed=2, epoch=1)


def test_a_batch_holds_what_chance_gives():
    """Length may tell the class: a batch of like lengths would hold few classes."""
    spread = [np.std([LENGTHS[i] for i in batch]) for batch in compose_batches(LENGTHS, 16, seed=1, epoch=1)]
    assert np.mean(spread) == pytest.approx(np.std(LENGTHS), rel=0.1)


def test_batches_by_duration_are_as_large_as_they_may_be():
    batches = compose_batches(LENGTHS, None, batch_bins=2_000_000, seed=1, epoch=1)
    assert sorted(i for batch in batches for i in batch) == list(range(333))
    sizes = [sum(LENGTHS[i] for i in batch) for batch in batches]
    assert max(sizes) <= 2_000_000
    assert np.median(sizes) > 1_700_000
    assert len({len(batch) for batch in batches}) > 5


def test_an_utterance_longer_than_a_batch_is_one():
    assert compose_batches([50, 5, 5], None, batch_bins=10, shuffle=False) == [[0], [1, 2]]


def test_number_and_duration_limit_together():
    assert compose_batches([5, 5, 2, 2, 2, 2], 3, batch_bins=10, shuffle=False) == [[0, 1], [2, 3, 4], [5]]


def test_ranks_that_deal_a_batch_out_get_like_shares():
    shares = [[sum(LENGTHS[i] for i in batch[rank::2]) for rank in (0, 1)] for batch in compose_batches(LENGTHS, 16, seed=1)]
    assert np.mean([abs(first - second) / (first + second) for first, second in shares[:-1]]) < 0.06


def test_evaluation_goes_from_long_to_short():
    batches = compose_batches([5, 9, 7, 1], 2, shuffle=False)
    assert batches == [[1, 2], [0, 3]]


def test_a_batch_must_hold_something():
    with pytest.raises(ValueError, match="batch_size must be at least 1, not 0"):
        compose_batches([1], 0)
    with pytest.raises(ValueError, match="batch_bins must be at least 1, not 0"):
        compose_batches([1], batch_bins=0)


@given(
    st.lists(st.integers(1, 10**6), max_size=80),
    st.one_of(st.none(), st.integers(1, 40)),
    st.one_of(st.none(), st.integers(1, 3 * 10**6)),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_whatever_the_lengths_every_utterance_comes_once_and_limits_are_kept(lengths, size, bins, shuffle, seed):
    batches = compose_batches(lengths, size, bins, seed=seed, epoch=1, shuffle=shuffle)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        total = sum(lengths[index] for index in batch)
        assert size is None or len(batch) <= size
        assert bins is None or total <= bins or len(batch) == 1
