"""A corpus of one's own, from a Kaldi data directory to scores: any classes and folds, whatever else it says or does not."""

import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import yaml
from own_corpus import CLASSES, SPEAKERS, folds, tables, write_corpus
from release_maker import edit
from tiny import save_encoder
from tiny_recipe import CONF, refused, run

from espnet_ser.corpus.groups import even_groups, most_folds
from espnet_ser.corpus.kaldi import fold_corpus, read_corpus
from espnet_ser.data.datadir import Example, read_datadir, validate_datadir
from espnet_ser.data.lists import read_table
from espnet_ser.errors import InputError
from espnet_ser.evaluation.metrics import unweighted_accuracy
from espnet_ser.evaluation.predictions import read_epochs
from espnet_ser.inference.find_models import ModelSource, find_models
from espnet_ser.train import trainer
from espnet_ser.train.history import read_history
from espnet_ser.train.trainer import SERTrainer
from espnet_ser.utils.hashing import file_sha256


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "corpus", tables())


def held_out(datadir):
    """Fold -> the speakers that it holds out."""
    records = [json.loads(path.read_text()) for path in datadir.glob("fold*/fold.json")]
    return {record["number"]: record["test_speakers"] for record in records}


def test_what_the_corpus_says_is_what_the_folds_hold(corpus, capsys):
    data = folds(corpus)
    assert held_out(data) == {1: ["anna", "ben"], 2: ["clara", "dora"], 3: ["emil", "fred"]}
    for name in ("all", *(f"fold{k}/{part}" for k in (1, 2, 3) for part in ("train", "test", "train_all"))):
        validate_datadir(data / name)
    example = next(example for example in read_datadir(data / "fold2" / "test") if example.utt == "dora-curious1")
    assert example == Example(
        utt="dora-curious1",
        speaker="dora",
        session="s1",
        gender="f",
        emotion="curious",
        label="curious",
        style="free",
        text="guten Tag",
        wav=corpus / "wav" / "dora-curious1.wav",
        num_samples=soundfile.info(corpus / "wav" / "dora-curious1.wav").frames,
        sha256=example.sha256,
        samples_sha256=example.samples_sha256,
    )
    assert "fold  speakers  bored  curious  tired  all" in capsys.readouterr().out
    folds(corpus)
    assert capsys.readouterr().out.endswith("data: up to date\n")


@pytest.mark.parametrize(
    ("by", "expected", "kind"),
    [
        ("speaker", {k: [who] for k, who in enumerate(SPEAKERS, 1)}, "speaker"),
        ("utt2fold", {7: ["anna", "ben", "clara"], 6: ["dora", "emil", "fred"]}, "speaker"),
        ("2", {1: ["anna", "ben"], 2: ["clara", "dora", "emil", "fred"]}, "session"),
    ],
)
def test_folds_hold_out_what_is_asked_for(corpus, by, expected, kind):
    data = folds(corpus, "--folds_by", by)
    assert held_out(data) == expected
    assert {json.loads(path.read_text())["by"] for path in data.glob("fold*/fold.json")} == {kind}


def test_another_way_to_fold_and_other_classes_make_the_folds_anew(corpus, capsys):
    folds(corpus, "--folds_by", "speaker")
    data = folds(corpus, "--folds_by", "2")
    assert sorted(path.name for path in data.glob("fold*")) == ["fold1", "fold2"]
    folds(corpus, "--folds_by", "2", "--classes", "bored tired")
    assert "classes: " in capsys.readouterr().out.splitlines()[-1]
    assert {example.emotion for example in read_datadir(data / "fold1" / "train")} == {"bored", "tired"}
    assert {example.emotion for example in read_datadir(data / "fold1" / "train_all")} == set(CLASSES)
    edit(corpus / "utt2fold", "anna-bored0 7", "anna-bored0 6")
    folds(corpus, "--folds_by", "2", "--classes", "bored tired")
    assert capsys.readouterr().out.endswith("data: up to date\n")  # of no account for these folds


