"""The folder of a running page: what visitors send lies there for some minutes, and goes with the program at the latest."""

import fcntl
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

KEPT_S = 300.0  # a recording is removed so long after it was sent: until then it may wait for its answer, and the page plays it

_PREFIX = "espnet_ser_demo_"
_EVERY_S = 10.0
_YOUNG_S = 60.0  # a folder that has just been made is not locked yet


@contextmanager
def page_folder() -> Iterator[Path]:
    """While the body runs, a temporary folder of this process. What processes that were killed left of theirs is removed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # in use, somebody else's, or on a file system without locks
            if time.time() - left.lstat().st_mtime > _YOUNG_S:
                lock = _lock(left)
                try:
                    shutil.rmtree(left)
                finally:
                    os.close(lock)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as folder:
        with suppress(OSError):
            lock = _lock(Path(folder))  # open until the process ends, however it ends
        yield Path(folder)


@contextmanager
def forgetting(folder: Path, after_s: float = KEPT_S, every_s: float = _EVERY_S) -> Iterator[None]:
    """While the body runs, what has lain in a folder for ``after_s`` seconds is removed, whoever put it there. Gradio's
    ``delete_cache`` would do the same for the files that it knows of, until the first that it cannot remove.
    """
    over = threading.Event()

    def remove_the_old() -> None:
        while not over.wait(every_s):
            for path in sorted(folder.rglob("*"), reverse=True):  # files before their folders
                with suppress(OSError):  # gone, or a folder that is not empty
                    if time.time() - path.lstat().st_ctime > after_s:
                        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()

    thread = threading.Thread(target=remove_the_old, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def num_bytes(folder: Path) -> int:
    """How much lies in a folder."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total


def _lock(folder: Path) -> int:
    """A handle that keeps a folder locked while it is open. Raises OSError when another process holds it, it is no folder, or
    nothing can be locked there.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle
