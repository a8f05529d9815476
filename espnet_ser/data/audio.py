"""Audio files as the encoder wants them: 16 kHz, mono, float32.

Whatever libsndfile reads is welcome; channels are averaged and other rates resampled. How many samples come out is known from
the header alone (:func:`num_samples_at_16k`), so lengths need no decoding.
"""

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from espnet_ser.errors import InputError

SAMPLE_RATE = 16000
MIN_SAMPLES = 400
"""The receptive field of wav2vec 2.0's feature encoder: a shorter waveform gives no frame at all."""

_UNKNOWN_SIZE = 0xFFFFFFFF  # written by programs that stream to a pipe


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file's header and bytes say, without decoding it.

    Attributes:
        num_frames: Samples per channel, at the file's own rate.
        sample_rate: The file's own rate, in Hz.
        num_channels: 1 for mono.
        num_samples: The length that :func:`load_audio` returns, at 16 kHz.
        sha256: Of the file's bytes, in hex.
    """

    num_frames: int
    sample_rate: int
    num_channels: int
    num_samples: int
    sha256: str


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
        InputError: It is missing, a folder, no audio, truncated, empty, or holds NaN or infinity.
    """
    try:
        with open(path, "rb") as file:
            _check_complete(file, path)
        with _soundfile(path, path) as sound:
            rate, num_frames = sound.samplerate, sound.frames
            x = sound.read(dtype="float32", always_2d=True)  # [num_frames, num_channels]
    except OSError as error:
        raise _unreadable(path, error) from error
    except soundfile.LibsndfileError as error:
        raise _not_audio(path) from error
    if len(x) == 0:
        raise _empty(path)
    if len(x) < num_frames:
        raise _truncated(path, f"{num_frames} samples", len(x))
    _check_finite(x, path)
    x = x[:, 0] if x.shape[1] == 1 else x.mean(axis=1)  # [num_frames]
    if rate == SAMPLE_RATE:
        return np.ascontiguousarray(x)
    num_samples = num_samples_at_16k(num_frames, rate)
    if num_samples == 0:
        raise _empty(path)
    x = soxr.resample(x, rate, SAMPLE_RATE)[:num_samples]
    return np.pad(x, (0, num_samples - len(x)))  # the resampler's own rounding may differ by one


def probe_audio(path: Path | str) -> AudioInfo:
    """Checks a file and measures it, reading its bytes once and decoding nothing but float formats (for NaN and infinity).

    Raises:
        InputError: As :func:`load_audio`.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not content:
        raise _empty(path)
    _check_complete(io.BytesIO(content), path)
    try:
        with _soundfile(io.BytesIO(content), path) as sound:
            num_frames, rate, num_channels = sound.frames, sound.samplerate, sound.channels
            if sound.subtype in ("FLOAT", "DOUBLE"):
                _check_finite(sound.read(dtype="float32"), path)
    except soundfile.LibsndfileError as error:
        raise _not_audio(path) from error
    num_samples = num_samples_at_16k(num_frames, rate)
    if num_samples == 0:
        raise _empty(path)
    return AudioInfo(num_frames, rate, num_channels, num_samples, hashlib.sha256(content).hexdigest())


def _soundfile(file: Path | str | BinaryIO, path: Path | str) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(file)
    except TypeError as error:  # soundfile wants rate and channels for a name that ends in .raw
        raise _not_audio(path) from error


def _check_complete(file: BinaryIO, path: Path | str) -> None:
    """Refuses a WAV whose data chunk is longer than what is there; libsndfile would read it as a shorter file.

    The data chunk decides, not the RIFF size: some writers get the latter wrong by a few bytes, and no audio is lost by that.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return
    position = 12
    while position + 8 <= size:
        file.seek(position)
        chunk = file.read(8)
        length = int.from_bytes(chunk[4:], "little")
        position += 8
        if chunk[:4] == b"data":
            if length != _UNKNOWN_SIZE and position + length > size:
                raise _truncated(path, f"{length} bytes of audio", size - position)
            return
        position += length + length % 2
    raise _truncated(path, "audio", "none")


def _check_finite(x: np.ndarray, path: Path | str) -> None:
    if not np.isfinite(x).all():
        count = int((~np.isfinite(x)).sum())
        raise InputError(f"{path}: {count} of its {x.size} samples are NaN or infinite; make the file again")


def _unreadable(path: Path | str, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file; check the path")
    if isinstance(error, IsADirectoryError):
        return InputError(f"{path}: a folder, not an audio file; name the files in it")
    return InputError(f"{path}: cannot be read: {error.strerror or error}")


def _not_audio(path: Path | str) -> InputError:
    return InputError(f"{path}: not audio that libsndfile can read; convert it to WAV or FLAC")


def _empty(path: Path | str) -> InputError:
    return InputError(f"{path}: empty: it holds no audio; copy or record the file again")


def _truncated(path: Path | str, promised: str, found: object) -> InputError:
    return InputError(f"{path}: truncated: the header promises {promised}, {found} found; copy the file again")
