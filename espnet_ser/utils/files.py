"""Opening files that somebody else made: regular ones alone, for reading a pipe or a device might never end."""

import errno
import os
import stat
from io import FileIO
from pathlib import Path


def open_regular(path: Path | str) -> FileIO:
    """Opens a regular file for reading, unbuffered. Raises OSError: it cannot be opened, or is no regular file; ``filename``
    and ``strerror`` say which and why.
    """
    name = os.fspath(path)
    if "\0" in name:
        raise OSError(errno.EINVAL, "no file has a NUL character in its name", name)
    # Opened without blocking, or opening a pipe that nobody writes to would wait for a writer.
    file = FileIO(name, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "a pipe or a device, not a file", name)
    return file


def read_regular(path: Path | str) -> bytes:
    """The content of a regular file. Raises OSError as :func:`open_regular`."""
    with open_regular(path) as file:
        return file.read()
