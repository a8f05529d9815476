"""Utterances that are parts of recordings (segments) or entries of archives, from a corpus to what is predicted."""

import json
import pickle
import re
import subprocess

import kaldiio
import numpy as np
import pytest
import soundfile
from checkout import VALIDATOR
from model_maker import make_model
from own_corpus import CLASSES, SPEAKERS, folds, tables, write_corpus
from tiny_recipe import refused, run

from espnet_ser.data.audio import load_audio, probe_audio
from espnet_ser.data.datadir import read_datadir, validate_datadir
from espnet_ser.data.loader import read_speech
from espnet_ser.data.sound_file import Segment
from espnet_ser.data.unchanged import verify_audio
from espnet_ser.errors import InputError

RATE = 22050


def noise(num_samples, seed=0):
    return (np.random.default_rng(seed).standard_normal(num_samples) * 3000).astype(np.int16)


@pytest.fixture
def cut(tmp_path):
    """A corpus of one recording for each speaker, a second for each utterance; the last goes to the recording's end."""
    files = tables(takes=1)
    corpus = write_corpus(tmp_path / "corpus", {name: table for name, table in files.items() if name != "utt2session"})
    (corpus / "wav.scp").unlink()
    segments, recordings = [], []
    for number, who in enumerate(SPEAKERS):
        path = corpus / f"{who}.flac"
        soundfile.write(path, noise(3 * RATE, number), RATE)
        recordings.append(f"rec-{who} {path}\n")
        for k, label in enumerate(CLASSES):
            segments.append(f"{who}-{label}0  rec-{who}\t{k + 0.1:.1f} {'-1' if k == 2 else f'{k + 0.9:.2f}'}\n")
    (corpus / "wav.scp").write_text("".join(recordings))
    (corpus / "segments").write_text("".join(segments))
    return corpus


def test_segments_are_the_utterances_of_folds_and_training(cut):
    data = folds(cut, "--folds_by", "3")
    for part in ("all", "fold1/train", "fold1/test"):
        validate_datadir(data / part)
        done = subprocess.run([VALIDATOR, "--no-feats", data / part], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert (data / "all" / "wav.scp").read_text().splitlines()[0] == f"rec-anna {cut}/anna.flac"
    assert (data / "all" / "segments").read_text().splitlines()[:3] == [
        "anna-bored0 rec-anna 0.1 0.9",
        "anna-curious0 rec-anna 1.1 1.9",
        "anna-tired0 rec-anna 2.1 3.0",
    ]
    examples = read_datadir(data / "all")
    assert len({example.sha256 for example in examples}) == len(examples) == 18
    for example in examples[:3]:
        start, end = round(example.segment.start_s * RATE), round(example.segment.end_s * RATE)
        soundfile.write(cut / "alone.wav", noise(3 * RATE)[start:end], RATE)
        expected = load_audio(cut / "alone.wav")
        np.testing.assert_array_equal(read_speech(example)["speech"].numpy(), expected)
        assert example.num_samples == len(expected)
        assert example.samples_sha256 == probe_audio(cut / "alone.wav").samples_sha256
    verify_audio(examples)
    soundfile.write(cut / "anna.flac", noise(3 * RATE, 77), RATE)
    with pytest.raises(InputError, match="anna.flac has changed since stage 1 read it"):
        verify_audio(examples)


def test_a_moment_that_is_held_out_is_not_trained_on(cut, capsys):
    lines = (cut / "segments").read_text().replace("ben-bored0  rec-ben\t0.1 0.90", "ben-bored0  rec-anna\t0.5 1.05")
    (cut / "segments").write_text(lines)
    message = refused(capsys, cut, "--folds_by", "speaker", call=folds)
    assert "training utterance ben-bored0 and held-out utterance anna-bored0 have the same audio from 0.5 to 0.9 s" in message
    (cut / "segments").write_text(lines.replace("0.5 1.05", "0.9 1.05"))  # what was between two utterances may be a third's
    folds(cut, "--folds_by", "speaker")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rec-anna 0.1", "segments:1: 'rec-anna 0.1', expected a recording and the seconds"),
        ("rec-anna 0.9 0.1", "segments:1: 'rec-anna 0.9 0.1', expected"),
        ("rec-anna nan 1", "segments:1: 'rec-anna nan 1', expected"),
        ("rec-anna 0,1 0,9", "segments:1: 'rec-anna 0,1 0,9', expected"),
        ("rec-anna -1 0.9", "segments:1: 'rec-anna -1 0.9', expected"),
        ("rec-none 0.1 0.9", "segments:1: recording 'rec-none' is not in wav.scp"),
        ("rec-anna 0.1 3.6", "no segment from 0.1 s to 3.6 s in it, which lasts 3.00 s; correct segments"),
        ("rec-anna 5 6", "no segment from 5 s to 6 s in it, which lasts 3.00 s"),
        ("rec-anna 0.1 0.101", "too short"),
    ],
)
def test_a_wrong_segment_is_one_line(cut, capsys, line, message):
    content = (cut / "segments").read_text()
    (cut / "segments").write_text(re.sub("rec-anna\t0.1 0.90", line, content, count=1))
    with pytest.raises(SystemExit) as error:
        folds(cut, "--folds_by", "3")
    assert message in str(error.value.code)