def test_one_recording_of_two_speakers_in_other_bytes_is_refused(corpus, capsys):
    """Sample for sample what anna says, as FLAC, under fred's name: in two folds it would be on both sides."""
    wav = corpus / "wav" / "anna-tired0.wav"
    samples, rate = soundfile.read(wav, dtype="int16")
    soundfile.write(wav.with_name("copy.flac"), samples, rate)
    edit(corpus / "wav.scp", str(corpus / "wav" / "fred-bored1.wav"), str(wav.with_name("copy.flac")))
    message = refused(capsys, corpus, call=folds)
    assert "training utterance fred-bored1 and held-out utterance anna-tired0 have the same audio, sample for sample" in message
    assert "leave one of the two out, or give both the same speaker" in message
    assert not (corpus.parent / "data").exists()


@pytest.mark.parametrize(
    "spelt",
    ["Anna", "ANNA", "\uff41nna", "\u0430nn\u0430", "\u0391NNA"],
    ids=lambda name: name.encode("unicode_escape"),
)
def test_a_speaker_of_two_spellings_on_both_sides_is_refused(tmp_path, capsys, spelt):
    corpus = write_corpus(tmp_path / "corpus", tables(speakers=("anna", "ben", spelt)), without=("utt2session", "utt2fold"))
    message = refused(capsys, corpus, call=folds)
    assert "held out and trained on differ in spelling alone (" in message
    assert all(ascii(name) in message for name in ("anna", spelt))
    assert "write one speaker's id alike everywhere" in message


@pytest.mark.parametrize("name", ["utt2emotion", "utt2style", "utt2session"])
@pytest.mark.parametrize("change", [str.upper, lambda name: name + "\u200c", lambda name: name.replace("e", "\u0435")])
def test_labels_and_sessions_that_look_the_same_are_refused(tmp_path, capsys, name, change):
    files = tables()
    files[name] = {utt: "one" for utt in files["utt2spk"]} | {next(iter(files["utt2spk"])): change("one")}
    message = refused(capsys, write_corpus(tmp_path / "corpus", files), call=folds)
    kind = name.removeprefix("utt2")
    assert f"corpus/{name}: {kind}s " in message
    assert f"{change('one')!a}" in message
    assert f"look the same: write one {kind} alike everywhere" in message
    assert not (tmp_path / "data").exists()


def test_classes_in_other_scripts_are_classes(tmp_path):
    files = tables()
    spelt = dict(zip(CLASSES, ("\u0433\u043d\u0435\u0432", "\u0433\u043d\u0435\u0432\u043d\u044b\u0439", "vor"), strict=True))
    files["utt2emotion"] = {utt: spelt[label] for utt, label in files["utt2emotion"].items()}
    data = folds(write_corpus(tmp_path / "corpus", files))
    assert {example.emotion for example in read_datadir(data / "all")} == set(spelt.values())


def test_a_class_named_twice_counts_once(corpus, capsys):
    folds(corpus, "--classes", "bored tired bored")
    assert "fold  speakers  bored  tired  all" in capsys.readouterr().out


def test_one_audio_under_two_labels_is_a_warning(corpus, capsys):
    edit(corpus / "wav.scp", "anna-tired0.wav", "anna-bored0.wav")
    folds(corpus)
    err = capsys.readouterr().err
    assert "warning: anna-bored0 (bored) and anna-tired0 (tired) are the same audio under different emotions: correct" in err
    edit(corpus / "utt2emotion", "anna-tired0 tired", "anna-tired0 bored")
    folds(corpus)
    assert "same audio" not in capsys.readouterr().err


def test_genders_of_speakers_and_of_utterances_agree(corpus, capsys):
    speakers = read_table(corpus / "utt2spk")
    genders = {utt: read_table(corpus / "spk2gender")[who][1] for utt, (_, who) in speakers.items()}
    lines = "".join(f"{utt} {gender}\n" for utt, gender in genders.items())
    (corpus / "utt2gender").write_text(lines)
    folds(corpus)
    edit(corpus / "spk2gender", "ben m", "ben f")
    message = refused(capsys, corpus, call=folds)
    assert "utt2gender:7: 'ben-bored0' has gender m, its speaker f by line 2 of spk2gender" in message


