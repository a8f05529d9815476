"""Audio as the encoder wants it: 16 kHz, mono, float32.

Whatever libsndfile reads is welcome, from a file, a part of one or a stream, and arrays of samples; channels are averaged and
other rates resampled. How many samples come out follows from the number at the file's own rate (:func:`num_samples_at_16k`).
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from numbers import Real
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soxr

from espnet_ser.data.sound_archive import split_entry
from espnet_ser.data.sound_file import (
    MAX_CHANNELS,
    MAX_DURATION_S,
    MAX_RATE,
    MIN_RATE,
    NotAudio,
    Segment,
    blocks_of,
    checked_sound,
    empty,
    opened,
    too_long,
    unreadable,
)
from espnet_ser.errors import InputError
from espnet_ser.utils.hashing import file_sha256

SAMPLE_RATE = 16000

LONGEST_WHOLE_S = 35.0  # seconds; what is longer is predicted in windows, unless windows are asked for
MIN_SAMPLES = 400  # the receptive field of wav2vec 2.0's feature encoder: a shorter waveform gives no frame at all

_BLOCK_BYTES = 1 << 20
_MAX_STREAM_BYTES = 1 << 32  # a WAV can be no larger
_MAX_AMPLITUDE = 1e10  # above 32-bit integers held in floats, and far from where sums become infinite


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What is known of an audio file."""

    num_frames: int  # samples per channel, at the file's own rate
    sample_rate: int  # the file's own rate, in Hz
    num_channels: int  # 1 for mono
    num_samples: int  # the length that :func:`load_audio` returns, at 16 kHz
    sha256: str  # from :func:`audio_sha256`
    samples_sha256: str  # from :func:`hash_samples`, of its samples at its own rate


def num_samples_at_16k(frames: int, rate: int) -> int:
    """The length, in samples at 16 kHz, of ``frames`` samples at ``rate`` Hz: rounded, a half upwards.

    >>> num_samples_at_16k(16000, 16000), num_samples_at_16k(100, 8000), num_samples_at_16k(100, 48000)
    (16000, 200, 33)
    """
    return (2 * frames * SAMPLE_RATE + rate) // (2 * rate)


Decode = Callable[[FileIO, Path | str], np.ndarray]
"""What reads a file that libsndfile does not know, given it and its name: float32 [num_samples] at 16 kHz."""


def load_audio(path: Path | str, segment: Segment | None = None, decode: Decode | None = None) -> np.ndarray:
    """Reads one audio file, or a part of one, as 16 kHz mono. ``segment``: the part; None for all; ``decode``: for files that
    libsndfile does not know. Returns float32 array of shape [num_samples], nominally within -1 to 1. Raises InputError: it is
    missing, no regular file, no audio, truncated, empty, of an odd sample rate, longer than :data:`MAX_DURATION_S`, or holds
    NaN or infinity; or there is no such part.
    """
    with opened(path) as file:
        return _load(file, path, segment, decode)


def load_stream(stream: BinaryIO, name: str, decode: Decode | None = None) -> np.ndarray:
    """Reads audio from what cannot be searched, such as standard input, to its end; as :func:`load_audio` otherwise.
    ``stream``: the bytes of an audio file. They go through a temporary file; ``decode``: for streams that libsndfile does not
    know. Raises InputError as :func:`load_audio`, or there is more than fits a WAV.
    """
    with tempfile.TemporaryFile() as file:
        while block := stream.read(_BLOCK_BYTES):
            if file.tell() + len(block) > _MAX_STREAM_BYTES:
                raise InputError(f"{name}: more than {_MAX_STREAM_BYTES >> 30} GiB; give it as files")
            file.write(block)
        file.flush()
        return _load(file.raw, name, None, decode)


def as_waveform(samples: np.ndarray, rate: float, name: str) -> np.ndarray:
    """An array of samples as :func:`load_audio` would have read them from a file.

    ``samples``: [num_frames]; or [num_frames, channels] or [channels, num_frames], of which the longer axis is time. Real
    numbers nominally within -1 to 1; or int16, int32 or uint8 as in a WAV; ``rate``: their sample rate in Hz. Returns float32
    array of shape [num_samples], at 16 kHz. Raises InputError: it is of another shape or type, empty, of an odd sample rate,
    longer than :data:`MAX_DURATION_S`, or holds NaN or infinity.
    """
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and min(samples.shape) > MAX_CHANNELS):
        raise InputError(
            f"{name}: an array of shape {list(samples.shape)}, where [samples] or [samples, channels] is audio (at most "
            f"{MAX_CHANNELS} channels); give several waveforms as a list"
        )
    if not isinstance(rate, Real) or not MIN_RATE <= rate <= MAX_RATE or rate != int(rate):
        raise InputError(f"{name}: a sample rate of {rate!r} Hz, where whole {MIN_RATE} to {MAX_RATE} are possible")
    rate = int(rate)
    if samples.size == 0:
        raise empty(name)
    if max(samples.shape) > MAX_DURATION_S * rate:
        raise too_long(name, f"{max(samples.shape) / rate:.0f} s")
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype in (np.int16, np.int32):
        samples = samples / -float(np.iinfo(samples.dtype).min)
    elif samples.dtype.kind != "f":
        raise InputError(f"{name}: an array of {samples.dtype}, where audio is floating point, int16, int32 or uint8")
    if samples.ndim == 2 and samples.shape[0] < samples.shape[1]:
        samples = samples.T
    return at_16k([samples.reshape(len(samples), -1)], rate, name)


