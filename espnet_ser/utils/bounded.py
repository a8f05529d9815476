"""Reading that stops at a limit, whatever a stranger's file says of itself."""

from pathlib import Path
from typing import BinaryIO

from espnet_ser.errors import InputError


def read_small_file(path: Path, most_bytes: int) -> bytes:
    """The content of a file that has no reason to be large. ``most_bytes``: no more than this is ever read. Raises InputError
    when it is larger, or cannot be read.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: not a file; check the path")
    try:
        with open(path, "rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > most_bytes:
        raise InputError(f"{path}: larger than {most_bytes:,} bytes, which no such file has reason to be; check the path")
    return content


class BoundedReads:
    """A binary file that gives no more than so many bytes at a time. The readers of archives believe the sizes in headers, and
    take as much memory as those ask for. ``file``: what is read; it can be searched; ``most_bytes``: the most that one read may
    ask for.
    """

    def __init__(self, file: BinaryIO, most_bytes: int):
        self._file = file
        self._most_bytes = most_bytes
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """As a file's; all that is left where no size is given. Raises ValueError for more than is allowed."""
        if size > self._most_bytes:
            raise ValueError(f"a header that asks for {size:,} bytes")
        content = self._file.read(size if size >= 0 else self._most_bytes + 1)
        if len(content) > self._most_bytes:
            raise ValueError(f"a header of more than {self._most_bytes:,} bytes")
        return content
