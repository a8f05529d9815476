"""Audio as the encoder wants it: 16 kHz, mono, float32.

Whatever libsndfile reads is welcome, from a file or from a stream, and arrays of samples; channels are averaged and other rates
resampled. How many samples come out follows from the number at the file's own rate (:func:`num_samples_at_16k`).
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from numbers import Real
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from espnet_ser.errors import InputError
from espnet_ser.files import open_regular
from espnet_ser.stamp import file_sha256

SAMPLE_RATE = 16000
MIN_SAMPLES = 400
"""The receptive field of wav2vec 2.0's feature encoder: a shorter waveform gives no frame at all."""

MIN_RATE, MAX_RATE = 1000, 1_000_000
"""Sample rates in Hz beyond which a header is damaged, whatever else it says."""

MAX_DURATION_S = 3600
"""No utterance lasts longer; what a damaged header promises often does."""

MAX_CHANNELS = 64
"""An array with more has some other axis where its channels should be."""

_UNKNOWN_SIZE = 0xFFFFFFFF  # written by programs that stream to a pipe
_UNKNOWN_IN_STREAM = 0x7FFF0000  # from here on in what comes through one: others write about half of that
_UNKNOWN_FRAMES = 2**63 - 1  # libsndfile's word for it
_MAX_CHUNKS = 10_000  # before the audio of a WAV; there are ten at most, and a file of zeros looks like millions
_BLOCK_VALUES = 1 << 22
_BLOCK_BYTES = 1 << 20
_MAX_STREAM_BYTES = 1 << 32  # a WAV can be no larger
_MAX_AMPLITUDE = 1e10  # above 32-bit integers held in floats, and far from where sums become infinite


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What is known of an audio file.

    Attributes:
        num_frames: Samples per channel, at the file's own rate.
        sample_rate: The file's own rate, in Hz.
        num_channels: 1 for mono.
        num_samples: The length that :func:`load_audio` returns, at 16 kHz.
        sha256: Of the file's bytes, in hex.
        samples_sha256: From :func:`hash_samples`, of its samples at its own rate.
    """

    num_frames: int
    sample_rate: int
    num_channels: int
    num_samples: int
    sha256: str
    samples_sha256: str


def num_samples_at_16k(frames: int, rate: int) -> int:
    """The length, in samples at 16 kHz, of ``frames`` samples at ``rate`` Hz: rounded, a half upwards.

    >>> num_samples_at_16k(16000, 16000), num_samples_at_16k(100, 8000), num_samples_at_16k(100, 48000)
    (16000, 200, 33)
    """
    return (2 * frames * SAMPLE_RATE + rate) // (2 * rate)


def load_audio(path: Path | str) -> np.ndarray:
    """Reads one audio file as 16 kHz mono.

    Returns:
        float32 array of shape [num_samples], nominally within -1 to 1.

    Raises:
        InputError: It is missing, no regular file, no audio, truncated, empty, of an odd sample rate, longer than
            :data:`MAX_DURATION_S`, or holds NaN or infinity.
    """
    with _open_sound(path) as sound:
        return _resampled(_read_mono(sound, path), sound.samplerate, path)


def load_stream(stream: BinaryIO, name: str) -> np.ndarray:
    """Reads audio from what cannot be searched, such as standard input, to its end; as :func:`load_audio` otherwise.

    Args:
        stream: The bytes of an audio file. They go through a temporary file.
        name: Of the stream, for errors.

    Raises:
        InputError: As :func:`load_audio`, or there is more than fits a WAV.
    """
    with tempfile.TemporaryFile() as file:
        while block := stream.read(_BLOCK_BYTES):
            if file.tell() + len(block) > _MAX_STREAM_BYTES:
                raise InputError(f"{name}: more than {_MAX_STREAM_BYTES >> 30} GiB; give it as files")
            file.write(block)
        file.flush()
        with _checked_sound(file.raw, name, _UNKNOWN_IN_STREAM) as sound:
            return _resampled(_read_mono(sound, name), sound.samplerate, name)


def as_waveform(samples: np.ndarray, rate: float, name: str) -> np.ndarray:
    """An array of samples as :func:`load_audio` would have read them from a file.

    Args:
        samples: [num_frames]; or [num_frames, channels] or [channels, num_frames], of which the longer axis is time. Real
            numbers nominally within -1 to 1; or int16, int32 or uint8 as in a WAV.
        rate: Their sample rate in Hz.
        name: Of the array, for errors.

    Returns:
        float32 array of shape [num_samples], at 16 kHz.

    Raises:
        InputError: It is of another shape or type, empty, of an odd sample rate, longer than :data:`MAX_DURATION_S`, or holds
            NaN or infinity.
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
        raise _empty(name)
    if max(samples.shape) > MAX_DURATION_S * rate:
        raise _too_long(name, f"{max(samples.shape) / rate:.0f} s")
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype in (np.int16, np.int32):
        samples = samples / -float(np.iinfo(samples.dtype).min)
    elif samples.dtype.kind != "f":
        raise InputError(f"{name}: an array of {samples.dtype}, where audio is floating point, int16, int32 or uint8")
    _refuse_wrong_samples(int((~(np.abs(samples) <= _MAX_AMPLITUDE)).sum()), samples.size, name)
    x = samples.astype(np.float32)
    if x.ndim == 2:
        x = x.mean(axis=0 if x.shape[0] < x.shape[1] else 1)
    return _resampled(np.ascontiguousarray(x), rate, name)


