"""Audio files that stage 1 must refuse, each in the place of a labelled utterance's."""

import io
import os
import struct

import numpy as np
import soundfile
from release_maker import tone, write_wav


def in_place_of_the_wav(make):
    def case(room):
        path = room.release.wav()
        path.unlink()
        make(path)
        return room.prepare()

    return case


def floats(value, count=1):
    x = tone(1000)
    x[7 : 7 + count] = value
    return in_place_of_the_wav(lambda path: write_wav(path, x, subtype="FLOAT"))


def content(data):
    return in_place_of_the_wav(lambda path: path.write_bytes(data))


def wav_bytes(num_samples=1000, rate=16000, **fields) -> bytes:
    """A WAV of silence; ``data_size``, ``channels``, ``bits`` and ``code`` overrule what its header says."""
    audio = bytes(2 * num_samples)
    channels, bits = fields.get("channels", 1), fields.get("bits", 16)
    width = max(1, channels * bits // 8) % 65536
    fmt = struct.pack("<HHIIHH", fields.get("code", 1), channels, rate, min(rate * width, 2**32 - 1), width, bits)
    data = b"data" + struct.pack("<I", fields.get("data_size", len(audio))) + audio
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(fmt)) + fmt + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def flac_bytes(**fields) -> bytearray:
    """A FLAC of 1000 samples; ``total`` overrules the number of samples that its header gives."""
    file = io.BytesIO()
    soundfile.write(file, tone(1000), 16000, format="FLAC")
    flac = bytearray(file.getvalue())
    if "total" in fields:  # the last 36 bits of bytes 18 to 25
        (word,) = struct.unpack(">Q", flac[18:26])
        flac[18:26] = struct.pack(">Q", (word >> 36 << 36) | fields["total"])
    return flac


def ogg_bytes() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, tone(8000), 16000, format="OGG")
    return file.getvalue()


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8

CASES = {
    "audio: an empty file": (content(b""), "empty: it holds no audio"),
    "audio: a header and no sample": (content(wav_bytes(0)), "empty: it holds no audio"),
    "audio: one sample": (content(wav_bytes(1)), "1 samples at 16 kHz, too short"),
    "audio: 399 samples, one too few for a frame": (content(wav_bytes(399)), "399 samples at 16 kHz, too short"),
    "audio: more than an hour": (content(wav_bytes(3_601_000, rate=1000)), "3601 s by its header, and 3600 s is the most"),
    "audio: NaN in a float file": (floats(np.nan), "1 of its 1000 samples are NaN or infinite"),
    "audio: infinite samples": (floats(-np.inf, 3), "3 of its 1000 samples are NaN or infinite"),
    "audio: samples of 1e30": (floats(1e30), "1 of its 1000 samples are NaN or infinite, or as good as that"),
    "audio: text": (content(b"Excuse me. " * 100), "not audio that libsndfile can read; convert it to WAV or FLAC"),
    "audio: a picture": (content(PNG), "not audio that libsndfile can read"),
    "audio: a WAV of zeros for chunks": (content(b"RIFF\0\0\0\0WAVE" + bytes(400_000)), "truncated"),
    "audio: a WAV without its audio": (content(wav_bytes()[:36]), "truncated: the header promises audio, none found"),
    "audio: cut within its header": (content(wav_bytes()[:22]), "truncated"),
    "audio: a header longer than the file": (
        content(wav_bytes(data_size=4_000_000_000)),
        "truncated: the header promises 4000000000 bytes of audio, 2000 found; copy the file again",
    ),
    "audio: a FLAC that promises 60 million samples": (content(flac_bytes(total=57_000_000)), "F000.wav: "),
    "audio: a FLAC that promises 10 billion samples": (content(flac_bytes(total=10_000_000_000)), "3600 s is the most"),
    "audio: half a FLAC": (content(flac_bytes()[: len(flac_bytes()) // 2]), "F000.wav: "),
    "audio: a third of an Ogg": (content(ogg_bytes()[: len(ogg_bytes()) // 3]), "truncated: its last page is missing"),
    "audio: two Oggs in one": (content(ogg_bytes() * 2), "several recordings in one file, of which the first alone"),
    "audio: two WAVs in one": (content(wav_bytes() * 2), "several recordings in one file, of which the first alone"),
    "audio: 0 Hz": (content(wav_bytes(rate=0)), "F000.wav: "),
    "audio: 1 Hz": (content(wav_bytes(rate=1)), "a sample rate of 1 Hz, where 1000 to 768000 is possible"),
    "audio: 2 GHz": (content(wav_bytes(rate=2_000_000_000)), "a sample rate of 2000000000 Hz"),
    "audio: no channel": (content(wav_bytes(channels=0)), "not audio that libsndfile can read"),
    "audio: 65535 channels": (content(wav_bytes(channels=65535)), "not audio that libsndfile can read"),
    "audio: an unknown encoding": (content(wav_bytes(code=0x7777)), "not audio that libsndfile can read"),
    "audio: a folder of that name": (in_place_of_the_wav(os.mkdir), "a folder, not an audio file"),
    "audio: a pipe that nobody writes to": (in_place_of_the_wav(os.mkfifo), "a pipe or a device, not a file"),
    "audio: a device without end": (in_place_of_the_wav(lambda p: p.symlink_to("/dev/zero")), "a pipe or a device, not a file"),
    "audio: a dangling link": (in_place_of_the_wav(lambda p: p.symlink_to("nowhere.wav")), "no such file; check the path"),
    "audio: a link to itself": (in_place_of_the_wav(lambda p: p.symlink_to(p.name)), "Too many levels of symbolic links"),
}
