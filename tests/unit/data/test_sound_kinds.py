"""Sound of every kind that people have: headers that say no length, kinds that only ffmpeg knows, floods of samples."""

import gzip
import io
import os
import shutil
import struct
import subprocess
import tracemalloc

import numpy as np
import pytest
import soundfile
from release_maker import tone, write_wav

from espnet_ser.data import ffmpeg
from espnet_ser.data.audio import load_audio, load_stream, probe_audio
from espnet_ser.data.audio_list import AUDIO_SUFFIXES, find_audio
from espnet_ser.data.sound_file import Segment
from espnet_ser.errors import InputError

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="NO FFMPEG: what only it can read goes unread")


def sound(kind="WAV", endian=None, num_samples=1000) -> bytearray:
    file = io.BytesIO()
    soundfile.write(file, tone(num_samples), 16000, format=kind, subtype="PCM_16", endian=endian)
    return bytearray(file.getvalue())


def with_size(content: bytearray, size: int, kind="<I", after=b"data", skip=0) -> bytearray:
    """The same with another length of its audio in the header."""
    content = bytearray(content)
    struct.pack_into(kind, content, content.index(after) + len(after) + skip, size)
    return content


LIST_CHUNK = b"LIST" + struct.pack("<I", 4) + b"INFO"

WHOLE = {
    **{f"WAV of {size:#x} bytes": with_size(sound(), size) for size in (0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFDB, 0x80000000)},
    "WAV of 0x7fff0000 bytes, as RIFX": with_size(sound(endian="BIG"), 0x7FFF0000, ">I"),
    "RIFX": sound(endian="BIG"),
    "RIFX of 0 bytes": with_size(sound(endian="BIG"), 0, ">I"),
    "WAVE_FORMAT_EXTENSIBLE": sound("WAVEX"),
    "WAVE_FORMAT_EXTENSIBLE of 0 bytes": with_size(sound("WAVEX"), 0),
    "an odd chunk before the audio": sound()[:36] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + sound()[36:],
    "an odd chunk without its pad": sound()[:36] + b"LIST" + struct.pack("<I", 3) + b"abc" + sound()[36:],
    "an odd chunk without its pad before all": sound()[:12] + b"junk" + struct.pack("<I", 3) + b"abc" + sound()[12:],
    "RF64": sound("RF64"),
    "RF64 of 0 bytes": with_size(sound("RF64"), 0, "<Q", b"ds64", 12),
    "RF64 of 2^64 - 1 bytes": with_size(sound("RF64"), 2**64 - 1, "<Q", b"ds64", 12),
    "W64": sound("W64"),
    "W64 of 2^63 - 1 bytes": with_size(sound("W64"), 2**63 - 1, "<Q", b"data", 12),
    "W64 of 0 bytes": with_size(sound("W64"), 24, "<Q", b"data", 12),
    "AU of no known length": with_size(sound("AU"), 0xFFFFFFFF, ">I", b".snd", 4),
    "AU of 0 bytes": with_size(sound("AU"), 0, ">I", b".snd", 4),
    "AIFF of 0x7f000000 bytes": with_size(sound("AIFF"), 0x7F000000, ">I", b"SSND"),
    "CAF of no known length": with_size(sound("CAF"), 2**64 - 1, ">Q"),
    "audio, then a list": sound() + LIST_CHUNK,
}


@pytest.mark.parametrize("name", WHOLE)
def test_audio_that_is_whole_is_read_to_its_end_whatever_the_header_says(tmp_path, name):
    (tmp_path / "a.wav").write_bytes(WHOLE[name])
    expected = soundfile.read(io.BytesIO(sound()), dtype="float32")[0]
    by_name = load_audio(tmp_path / "a.wav")
    np.testing.assert_array_equal(by_name, expected)
    np.testing.assert_array_equal(load_stream(io.BytesIO(WHOLE[name]), "-"), by_name)
    assert probe_audio(tmp_path / "a.wav").num_samples == 1000


