"""What names and texts are taken: the same by lists, by stage 1 and by what loads a trained model."""

import dataclasses
import json
from argparse import Namespace
from unicodedata import normalize

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from model_maker import make_model, model_config
from tiny import examples_of

from espnet_ser.characters import MAX_CLASSES, MAX_NAME, is_token, name_fault, text_fault
from espnet_ser.corpus.folds import make_folds
from espnet_ser.corpus.kaldi import fold_corpus
from espnet_ser.corpus.prepare import make_datadirs
from espnet_ser.data.datadir import read_datadir
from espnet_ser.data.leakage import check_size_of_names, describe_training_data
from espnet_ser.data.lists import read_table
from espnet_ser.data.tokens import BPETokenizer, CharTokenizer, load_tokenizer, save_tokenizer
from espnet_ser.errors import InputError
from espnet_ser.inference.speech_emotion import SpeechEmotion
from espnet_ser.model_io.model_config import check_model_config, check_names
from espnet_ser.utils.yaml_mapping import MAX_BYTES, read_yaml_mapping

PERSIAN, HINDI = "\u0645\u06cc\u200c\u0631\u0648\u0645", "\u0915\u094d\u200d\u0937"
FAMILY, FLAG, HEBREW = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1eb\U0001f1f7", "\u05e2\u05e6\u05d5\u05d1"
NAMES = [
    *("1", "1e5", "0x10", "1_000", "12:30:45", "2001-01-01", "true", "null", "no", "on", "~", "<<", "=", ".inf", "nan"),
    *(
        "-",
        "?",
        ":",
        "#",
        "&a",
        "*a",
        "!x",
        "|",
        ">",
        "@",
        "`",
        "%",
        "{a",
        "[a",
        "'",
        '"',
        "$x$",
        "a:",
        "a#b",
        "_",
        "__",
        "...",
    ),
    *(PERSIAN, HINDI, FAMILY, FLAG, HEBREW, "q\u0301", "\u6124\u6012", "\U0001f600", "a" * 101, "\u6124" * MAX_NAME),
]
NO_NAMES = [
    *("", " ", "a b", "a\u00a0b", "a\u3000", "a\n", "a\tb", "\x1b[2J", "a\x07", "\x9b2J", "\x85", "a\u2028", "\ufeffa"),
    *("a\u202e", "\u2066a", "a\u200b", "a\u200f", "\u00ad", "\u200c", "\u200d\u0301", "\ue000", "\ud800", "a" * (MAX_NAME + 1)),
]


@pytest.mark.parametrize("name", NO_NAMES, ids=ascii)
def test_what_a_model_may_not_hold_stage_1_refuses_in_one_line(tmp_path, name):
    examples = [dataclasses.replace(example, emotion=name) for example in examples_of(tmp_path)]
    with pytest.raises(InputError, match="rename it") as error:
        make_datadirs(tmp_path / "data", examples, [name], make_folds(examples), {})
    assert str(error.value).isprintable()
    with pytest.raises(InputError, match="config: labels: emotion must be"):
        check_model_config(model_config(labels={"emotion": [name, "sad"]}), "config")


def test_odd_classes_and_speakers_go_from_stage_1_to_predictions(tmp_path):
    examples = examples_of(tmp_path, per_speaker=16)
    examples = [
        dataclasses.replace(example, emotion=name, speaker=name, session=name, gender="", style=name, utt=f"{name[:200]}-1")
        for example, name in zip(examples, NAMES, strict=False)
    ]
    assert len(examples) == len(NAMES)
    make_datadirs(tmp_path / "data", examples, NAMES, make_folds(examples)[:0], {})
    read = read_datadir(tmp_path / "data" / "all")
    assert sorted(example.emotion for example in read) == sorted(NAMES)
    labels = {"emotion": sorted(NAMES), "style": sorted(NAMES)}
    model = make_model(
        tmp_path / "model", tasks=["emotion", "style"], labels=labels, trained_on=describe_training_data(read), token_list=["-"]
    )
    told = SpeechEmotion.from_pretrained(model)(np.ones(4000, np.float32), 16000)
    assert list(told.scores) == sorted(NAMES)


TEXTS = [
    f"{PERSIAN} {HINDI} {FAMILY}",
    f"{HEBREW}\u200f 1 true null",
    "soft\u00adhyphen q\u0301 $ # - ' \" `",
    "\ufeffa \u200b",
]


