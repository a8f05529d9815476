"""Outputs in the place of earlier ones: nothing that somebody else made or edited is lost.

What is to be replaced is shown to be ours by the stamp of whoever made it, file by file; whatever else lies there is moved
aside, to ``<name>.kept-<n>``.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from espnet_ser.utils.atomic import atomic_write, temporary_name
from espnet_ser.utils.hashing import file_sha256
from espnet_ser.utils.say import say
from espnet_ser.utils.stamp import Stamp

REPORT_STAMP = ".report.json"
"""The stamp of a report on several systems or runs, next to it."""


@contextlib.contextmanager
def temporary_folder(final: Path) -> Iterator[Path]:
    """A new folder next to ``final`` to build in; gone at the end, unless it was put in its place.

    What killed runs left of earlier ones is removed first: whoever builds here has the place alone.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    left = re.compile(rf"\.{re.escape(final.stem)}\.[0-9]+\.[0-9a-f]{{8}}{re.escape(final.suffix)}")
    for path in [path for path in final.parent.iterdir() if left.fullmatch(path.name)]:
        shutil.rmtree(path, ignore_errors=True)
    temporary = temporary_name(final)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def others_files(place: Path, stamp: Stamp, new: Path | None = None) -> list[Path]:
    """What would be lost with a file or folder: files that are neither as the stamp says, nor as what replaces them.

    Args:
        place: What is to be replaced; it need not be there.
        stamp: Of whoever made it.
        new: What replaces it.
    """
    made = stamp.output_sha256()
    files = sorted(path for path in place.rglob("*") if path.is_symlink() or not path.is_dir()) if place.is_dir() else [place]

    def is_lost(file: Path) -> bool:
        if not file.is_file():
            return os.path.lexists(file)
        twin = new / file.relative_to(place) if new is not None else None
        known = {made.get(os.path.relpath(file, stamp.path.parent))}
        known |= {file_sha256(twin)} if twin is not None and twin.is_file() else set()
        return file_sha256(file) not in known

    return [file for file in files if is_lost(file)]


def keep_others(place: Path, stamp: Stamp, new: Path | None = None) -> None:
    """Moves aside what :func:`others_files` finds, and says so."""
    files = others_files(place, stamp, new)
    if not files:
        return
    asides = (place.with_name(f"{place.name}.kept-{number}") for number in count(1))
    aside = next(path for path in asides if not os.path.lexists(path))
    for file in files:
        target = aside / file.relative_to(place)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, target)  # a link leads to another disk, perhaps
    names = ", ".join(str(file.relative_to(place.parent)) for file in files[:3])
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    say(f"{place.parent}: {names}{more}: not as it was written here; kept in {aside}", flush=True)


def follow_umask(folder: Path) -> None:
    """Lets whoever may read other files here read those below a folder: some libraries write theirs for their owner alone."""
    mode = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)


def write_output(path: Path, content: str | bytes, stamp: Stamp) -> None:
    """Writes a file whole, as :func:`espnet_ser.utils.atomic.atomic_write`; one in its place that is not ours is moved
    aside."""
    content = content.encode() if isinstance(content, str) else content
    if not path.is_file() or path.read_bytes() != content:
        keep_others(path, stamp)
        atomic_write(path, content)


def set_aside(folder: Path) -> Path:
    """Renames a folder to ``<folder>.superseded-<n>``, the first number that is free; returns the new name."""
    numbers = count(1)
    while (aside := folder.with_name(f"{folder.name}.superseded-{next(numbers)}")).exists():
        pass
    os.rename(folder, aside)
    return aside
