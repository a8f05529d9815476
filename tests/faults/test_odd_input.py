"""Input that looks odd and is sound: it is taken as it is."""

import shutil

import numpy as np
import pytest
import soundfile
from bad_audio import flac_bytes
from harness import exit_of, no_hang
from release_maker import make_release, tone, write_wav
from room import Room

from espnet_ser.data.audio import load_audio, probe_audio
from espnet_ser.data.datadir import read_datadir

NAMES = [
    "a b",
    "it's",
    'quo"te',
    "$(touch harm)",
    "`touch harm`",
    "; touch harm",
    "-rf",
    "*",
    "caf\u00e9 \u4f60\u597d",
    "a\\nb",
    "tab\t",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_corpus_and_its_data_may_lie_in_any_folder(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    release = make_release(tmp_path / name / "release", dialogs=("F_impro01",), turns=5)
    argv = ("prepare", "--iemocap", release.root, "--datadir", tmp_path / name / "data", "--nj", "1")
    assert exit_of(argv, capsys) == (0, "")
    (first, *_) = read_datadir(tmp_path / name / "data" / "all")
    assert len(load_audio(first.wav)) == first.num_samples == 800
    assert exit_of(("tokens", "--datadir", tmp_path / name / "data", "--dumpdir", tmp_path / name / "dump"), capsys) == (0, "")
    assert not list(tmp_path.rglob("harm"))


def test_a_folder_whose_name_is_no_text_is_read_too(tmp_path, capsys):
    name = "caf\udce9"  # b"caf\xe9"
    make_release(tmp_path / "cafe", dialogs=("F_impro01",), turns=5).root.rename(tmp_path / name)
    argv = ("prepare", "--iemocap", tmp_path / name, "--datadir", tmp_path / f"{name} data", "--nj", "1")
    assert exit_of(argv, capsys) == (0, "")
    assert len(load_audio(read_datadir(tmp_path / f"{name} data" / "all")[0].wav)) == 800


def clipped(path):
    write_wav(path, np.clip(20 * tone(1600), -1, 1))


def of_eight_channels(path):
    write_wav(path, np.stack([tone(1600)] * 8, axis=1))


def of(subtype):
    def make(path):
        write_wav(path, tone(1600), subtype=subtype)

    return make


def flac_by_a_wrong_name(path):
    soundfile.write(path, tone(1600), 16000, format="FLAC")


@pytest.mark.parametrize(
    "make",
    [
        clipped,
        of_eight_channels,
        of("PCM_24"),
        of("PCM_32"),
        of("PCM_U8"),
        of("DOUBLE"),
        of("ALAW"),
        of("ULAW"),
        flac_by_a_wrong_name,
    ],
    ids=["clipped", "8 channels", "24 bits", "32 bits", "8 bits", "float64", "A-law", "mu-law", "FLAC called .wav"],
)
def test_audio_of_any_sound_kind_is_read(tmp_path, monkeypatch, capsys, make):
    room = Room(tmp_path, tmp_path)
    make(room.release.wav())
    assert probe_audio(room.release.wav()).num_samples == len(load_audio(room.release.wav())) == 1600
    assert exit_of(room.prepare(), capsys) == (0, "")


@pytest.mark.parametrize(("extension", "subtype"), [("wav", "PCM_16"), ("flac", "PCM_16"), ("ogg", "VORBIS"), ("mp3", None)])
def test_ten_minutes_are_read_to_the_end(tmp_path, extension, subtype):
    path = tmp_path / f"long.{extension}"
    x = np.tile(tone(16000), 600) * np.linspace(0.1, 1, 9_600_000, dtype=np.float32)
    with soundfile.SoundFile(path, "w", 16000, 1, subtype=subtype) as file:
        for start in range(0, len(x), 16000):  # libsndfile's Vorbis writer overflows its stack on millions of samples at once
            file.write(x[start : start + 16000])
    with no_hang():
        read = load_audio(path)
    assert probe_audio(path).num_samples == len(read)
    assert abs(len(read) - len(x)) <= (0 if extension != "mp3" else 1152)
    np.testing.assert_allclose(read, soundfile.read(path, dtype="float32")[0][: len(read)], rtol=0, atol=1e-6)


def test_a_flac_that_does_not_say_how_long_it_is_has_the_length_it_has(tmp_path):
    (tmp_path / "piped.flac").write_bytes(flac_bytes(total=0))
    assert probe_audio(tmp_path / "piped.flac").num_samples == len(load_audio(tmp_path / "piped.flac")) == 1000


def test_a_wav_that_is_not_as_long_as_the_data_directory_says_is_refused_by_whoever_reads_it(tmp_path):
    from tiny import examples_of

    from espnet_ser.data.loader import read_speech
    from espnet_ser.errors import InputError

    example = examples_of(tmp_path)[0]
    shutil.copy(examples_of(tmp_path / "other", seconds=1.0)[0].wav, example.wav)
    with pytest.raises(InputError, match="utt2num_samples says .* run stage 1 again"):
        read_speech(example)
