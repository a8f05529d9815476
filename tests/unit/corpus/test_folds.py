from collections import namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet_ser.corpus.folds import Fold, make_folds
from espnet_ser.errors import InputError

Item = namedtuple("Item", "name session speaker")


def items(num_sessions=5):
    return [
        Item(f"u{session}{letter}{i}", session, f"Ses0{session}_{letter}")
        for i in range(2)
        for session in range(num_sessions, 0, -1)
        for letter in "MF"
    ]


def test_each_session_is_held_out_once():
    folds = make_folds(items())
    assert [fold.number for fold in folds] == [1, 2, 3, 4, 5]
    assert [fold.name for fold in folds] == ["fold1", "fold2", "fold3", "fold4", "fold5"]
    assert {item.session for item in folds[1].test} == {2}
    assert {item.session for item in folds[1].train} == {1, 3, 4, 5}
    assert [(len(fold.train), len(fold.test)) for fold in folds] == [(16, 4)] * 5


def test_each_speaker_is_held_out_once_in_sorted_order_and_the_partner_trains():
    folds = make_folds(items(), by="speaker")
    assert len(folds) == 10
    assert {item.speaker for item in folds[2].test} == {"Ses02_F"}
    assert "Ses02_M" in {item.speaker for item in folds[2].train}
    assert (len(folds[2].train), len(folds[2].test)) == (18, 2)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from("FM")), min_size=1, max_size=30),
    st.sampled_from(["session", "speaker"]),
)
def test_folds_part_the_utterances_and_never_share_a_speaker(pairs, by):
    everyone = [Item(str(i), str(session), f"{session}{letter}") for i, (session, letter) in enumerate(pairs)]
    if len({getattr(item, by) for item in everyone}) < 2:
        with pytest.raises(InputError, match="at least two"):
            make_folds(everyone, by)
        return
    folds = make_folds(everyone, by)
    assert sorted(item for fold in folds for item in fold.test) == sorted(everyone)
    for fold in folds:
        assert sorted(fold.train + fold.test) == sorted(everyone)
        assert not {item.speaker for item in fold.train} & {item.speaker for item in fold.test}


def test_one_session_cannot_be_folded():
    with pytest.raises(InputError, match="at least two are needed, found \\[1\\]"):
        make_folds(items(num_sessions=1))
    with pytest.raises(InputError, match="at least two"):
        make_folds([])


def test_a_speaker_in_two_sessions_is_refused():
    with pytest.raises(InputError, match="'A'"):
        make_folds([Item("u", 1, "A"), Item("v", 2, "A")])


def test_a_session_on_both_sides_is_refused_when_sessions_are_held_out():
    with pytest.raises(InputError, match="'1'"):
        Fold(1, "session", train=(Item("u", 1, "A"),), test=(Item("v", 1, "B"),))


def test_an_unknown_way_to_fold_is_named():
    with pytest.raises(InputError, match="'sessions'.*did you mean 'session'"):
        make_folds(items(), by="sessions")
