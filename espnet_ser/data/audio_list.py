"""Which audio a command line names: files, folders, globs, lists in Kaldi's format, standard input."""

import os
from collections.abc import Iterable, Iterator
from glob import glob
from pathlib import Path
from typing import NamedTuple

from espnet_ser.data import ffmpeg
from espnet_ser.data.datadir import on_disk, read_wav_scp
from espnet_ser.data.sound_archive import file_of
from espnet_ser.data.sound_file import Segment
from espnet_ser.errors import InputError

AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff", ".aif", ".au", ".sph", ".caf", ".w64", ".rf64", ".bwf", ".wave"),
    *(".oga", ".mp2", ".aifc", ".snd", ".nist", ".voc", ".avr", ".htk", ".svx", ".8svx", ".iff", ".paf", ".pvf", ".sd2"),
    *(".sds", ".sf", ".ircam", ".wve", ".xi"),
)
"""Names of what libsndfile reads, matrices (``.mat``) and samples without a header left out."""

FOUND_SUFFIXES = AUDIO_SUFFIXES + ffmpeg.SUFFIXES
"""What is taken from a folder; a file that is named by itself may be called anything."""

STANDARD_INPUT = "-"


class NamedAudio(NamedTuple):
    """Audio, and what it is called in what is written of it."""

    utt: str  # its key in ``wav.scp`` or ``segments``; elsewhere its path, as it was given or found
    path: Path | None  # the file, or an entry of an archive; None for standard input
    segment: Segment | None = None  # which part of the file is meant; None for all


def find_audio(names: Iterable[str]) -> list[NamedAudio]:
    """What the words of a command line stand for, in their order.

    Args:
        names: Each a file; a folder, for what is called like sound or video below it; a pattern (``'a/**/*.wav'``), for the
            files that match it; a list of utterance ids and paths (``*.scp``); or ``-``, once, for the bytes of an audio file
            on standard input. What folders and patterns give is sorted; what is hidden there is left out, and a linked folder
            is taken once.

    Raises:
        InputError: When a name stands for nothing, or a line of a list is malformed or a command, which nobody runs.
    """
    names = list(names)
    if names.count(STANDARD_INPUT) > 1:
        raise InputError("standard input (-) can be read once alone")
    return [audio for name in names for audio in _find(name)]


def _find(name: str) -> Iterator[NamedAudio]:
    path = on_disk(Path(name))
    if name == STANDARD_INPUT:
        yield NamedAudio(name, None)
    elif not name:
        raise InputError("an empty name; name an audio file")
    elif path.is_dir():
        yield from _named(_audio_below(path))
    elif path.exists() and path.suffix.lower() == ".scp":
        yield from (NamedAudio(utt, place.wav, place.segment) for utt, place in read_wav_scp(path).items())
    elif path.is_symlink() or path.exists() or file_of(path).is_file():
        yield NamedAudio(name, path)
    elif any(character in name for character in "*?["):
        found = sorted(match for match in glob(name, recursive=True) if not os.path.isdir(match))
        if not found:
            raise InputError(f"{name}: matches no file; check the pattern")
        yield from _named(found)
    else:
        raise InputError(f"{name}: no such file or folder; check the path")


def _audio_below(folder: Path) -> list[str]:
    def refuse(error: OSError) -> None:
        raise error

    found, folders, seen = [], [os.fspath(folder)], set()
    for start in folders:  # which grows by the links that are met
        for root, below, files in os.walk(start, onerror=refuse):
            if (real := os.path.realpath(root)) in seen:
                below.clear()
                continue
            seen.add(real)
            found += [os.path.join(root, file) for file in files if file.lower().endswith(FOUND_SUFFIXES) and file[0] != "."]
            folders += [path for name in sorted(below) if os.path.islink(path := os.path.join(root, name))]
    if not found:
        known = ", ".join(AUDIO_SUFFIXES[:4])
        raise InputError(f"{folder}: no audio file below this folder ({known}, ...); name the files themselves")
    return sorted(found)


def _named(paths: Iterable[str]) -> list[NamedAudio]:
    return [NamedAudio(path, Path(path)) for path in paths]
