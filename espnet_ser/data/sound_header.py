"""What a file's header says of how long its audio is, against what is there.

libsndfile reads as much as there is, without a word. But a file that was cut must be named; and what a program wrote to a pipe,
or a recorder that was killed, is whole, though its header gives no length or one that nobody measured.
"""

import io
import os
import struct
from collections.abc import Callable
from functools import partial
from io import FileIO
from typing import NamedTuple

from espnet_ser.errors import InputError

_MADE_UP = (0x7F000000, 0x80000000, 0x100000000)
"""What programs write that do not know a length of 32 bits, or up to 64 KiB around it: SoX 0x7ffff000 to a pipe and
0x7f000000 into an AIFF, others 0x7fffffff, 0x80000000, or 0xffffffff less a header."""

_MADE_UP_FROM_64 = 1 << 62
_MAX_CHUNKS = 10_000  # before the audio; there are ten at most, and a file of zeros looks like millions
_MAX_HEADER = 1 << 20
_FOLLOWS_AN_ODD_CHUNK = (b"fmt ", b"data", b"fact", b"LIST")
_GUID_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # of all chunks of a Wave64 but the first


class FileSection(io.RawIOBase):
    """A part of an open file as a file of its own, a header of ours before it; for reading. ``start``: where the part begins,
    in bytes; ``header``: what is read before it; ``length``: of the part, in bytes; None for all that follows.
    """

    def __init__(self, file: "FileIO | FileSection", start: int, header: bytes = b"", length: int | None = None):
        self._file, self._start, self._header, self._position = file, start, header, 0
        there = max(0, file.seek(0, os.SEEK_END) - start)
        self._size = len(header) + (there if length is None else min(length, there))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:  # noqa: D102
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:  # noqa: D102
        return self._position

    def readinto(self, buffer) -> int:  # noqa: D102
        wanted = max(0, min(len(buffer), self._size - self._position))
        content = self._header[self._position : self._position + wanted]
        if len(content) < wanted:
            self._file.seek(self._start + max(0, self._position + len(content) - len(self._header)))
            content += self._file.read(wanted - len(content))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def readable(self) -> bool:  # noqa: D102
        return True

    def seekable(self) -> bool:  # noqa: D102
        return True


class _Audio(NamedTuple):
    """What a header says of the audio: where it begins, its bytes, and a header that says so of another number of bytes."""

    start: int
    length: int
    is_made_up: bool
    header: Callable[[int], bytes]
    is_odd: bool = False


