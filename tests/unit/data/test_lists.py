"""Lists as editors, spreadsheets and file systems leave them, wherever they are read."""

import os
import subprocess
import unicodedata

import pytest
from checkout import VALIDATOR
from own_corpus import CLASSES, folds, tables, write_corpus
from release_maker import tone, write_wav
from tiny_recipe import refused

from espnet_ser.data.audio_list import find_audio
from espnet_ser.data.datadir import read_datadir, read_wav_scp, validate_datadir
from espnet_ser.data.lists import read_table
from espnet_ser.errors import InputError

FORMS = {
    "a byte-order mark": lambda content: b"\xef\xbb\xbf" + content,
    "two files with marks, one after the other": lambda content: content.replace(b"\n", b"\n\xef\xbb\xbf", 1),
    "several blanks": lambda content: content.replace(b" ", b" \t  "),
    "blanks around": lambda content: b"  " + content.replace(b"\n", b" \t\n  "),
    "no-break spaces": lambda content: content.replace(b" ", "\u00a0".encode(), 1),
    "CRLF": lambda content: content.replace(b"\n", b"\r\n"),
    "CR": lambda content: content.replace(b"\n", b"\r"),
    "no newline at the end": lambda content: content.removesuffix(b"\n"),
    "empty lines": lambda content: b"\n" + content.replace(b"\n", b"\n\n \n"),
    "all of them": lambda content: b"\xef\xbb\xbf" + content.replace(b" ", b"\t \t").replace(b"\n", b" \r\n\r\n") + b"\r\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_list_of_any_form_says_the_same(tmp_path, form):
    (tmp_path / "text").write_bytes(FORMS[form](b"a good day\nb so so\nc \n"))
    assert {key: value for key, (_, value) in read_table(tmp_path / "text").items()} == {
        "a": "good day",
        "b": "so so",
        "c": "",
    }
    (tmp_path / "wav.scp").write_bytes(FORMS[form](b"a /x/y.wav\nb /x/z.wav\n"))
    places = {utt: str(place.wav) for utt, place in read_wav_scp(tmp_path / "wav.scp").items()}
    assert places == {"a": "/x/y.wav", "b": "/x/z.wav"}


@pytest.mark.parametrize("form", ["a byte-order mark", "no-break spaces", "all of them"])
def test_a_corpus_and_a_list_to_predict_may_have_the_same_forms(tmp_path, form, capsys):
    corpus = write_corpus(tmp_path / "corpus", tables())
    expected = read_datadir(folds(corpus) / "all")
    for path in corpus.iterdir():
        if path.is_file():
            path.write_bytes(FORMS[form](path.read_bytes()))
    capsys.readouterr()
    assert read_datadir(folds(corpus) / "all") == expected
    assert capsys.readouterr().out.endswith("up to date\n")
    (corpus / "wav.scp").rename(corpus / "LIST.SCP")
    found = find_audio([str(corpus / "LIST.SCP")])
    assert [(audio.utt, audio.path) for audio in found] == [(example.utt, example.wav) for example in expected]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(tmp_path, encoding):
    (tmp_path / "wav.scp").write_bytes("utt a.wav\n".encode(encoding))
    with pytest.raises(InputError, match="wav.scp: UTF-16, where UTF-8 is read; save it as UTF-8"):
        read_wav_scp(tmp_path / "wav.scp")


def test_composed_and_decomposed_letters_are_the_same_and_files_are_found_in_either_form(tmp_path):
    speakers, classes = ("jos\u00e9", "zo\u00eb", "\u30ac"), ("w\u00fctend", "fr\u00f6hlich")
    for turn, forms in enumerate((("NFC",), ("NFC", "NFD"), ("NFD", "NFC"))):
        files = tables(speakers, classes)
        del files["spk2gender"], files["utt2session"], files["utt2fold"]
        files["utt2style"] = dict.fromkeys(files["utt2spk"], "ge\u00fcbt")
        files["text"] = dict.fromkeys(files["utt2spk"], "sch\u00f6n")
        corpus = write_corpus(tmp_path / f"c{turn}" / "corpus", files)
        for number, path in enumerate(sorted(path for path in corpus.iterdir() if path.is_file())):
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            mixed = [unicodedata.normalize(forms[(number + k) % len(forms)], line) for k, line in enumerate(lines)]
            path.write_text("".join(mixed), encoding="utf-8")
        examples = read_datadir(folds(corpus, "--classes", unicodedata.normalize(forms[-1], " ".join(classes))) / "all")
        assert {example.speaker for example in examples} == set(speakers)
        assert {example.emotion for example in examples} == set(classes)
        assert {(example.style, example.text) for example in examples} == {("ge\u00fcbt", "sch\u00f6n")}
        assert all(example.wav.is_file() for example in examples)
        assert len(examples) == 12


def test_a_path_is_found_where_folder_and_file_are_composed_differently(tmp_path):
    folder = tmp_path / unicodedata.normalize("NFD", "\u00fcben")
    folder.mkdir()
    write_wav(folder / "\u00e4.wav", tone(800))
    (tmp_path / "a.scp").write_text(f"utt {tmp_path}/\u00fcben/{unicodedata.normalize('NFD', chr(0xE4))}.wav\n")
    assert read_wav_scp(tmp_path / "a.scp")["utt"].wav == folder / "\u00e4.wav"
    assert [audio.path for audio in find_audio([f"{tmp_path}/\u00fcben/\u00e4.wav"])] == [folder / "\u00e4.wav"]


def test_an_id_in_two_forms_is_there_twice(tmp_path):
    (tmp_path / "utt2spk").write_text("\u00e4 a\na\u0308 a\n", encoding="utf-8")
    with pytest.raises(InputError, match="utt2spk:2: '\u00e4' is there twice, first in line 1"):
        read_table(tmp_path / "utt2spk")


def corpus_of(folder, ids):
    """A corpus of two classes; ``ids``: speaker -> what their utterances' ids begin with."""
    utts = {f"{ids[who]}{label}": (who, label) for who in ids for label in CLASSES[:2]}
    return write_corpus(
        folder,
        {
            "utt2spk": {utt: who for utt, (who, _) in utts.items()},
            "utt2emotion": {utt: label for utt, (_, label) in utts.items()},
            "utt2fold": {utt: str(1 + (who == list(ids)[-1])) for utt, (who, _) in utts.items()},
        },
    )


@pytest.mark.parametrize(
    ("ids", "is_changed"),
    [
        ({"spk1": "spk1_", "spk2": "spk2_", "spk10": "spk10_"}, True),
        ({"spk1": "spk1-", "spk2": "spk2-", "spk10": "spk10-"}, False),
        ({"a": "a", "ab": "ab", "b": "b"}, True),
        ({"x": "2", "y": "1", "z": "0"}, True),
        ({"x": "0", "y": "1", "z": "2"}, False),
    ],
)
def test_what_is_written_sorts_by_speaker_whatever_the_ids_of_a_corpus(tmp_path, capsys, ids, is_changed):
    data = folds(corpus_of(tmp_path / "corpus", ids), "--folds_by", "utt2fold")
    assert ("each gets its speaker's in front" in capsys.readouterr().out) == is_changed
    who, last = list(ids)[0], list(ids)[-1]
    examples = {example.utt: example for example in read_datadir(data / "all")}
    assert len(examples) == 6
    assert examples[f"{who}-{ids[who]}bored" if is_changed else f"{ids[who]}bored"].emotion == "bored"
    assert {example.speaker for example in read_datadir(data / "fold2" / "test")} == {last}
    for part in ("all", "fold2/test", "fold2/train"):
        validate_datadir(data / part)
        done = subprocess.run([VALIDATOR, "--no-feats", data / part], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        by_speaker = subprocess.run(
            ["sort", "-k2", data / part / "utt2spk"], env={**os.environ, "LC_ALL": "C"}, capture_output=True, check=True
        )
        assert by_speaker.stdout == (data / part / "utt2spk").read_bytes()  # as Kaldi's own script asks


def test_speakers_that_no_order_suits_are_named(tmp_path, capsys):
    corpus = corpus_of(tmp_path / "corpus", {"a": "y", "a-b": "x"})
    message = refused(capsys, corpus, "--folds_by", "speaker", call=folds)
    assert "a-b-xcurious sorts before a-ybored, and its speaker a-b after a" in message
    assert "let ids begin with the speaker's and a character that sorts before all in speakers, such as -" in message
