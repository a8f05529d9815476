"""The worked example: RAVDESS as its authors give it out, a folder or the archive, becomes a Kaldi data directory."""

import os
import subprocess
import sys
import zipfile

import pytest
import soundfile
from checkout import ROOT
from ravdess_names import as_official, make_official

from espnet_ser.corpus.kaldi import fold_corpus, read_corpus

SCRIPT = ROOT / "egs" / "ravdess" / "local" / "ravdess.py"
SHARED = ROOT.parent / "shared" / "data" / "ravdess_release"


def make_data(source, folder, script=SCRIPT):
    return subprocess.run(
        [sys.executable, script, source, folder],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_name_says_all(tmp_path):
    make_official(tmp_path / "release")
    (tmp_path / "release" / "Actor_01" / "._03-01-05-01-02-01-01.wav").write_bytes(b"\x00\x05\x16\x07")
    song = tmp_path / "release" / "Actor_01" / "03-02-05-01-02-01-01.wav"
    soundfile.write(song, [0.0] * 5000, 16000)
    result = make_data(tmp_path / "release", tmp_path / "data" / "corpus")
    assert result.returncode == 0, result.stderr
    assert "24 utterances of 4 actors (the full corpus has 1440)" in result.stdout
    examples = {example.utt: example for example in read_corpus(tmp_path / "data" / "corpus", nj=1)}
    assert len(examples) == 24
    example = examples["Actor_02-03-01-05-01-02-01-02"]
    assert (example.speaker, example.gender, example.emotion, example.style) == ("Actor_02", "f", "angry", "normal")
    assert example.text == "DOGS ARE SITTING BY THE DOOR"
    assert examples["Actor_01-03-01-01-01-01-01-01"].gender == "m"
    folds = fold_corpus(list(examples.values()), ["angry", "neutral", "sad"], "2")
    assert [sorted({example.gender for example in fold.test}) for fold in folds] == [["f", "m"]] * 2


def test_the_archive_is_unpacked_once(tmp_path):
    make_official(tmp_path / "release", actors=(1, 2))
    archive = tmp_path / "Audio_Speech_Actors_01-24.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted((tmp_path / "release").rglob("*.wav")):
            file.write(path, path.relative_to(tmp_path / "release"))
    script = tmp_path / "ravdess" / "local" / "ravdess.py"
    script.parent.mkdir(parents=True)
    script.write_bytes(SCRIPT.read_bytes())
    for _ in range(2):
        result = make_data(archive, tmp_path / "ravdess" / "data" / "corpus", script)
        assert result.returncode == 0, result.stderr
    (unpacked,) = (tmp_path / "ravdess" / "release").iterdir()
    wavs = {example.wav for example in read_corpus(tmp_path / "ravdess" / "data" / "corpus", nj=1)}
    assert wavs == set(unpacked.rglob("*.wav"))
    assert len(wavs) == 12


@pytest.mark.parametrize("name", ["03-01-09-01-01-01-01.wav", "03-01-05-01-01-01-02.wav", "angry.wav"])
def test_a_name_of_another_kind_is_one_line_and_nothing_is_written(tmp_path, name):
    make_official(tmp_path / "release", actors=(1,))
    (tmp_path / "release" / "Actor_01" / name).touch()
    result = make_data(tmp_path / "release", tmp_path / "data" / "corpus")
    assert result.returncode == 1
    assert f"{name}: not a name of this corpus" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "data").exists()


def test_a_folder_without_actors_says_where_the_corpus_is(tmp_path):
    result = make_data(tmp_path, tmp_path / "data")
    assert result.returncode == 1
    assert "https://zenodo.org/records/1188976" in result.stderr


def test_real_speech_under_official_names(tmp_path):
    if not SHARED.is_dir():
        pytest.skip(f"no real speech at {SHARED}")
    assert as_official(SHARED, tmp_path / "release") == 320
    result = make_data(tmp_path / "release", tmp_path / "corpus")
    assert result.returncode == 0, result.stderr
    examples = read_corpus(tmp_path / "corpus", nj=1)
    emotions = ["angry", "fearful", "happy", "neutral", "sad"]
    assert [sum(example.emotion == name for example in examples) for name in emotions] == [80, 40, 80, 40, 80]
    folds = fold_corpus(examples, emotions, "5")
    assert [sorted({example.gender for example in fold.test}) for fold in folds] == [["f", "m"]] * 5
