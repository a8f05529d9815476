"""Audio files as the encoder wants them: 16 kHz, mono, float32.

Whatever libsndfile reads is welcome; channels are averaged and other rates resampled. How many samples come out is known from
the header alone (:func:`num_samples_at_16k`), so the lengths of plain WAV files need no decoding.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

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

_UNKNOWN_SIZE = 0xFFFFFFFF  # written by programs that stream to a pipe
_UNKNOWN_FRAMES = 2**63 - 1  # libsndfile's word for it
_MAX_CHUNKS = 10_000  # before the audio of a WAV; there are ten at most, and a file of zeros looks like millions
_BLOCK_VALUES = 1 << 22
_MAX_AMPLITUDE = 1e10  # above 32-bit integers held in floats, and far from where sums become infinite


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
        InputError: It is missing, no regular file, no audio, truncated, empty, of an odd sample rate, longer than
            :data:`MAX_DURATION_S`, or holds NaN or infinity.
    """
    with _open_sound(path) as sound:
        rate = sound.samplerate
        x = _read_mono(sound, path)  # [num_frames]
    num_samples = num_samples_at_16k(len(x), rate)
    if num_samples == 0:
        raise _empty(path)
    if rate == SAMPLE_RATE:
        return x
    x = soxr.resample(x, rate, SAMPLE_RATE)[:num_samples]
    return np.pad(x, (0, num_samples - len(x)))  # the resampler's own rounding may differ by one


def probe_audio(path: Path | str) -> AudioInfo:
    """Checks a file and measures it, decoding it only where its header cannot be trusted, or may hide NaN or infinity.

    Raises:
        InputError: As :func:`load_audio`.
    """
    with _open_sound(path) as sound:
        rate, num_channels = sound.samplerate, sound.channels
        plain = sound.format in ("WAV", "WAVEX") and sound.subtype.startswith("PCM_")
        num_frames = sound.frames if plain else len(_read_mono(sound, path))
    num_samples = num_samples_at_16k(num_frames, rate)
    if num_samples == 0:
        raise _empty(path)
    try:
        return AudioInfo(num_frames, rate, num_channels, num_samples, file_sha256(path))
    except OSError as error:
        raise _unreadable(path, error) from error


class _ForwardSoundFile(soundfile.SoundFile):
    """Read from its beginning to its end: to those that can be sought in, soundfile seeks after every read, and MP3 suffers."""

    def seekable(self) -> bool:
        """Not as far as soundfile is concerned."""
        return False


@contextmanager
def _open_sound(path: Path | str) -> Iterator[soundfile.SoundFile]:
    """The file as libsndfile sees it, what its header says found to be possible; errors of the body are told too."""
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise _empty(path)
            _check_complete(file, path)
            file.seek(0)
            with _ForwardSoundFile(file.fileno(), closefd=False) as sound:
                rate = sound.samplerate
                if sound.frames < 0:
                    raise _not_audio(path)
                if not MIN_RATE <= rate <= MAX_RATE:
                    raise InputError(
                        f"{path}: a sample rate of {rate} Hz, where {MIN_RATE} to {MAX_RATE} is possible; convert it again"
                    )
                if sound.frames != _UNKNOWN_FRAMES and sound.frames > MAX_DURATION_S * rate:
                    raise _too_long(path, f"{sound.frames / rate:.0f} s by its header")
                yield sound
    except OSError as error:
        raise _unreadable(path, error) from error
    except soundfile.SoundFileError as error:
        raise _not_audio(path) from error


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
    if num_wrong:
        count = num_frames * sound.channels
        raise InputError(
            f"{path}: {num_wrong} of its {count} samples are NaN or infinite, or as good as that; make the file again"
        )
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _check_complete(file: FileIO, path: Path | str) -> None:
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
            if length != _UNKNOWN_SIZE and position + length > size:
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
