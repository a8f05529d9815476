import io

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2

from espnet_ser.data.tokens import (
    BPETokenizer,
    CharTokenizer,
    collapse,
    load_tokenizer,
    save_tokenizer,
    sentencepiece_model,
)
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
BPE = BPETokenizer(BPETokenizer.train(TEXTS, 25)[0])


def test_a_model_made_of_the_tokens_cuts_texts_as_the_one_that_sentencepiece_trained():
    trained, options = io.BytesIO(), {"vocab_size": 25, "bos_id": -1, "eos_id": -1, "normalization_rule_name": "identity"}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=trained, model_type="bpe", character_coverage=1.0, minloglevel=2, **options
    )
    theirs = sentencepiece_model_pb2.ModelProto.FromString(trained.getvalue())
    ours = sentencepiece_model_pb2.ModelProto.FromString(sentencepiece_model(BPE.tokens))
    assert [(p.piece, p.score, p.type) for p in ours.pieces] == [(p.piece, p.score, p.type) for p in theirs.pieces]
    assert (ours.trainer_spec.model_type, ours.trainer_spec.bos_id) == (theirs.trainer_spec.model_type, -1)
    assert not ours.normalizer_spec.precompiled_charsmap
    processor = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
    for text in [*TEXTS, "THAT CAT HELLOS", "\u0645\u06cc\u200c"]:
        pieces = processor.encode(text, out_type=str)
        assert [BPE.tokens[i] for i in BPE.text_to_ids(text)] == [p if p in BPE.tokens else "<unk>" for p in pieces]


def test_bpe_keeps_joiners():
    text = "\u0645\u06cc\u200c\u0631\u0648\u0645"
    tokenizer = BPETokenizer(BPETokenizer.train([text] * 3, 8)[0])
    assert tokenizer.ids_to_text(tokenizer.text_to_ids(text)) == text


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
    with pytest.raises(InputError, match=r"bpe\.model: not a SentencePiece model of the tokens next to it"):
        load_tokenizer(tmp_path)


@given(st.data())
def test_sentencepiece_reads_no_model_but_our_own(tmp_path_factory, data):
    """Its loader crashes on some; whatever a model is changed to, it is refused before."""
    folder, model = tmp_path_factory.mktemp("tokens"), bytearray(sentencepiece_model(BPE.tokens))
    place = data.draw(st.integers(0, len(model)))
    model[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=20))
    save_tokenizer(folder, BPE.tokens, bytes(model))
    if bytes(model) == sentencepiece_model(BPE.tokens):
        assert load_tokenizer(folder).tokens == BPE.tokens
    else:
        with pytest.raises(InputError, match="not a SentencePiece model of the tokens"):
            load_tokenizer(folder)


def test_what_a_killed_run_was_writing_is_no_part_of_a_token_list(tmp_path):
    (tmp_path / ".tokens.4321.0123abcd.txt").write_text("half a li")
    save_tokenizer(tmp_path, CharTokenizer.make_tokens(["A"]))
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.txt"]
