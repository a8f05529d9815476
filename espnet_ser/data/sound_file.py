"""Files of audio as libsndfile decodes them, a block of samples at a time: memory does not depend on what a header promises."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from espnet_ser.data.sound_archive import open_entry, split_entry
from espnet_ser.data.sound_header import FileSection, with_true_length
from espnet_ser.data.sound_stream import UNKNOWN_FRAMES, to_its_end
from espnet_ser.errors import InputError
from espnet_ser.utils.files import open_regular

MIN_RATE, MAX_RATE = 1000, 768_000  # sample rates in Hz beyond which a header is damaged, whatever else it says

MAX_DURATION_S = 3600  # no utterance lasts longer; what a damaged header promises often does

MAX_CHANNELS = 64  # an array with more has some other axis where its channels should be, and a file with more a damaged header

MAX_OVERSHOOT_S = 0.5  # by so much a segment may end after its recording, as in Kaldi: times are rounded

_EXACT = ("PCM", "FLOAT", "DOUBLE", "ULAW", "ALAW")
"""Kinds of samples in which libsndfile finds a place exactly: after a seek in MP3 or Vorbis some are wrong, in GSM all."""
_BLOCK_VALUES = 1 << 20


class Segment(NamedTuple):
    """A part of a recording, as a line of Kaldi's ``segments`` names it."""

    recording: str
    start_s: float  # where it begins, in seconds
    end_s: float  # where it ends; below 0 for the recording's end


class NotAudio(InputError):
    """libsndfile does not know what this is."""


class _ForwardSoundFile(soundfile.SoundFile):
    """Read from its beginning to its end: to those that can be sought in, soundfile seeks after every read, and MP3 suffers."""

    def seekable(self) -> bool:
        """Not as far as soundfile is concerned."""
        return False


@contextmanager
def opened(path: Path | str) -> Iterator[FileIO | FileSection]:
    """A regular file, or an entry of an archive."""
    entry = split_entry(path)
    try:
        with open_regular(path if entry is None else entry[0]) as file:
            yield file if entry is None else open_entry(file, entry[1], path)
    except OSError as error:
        raise unreadable(path, error) from error


@contextmanager
def checked_sound(file: FileIO | FileSection, name: Path | str) -> Iterator[soundfile.SoundFile]:
    """The file as libsndfile sees it, what its header says found to be possible; errors of the body are InputErrors too."""
    if file.seek(0, os.SEEK_END) == 0:
        raise empty(name)
    file = with_true_length(to_its_end(file, name), name)
    file.seek(0)
    try:
        sound = _ForwardSoundFile(file.fileno() if isinstance(file, FileIO) else file, closefd=False)
    except soundfile.SoundFileError as error:
        raise NotAudio(f"{name}: not audio that libsndfile can read; convert it to WAV or FLAC") from error
    with sound:
        if sound.frames < 0:
            raise NotAudio(f"{name}: not audio that libsndfile can read; convert it to WAV or FLAC")
        if not MIN_RATE <= sound.samplerate <= MAX_RATE:
            raise InputError(
                f"{name}: a sample rate of {sound.samplerate} Hz, where {MIN_RATE} to {MAX_RATE} is possible; convert it again"
            )
        if sound.channels > MAX_CHANNELS:
            raise InputError(f"{name}: {sound.channels} channels, where {MAX_CHANNELS} is the most; convert it again")
        try:
            yield sound
        except soundfile.SoundFileError as error:
            raise InputError(f"{name}: damaged: libsndfile cannot decode all of it; copy or convert it again") from error


def blocks_of(sound: soundfile.SoundFile, name: Path | str, segment: Segment | None) -> Iterator[np.ndarray]:
    """The samples of a file, or of a part of it: float32 [frames, channels] of each block."""
    rate, frames = sound.samplerate, sound.frames
    is_known = frames < UNKNOWN_FRAMES
    first, last = (0, frames) if segment is None else _frames_of(segment, rate, frames, name)
    if last - first > MAX_DURATION_S * rate and (is_known or last != frames):
        raise too_long(name, f"{(last - first) / rate:.0f} s" + " by its header" * (segment is None))
    at_a_time = max(1, _BLOCK_VALUES // sound.channels)
    if first and sound.subtype.startswith(_EXACT):
        sound.seek(first)
    elif first:
        num_passed = 0
        while block := len(sound.read(min(at_a_time, first - num_passed), dtype="float32", always_2d=True)):
            num_passed += block
    num_frames = 0
    while wanted := min(at_a_time, last - first - num_frames):
        block = sound.read(wanted, dtype="float32", always_2d=True)  # [frames, channels]
        num_frames += len(block)
        if num_frames > MAX_DURATION_S * rate:
            raise too_long(name, "longer than its header says")
        yield block
        if len(block) < wanted:
            break
    missing = last - first - num_frames
    if is_known and missing > 0:
        raise InputError(f"{name}: truncated: the header promises {frames} samples, {first + num_frames} found; copy it again")
    if last != frames and missing > MAX_OVERSHOOT_S * rate:
        raise _no_such_part(name, segment, f", which lasts {(first + num_frames) / rate:.2f} s")
    if num_frames == 0:
        raise empty(name)


def _frames_of(segment: Segment, rate: int, frames: int, name: Path | str) -> tuple[int, int]:
    """The first frame of a part, and the one after its last."""
    first = round(segment.start_s * rate)
    last = frames if segment.end_s < 0 else round(segment.end_s * rate)
    if last > frames and last - frames <= MAX_OVERSHOOT_S * rate:
        last = frames
    if not 0 <= first < last <= frames:
        raise _no_such_part(name, segment, "" if frames >= UNKNOWN_FRAMES else f", which lasts {frames / rate:.2f} s")
    return first, last


def _no_such_part(name: Path | str, segment: Segment, length: str) -> InputError:
    end = "its end" if segment.end_s < 0 else f"{segment.end_s:g} s"
    return InputError(f"{name}: no segment from {segment.start_s:g} s to {end} in it{length}; correct segments")


def unreadable(path: Path | str, error: OSError) -> InputError:
    """The error for a file that cannot be opened or read."""
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file; check the path")
    if isinstance(error, IsADirectoryError):
        return InputError(f"{path}: a folder, not an audio file; name the files in it")
    return InputError(f"{path}: cannot be read: {error.strerror or error}")


def too_long(path: Path | str, how_long: str) -> InputError:
    """The error for what is longer than any utterance."""
    return InputError(f"{path}: {how_long}, and {MAX_DURATION_S} s is the most for an utterance; cut it into utterances")


def empty(path: Path | str) -> InputError:
    """The error for audio without a sample."""
    return InputError(f"{path}: empty: it holds no audio; copy or record the file again")