CUT = {
    **{kind: sound(kind)[:-700] for kind in ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF")},
    "RIFX": sound(endian="BIG")[:-700],
    "WAV that promises 1 GB": with_size(sound(), 1 << 30),
    "WAV that promises 4 GB": with_size(sound(), 4_000_000_000),
    "WAV, one byte short": sound()[:-1],
    "WAV, cut in its header": sound()[:40],
    "FLAC": sound("FLAC", num_samples=50000)[:-700],
}


@pytest.mark.parametrize("name", CUT)
def test_audio_that_was_cut_is_named(tmp_path, name):
    (tmp_path / "a.wav").write_bytes(CUT[name])
    for read in (load_audio, probe_audio, lambda path: load_stream(io.BytesIO(CUT[name]), path, ffmpeg.decode)):
        with pytest.raises(InputError, match="a.wav: (truncated: the header promises|damaged: .*cannot decode all)"):
            read(tmp_path / "a.wav")


@pytest.mark.parametrize("content", [with_size(sound(num_samples=0), 0), with_size(sound(num_samples=0), 0) + LIST_CHUNK])
def test_a_header_alone_holds_no_audio(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(InputError, match="empty: it holds no audio"):
        load_audio(tmp_path / "a.wav")


SUFFIX_OF = {"WAVEX": "WAV", "NIST": "sph", "MPC2K": None, "RAW": None, "MAT4": None, "MAT5": None, "SD2": None}
"""What is not called as libsndfile calls it; None for what has no name that says what it is, or two files."""


def test_all_kinds_that_libsndfile_knows_are_found_in_folders(tmp_path):
    expected = []
    for number, kind in enumerate(sorted(soundfile.available_formats())):
        suffix = SUFFIX_OF.get(kind, kind)
        if suffix is None:
            continue
        suffix = suffix.lower() if number % 2 else suffix.upper()
        path = tmp_path / f"{kind}.{suffix}"
        if kind == "MP3" or f".{suffix.lower()}" in (".sds", ".xi", ".wve"):  # of rates or subtypes of their own
            path.write_bytes(b"x")
        else:
            soundfile.write(path, tone(4000), 16000, format=kind)
            assert abs(len(load_audio(path)) - 4000) < 600, kind
        expected.append(str(path))
    for name in ("notes.txt", "a.json", "a.png", "a.mat", ".hidden.wav"):
        (tmp_path / name).write_text("no audio")
    assert [audio.utt for audio in find_audio([str(tmp_path)])] == sorted(expected)
    assert all(suffix == suffix.lower() for suffix in AUDIO_SUFFIXES + ffmpeg.SUFFIXES)


def test_linked_folders_are_taken_once(tmp_path):
    for place in ("all/real/a.wav", "other/deep/b.wav", "all/c.wav"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(b"x")
    for place, target in {"all/other": "../other", "all/again": "../other/deep", "all/a": "real", "all/loop": "."}.items():
        (tmp_path / place).symlink_to(target)
    (tmp_path / "other" / "back").symlink_to(tmp_path / "all")
    (tmp_path / "all" / "gone").symlink_to("nowhere")
    found = [os.path.relpath(audio.utt, tmp_path) for audio in find_audio([str(tmp_path / "all")])]
    assert found == ["all/again/b.wav", "all/c.wav", "all/real/a.wav"]


def test_without_ffmpeg_what_helps_is_said(tmp_path, monkeypatch):
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x18ftypM4A " + bytes(100))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="a.m4a: not audio that libsndfile can read; install ffmpeg, .*or convert it to WAV"):
        load_audio(tmp_path / "a.m4a", decode=ffmpeg.decode)
    with pytest.raises(InputError, match="a.m4a: not audio that libsndfile can read; convert it to WAV or FLAC"):
        load_audio(tmp_path / "a.m4a")  # as in training, whose data does not depend on what is installed


def made_by_ffmpeg(path, *options, source="sine=440:duration=2:sample_rate=44100"):
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, *options, path], check=True)
    return path


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.m4a", ("-c:a", "aac")),
        ("alac.m4a", ("-c:a", "alac")),
        ("a.webm", ("-c:a", "libopus")),
        ("a.wma", ("-c:a", "wmav2")),
        ("a.mka", ("-c:a", "flac")),
        ("a.aac", ()),
        ("a.ac3", ("-ac", "2")),
        ("a.mp4", ("-f", "lavfi", "-i", "testsrc=duration=1:size=64x64", "-c:a", "aac", "-ac", "2")),
    ],
)
def test_what_only_ffmpeg_reads_is_read_by_name_and_as_a_stream(tmp_path, name, options):
    path = made_by_ffmpeg(tmp_path / name, *options)
    x = load_audio(path, decode=ffmpeg.decode)
    assert 1.9 * 16000 < len(x) < 2.2 * 16000
    spectrum = np.abs(np.fft.rfft(x[8000:24000] * np.hanning(16000)))
    assert spectrum.argmax() == 440
    np.testing.assert_array_equal(load_stream(io.BytesIO(path.read_bytes()), "-", ffmpeg.decode), x)


