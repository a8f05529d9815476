"""Files of which libsndfile would read a part and not say so.

Of MPEG audio without a Xing header, libmpg123 estimates the length from the first frames, and libsndfile stops there; of
several recordings in one file, it reads the first; an Ogg that was cut ends for it where the file does.
"""

import os
from io import FileIO

from espnet_ser.data.sound_header import FileSection
from espnet_ser.errors import InputError

UNKNOWN_FRAMES = 1 << 50  # what libsndfile says of a length that nobody knows, or more

_HIDDEN_SIZE = 1 << 60  # bytes: an estimate made from it is beyond UNKNOWN_FRAMES, whatever the frames
_XING_OFFSETS = (4 + 32, 4 + 17, 4 + 9)  # in the first frame, after its header and what depends on version and channels
_SAME_STREAM = 0xFFFE0C00  # of a frame's header: the mark of a frame, version, layer, sample rate
_MAX_XING_ERROR = 4096  # bytes: encoders count the header's own frame, or do not
_SIZES = {b"RIFF": "little", b"RIFX": "big", b"FORM": "big"}  # of what follows, in the order of its bytes
_FLAC = b"fLaC\0\0\0\x22"  # with the block that comes first; twice in a file by chance once in 10^13 of a megabyte
_BLOCK_BYTES = 1 << 20
_BEGINS, _ENDS = 2, 4  # flags of an Ogg page


def to_its_end(file: FileIO | FileSection, name: object) -> FileIO | FileSection:
    """A file that libsndfile reads to its end: the file itself, unless libmpg123 would estimate how long it is. Raises
    InputError: it holds several recordings, of which libsndfile reads the first, or is an Ogg that was cut.
    """
    file.seek(0)
    head = file.read(10)
    if head[:4] == b"OggS":
        _check_ogg(file, name)
    elif head[:4] in _SIZES:
        size = int.from_bytes(head[4:8], _SIZES[head[:4]])
        file.seek(8 + size + size % 2)
        if file.read(4) == head[:4]:
            raise _several(name)
    elif head[:8] == _FLAC and isinstance(file, FileIO):  # an archive holds others after it
        end = head[8:]
        while block := file.read(_BLOCK_BYTES):
            if _FLAC in end + block:
                raise _several(name)
            end = block[-len(_FLAC) :]
    elif head[:3] == b"ID3" or _is_frame(head):
        return _mpeg(file, head, name)
    return file


class _Endless(FileSection):
    """A file whose size is hidden: it seems to end far away, in zeros, where libmpg123 looks for a tag."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return super().seek(offset + (_HIDDEN_SIZE if whence == os.SEEK_END else 0), whence)

    def readinto(self, buffer) -> int:
        if self.tell() < _HIDDEN_SIZE // 2:
            return super().readinto(buffer)
        buffer[:] = bytes(len(buffer))
        return len(buffer)


def _mpeg(file: FileIO | FileSection, head: bytes, name: object) -> FileIO | FileSection:
    size, start = file.seek(0, os.SEEK_END), 0
    while head[:3] == b"ID3" and len(head) == 10:
        start += 10 + sum((byte & 0x7F) << 7 * place for place, byte in enumerate(head[:5:-1]))
        file.seek(start)
        head = file.read(10)
    file.seek(start)
    frame = file.read(64)
    for offset in _XING_OFFSETS:
        flags = int.from_bytes(frame[offset + 4 : offset + 8], "big")
        if frame[offset : offset + 4] not in (b"Xing", b"Info") or not flags & 1:
            continue
        length = int.from_bytes(frame[offset + 12 : offset + 16], "big") if flags & 2 else size
        file.seek(start + length)
        after = file.read(4)
        if size - start - length > _MAX_XING_ERROR and (after[:3] == b"ID3" or _is_frame(after, frame)):
            raise _several(name)
        return file
    return _Endless(file, 0)


def _is_frame(head: bytes, like: bytes = b"") -> bool:
    """Whether a frame of layer I, II or III begins so, one of the same stream as another."""
    mark, other = (int.from_bytes(content[:4], "big") for content in (head, like))
    return mark >> 21 == 0x7FF and mark >> 17 & 3 != 0 and (not like or (mark ^ other) & _SAME_STREAM == 0)


def _check_ogg(file: FileIO | FileSection, name: object) -> None:
    """Follows the pages: all streams begin before any goes on, and each has a last page."""
    size, position, going_on, has_begun = file.seek(0, os.SEEK_END), 0, set(), False
    while position < size:
        file.seek(position)
        page = file.read(27 + 255)
        if page[:4] != b"OggS":
            break
        flags, stream, num_parts = page[5:6], page[14:18], page[26:27]
        position += 27 + sum(num_parts) + sum(page[27 : 27 + sum(num_parts)])
        if not num_parts or position > size:
            break
        if flags[0] & _BEGINS:
            if has_begun:
                raise _several(name)
            going_on.add(stream)
        has_begun |= not flags[0] & _BEGINS
        if flags[0] & _ENDS:
            going_on.discard(stream)
    if going_on or not has_begun:
        raise InputError(
            f"{name}: truncated: its last page is missing; copy the file again, or convert it to WAV if this is all of it"
        )


def _several(name: object) -> InputError:
    return InputError(
        f"{name}: several recordings in one file, of which the first alone would be read; convert it to WAV or FLAC"
    )
