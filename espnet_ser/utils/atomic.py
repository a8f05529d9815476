"""Outputs that appear whole or not at all: written under a temporary name, and renamed at the end.

A reader never sees half of an output, and a run that is killed leaves the old one in place.
"""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from espnet_ser.errors import InputError

_USER_ERRNOS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
}


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary path next to ``path`` to write to; renamed to ``path`` at the end, removed if the body fails.

    For writers that want a path (``torch.save``, ``np.save``); for text or bytes see :func:`atomic_write`. The temporary name
    keeps the suffix, which some writers look at.
    """
    path = Path(path)
    temporary = temporary_name(path)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_name(path: Path) -> Path:
    """A new name next to a file or folder, which tells what it is for."""
    return path.with_name(f".{path.stem}.{os.getpid()}.{os.urandom(4).hex()}{path.suffix}")


def remove_unfinished(folder: Path | str) -> None:
    """Removes what killed processes were writing to, by :func:`atomic_path`'s names; for one who has the folder alone."""
    for path in Path(folder).iterdir():
        if is_temporary(path) and path.is_file():
            path.unlink()


def is_temporary(path: Path) -> bool:
    """Whether a file or folder is called as :func:`temporary_name` calls one."""
    return re.fullmatch(r"\..+\.[0-9]+\.[0-9a-f]{8}(\.[^.]+)?", path.name) is not None


def atomic_write(path: Path | str, content: str | bytes) -> None:
    """Writes a file (text as UTF-8) so that it holds either the old content or the new one, also after a crash."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def remove_folder(folder: Path) -> None:
    """Removes an empty folder; of a link to one, both."""
    Path(os.path.realpath(folder)).rmdir()
    if folder.is_symlink():
        folder.unlink()


def replace_folder(tmp: Path | str, final: Path | str) -> None:
    """Puts the finished folder ``tmp`` in the place of ``final``, old content and all.

    Where ``final`` is a link, what it leads to is replaced, and the link stays.
    """
    tmp, final = Path(tmp), Path(os.path.realpath(final))
    new, old = temporary_name(final), temporary_name(final)
    shutil.move(tmp, new)  # from another file system perhaps, which takes its time
    had_old = final.exists()
    try:
        if had_old:
            os.rename(final, old)
        os.rename(new, final)
    except OSError:
        if had_old and old.exists():
            os.rename(old, final)
        shutil.rmtree(new, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def disk_errors_as_input_errors(folder: Path | str) -> Iterator[None]:
    """Turns a full, read-only or forbidden disk below ``folder`` into one line for the user; other errors pass.

    Raises:
        InputError: Names the folder and the cause.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _USER_ERRNOS:
            raise
        raise InputError(f"{folder}: cannot write: {error.strerror}; free space or name another folder") from error
