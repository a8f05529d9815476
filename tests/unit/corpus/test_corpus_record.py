"""What is recorded of a corpus, and what cannot be."""

import pytest
from tiny_recipe import refused, run

from espnet_ser.bin.folds import get_parser
from espnet_ser.bin.parser import corpus_of
from espnet_ser.corpus.record import IEMOCAP, RECORD_FILE, Corpus, read_corpus, write_corpus
from espnet_ser.errors import InputError


def given(**facts):
    options = [word for name, text in facts.items() for word in (f"--corpus_{name}", text)]
    return corpus_of(get_parser().parse_args(["--data", "a", *options]))


def test_what_is_said_of_a_corpus_is_read_back(tmp_path):
    assert read_corpus(tmp_path) == Corpus()
    corpus = given(name=" \u60c5\u611f  of Berlin ", lang="de pt-BR", license="cc-by-4.0", url="https://a.example/b_c?d=e#f")
    assert corpus == Corpus("\u60c5\u611f of Berlin", "de pt-BR", "cc-by-4.0", "https://a.example/b_c?d=e#f")
    write_corpus(tmp_path, corpus)
    assert read_corpus(tmp_path) == corpus
    assert Corpus(lang="de").or_else(IEMOCAP) == Corpus("IEMOCAP", "de", IEMOCAP.license, IEMOCAP.url)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("name", "a\x1b[2J", "takes one line of at most 200 characters"),
        ("name", "a" * 201, "takes one line of at most 200 characters"),
        ("license", "a\u202eb", "takes one line of at most 200 characters"),
        ("lang", "English", "takes tags of languages (BCP 47), as en or pt-BR, separated by spaces, not 'English'"),
        ("lang", "en,de", "takes tags of languages"),
        ("url", "a.example", "takes an address of the web, https://..., not 'a.example'"),
        ("url", "javascript:alert(1)", "takes an address of the web"),
        ("url", "https://a.example/)[b](c", "takes an address of the web"),
    ],
)
def test_what_no_corpus_has_is_refused(capsys, name, text, message):
    line = refused(capsys, "folds", "--data", "a", f"--corpus_{name}", text, call=run)
    assert f"--corpus_{name}: {message}" in line


@pytest.mark.parametrize("content", ["", "[]", "1", '{"a": "b"}', '{"name": 1}', '{"name": "a\\nb"}'])
def test_a_damaged_record_is_one_line(tmp_path, content):
    (tmp_path / RECORD_FILE).write_text(content)
    with pytest.raises(InputError, match="not a record of a corpus .*; run stage 1 again"):
        read_corpus(tmp_path)
