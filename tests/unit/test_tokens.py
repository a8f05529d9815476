import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet_ser.data.tokens import BPETokenizer, CharTokenizer, collapse, load_tokenizer, save_tokenizer
from espnet_ser.errors import InputError

TEXTS = ["HELLO THERE MY FRIEND", "HELLO AGAIN", "THE CAT IS THERE"] * 3


def test_characters_come_from_the_texts_alone():
    assert CharTokenizer.make_tokens(["IT'S", "A CAT"]) == ["<blank>", "<unk>", "<space>", "'", "A", "C", "I", "S", "T"]


def test_a_character_that_training_never_showed_is_unknown():
    tokenizer = CharTokenizer(CharTokenizer.make_tokens(["AB"]))
    assert tokenizer.text_to_ids("AZB") == [3, 1, 4]
    assert tokenizer.ids_to_text([3, 1, 4]) == "AB"


@given(st.lists(st.text("ABC'", min_size=1), max_size=5).map(" ".join))
def test_characters_round_trip(text):
    tokenizer = CharTokenizer(CharTokenizer.make_tokens(["ABC'"]))
    assert tokenizer.ids_to_text(tokenizer.text_to_ids(text)) == text


def test_bpe_round_trips_and_has_the_blank_first(tmp_path):
    tokens, model = BPETokenizer.train(TEXTS, 25)
    assert tokens[:2] == ["<blank>", "<unk>"]
    assert len(tokens) == len(set(tokens)) == 26
    save_tokenizer(tmp_path, tokens, model)
    tokenizer = load_tokenizer(tmp_path)
    ids = tokenizer.text_to_ids("HELLO CAT")
    assert 0 not in ids
    assert tokenizer.ids_to_text(ids) == "HELLO CAT"


def test_bpe_of_the_same_texts_is_the_same():
    assert BPETokenizer.train(TEXTS, 25) == BPETokenizer.train(TEXTS, 25)


def test_too_many_bpe_tokens_is_one_clear_line():
    with pytest.raises(InputError, match=r"cannot train 500 BPE tokens on 1 texts: Vocabulary size too high") as error:
        BPETokenizer.train(["HELLO"], 500)
    assert "\n" not in str(error.value)


def test_missing_token_list_names_the_stage_that_makes_it(tmp_path):
    with pytest.raises(InputError, match=r"tokens\.txt is missing: run stage 2"):
        load_tokenizer(tmp_path)


def test_collapse_merges_repeats_and_drops_blanks():
    assert collapse([0, 0, 5, 5, 0, 5, 6, 6, 0]) == [5, 5, 6]
    assert collapse([]) == []