def _resampled(x: np.ndarray, rate: int, name: Path | str) -> np.ndarray:
    """At 16 kHz: [num_frames] -> [num_samples]."""
    num_samples = num_samples_at_16k(len(x), rate)
    if num_samples == 0:
        raise _empty(name)
    if rate == SAMPLE_RATE:
        return x
    x = soxr.resample(x, rate, SAMPLE_RATE)[:num_samples]
    return np.pad(x, (0, num_samples - len(x)))  # the resampler's own rounding may differ by one


def probe_audio(path: Path | str) -> AudioInfo:
    """Checks a file, all of its samples included, and measures it.

    Raises:
        InputError: As :func:`load_audio`.
    """
    with _open_sound(path) as sound:
        rate, num_channels = sound.samplerate, sound.channels
        samples = _read_mono(sound, path)
    num_samples = num_samples_at_16k(len(samples), rate)
    if num_samples == 0:
        raise _empty(path)
    try:
        return AudioInfo(len(samples), rate, num_channels, num_samples, file_sha256(path), hash_samples(samples))
    except OSError as error:
        raise _unreadable(path, error) from error


def hash_samples(samples: np.ndarray) -> str:
    """What a recording sounds like, by content: the SHA-256 (hex) of its samples, whatever file they lie in.

    The same for a WAV, a FLAC made of it, one of more bits, of other metadata, of two equal channels, or that claims another
    rate; another one where the samples are others by however little: another gain, a codec that loses something.

    Args:
        samples: Mono, float32 [num_frames], at the recording's own rate.

    >>> hash_samples(np.zeros(2, np.float32)) == hash_samples(-np.zeros(2, np.float32))
    True
    """
    return hashlib.sha256(samples + np.float32(0)).hexdigest()  # -0.0 becomes 0.0


class _ForwardSoundFile(soundfile.SoundFile):
    """Read from its beginning to its end: to those that can be sought in, soundfile seeks after every read, and MP3 suffers."""

    def seekable(self) -> bool:
        """Not as far as soundfile is concerned."""
        return False


@contextmanager
def _open_sound(path: Path | str) -> Iterator[soundfile.SoundFile]:
    """A regular file as :func:`_checked_sound` has it."""
    try:
        with open_regular(path) as file, _checked_sound(file, path) as sound:
            yield sound
    except OSError as error:
        raise _unreadable(path, error) from error