@pytest.mark.parametrize(
    "name", ["wav.scp", "utt2spk", "text", "utt2style", "utt2session", "utt2gender", "segments", "spk2gender"]
)
def test_a_link_to_nothing_is_named(corpus, capsys, name):
    (corpus / name).unlink(missing_ok=True)
    (corpus / name).symlink_to(f"../nowhere/{name}")
    message = refused(capsys, corpus, call=folds)
    assert f"corpus/{name}: a link to ../nowhere/{name}, where nothing is; correct the link or remove it" in message


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_list_that_is_none_is_named(corpus, capsys, make):
    (corpus / "text").unlink()
    make(corpus / "text")
    message = refused(capsys, corpus, call=folds)
    assert message.endswith("; put a list that can be read in its place")
    assert "stage 1" not in message


@pytest.mark.parametrize(("one", "other", "told"), [("s01", "s1", True), ("s-1", "s_1", True), ("s1", "s10", False)])
def test_speakers_that_differ_in_zeros_or_marks_are_told_and_kept(tmp_path, capsys, one, other, told):
    files = tables(speakers=("anna", one, other))
    data = folds(write_corpus(tmp_path / "corpus", files, without=("utt2session", "utt2fold")))
    assert (f"{other} and {one} are held out and trained on: if that is one speaker" in capsys.readouterr().err) == told
    assert len(held_out(data)) == 3


def test_without_sessions_each_speaker_is_one(tmp_path):
    data = folds(write_corpus(tmp_path / "corpus", tables(), without=("utt2session",)), "--folds_by", "3")
    assert {example.session for example in read_datadir(data / "all")} == set(SPEAKERS)
    # Every fold holds out a woman and a man, as even_groups has it.
    assert held_out(data) == {1: ["anna", "emil"], 2: ["ben", "dora"], 3: ["clara", "fred"]}


def test_even_groups_are_even_and_always_the_same():
    base = Example("u", "a", "a", "f", "x", "x", "", "", Path("u.wav"), 1, "")
    everyone = [
        replace(base, session=f"{n:02d}", speaker=f"{n:02d}", gender="fm"[n % 2], emotion=e)
        for n in range(24)
        for e in "xyz"
        for _ in range(3)
    ]
    of = (lambda example: example.emotion, lambda example: (example.emotion, example.gender))
    groups = even_groups(everyone, 6, *of)
    assert groups == even_groups(reversed(everyone), 6, *of)
    for number in range(1, 7):
        members = [session for session, fold in groups.items() if fold == number]
        assert sorted(int(session) % 2 for session in members) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("wav.scp", ".wav\n", ".wav sox - |\n", "wav.scp:1: a command, not a path; decode the audio to files"),
        ("utt2emotion", "anna-bored0 bored\n", "", "utt2emotion: no line for 'anna-bored0', which wav.scp lists"),
        ("utt2style", "anna-bored0 read\n", "anna-bored0 read\nzoe-1 read\n", "utt2style:2: 'zoe-1' is not in wav.scp"),
        ("utt2emotion", "anna-bored0 bored", "anna-bored0 very bored", "utt2emotion:1: malformed line"),
        ("spk2gender", "ben m", "ben male", "spk2gender:2: gender 'male', expected f or m"),
        ("spk2gender", "ben m\n", "", "spk2gender: no line for 'ben', which utt2spk lists"),
        ("utt2spk", "anna-bored0 anna", "anna-bored0 ben", "anna-bored0 is of speaker ben and does not begin"),
        ("utt2fold", "anna-bored0 7", "anna-bored0 six", "utt2fold:1: fold 'six', expected a whole number from 1"),
        ("utt2fold", "anna-bored0 7", "anna-bored0 6", "['anna'] would be in training and in test"),
        ("wav.scp", "anna-bored0.wav", "gone.wav", "gone.wav: no such file"),
    ],
)
def test_what_is_wrong_with_a_corpus_is_one_line_and_nothing_is_written(corpus, capsys, name, old, new, message):
    edit(corpus / name, old, new)
    by = "utt2fold" if name == "utt2fold" else "session"
    with pytest.raises(SystemExit) as error:
        folds(corpus, "--folds_by", by)
    assert message in str(error.value.code)
    assert sorted(path.name for path in corpus.parent.iterdir()) == ["corpus"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--classes", "bored glad"), "unknown class 'glad'; known: bored, curious, tired"),
        (("--classes", "bored"), "there is nothing to predict"),
        (("--folds_by", "4"), "4 folds of 3 sessions"),
    ],
)
def test_wrong_wishes_are_one_line(corpus, capsys, options, message):
    assert message in refused(capsys, corpus, *options, call=folds)