def at_16k(blocks: Iterable[np.ndarray], rate: int, name: Path | str) -> np.ndarray:
    """Puts a recording together: channels averaged, at 16 kHz. ``blocks``: samples [frames, channels], floating point;
    ``rate``: their sample rate in Hz. Returns float32 array of shape [num_samples].
    """
    resampler = None if rate == SAMPLE_RATE else soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
    parts: list[np.ndarray] = []
    num_frames = 0
    for mono in _mono(blocks, name):
        num_frames += len(mono)
        parts.append(mono if resampler is None else resampler.resample_chunk(mono))
    num_samples = num_samples_at_16k(num_frames, rate)
    if num_samples == 0:
        raise empty(name)
    if resampler is not None:
        parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        # Its own rounding may differ by one from ours.
        parts.append(np.zeros(max(0, num_samples - sum(map(len, parts))), np.float32))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)[:num_samples]


def _mono(blocks: Iterable[np.ndarray], name: Path | str) -> Iterator[np.ndarray]:
    """Channels averaged: float32 [frames] of each block [frames, channels]; ends in an error where samples are no numbers."""
    num_wrong = num_values = 0
    for block in blocks:
        num_values += block.size
        num_wrong += block.size - int((np.abs(block) <= _MAX_AMPLITUDE).sum())
        if num_wrong == 0:  # sums of others overflow
            block = block.astype(np.float32, copy=False)
            yield np.ascontiguousarray(block[:, 0]) if block.shape[1] == 1 else block.mean(axis=1)
    if num_wrong:
        raise InputError(
            f"{name}: {num_wrong} of its {num_values} samples are NaN or infinite, or as good as that; make it again"
        )


def probe_audio(path: Path | str, segment: Segment | None = None) -> AudioInfo:
    """Checks a file or a part of one, all of its samples included, and measures it. Raises InputError as :func:`load_audio`."""
    digest, num_frames = hashlib.sha256(), 0
    with opened(path) as file, checked_sound(file, path) as sound:
        rate, num_channels = sound.samplerate, sound.channels
        for mono in _mono(blocks_of(sound, path, segment), path):
            digest.update(_hashed_bytes(mono))
            num_frames += len(mono)
    num_samples = num_samples_at_16k(num_frames, rate)
    if num_samples == 0:
        raise empty(path)
    samples_sha256 = digest.hexdigest()
    try:
        sha256 = file_sha256(path) if _is_whole_file(path, segment) else samples_sha256
    except OSError as error:
        raise unreadable(path, error) from error
    return AudioInfo(num_frames, rate, num_channels, num_samples, sha256, samples_sha256)


def audio_sha256(path: Path | str, segment: Segment | None = None) -> str:
    """What audio is known by: the SHA-256 (hex) of a file's bytes; of a part of one, or of an archive, that of its samples.
    Raises InputError: a part cannot be read; OSError: a file cannot be read.
    """
    return file_sha256(path) if _is_whole_file(path, segment) else probe_audio(path, segment).sha256


def _is_whole_file(path: Path | str, segment: Segment | None) -> bool:
    return segment is None and split_entry(path) is None


def hash_samples(samples: np.ndarray) -> str:
    """What a recording sounds like, by content: the SHA-256 (hex) of its samples, whatever file they lie in. The same for a
    WAV, a FLAC made of it, one of more bits, of other metadata, of two equal channels, or that claims another rate; another one
    where the samples are others by however little: another gain, a codec that loses something. ``samples``: mono, float32
    [num_frames], at the recording's own rate.

    >>> hash_samples(np.zeros(2, np.float32)) == hash_samples(-np.zeros(2, np.float32))
    True
    """
    return hashlib.sha256(_hashed_bytes(samples)).hexdigest()


def _hashed_bytes(samples: np.ndarray) -> np.ndarray:
    return samples + np.float32(0)  # -0.0 becomes 0.0


def _load(file: FileIO, name: Path | str, segment: Segment | None, decode: Decode | None) -> np.ndarray:
    try:
        with checked_sound(file, name) as sound:
            return at_16k(blocks_of(sound, name, segment), sound.samplerate, name)
    except NotAudio:
        if decode is None or not _is_whole_file(name, segment):
            raise
    return decode(file, name)