def test_a_segment_may_end_a_little_after_its_recording(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(RATE), RATE)
    whole = load_audio(tmp_path / "a.wav")
    np.testing.assert_array_equal(load_audio(tmp_path / "a.wav", Segment("r", 0, 1.4)), whole)
    np.testing.assert_array_equal(load_audio(tmp_path / "a.wav", Segment("r", 0, -1)), whole)


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3", "W64", "AIFF"])
def test_a_segment_of_any_kind_is_what_lies_there(tmp_path, kind):
    path = tmp_path / "a"
    with soundfile.SoundFile(path, "w", 16000, 1, format=kind) as file:
        for _ in range(5):
            file.write(noise(16000))
    x = load_audio(path)
    np.testing.assert_allclose(load_audio(path, Segment("r", 2.5, 3.25)), x[40000:52000], atol=1e-6)


def as_archive(corpus, **options):
    """Puts a corpus's audio into an archive, as ESPnet does."""
    lines = dict(line.split() for line in (corpus / "wav.scp").read_text().splitlines())
    content = {utt: soundfile.read(path, dtype="int16")[::-1] for utt, path in lines.items()}
    kaldiio.save_ark(f"{corpus}/data_wav.ark", content, scp=f"{corpus}/wav.scp", **options)
    return corpus


@pytest.mark.parametrize(
    "options", [{}, {"write_function": "soundfile"}, {"write_function": "soundfile", "write_kwargs": {"format": "flac"}}]
)
def test_entries_of_an_archive_are_the_utterances(tmp_path, options):
    corpus = write_corpus(tmp_path / "corpus", tables())
    expected = read_datadir(folds(corpus) / "all")
    examples = read_datadir(folds(as_archive(corpus, **options)) / "all")
    assert re.fullmatch(rf"{corpus}/data_wav.ark:\d+", str(examples[0].wav))
    assert len({example.sha256 for example in examples}) == len(examples)
    for example, other in zip(examples, expected, strict=True):
        assert example.utt == other.utt
        assert (example.num_samples, example.samples_sha256) == (other.num_samples, other.samples_sha256)
        np.testing.assert_array_equal(read_speech(example)["speech"], read_speech(other)["speech"])
        rate, samples = kaldiio.load_mat(str(example.wav))
        assert (rate, len(samples)) == (16000, example.num_samples)
    verify_audio(examples)


def test_what_is_no_sound_in_an_archive_is_named_and_nothing_is_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    kaldiio.save_ark(str(tmp_path / "m.ark"), {"u": np.zeros((3, 2), np.float32)}, scp=str(tmp_path / "m.scp"))
    kaldiio.save_ark(str(tmp_path / "n.ark"), {"u": np.zeros(3)}, scp=str(tmp_path / "n.scp"), write_function="numpy")
    (tmp_path / "p.ark").write_bytes(b"u PKL" + pickle.dumps(Harm()))
    (tmp_path / "t.ark").write_bytes(b"u RIFF" + bytes(100))
    for name, message in (
        ("m.ark:2", "a matrix, which has no sample rate"),
        ("n.ark:2", "a NumPy array, which has no sample rate"),
        ("p.ark:2", "a pickle"),
        ("t.ark:2", "does not say how long it is"),
        ("m.ark:9999", "no sound file"),
        ("none.ark:2", "no such file"),
        (f"touch {tmp_path}/harm; cat m.ark |:2", "no such file"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            load_audio(tmp_path / name if "harm" not in name else name)
    assert not (tmp_path / "harm").exists()


def test_segments_and_entries_are_predicted_by_the_list_that_names_them(cut, capsys, tmp_path):
    model = make_model(tmp_path / "fold1", tasks=["emotion"], labels={"emotion": ["angry", "sad"]})

    def predict(*argv):
        capsys.readouterr()
        run("predict", "--model", model, "--format", "jsonl", *argv)
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    told = predict(cut / "wav.scp")
    assert [line["utt"] for line in told[:3]] == ["anna-bored0", "anna-curious0", "anna-tired0"]
    assert [line["duration_s"] for line in told[:3]] == pytest.approx([0.8, 0.8, 0.9], abs=1e-4)
    (cut / "wav.scp").rename(cut / "recordings.scp")  # without segments next to it
    assert [line["duration_s"] for line in predict(cut / "recordings.scp")] == pytest.approx([3.0] * 6)
    corpus = as_archive(write_corpus(tmp_path / "other", tables(("anna",), takes=1)))
    told = predict(corpus / "wav.scp")
    assert [line["utt"] for line in told] == ["anna-bored0", "anna-curious0", "anna-tired0"]
    assert predict(told[1]["file"])[0]["scores"] == pytest.approx(told[1]["scores"], abs=1e-5)