@pytest.mark.parametrize("name", ["wav.scp", "utt2spk", "utt2emotion", "utt2fold"])
def test_a_missing_file_is_named(corpus, capsys, name):
    (corpus / name).unlink()
    assert f"{name}: missing; a corpus has wav.scp, utt2spk, utt2emotion" in refused(
        capsys, corpus, "--folds_by", "utt2fold", call=folds
    )


def label_all(corpus, speaker, old, new):
    for take in (0, 1):
        edit(corpus / "utt2emotion", f"{speaker}-{old}{take} {old}", f"{speaker}-{old}{take} {new}")


def test_a_fold_that_holds_out_no_utterance_of_a_class_is_a_warning(corpus, capsys):
    label_all(corpus, "fred", "tired", "bored")
    assert held_out(folds(corpus, "--folds_by", "speaker"))[6] == ["fred"]
    out, err = capsys.readouterr()
    assert "warning: fold6 holds out no utterance that is tired: UA there is over the classes that are there; " in err
    assert "--folds_by 3 has every class on both sides" in err
    assert "  6         1      4        2      0    6" in out


def test_a_class_that_a_fold_cannot_learn_is_refused_before_anything_is_trained(corpus, capsys):
    for speaker in SPEAKERS[:-1]:
        label_all(corpus, speaker, "tired", "bored")
    message = refused(capsys, corpus, "--folds_by", "speaker", call=folds)
    assert "fold6 trains on no utterance that is tired (it is of fred alone), and cannot learn it" in message
    assert "leave it out (--classes 'bored curious')" in message
    assert not (corpus.parent / "data").exists()


def test_advice_never_leaves_a_single_class(tmp_path, capsys):
    files = tables()
    files["utt2emotion"] = {utt: ["bored", "tired"][utt == "fred-tired0"] for utt in files["utt2emotion"]}
    message = refused(capsys, write_corpus(tmp_path / "corpus", files), "--folds_by", "speaker", call=folds)
    assert "it is of fred alone), and cannot learn it: add such utterances of other speakers" in message
    assert "--classes" not in message


def test_a_class_that_a_fold_cannot_learn_and_another_split_could_names_that(corpus, capsys):
    for speaker in ("anna", "clara", "dora", "emil"):
        label_all(corpus, speaker, "tired", "bored")  # ben and fred, of fold 1 and 3, are left
    for name, fold in (("anna", "6"), ("clara", "6"), ("fred", "7")):
        for label in CLASSES:
            for take in (0, 1):
                edit(corpus / "utt2fold", f"{name}-{label}{take} {13 - int(fold)}", f"{name}-{label}{take} {fold}")
    message = refused(capsys, corpus, "--folds_by", "utt2fold", call=folds)
    assert "fold7 trains on no utterance that is tired (it is of ben, fred alone), and cannot learn it" in message
    assert "--folds_by 2 has every class on both sides, or leave it out" in message


class Person(NamedTuple):
    session: str
    speaker: str
    emotion: str


def people(*held, copies=3):
    """One session for each speaker, who is named after the classes that they show."""
    return [Person(f"{n:03d}", f"{n:03d}", emotion) for n, shows in enumerate(held) for emotion in shows * copies]


def split(items, num_folds):
    """The classes of each fold, from :func:`even_groups`."""
    groups = even_groups(items, num_folds, lambda item: item.emotion, lambda item: item.emotion)
    assert groups == even_groups(items[::-1], num_folds, lambda item: item.emotion, lambda item: item.emotion)
    return [
        "".join(sorted({item.emotion for item in items if groups[item.session] == fold})) for fold in range(1, num_folds + 1)
    ]