@needs_ffmpeg
def test_lossless_audio_through_ffmpeg_is_what_libsndfile_reads(tmp_path):
    write_wav(tmp_path / "a.wav", np.stack([tone(22050, 22050), np.zeros(22050)], axis=1), 22050)
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", "-c:a", "alac", tmp_path / "a.m4a"], check=True)
    x = load_audio(tmp_path / "a.m4a", decode=ffmpeg.decode)
    np.testing.assert_allclose(x, load_audio(tmp_path / "a.wav"), atol=1e-6)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(np.random.default_rng(0).bytes(4000)), "Invalid data"),
        (lambda path: path.write_bytes(made_by_ffmpeg(path.with_name("b.m4a")).read_bytes()[:9000]), "moov atom not found"),
        (lambda path: path.write_bytes(made_by_ffmpeg(path.with_name("b.webm")).read_bytes()[:9000]), "ended prematurely"),
        (
            lambda path: path.write_bytes(made_by_ffmpeg(path.with_name("b.mp4"), source="testsrc=duration=1").read_bytes()),
            "no sound",
        ),
        (lambda path: path.write_text("#EXTM3U\n#EXTINF:1,\nb.wav\n#EXT-X-ENDLIST\n"), "Invalid data|no kind that is sound"),
        (lambda path: path.write_bytes(gzip.compress(bytes(1000))), "it is of no kind that is sound or video"),
        (lambda path: path.write_text("ffconcat version 1.0\nfile 'b.wav'\n"), "Invalid data|no kind that is sound"),
    ],
)
def test_what_ffmpeg_cannot_read_is_one_line_with_its_reason(tmp_path, make, message):
    write_wav(tmp_path / "b.wav", tone(8000))
    make(tmp_path / "a.m4a")
    with pytest.raises(InputError, match=f"a.m4a: not audio that .*, nor ffmpeg .*({message}).*; convert it") as error:
        load_audio(tmp_path / "a.m4a", decode=ffmpeg.decode)
    assert "\n" not in str(error.value)


def test_ffmpeg_that_never_ends_is_stopped(tmp_path, monkeypatch):
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(ffmpeg, "MAX_DECODING_S", 0.2)
    (tmp_path / "a.m4a").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match="a.m4a: .*it was stopped, by signal 9"):
        load_audio(tmp_path / "a.m4a", decode=ffmpeg.decode)


def test_a_flood_of_samples_takes_little_memory(tmp_path):
    with soundfile.SoundFile(tmp_path / "flood.flac", "w", 655350, 1, format="FLAC", compression_level=0.0) as file:
        for _ in range(12):
            file.write(np.zeros(655350, np.int16))
    tracemalloc.start()
    assert len(load_audio(tmp_path / "flood.flac")) == probe_audio(tmp_path / "flood.flac").num_samples == 12 * 16000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20 < 12 * 655350 * 4  # of all samples at once it would be more


@pytest.mark.parametrize(
    ("rate", "channels", "message"),
    [(800_000, 1, "a sample rate of 800000 Hz, where 1000 to 768000"), (16000, 65, "65 channels, where 64 is the most")],
)
def test_rates_and_channels_that_no_recording_has_are_named(tmp_path, rate, channels, message):
    soundfile.write(tmp_path / "a.wav", np.zeros((1000, channels)), rate, format="WAV")
    with pytest.raises(InputError, match=f"a.wav: {message}"):
        load_audio(tmp_path / "a.wav")


def test_a_header_that_promises_years_is_refused_at_once(tmp_path):
    content = sound("FLAC")
    (word,) = struct.unpack(">Q", content[18:26])
    for total, message in ((2**36 - 1, "4294967 s by its header"), (50_000_000, "truncated|damaged")):
        content[18:26] = struct.pack(">Q", (word >> 36 << 36) | total)
        (tmp_path / "a.flac").write_bytes(content)
        with pytest.raises(InputError, match=f"a.flac: {message}"):
            load_audio(tmp_path / "a.flac")


