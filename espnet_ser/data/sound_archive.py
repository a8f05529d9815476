"""Sound files in Kaldi's archives, as a ``wav.scp`` names them: ``data_wav.ark:1234``, an archive and the entry's first byte.

kaldiio, which writes them, also reads them, but would load a pickle that it finds in one and run a command that stands in place
of a path, and takes all that follows a FLAC for the entry; so an entry's place is found here, and libsndfile decodes it.
"""

import os
import re
from io import FileIO
from pathlib import Path

from espnet_ser.data.sound_header import FileSection
from espnet_ser.errors import InputError


def split_entry(path: Path | str) -> tuple[Path, int] | None:
    """The archive and the place in it that a path names; None for the path of a file."""
    match = re.fullmatch(r"(.+):([0-9]{1,15})", os.fspath(path), re.DOTALL)
    if match is None or os.path.lexists(path):
        return None
    return Path(match[1]), int(match[2])


def file_of(path: Path | str) -> Path:
    """The file that holds the audio: the archive, for an entry of one."""
    entry = split_entry(path)
    return Path(path) if entry is None else entry[0]


def open_entry(archive: FileIO, start: int, name: Path | str) -> FileSection:
    """An entry of an open archive, as a sound file of its own. Raises InputError: no sound lies there, or one of no known
    length.
    """
    archive.seek(start)
    kind = archive.read(5)
    if kind == b"AUDIO":
        num_bytes = int.from_bytes(archive.read(1), "little")
        length = int.from_bytes(archive.read(num_bytes), "little")
        return FileSection(archive, archive.tell(), length=length)
    if kind[:4] in (b"RIFF", b"RIFX"):
        archive.seek(start + 4)
        length = int.from_bytes(archive.read(4), "little" if kind[:4] == b"RIFF" else "big") + 8
        if not 44 <= length < 0x7FFF0000:
            raise InputError(f"{name}: a WAV in an archive whose header does not say how long it is; write the archive again")
        return FileSection(archive, start, length=length)
    if kind[:4] in (b"fLaC", b"OggS"):
        return FileSection(archive, start)  # their headers say where they end
    what = {b"\0B": "a matrix, which has no sample rate", b"NP": "a NumPy array, which has no sample rate", b"PK": "a pickle"}
    raise InputError(
        f"{name}: {what.get(kind[:2], 'no sound file')} at this place of the archive; write sound into it, or list files"
    )
