import csv
import io
import json
import os
import sys

import kaldiio
import numpy as np
import pytest
import soundfile
from model_maker import make_model
from release_maker import tone, write_wav
from tiny_recipe import refused, run

from espnet_ser.inference.speech_emotion import SpeechEmotion

EMOTIONS = ["angry", "happy", "sad"]
NAMES = [
    "a b.wav",
    "it's.wav",
    'quo"te.wav',
    "$(touch harm).wav",
    "[ab]*.wav",
    "-rf.wav",
    "caf\u00e9 \u4f60\u597d.wav",
    "a\nb.wav",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    labels = {"emotion": EMOTIONS, "gender": ["f", "m"]}
    return make_model(tmp_path_factory.mktemp("model") / "fold1", tasks=["emotion", "asr", "gender"], labels=labels)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with ``b.wav``, ``deep/a.flac``, ``deep/.hidden.wav`` and a note."""
    (tmp_path / "audio" / "deep").mkdir(parents=True)
    write_wav(tmp_path / "audio" / "b.wav", tone(8000))
    write_wav(tmp_path / "audio" / "deep" / ".hidden.wav", tone(8000))
    soundfile.write(tmp_path / "audio" / "deep" / "a.FLAC", tone(16000) * np.linspace(0, 1, 16000), 16000, format="FLAC")
    (tmp_path / "audio" / "deep" / "notes.txt").write_text("no audio")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def predict(model, capsys):
    """What the command prints."""

    def call(*argv):
        capsys.readouterr()
        run("predict", "--model", model, *argv)
        return capsys.readouterr().out

    return call


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_json_lines_say_what_python_says(here, model, predict):
    told = lines(predict("--format", "jsonl", "audio"))
    assert [line["utt"] for line in told] == [line["file"] for line in told] == ["audio/b.wav", "audio/deep/a.FLAC"]
    for line, prediction in zip(told, SpeechEmotion.from_pretrained(model)(["audio/b.wav", "audio/deep/a.FLAC"]), strict=True):
        assert line["scores"] == pytest.approx(prediction.scores, abs=1e-6)
        assert line["label"] == prediction.label
        assert line["gender"]["label"] == prediction.gender.label
        assert line["gender"]["scores"] == pytest.approx(prediction.gender.scores, abs=1e-6)
        assert (line["style"], line["text"], line["timeline"]) == (None, prediction.text, [])
        assert line["duration_s"] == prediction.duration_s
        assert "embedding" not in line


def test_words_of_the_command_line_are_taken_in_their_order(here, predict):
    (here / "list.scp").write_text("utt2 audio/b.wav\nutt1 audio/deep/a.FLAC\n")
    told = lines(predict("--format", "jsonl", "list.scp", "audio/deep", "audio/*.wav", "audio/**/*.FLAC", "audio/b.wav"))
    a, b = "audio/deep/a.FLAC", "audio/b.wav"
    assert [line["utt"] for line in told] == ["utt2", "utt1", a, b, a, b]
    assert [line["file"] for line in told] == [b, a, a, b, a, b]
    scores = {a: told[1]["scores"], b: told[0]["scores"]}
    assert all(line["scores"] == pytest.approx(scores[line["file"]], abs=2e-6) for line in told)
    assert scores[a] != pytest.approx(scores[b], abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_may_have_any_name(here, predict, name):
    write_wav(here / "audio" / name, tone(8000))
    (told,) = lines(predict("--format", "jsonl", "--", f"audio/{name}"))
    assert told["utt"] == f"audio/{name}"
    assert told["scores"] == lines(predict("--format", "jsonl", "audio/b.wav"))[0]["scores"]
    assert f"audio/{name}" in [line["utt"] for line in lines(predict("--format", "jsonl", "audio"))]
    (row,) = list(csv.DictReader(io.StringIO(predict("--format", "csv", f"audio/{name}"))))
    assert row["file"] == f"audio/{name}"
    assert len(predict(f"audio/{name}").splitlines()) == 2
    (here / "list.scp").write_text(f"utt audio/{name}\n")
    if "\n" not in name:
        assert lines(predict("--format", "jsonl", "list.scp"))[0]["file"] == f"audio/{name}"
    assert not list(here.rglob("harm"))


def test_a_name_that_is_no_text_is_spelt_out(here, predict):
    name = os.fsdecode(b"audio/caf\xe9.wav")
    (here / "audio" / "b.wav").rename(name)
    predict("--format", "jsonl", "--output", "told.jsonl", name)
    assert lines((here / "told.jsonl").read_text())[0]["file"] == name


def test_the_table_is_aligned_and_leaves_out_what_nobody_tells(here, predict):
    header, *rows = predict("audio").splitlines()
    assert header.split() == ["utt", "label", *EMOTIONS, "gender", "text"]
    assert [row.split()[0] for row in rows] == ["audio/b.wav", "audio/deep/a.FLAC"]
    assert {row.index(next(e for e in EMOTIONS if e in row)) for row in rows} == {header.index("label")}
    scores = [float(cell) for cell in rows[0].split()[2:5]]
    assert sum(scores) == pytest.approx(1, abs=2e-3)


def test_a_terminal_is_not_changed_by_a_name(here, predict):
    write_wav(here / "audio" / "a\x1b[2J.wav", tone(8000))
    assert "\x1b" not in predict("audio")


def test_csv_has_a_row_for_each_recording_and_for_each_window(here, predict):
    rows = list(csv.DictReader(io.StringIO(predict("--format", "csv", "--window", "0.5", "--hop", "0.4", "audio"))))
    fields = ["utt", "file", "window", "start_s", "end_s", "label", *EMOTIONS, "gender", "style", "text", "speech"]
    assert list(rows[0]) == fields
    spans = [(row["file"].rpartition("/")[2], row["window"], float(row["start_s"]), float(row["end_s"])) for row in rows]
    windows = [("a.FLAC", "1", 0.0, 0.5), ("a.FLAC", "2", 0.4, 0.9), ("a.FLAC", "3", 0.5, 1.0)]
    assert spans == [("b.wav", "", 0.0, 0.5), ("a.FLAC", "", 0.0, 1.0), *windows]
    for row in rows:
        assert sum(float(row[emotion]) for emotion in EMOTIONS) == pytest.approx(1, abs=1e-5)
        assert row["label"] == max(EMOTIONS, key=lambda emotion: float(row[emotion]))
    assert (rows[1]["gender"] != "", rows[2]["gender"]) == (True, "")


def test_windows_stand_below_their_recording_in_the_table_and_in_its_line_of_json(here, predict):
    options = ("--window", "0.5", "audio/deep")
    table = predict(*options).splitlines()
    assert [row[:15] for row in table[2:]] == ["    0.00 to 0.5", "    0.25 to 0.7", "    0.50 to 1.0"]
    (line,) = lines(predict("--format", "jsonl", *options))
    assert [(moment["start_s"], moment["end_s"]) for moment in line["timeline"]] == [(0.0, 0.5), (0.25, 0.75), (0.5, 1.0)]
    assert all(sum(moment["scores"].values()) == pytest.approx(1, abs=1e-5) for moment in line["timeline"])


def test_kaldi_lines_are_sorted_by_id(here, predict):
    (here / "wav.scp").write_text("utt2 audio/b.wav\nutt1 audio/deep/a.FLAC\n")
    told = {line["utt"]: line["label"] for line in lines(predict("--format", "jsonl", "wav.scp"))}
    assert predict("--format", "kaldi", "wav.scp") == f"utt1 {told['utt1']}\nutt2 {told['utt2']}\n"


def test_standard_input_is_audio(here, predict, monkeypatch):
    told = lines(predict("--format", "jsonl", "audio"))
    for line in told:
        with open(line["file"], "rb") as file:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
            (piped,) = lines(predict("--format", "jsonl", "-"))
        assert (piped["utt"], piped["file"]) == ("-", "-")
        assert piped["scores"] == pytest.approx(line["scores"], abs=2e-6)


@pytest.mark.parametrize("content", [b"", b"no audio at all " * 50])
def test_standard_input_that_is_no_audio_is_told_in_one_line(here, model, capsys, monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert "audio" in refused(capsys, "predict", "--model", model, "-", call=run)


def test_embeddings_are_written_for_numpy_and_for_kaldi(here, model, predict):
    (here / "wav.scp").write_text("utt2 audio/b.wav\nutt1 audio/deep/a.FLAC\n")
    expected = [
        each.embedding for each in SpeechEmotion.from_pretrained(model)(["audio/b.wav", "audio/deep/a.FLAC"], embedding=True)
    ]
    predict("--embedding", "e.npz", "wav.scp")
    with np.load("e.npz") as kept:
        assert kept["utts"].tolist() == ["utt2", "utt1"]
        np.testing.assert_allclose(kept["embeddings"], expected, atol=1e-5)
    predict("--embedding", "e.ark", "wav.scp")
    of_kaldi = dict(kaldiio.load_ark("e.ark"))
    assert list(of_kaldi) == ["utt1", "utt2"]
    np.testing.assert_allclose([of_kaldi["utt2"], of_kaldi["utt1"]], expected, atol=1e-5)
    assert sorted(path.name for path in here.iterdir()) == ["audio", "e.ark", "e.npz", "wav.scp"]


def test_of_many_files_the_bad_ones_are_named_and_the_others_told(here, model, capsys):
    (here / "audio" / "bad.wav").write_bytes(b"no audio")
    write_wav(here / "audio" / "one.wav", tone(1))
    with pytest.raises(SystemExit) as error:
        run("predict", "--model", model, "--format", "jsonl", "--output", "told.jsonl", "audio")
    heading, *problems = str(error.value.code).split("\n")
    assert heading == "espnet-ser predict: error: 4 recordings: 2 problems found; fix them and run again"
    assert problems[0].startswith("  audio/bad.wav: not audio that libsndfile can read")
    assert problems[1:] == [
        "  audio/one.wav: 1 samples at 16 kHz, too short: the encoder's first frame needs 400",
    ]
    assert [line["utt"] for line in lines((here / "told.jsonl").read_text())] == ["audio/b.wav", "audio/deep/a.FLAC"]
    assert capsys.readouterr().out == ""


def test_a_file_is_replaced_when_all_is_told_and_not_before(here, model, predict, monkeypatch):
    (here / "told.csv").write_text("of old")
    (here / "audio" / "bad.wav").write_bytes(b"no audio")
    with pytest.raises(SystemExit):
        run("predict", "--model", model, "--format", "csv", "--output", "told.csv", "audio/bad.wav")
    assert (here / "told.csv").read_text() == "of old"

    def stops(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("espnet_ser.models.ser_model.SERModel.logits", stops)
        with pytest.raises(KeyboardInterrupt):
            run("predict", "--model", model, "--format", "csv", "--output", "told.csv", "audio/b.wav")
    assert (here / "told.csv").read_text() == "of old"
    predict("--format", "csv", "--output", "told.csv", "audio/b.wav")
    assert (here / "told.csv").read_text().startswith("utt,file,window")
    assert sorted(path.name for path in here.iterdir()) == ["audio", "told.csv"]


def test_the_default_model_is_the_one_that_the_recipe_leaves(trained, capsys, monkeypatch):
    monkeypatch.chdir(trained.root)
    wav = sorted((trained.root / "wav").glob("*.wav"))[0]
    run("predict", wav)
    told = capsys.readouterr().out
    run("predict", "--model", "exp/asr_gender_skip__ser/fold1", wav)
    assert told == capsys.readouterr().out
    assert told.splitlines()[1].split()[1] in ("angry", "happy", "neutral", "sad")


def test_a_model_without_emotion_is_told_apart(trained, here, capsys):
    intermediate = trained.root / "exp" / "stage1" / "asr_gender_skip" / "fold1"
    message = refused(capsys, "predict", "--model", intermediate, "--format", "kaldi", "audio/b.wav", call=run)
    assert message.endswith("the model tells no emotion, and --format kaldi nothing else; take another format")
    run("predict", "--model", intermediate, "audio/b.wav")
    header, row = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["utt", "gender"]
    assert row.split()[1] in ("f", "m")


def test_several_models_are_an_ensemble(here, model, tmp_path, capsys):
    other = make_model(tmp_path / "other", seed=9, tasks=["emotion"], labels={"emotion": EMOTIONS})
    told = {}
    for name, models in (("a", [model]), ("b", [other]), ("both", [model, other])):
        run("predict", *(word for each in models for word in ("--model", each)), "--format", "jsonl", "audio/b.wav")
        (line,) = lines(capsys.readouterr().out)
        told[name] = np.array([line["scores"][emotion] for emotion in EMOTIONS])
    np.testing.assert_allclose(told["both"], (told["a"] + told["b"]) / 2, atol=2e-6)
    assert abs(told["a"] - told["b"]).max() > 0.01


def test_a_folder_with_sound_of_every_kind_is_told_and_what_is_not_readable_is_named(here, model, capsys):
    soundfile.write(here / "audio" / "c.CAF", tone(8000), 16000, format="CAF")
    (here / "audio" / "d.m4a").write_bytes(np.random.default_rng(0).bytes(4000))
    with pytest.raises(SystemExit) as error:
        run("predict", "--model", model, "--format", "jsonl", "audio")
    assert [line["utt"] for line in lines(capsys.readouterr().out)] == ["audio/b.wav", "audio/c.CAF", "audio/deep/a.FLAC"]
    assert "4 recordings: 1 problem found" in str(error.value.code)
    assert "audio/d.m4a: " in str(error.value.code)
    assert "notes" not in str(error.value.code)


def test_too_little_memory_for_one_recording_does_not_stop_the_others(here, model, capsys, monkeypatch):
    from espnet_ser.inference import speech_emotion
    from espnet_ser.models.ser_model import SERModel

    write_wav(here / "audio" / "c.wav", tone(12000))
    load, logits = speech_emotion.load_audio, SERModel.logits

    def load_all_but_one(path, *more, **options):
        if str(path).endswith("b.wav"):
            raise MemoryError
        return load(path, *more, **options)

    def hear_all_but_long(self, speech, lengths):
        if lengths.max() == 16000:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes.")
        return logits(self, speech, lengths)

    monkeypatch.setattr(speech_emotion, "load_audio", load_all_but_one)
    monkeypatch.setattr(SERModel, "logits", hear_all_but_long)
    with pytest.raises(SystemExit) as error:
        run("predict", "--model", model, "--format", "jsonl", "audio")
    assert [line["utt"] for line in lines(capsys.readouterr().out)] == ["audio/c.wav"]
    heading, *problems = str(error.value.code).split("\n")
    assert "3 recordings: 2 problems found" in heading
    assert problems == [
        "  audio/b.wav: too little memory to read it; cut it into parts",
        "  audio/deep/a.FLAC: out of memory: take fewer seconds in a batch, or shorter windows",
    ]