def compressed(kind, subtype=None, **options) -> bytes:
    """Five seconds, loud and then quiet, so that its first frames say little of the others."""
    file, samples = io.BytesIO(), tone(80000)
    samples[16000:] *= 0.001
    soundfile.write(file, samples, 16000, format=kind, subtype=subtype, **options)
    return file.getvalue()


def mp3(has_xing=True, **options) -> bytes:
    """Without its Xing header as what is written to a pipe, cut from a stream or put together of several files."""
    content = compressed("MP3", "MPEG_LAYER_III", **options)
    return content if has_xing else content.replace(b"Xing", bytes(4)).replace(b"Info", bytes(4))


def id3(length: int) -> bytes:
    return b"ID3\4\0\0" + bytes([length >> 21 & 127, length >> 14 & 127, length >> 7 & 127, length & 127]) + bytes(length)


CONSTANT, VARIABLE = {"bitrate_mode": "CONSTANT"}, {"bitrate_mode": "VARIABLE", "compression_level": 0.5}


@pytest.mark.parametrize(
    ("content", "duration_s"),
    [
        (mp3(**CONSTANT), 5),
        (mp3(False, **CONSTANT), 5),
        (mp3(False, **VARIABLE), 5),
        (id3(70_000) + mp3(False, **CONSTANT), 5),
        (mp3(False, **VARIABLE) + b"TAG" + bytes(125), 5),
        (id3(10) + id3(20) + mp3(False, **CONSTANT) + mp3(False, **VARIABLE), 10),
        (mp3(False, **VARIABLE) + mp3(**CONSTANT), 10),
    ],
)
def test_mpeg_audio_is_read_to_its_end_whatever_its_first_frames_promise(tmp_path, content, duration_s):
    (tmp_path / "a.mp3").write_bytes(content)
    samples = load_audio(tmp_path / "a.mp3")
    assert duration_s * 16000 <= len(samples) < duration_s * 16000 + 4500  # the encoder's delay and padding
    assert probe_audio(tmp_path / "a.mp3").num_samples == len(samples)
    np.testing.assert_array_equal(load_stream(io.BytesIO(content), "-"), samples)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("FLAC", None), ("WAV", "GSM610"), ("AU", "G721_32")],
)
@pytest.mark.parametrize("start_s", [0.5, 2.5])
def test_a_part_is_what_stands_there_whatever_the_kind(tmp_path, kind, subtype, start_s):
    (tmp_path / "a").write_bytes(compressed(kind, subtype, **CONSTANT if kind == "MP3" else {}))
    first = int(16000 * start_s)
    part = load_audio(tmp_path / "a", Segment("a", start_s, start_s + 0.5))
    np.testing.assert_allclose(part, load_audio(tmp_path / "a")[first : first + 8000], atol=1e-6)


@pytest.mark.parametrize(
    "content",
    [
        mp3() + mp3(False),
        mp3() + id3(10) + mp3(),
        compressed("OGG", "VORBIS") * 2,
        compressed("OGG", "OPUS") * 2,
        compressed("FLAC") * 2,
        compressed("WAV") * 2,
        compressed("AIFF") * 2,
        bytes(sound(endian="BIG") * 2),
    ],
)
def test_several_recordings_in_one_file_are_named(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    for read in (load_audio, probe_audio, lambda path: load_audio(path, decode=ffmpeg.decode)):
        with pytest.raises(InputError, match="/a: several recordings in one file, .*; convert it to WAV or FLAC"):
            read(tmp_path / "a")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("part", [0.3, 0.7, 0.99, "all but a page"])
def test_an_ogg_that_was_cut_is_named(tmp_path, subtype, part):
    content = compressed("OGG", subtype)
    end = content.rindex(b"OggS") if isinstance(part, str) else int(part * len(content))
    (tmp_path / "a.ogg").write_bytes(content[:end])
    with pytest.raises(InputError, match="a.ogg: truncated: its last page is missing; copy the file again"):
        load_audio(tmp_path / "a.ogg", decode=ffmpeg.decode)
    (tmp_path / "a.ogg").write_bytes(content + bytes(100))
    assert abs(len(load_audio(tmp_path / "a.ogg")) - 80000) < 10