@contextmanager
def _checked_sound(file: FileIO, name: Path | str, unknown_from: int = _UNKNOWN_SIZE) -> Iterator[soundfile.SoundFile]:
    """The file as libsndfile sees it, what its header says found to be possible; errors of the body are told too."""
    if os.fstat(file.fileno()).st_size == 0:
        raise _empty(name)
    _check_complete(file, name, unknown_from)
    file.seek(0)
    try:
        with _ForwardSoundFile(file.fileno(), closefd=False) as sound:
            rate = sound.samplerate
            if sound.frames < 0:
                raise _not_audio(name)
            if not MIN_RATE <= rate <= MAX_RATE:
                raise InputError(
                    f"{name}: a sample rate of {rate} Hz, where {MIN_RATE} to {MAX_RATE} is possible; convert it again"
                )
            if sound.frames != _UNKNOWN_FRAMES and sound.frames > MAX_DURATION_S * rate:
                raise _too_long(name, f"{sound.frames / rate:.0f} s by its header")
            yield sound
    except soundfile.SoundFileError as error:
        raise _not_audio(name) from error


def _read_mono(sound: soundfile.SoundFile, path: Path | str) -> np.ndarray:
    """All samples, channels averaged: float32 [num_frames].

    Read in blocks, so that memory is taken for samples that are there, not for those that a header promises.
    """
    parts: list[np.ndarray] = []
    num_frames = num_wrong = 0
    is_known = sound.frames != _UNKNOWN_FRAMES
    while wanted := min(max(1, _BLOCK_VALUES // sound.channels), sound.frames - num_frames):
        block = sound.read(wanted, dtype="float32", always_2d=True)  # [frames, channels]
        num_frames += len(block)
        num_wrong += block.size - int((np.abs(block) <= _MAX_AMPLITUDE).sum())
        if num_frames > MAX_DURATION_S * sound.samplerate:
            raise _too_long(path, "longer than its header says")
        if num_wrong == 0:  # sums of others overflow
            parts.append(np.ascontiguousarray(block[:, 0]) if block.shape[1] == 1 else block.mean(axis=1))
        if len(block) < wanted:
            break
    if num_frames == 0:
        raise _empty(path)
    if is_known and num_frames < sound.frames:
        raise _truncated(path, f"{sound.frames} samples", num_frames)
    _refuse_wrong_samples(num_wrong, num_frames * sound.channels, path)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _refuse_wrong_samples(num_wrong: int, count: int, name: Path | str) -> None:
    if num_wrong:
        raise InputError(f"{name}: {num_wrong} of its {count} samples are NaN or infinite, or as good as that; make it again")


def _check_complete(file: FileIO, path: Path | str, unknown_from: int) -> None:
    """Refuses a WAV whose data chunk is longer than what is there; libsndfile would read it as a shorter file.

    The data chunk decides, not the RIFF size: some writers get the latter wrong by a few bytes, and no audio is lost by that.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return
    position = 12
    for _ in range(_MAX_CHUNKS):
        if position + 8 > size:
            break
        file.seek(position)
        chunk = file.read(8)
        length = int.from_bytes(chunk[4:], "little")
        position += 8
        if chunk[:4] == b"data":
            if length < unknown_from and position + length > size:
                raise _truncated(path, f"{length} bytes of audio", size - position)
            return
        position += length + length % 2
    raise _truncated(path, "audio", "none")


def _unreadable(path: Path | str, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file; check the path")
    if isinstance(error, IsADirectoryError):
        return InputError(f"{path}: a folder, not an audio file; name the files in it")
    return InputError(f"{path}: cannot be read: {error.strerror or error}")


def _not_audio(path: Path | str) -> InputError:
    return InputError(f"{path}: not audio that libsndfile can read; convert it to WAV or FLAC")


def _too_long(path: Path | str, how_long: str) -> InputError:
    return InputError(f"{path}: {how_long}, and {MAX_DURATION_S} s is the most for an utterance; cut it into utterances")


def _empty(path: Path | str) -> InputError:
    return InputError(f"{path}: empty: it holds no audio; copy or record the file again")


def _truncated(path: Path | str, promised: str, found: object) -> InputError:
    return InputError(f"{path}: truncated: the header promises {promised}, {found} found; copy the file again")
