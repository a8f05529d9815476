"""Locks between processes, which go with the process that holds them, however it ends."""

import contextlib
import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from espnet_ser.utils.say import say

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
"""What file systems without locks answer: NFS mounted with nolock, Lustre without flock, some of FUSE."""


def lock_file(file: IO, wait: bool = False) -> bool:
    """Locks an open file for this process, until the file is closed. Where the file system has no locks nothing keeps processes
    apart: this is said, and the work goes on. ``file``: open for writing; ``wait``: whether to wait for a process that has it.
    Returns False where another process has it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        where = f"{Path(file.name).parent}: no locks on this file system ({error.strerror})"
        say(f"{where}: run one job at a time here", file=sys.stderr, flush=True)
    return True


@contextlib.contextmanager
def locked(folder: Path | str) -> Iterator[None]:
    """Lets one process at a time into the body, for all that lock the same folder; the others wait. The lock leaves no file
    behind. Where the file system has no such locks (some network ones), or there is no such folder, the body runs all the same.
    """
    if not os.path.isdir(folder):
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)  # closing is not enough where a child inherited the handle
        os.close(handle)