@pytest.mark.parametrize("is_bpe", [False, True])
def test_tokens_of_odd_texts_go_into_a_model_and_out_of_it(tmp_path, is_bpe):
    tokens, bpe_model = BPETokenizer.train(TEXTS, 60) if is_bpe else (CharTokenizer.make_tokens(TEXTS), None)
    model = make_model(tmp_path / "model", token_list=tokens)
    save_tokenizer(model / "tokens", tokens, bpe_model)
    transcriber = SpeechEmotion.from_pretrained(model)
    assert transcriber(np.ones(4000, np.float32), 16000).text is not None
    tokenizer = load_tokenizer(model / "tokens")
    assert [tokenizer.ids_to_text(tokenizer.text_to_ids(text)) for text in TEXTS] == TEXTS


@pytest.mark.parametrize("text", ["a\x1b[2J", "a \x9b", "\x00", "a\u202eb", "\u2067"], ids=ascii)
def test_a_text_with_controls_is_refused_where_it_is_read(tmp_path, text):
    (tmp_path / "text").write_text(f"u1 fine\nu2 {text}\n")
    with pytest.raises(InputError, match=r"text:2: .* is no character of a text; write it otherwise") as error:
        read_table(tmp_path / "text")
    assert str(error.value).isprintable()
    assert not is_token(text.split()[-1])


def loads(config) -> bool:
    try:
        check_model_config(config, "config")
    except InputError:
        return False
    return True


@given(st.text(max_size=4))
def test_lists_and_models_take_the_same_names_and_yaml_keeps_them(tmp_path_factory, name):
    assert loads(model_config(labels={"emotion": [name, "sadness"]})) == (name_fault(name) == "")
    if name_fault(name):
        return
    folder = tmp_path_factory.mktemp("lists")
    (folder / "utt2emotion").write_text(f"{name} {name}\n", encoding="utf-8")
    composed = normalize("NFC", name)
    assert read_table(folder / "utt2emotion") == {composed: (1, composed)}
    for allow_unicode in (False, True):
        text = yaml.safe_dump({"names": [name], "name": name}, allow_unicode=allow_unicode)
        (folder / "config.yaml").write_text(text, encoding="utf-8")
        assert read_yaml_mapping(folder / "config.yaml", "") == {"names": [name], "name": name}


@given(st.text(min_size=1, max_size=6))
def test_any_text_that_is_taken_has_tokens_that_are_kept(tmp_path_factory, text):
    text = " ".join(text.split())
    if text_fault(text) or not text:
        return
    tokens, folder = CharTokenizer.make_tokens([text]), tmp_path_factory.mktemp("tokens")
    save_tokenizer(folder, tokens)
    assert load_tokenizer(folder).ids_to_text(load_tokenizer(folder).text_to_ids(text)) == text
    for allow_unicode in (False, True):
        text = yaml.safe_dump({"token_list": tokens}, allow_unicode=allow_unicode)
        (folder / "config.yaml").write_text(text, encoding="utf-8")
        config = read_yaml_mapping(folder / "config.yaml", "")
        assert config == {"token_list": tokens}
        check_names({**config, "tasks": ["asr"], "labels": {}}, "config")


def test_thousands_of_speakers_and_characters_leave_a_config_that_is_read_back():
    names = [f"\u8aac\u8a71{number:06d}" for number in range(10_000)]
    tokens = CharTokenizer.make_tokens([chr(0x4E00 + number) for number in range(8000)])
    config = model_config(trained_on=dict.fromkeys(("speakers", "sessions"), names), token_list=tokens)
    check_size_of_names([Namespace(speaker=name, session=name) for name in names], "data")
    check_model_config(config, "config")
    assert len(json.dumps(config, indent=4)) < MAX_BYTES


def test_more_names_than_a_model_can_keep_are_refused_by_stage_1(tmp_path):
    example = examples_of(tmp_path, per_speaker=1)[0]
    many = [dataclasses.replace(example, utt=f"{n:0200d}-1", speaker=f"{n:0200d}", session="1") for n in range(2000)]
    with pytest.raises(InputError, match=r"the names of 2,000 speakers take 408,000 bytes, at most 300,000"):
        make_datadirs(tmp_path / "data", many, [example.emotion], [], {})
    assert not (tmp_path / "data").exists()


def test_more_classes_than_a_model_tells_are_refused_by_stage_1(tmp_path):
    example = examples_of(tmp_path, per_speaker=1)[0]
    many = [dataclasses.replace(example, emotion=f"class{number}") for number in range(MAX_CLASSES + 1)]
    with pytest.raises(InputError, match="1001 classes: a model tells at most 1000"):
        fold_corpus(many, [example.emotion for example in many], "speaker")
