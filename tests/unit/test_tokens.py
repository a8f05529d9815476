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


WORD = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=6)


@given(st.lists(WORD, min_size=1, max_size=5).map(" ".join))
def test_any_characters_round_trip_through_a_saved_list(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("tokens")
    save_tokenizer(folder, CharTokenizer.make_tokens([text]))
    tokenizer = load_tokenizer(folder)
    assert tokenizer.tokens == CharTokenizer.make_tokens([text])
    assert tokenizer.ids_to_text(tokenizer.text_to_ids(text)) == text


LETTERS = sorted({letter for text in TEXTS for letter in text} - {" "})
BPE = BPETokenizer(*BPETokenizer.train(TEXTS, 25))


@given(st.lists(st.text(LETTERS, min_size=1, max_size=8), max_size=6).map(" ".join))
def test_whatever_is_spelt_with_known_letters_round_trips_through_bpe(text):
    ids = BPE.text_to_ids(text)
    assert all(1 < i < len(BPE.tokens) for i in ids)
    assert BPE.ids_to_text(ids) == text


@pytest.mark.parametrize(
    "content",
    ["", "<blank>\n<unk>\n", "<unk>\n<blank>\n<space>\n", "<blank>\n<unk>\n<space>\nA\nA\n", "<blank>\n<unk>\n<space>\n\nA\n"],
    ids=["empty", "no space", "in another order", "a token twice", "an empty line"],
)
def test_a_damaged_token_list_is_refused(tmp_path, content):
    (tmp_path / "tokens.txt").write_text(content)
    with pytest.raises(InputError, match="a token list begins with <blank> <unk> <space> and has each token once; run stage 2"):
        load_tokenizer(tmp_path)


def test_a_token_list_or_a_model_that_is_binary_is_refused(tmp_path):
    (tmp_path / "tokens.txt").write_bytes(b"<blank>\n<unk>\n\xff\n")
    with pytest.raises(InputError, match=r"tokens\.txt: not UTF-8; run stage 2"):
        load_tokenizer(tmp_path)
    save_tokenizer(tmp_path, ["<blank>", "<unk>", "A"], bpe_model=b"\xff" * 40)
    with pytest.raises(InputError, match=r"bpe\.model: not a SentencePiece model"):
        load_tokenizer(tmp_path)


def test_what_a_killed_run_was_writing_is_no_part_of_a_token_list(tmp_path):
    (tmp_path / ".tokens.4321.0123abcd.txt").write_text("half a li")
    save_tokenizer(tmp_path, CharTokenizer.make_tokens(["A"]))
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.txt"]