def with_true_length(file: FileIO | FileSection, name: object) -> FileIO | FileSection:
    """A file of audio with a header that libsndfile takes at its word: the file itself, where its own is right. Raises
    InputError: the header promises more than is there, as of a file that was cut.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(16)
    find = _FINDERS.get(head[:4])
    audio = find(file, head, size) if find else None
    if audio is None:
        return file
    if audio.start > size:
        raise _truncated(name, "audio", "none")
    there = size - audio.start
    nothing_written = audio.length == 0 and there > 0 and not _holds_chunks(file, audio.start, size)
    if (audio.is_made_up and audio.length > there) or nothing_written:
        length = there
    elif audio.length > there:
        raise _truncated(name, f"{audio.length} bytes of audio", there)
    elif audio.is_odd:
        length = audio.length
    else:
        return file
    if length >> 31:  # no header of 32 bits holds it
        return file
    return FileSection(file, audio.start, audio.header(length))


def _is_made_up(length: int) -> bool:
    return any(abs(length - number) <= 1 << 16 for number in _MADE_UP)


def _riff(file: FileIO, head: bytes, size: int) -> _Audio | None:
    """WAV in either byte order, and RF64, whose true length lies in a chunk of its own."""
    if head[8:12] != b"WAVE":
        return None
    order = ">" if head[:4] == b"RIFX" else "<"
    position, fmt, length_64, is_odd = 12, b"", None, False
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        name, length = file.read(4), int.from_bytes(file.read(4), "big" if order == ">" else "little")
        position += 8
        if position > size:
            break
        if name == b"data":
            is_long = length == 0xFFFFFFFF and length_64 is not None
            length = length_64 if is_long else length
            is_made_up = length >= _MADE_UP_FROM_64 if is_long else _is_made_up(length)
            return _Audio(position, length, is_made_up, partial(_riff_header, order, fmt), is_odd)
        if name == b"fmt ":
            fmt = file.read(min(length, _MAX_HEADER))
        elif name == b"ds64":
            length_64 = int.from_bytes(file.read(16)[8:], "little")
        position += length
        if length % 2:
            file.seek(position)
            unpadded = file.read(4) in _FOLLOWS_AN_ODD_CHUNK  # against the rule, and libsndfile gives up
            is_odd |= unpadded
            position += not unpadded
    return _Audio(size + 1, 0, False, bytes)


def _wave64(file: FileIO, head: bytes, size: int) -> _Audio | None:
    position = 40
    for _ in range(_MAX_CHUNKS):
        file.seek(min(position, size))
        guid, length = file.read(16), int.from_bytes(file.read(8), "little")
        if len(guid) < 16 or position + 24 > size:
            break
        if guid == b"data" + _GUID_TAIL:
            start = position + 24
            header = partial(_patched, file, start, position + 16, "<Q", 24)
            return _Audio(start, max(0, length - 24), length >= _MADE_UP_FROM_64, header)
        position += max(24, -(-length // 8) * 8)
    return _Audio(size + 1, 0, False, bytes)


def _aiff(file: FileIO, head: bytes, size: int) -> _Audio | None:
    if head[8:12] not in (b"AIFF", b"AIFC"):
        return None
    position = 12
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        name, length = file.read(4), int.from_bytes(file.read(4), "big")
        if position + 16 > size:
            break
        if name == b"SSND":
            start = position + 16
            header = partial(_patched, file, start, position + 4, ">I", 8)
            return _Audio(start, max(0, length - 8), _is_made_up(length), header)
        position += 8 + length + length % 2
    return _Audio(size + 1, 0, False, bytes)


def _au(file: FileIO, head: bytes, size: int) -> _Audio:
    start, length = struct.unpack(">II", head[4:12].ljust(8, b"\0"))
    return _Audio(start, length, _is_made_up(length), partial(_patched, file, start, 8, ">I", 0))


def _caf(file: FileIO, head: bytes, size: int) -> _Audio:
    position = 8
    for _ in range(_MAX_CHUNKS):
        file.seek(min(position, size))
        name, length = file.read(4), int.from_bytes(file.read(8), "big")
        if position + 16 > size:
            break
        if name == b"data":
            start = position + 16  # after the number of its edits
            header = partial(_patched, file, start, position + 4, ">Q", 4)
            return _Audio(start, max(0, length - 4), length >= _MADE_UP_FROM_64, header)
        position += 12 + length
    return _Audio(size + 1, 0, False, bytes)


_FINDERS = {
    b"RIFF": _riff,
    b"RIFX": _riff,
    b"RF64": _riff,
    b"BW64": _riff,
    b"riff": _wave64,
    b"FORM": _aiff,
    b".snd": _au,
    b"caff": _caf,
}


def _holds_chunks(file: FileIO, position: int, size: int) -> bool:
    """Whether what lies there is further chunks to the end of the file, and no audio."""
    while position + 8 <= size:
        file.seek(position)
        name, length = file.read(4), int.from_bytes(file.read(4), "little")
        if not all(0x20 <= character < 0x7F for character in name):
            return False
        position += 8 + length + length % 2
    return position in (size, size + 1)


def _riff_header(order: str, fmt: bytes, length: int) -> bytes:
    """The header of a WAV that holds nothing but audio of this format."""
    chunks = b"WAVEfmt " + struct.pack(f"{order}I", len(fmt)) + fmt + b"\0" * (len(fmt) % 2)
    chunks += b"data" + struct.pack(f"{order}I", length)
    return (b"RIFX" if order == ">" else b"RIFF") + struct.pack(f"{order}I", len(chunks) + length) + chunks


def _patched(file: FileIO, end: int, place: int, size_format: str, counted: int, length: int) -> bytes:
    """The beginning of a file with another length in its place, which counts so many bytes besides the audio's."""
    file.seek(0)
    content = bytearray(file.read(min(end, _MAX_HEADER)))
    struct.pack_into(size_format, content, place, length + counted)
    return bytes(content)


def _truncated(name: object, promised: str, found: object) -> InputError:
    return InputError(f"{name}: truncated: the header promises {promised}, {found} found; copy the file again")