def test_a_split_in_which_no_fold_lacks_a_class_is_found_where_there_is_one():
    # Dealt from the largest on, as is tried first, a fold lacks a class.
    items = people("b", "ad", "ac", "bcd", "d", "abc", "abc")
    assert split(items, 3) == ["abcd"] * 3
    assert most_folds(items, 7, lambda item: item.emotion) == 3
    # Speakers that show a single class each, as in URDU.
    assert split(people(*"aaaaaaaaabbbcccccddd"), 3) == ["abcd"] * 3


def test_where_there_is_none_the_number_that_works_is_named():
    assert most_folds(people(*"aaaaabbbb"), 5, lambda item: item.emotion) == 4
    assert most_folds(people("ab", "a", "a"), 3, lambda item: item.emotion) is None
    assert sorted(split(people("ab", "ab", "a"), 3)) == ["a", "ab", "ab"]


def test_five_hundred_speakers_are_shared_out_evenly():
    rng = np.random.default_rng(0)
    items = people(*("".join(rng.choice(list("abcdef"), 2)) + "z" * (n % 41 == 0) for n in range(500)))
    assert split(items, 13) == ["abcdefz"] * 13  # thirteen show z
    groups = even_groups(items, 13, lambda item: item.emotion, lambda item: item.emotion)
    sizes = Counter(groups[item.session] for item in items)
    assert max(sizes.values()) < 1.1 * min(sizes.values())


def test_sessions_that_share_a_speaker_are_held_out_together(corpus):
    edit(corpus / "utt2session", "anna-bored0 s0", "anna-bored0 s2")
    assert held_out(folds(corpus, "--folds_by", "2")) == {1: ["anna", "ben", "emil", "fred"], 2: ["clara", "dora"]}


def test_a_relative_path_is_from_where_the_command_runs(corpus, monkeypatch):
    monkeypatch.chdir(corpus.parent)
    edit(corpus / "wav.scp", f"{corpus.parent}/", "")
    assert read_corpus(corpus, nj=1)[0].wav == corpus / "wav" / "anna-bored0.wav"


def test_a_speaker_of_two_sessions_can_be_folded_by_speaker_alone(corpus):
    edit(corpus / "utt2session", "anna-bored0 s0", "anna-bored0 s2")
    examples = read_corpus(corpus, nj=1)
    with pytest.raises(InputError, match=r"\['anna'\] would be in training and in test"):
        fold_corpus(examples, CLASSES, "session")
    assert len(fold_corpus(examples, CLASSES, "speaker")) == 6


PARTS_OF = {"anna": "train", "ben": "train", "clara": "train", "dora": "dev", "emil": "test", "fred": "test"}


def with_parts(parts=PARTS_OF, **changes):
    """All tables, and the official part of each speaker."""
    files = tables()
    return files | {"utt2split": {utt: (parts | changes)[who] for utt, who in files["utt2spk"].items()}}


def test_official_parts_are_one_fold(tmp_path, capsys):
    data = folds(write_corpus(tmp_path / "corpus", with_parts()), "--folds_by", "utt2split")
    assert sorted(path.name for path in data.iterdir() if path.is_dir()) == ["all", "fold1"]
    for part, speakers in (("train", ["anna", "ben", "clara"]), ("dev", ["dora"]), ("test", ["emil", "fred"])):
        validate_datadir(data / "fold1" / part)
        assert sorted({example.speaker for example in read_datadir(data / "fold1" / part)}) == speakers
    record = json.loads((data / "fold1" / "fold.json").read_text())
    assert (record["by"], record["dev_speakers"], record["num_dev"], record["num_test"]) == ("speaker", ["dora"], 6, 12)
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["train", "3", "6", "6", "6", "18"] in table
    assert ["dev", "1", "2", "2", "2", "6"] in table


