import hashlib

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from release_maker import tone, write_wav

from espnet_ser.data.audio import hash_samples, load_audio, num_samples_at_16k, probe_audio
from espnet_ser.errors import InputError


def test_sixteen_bit_mono_is_read_exactly(tmp_path):
    write_wav(tmp_path / "a.wav", np.array([0, 16384, -32768, 1], dtype=np.int16))
    x = load_audio(tmp_path / "a.wav")
    assert x.dtype == np.float32
    assert x.tolist() == [0.0, 0.5, -1.0, 1 / 32768]


def test_channels_are_averaged(tmp_path):
    write_wav(tmp_path / "a.wav", np.array([[0.5, 0.0], [-0.5, 0.25]]), subtype="FLOAT")
    assert load_audio(str(tmp_path / "a.wav")).tolist() == [0.25, -0.125]


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_resampling_keeps_the_tone(tmp_path, rate):
    write_wav(tmp_path / "a.wav", tone(rate, rate), rate, "FLOAT")
    x = load_audio(tmp_path / "a.wav")
    assert len(x) == 16000
    np.testing.assert_allclose(x[1000:-1000], tone(16000)[1000:-1000], atol=2e-3)


def test_lengths_at_16k_round_a_half_upwards():
    assert [num_samples_at_16k(frames, 96000) for frames in (1, 2, 3, 9, 441)] == [0, 0, 1, 2, 74]  # 441 / 6 = 73.5
    assert num_samples_at_16k(100, 16000) == 100
    assert num_samples_at_16k(100, 44100) == 36


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(1, 30000), rate=st.sampled_from([8000, 11025, 16000, 22050, 24000, 44100, 48000, 96000]))
def test_header_tells_the_length_that_loading_gives(tmp_path_factory, frames, rate):
    path = tmp_path_factory.mktemp("audio") / "a.wav"
    write_wav(path, tone(frames, rate), rate)
    if num_samples_at_16k(frames, rate) == 0:
        for read in (probe_audio, load_audio):
            with pytest.raises(InputError, match="empty"):
                read(path)
        return
    assert len(load_audio(path)) == probe_audio(path).num_samples == num_samples_at_16k(frames, rate)


def test_probe_says_what_is_in_the_file(tmp_path):
    write_wav(tmp_path / "a.wav", np.stack([tone(4800, 48000)] * 2, axis=1), 48000)
    info = probe_audio(tmp_path / "a.wav")
    assert (info.num_frames, info.sample_rate, info.num_channels, info.num_samples) == (4800, 48000, 2, 1600)
    assert info.sha256 == hashlib.sha256((tmp_path / "a.wav").read_bytes()).hexdigest()


def with_a_note(path, samples):
    """A WAV with a chunk of metadata before its audio."""
    write_wav(path, samples)
    content = path.read_bytes()
    note = b"JUNK" + (4).to_bytes(4, "little") + b"note"
    path.write_bytes(content[:4] + (len(content) - 8 + len(note)).to_bytes(4, "little") + content[8:12] + note + content[12:])


def of_kind(kind, subtype):
    return lambda path, samples: soundfile.write(path, samples, 16000, subtype, format=kind)


SAME_SAMPLES = {
    "FLAC": of_kind("FLAC", "PCM_16"),
    "24 bits": of_kind("WAV", "PCM_24"),
    "32 bits": of_kind("WAV", "PCM_32"),
    "floating point": lambda path, samples: write_wav(path, samples / 32768, subtype="FLOAT"),
    "AIFF, the other byte order": of_kind("AIFF", "PCM_16"),
    "metadata": with_a_note,
    "another rate in the header": lambda path, samples: write_wav(path, samples, 16001),
    "two equal channels": lambda path, samples: write_wav(path, np.stack([samples] * 2, axis=1)),
}


@pytest.mark.parametrize("how", SAME_SAMPLES)
def test_the_same_samples_are_known_in_other_bytes(tmp_path, how):
    samples = np.random.default_rng(0).integers(-20000, 20000, 3000).astype(np.int16)
    write_wav(tmp_path / "a.wav", samples)
    SAME_SAMPLES[how](tmp_path / "b.wav", samples)
    here, there = probe_audio(tmp_path / "a.wav"), probe_audio(tmp_path / "b.wav")
    assert here.samples_sha256 == there.samples_sha256 == hash_samples(load_audio(tmp_path / "a.wav"))
    assert here.sha256 != there.sha256
    write_wav(tmp_path / "c.wav", samples // 2)  # another gain is another recording, as far as is known here
    assert probe_audio(tmp_path / "c.wav").samples_sha256 != here.samples_sha256


def truncated(path):
    write_wav(path, tone(1000))
    path.write_bytes(path.read_bytes()[:-1])


def cut_in_header(path):
    write_wav(path, tone(1000))
    path.write_bytes(path.read_bytes()[:30])


def header_only(path):
    write_wav(path, tone(0))


def no_byte(path):
    path.write_bytes(b"")


def not_audio(path):
    path.write_bytes(b"RIFFless text, in no way audio" * 30)


def holding_nan(path):
    write_wav(path, np.where(np.arange(1000) == 7, np.nan, 0), subtype="FLOAT")


def holding_infinity(path):
    write_wav(path, np.where(np.arange(1000) == 7, np.inf, 0), subtype="DOUBLE")


def folder(path):
    path.mkdir()


def missing(path):
    pass


@pytest.mark.parametrize("read", [load_audio, probe_audio])
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (truncated, "truncated: the header promises 2000 bytes of audio, 1999 found; copy"),
        (cut_in_header, "truncated"),
        (header_only, "empty"),
        (no_byte, "empty|not audio"),
        (not_audio, "not audio .*convert"),
        (holding_nan, "1 of its 1000 samples are NaN"),
        (holding_infinity, "1 of its 1000 samples are NaN or infinite"),
        (folder, "folder"),
        (missing, "no such file"),
    ],
)
def test_unusable_audio_is_named_with_its_fault(tmp_path, read, harm, message):
    harm(tmp_path / "bad.wav")
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / "bad.wav")
    assert str(caught.value).startswith(str(tmp_path / "bad.wav"))
    assert "\n" not in str(caught.value)


def test_raw_samples_without_a_header_are_not_audio(tmp_path):
    (tmp_path / "a.raw").write_bytes(b"\x00\x01" * 1000)
    with pytest.raises(InputError, match="not audio"):
        load_audio(tmp_path / "a.raw")


def test_a_wrong_riff_size_is_no_truncation_while_the_audio_is_whole(tmp_path):
    write_wav(tmp_path / "a.wav", tone(1000))
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[4:8] = (len(content) + 100).to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(content)
    assert len(load_audio(tmp_path / "a.wav")) == probe_audio(tmp_path / "a.wav").num_samples == 1000


def test_a_wav_streamed_through_a_pipe_has_the_length_it_has(tmp_path):
    write_wav(tmp_path / "a.wav", tone(1000))
    content = bytearray((tmp_path / "a.wav").read_bytes())
    data = content.index(b"data")
    content[4:8] = content[data + 4 : data + 8] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(content)
    assert len(load_audio(tmp_path / "a.wav")) == probe_audio(tmp_path / "a.wav").num_samples == 1000