@pytest.mark.parametrize(
    ("changes", "edits", "message"),
    [
        ({}, ("anna-bored0 train", "anna-bored0 dev"), "['anna'] would be in training and in dev"),
        ({}, ("anna-bored0 train", "anna-bored0 test"), "['anna'] would be in training and in test"),
        ({}, ("dora-bored0 dev", "dora-bored0 test"), "['dora'] would be in dev and in test"),
        ({}, ("anna-bored0 train", "anna-bored0 val"), "utt2split:1: part 'val', expected train, dev or test"),
        ({}, ("anna-bored0 train\n", ""), "utt2split: no line for 'anna-bored0', which wav.scp lists"),
        ({"emil": "dev", "fred": "dev"}, None, "no utterance is in test: a model is trained on train and scored on test"),
        (dict.fromkeys(("anna", "ben", "clara"), "dev"), None, "no utterance is in train"),
    ],
)
def test_wrong_official_parts_are_one_line(tmp_path, capsys, changes, edits, message):
    corpus = write_corpus(tmp_path / "corpus", with_parts(**changes))
    if edits:
        edit(corpus / "utt2split", *edits)
    assert message in refused(capsys, corpus, "--folds_by", "utt2split", call=folds)
    assert not (tmp_path / "data").exists()


def test_official_parts_that_are_not_said_are_asked_for(corpus, capsys):
    message = refused(capsys, corpus, "--folds_by", "utt2split", call=folds)
    assert "utt2split: missing; a corpus has wav.scp, utt2spk, utt2emotion, and utt2split for --folds_by utt2split" in message


def test_one_recording_in_dev_and_test_is_refused(tmp_path, capsys):
    corpus = write_corpus(tmp_path / "corpus", with_parts())
    edit(corpus / "wav.scp", str(corpus / "wav" / "emil-bored1.wav"), str(corpus / "wav" / "dora-tired0.wav"))
    assert "dora-tired0" in refused(capsys, corpus, "--folds_by", "utt2split", call=folds)


class Own:
    """Stages 1 to 6 on a corpus of one's own."""

    def __init__(self, root: Path, without=(), by="3", files=None):
        self.root = root
        corpus = write_corpus(root / "corpus", files or tables(), without)
        self.encoder = save_encoder(root / "encoder")
        self.config = root / "train.yaml"
        settings = {"max_epoch": 2, "batch_size": 8, "optim": "adamw", "optim_conf": {"lr": 1e-3}, "num_workers": 0}
        self.config.write_text(yaml.safe_dump(settings))
        self.datadir = folds(corpus, "--folds_by", by)
        run("tokens", "--datadir", self.datadir, "--dumpdir", root / "dump")

    def train(self, stage, system, job="1"):
        configs = ("--stage1_config", self.config, "--stage2_config", self.config)
        with_what = ("--dumpdir", self.root / "dump", "--ssl", self.encoder, *configs)
        run("train", "--stage", stage, "--job", job, *self.where(system), *with_what)

    def where(self, system):
        return ("--system", system, "--conf", CONF, "--datadir", self.datadir, "--expdir", self.root / "exp")

    def score(self, system, which="1 2"):
        run("select", *self.where(system), "--folds", which)
        run("score", *self.where(system), "--folds", which)
        return json.loads((self.root / "exp" / system / "results.json").read_text())


def test_three_classes_and_three_folds_go_through_every_stage(tmp_path):
    own = Own(tmp_path, without=("utt2session", "utt2fold"))
    for job in ("1", "2"):
        own.train("stage1", "asr_gender_skip__ser", job)
        own.train("ser", "asr_gender_skip__ser", job)
    results = own.score("asr_gender_skip__ser")
    assert results["headline"] == "last"
    assert results["num_folds"] == 3
    assert {part: by["classes"] for part, by in results["slices"]["style"].items()} == {"free": 3, "read": 3}
    config = yaml.safe_load((tmp_path / "exp/asr_gender_skip__ser/fold1/config.yaml").read_text())
    assert config["labels"] == {"emotion": list(CLASSES)}
    run("verify", tmp_path / "exp" / "asr_gender_skip__ser")


def test_a_corpus_that_says_emotions_alone_trains_what_needs_no_more(tmp_path, capsys):
    own = Own(tmp_path, without=("text", "utt2style", "utt2session", "utt2fold", "spk2gender"), by="speaker")
    assert "fold 1: no words in" in capsys.readouterr().out
    assert "learn asr from: text is missing or empty" in refused(capsys, "ser", "mtl_asr", call=own.train)
    assert "learn gender from: utt2gender or spk2gender" in refused(capsys, "ser", "mtl_gender", call=own.train)
    assert "learn style from: utt2style" in refused(capsys, "ser", "mtl_style", call=own.train)
    for job in ("1", "2"):
        own.train("ser", "stl_n0", job)
    results = own.score("stl_n0")
    assert set(results["slices"]) == {"duration"}
    assert (tmp_path / "exp/stl_n0/figures/embeddings.png").is_file()


def test_styles_may_be_any_and_one_alone_is_none(tmp_path, capsys):
    own = Own(tmp_path, without=("utt2fold",))
    own.train("ser", "mtl_style")
    config = yaml.safe_load((tmp_path / "exp/mtl_style/fold1/config.yaml").read_text())
    assert config["labels"]["style"] == ["free", "read"]
    shutil.rmtree(tmp_path / "exp")
    for part in ("train", "test"):
        path = own.datadir / "fold1" / part / "utt2style"
        path.write_text(path.read_text().replace(" free", " read"))
    (own.datadir / ".prepare.json").unlink()
    assert "every utterance of this fold has the style read" in refused(capsys, "ser", "mtl_style", call=own.train)


def predicted_at(monkeypatch, speaker, epoch):
    """Lets every model of a training predict a speaker right at one epoch, and otherwise the first class."""
    validate, line_of, now = SERTrainer.validate_one_epoch.__func__, trainer.prediction_line, []

    def validated(cls, model, iterator, reporter, *others, **named):
        now[:] = [reporter.get_epoch()]
        validate(cls, model, iterator, reporter, *others, **named)

    def line(example, decoded):
        made = line_of(example, decoded)
        if example.speaker == speaker:
            made["emotion"]["hyp"] = example.emotion if now == [epoch] else CLASSES[0]
        return made

    monkeypatch.setattr(SERTrainer, "validate_one_epoch", classmethod(validated))
    monkeypatch.setattr(trainer, "prediction_line", line)


def test_dev_chooses_the_epoch_and_test_is_scored(tmp_path, capsys, monkeypatch):
    own = Own(tmp_path, by="utt2split", files=with_parts())
    own.config.write_text(own.config.read_text().replace("max_epoch: 2", "max_epoch: 3"))
    predicted_at(monkeypatch, "dora", epoch=2)
    own.train("ser", "stl_n0")
    results, folder = own.score("stl_n0", "1"), tmp_path / "exp/stl_n0/fold1"
    assert results["headline"] == "dev"
    assert set(results["summary"]) & {"last", "others", "dev", "oracle"} == {"last", "dev", "oracle"}
    lines = read_epochs(folder)[1]
    ua = unweighted_accuracy([line["emotion"]["ref"] for line in lines], [line["emotion"]["hyp"] for line in lines])
    assert results["folds"]["1"]["dev"]["ua"] == round(ua, 2)
    assert results["folds"]["1"]["n"] == len(lines) == 12  # dora, who is dev, is not scored
    chosen = json.loads((folder / "selection.json").read_text())["models"]["dev"]
    assert chosen == {"epoch": 2, "model": "2epoch.pth", "sha256": file_sha256(folder / "2epoch.pth")}
    assert [record["valid"]["dev_ua"] for record in read_history(folder)] == pytest.approx([100 / 3, 100, 100 / 3])
    assert find_models(folder) == [ModelSource(folder, folder / "2epoch.pth")]  # what predict takes
    assert find_models(folder, "last") == [ModelSource(folder, None)]
    assert np.load(folder / "embeddings.npz")["utts"].tolist() == [line["utt"] for line in lines]
    run("verify", tmp_path / "exp" / "stl_n0")
    # Other utterances in dev make the training another.
    run("folds", "--data", tmp_path / "corpus", "--datadir", own.datadir, "--folds_by", "utt2split", "--classes", "bored tired")
    assert "was trained from other data" in refused(capsys, "stl_n0", "1", call=own.score)


def test_without_dev_there_is_no_such_part(tmp_path):
    data = folds(write_corpus(tmp_path / "corpus", with_parts(dora="train")), "--folds_by", "utt2split")
    assert not (data / "fold1" / "dev").exists()
    assert held_out(data) == {1: ["emil", "fred"]}
