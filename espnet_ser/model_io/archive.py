"""Unpacking a stranger's model archive: it is data, and can write nowhere but into its own new folder.

Everything that an archive says of itself is checked before the first byte is written, and what it really holds is counted while
it is written; the folder appears whole or not at all.
"""

import gzip
import os
import re
import shutil
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from espnet_ser.characters import is_shown
from espnet_ser.errors import InputError
from espnet_ser.utils.atomic import disk_errors_as_input_errors
from espnet_ser.utils.bounded import BoundedReads

MAX_ENTRIES = 2000
MAX_PART_BYTES = 255
MAX_NAME_BYTES = 1000
MAX_DEPTH = 32

MAX_RATIO = 50
"""Times that what is unpacked may be larger than the archive: weights hardly shrink."""

SMALL_BYTES = 64 << 20
"""What is no larger than this may shrink as it likes."""

_DIRECTORY_BYTES = 4 << 20
_CHUNK_BYTES = 256 << 10
_REMEDY = "do without this archive, or ask its author for one made with 'zip -r' or 'tar -czhf' inside the model's folder"


@dataclass(frozen=True)
class _Entry:
    """A file or folder as an archive announces it.

    Attributes:
        name: As it is written in the archive.
        num_bytes: Its announced size.
        is_folder: Whether it is one.
        fault: What it is instead of a file or folder, or what else is wrong with it; empty for nothing.
        member: What the archive's reader knows it by.
    """

    name: str
    num_bytes: int
    is_folder: bool
    fault: str
    member: zipfile.ZipInfo | tarfile.TarInfo


def unpack_archive(archive: Path | str, folder: Path | str) -> Path:
    """Unpacks a zip, tar or tar.gz into a new folder.

    Args:
        archive: The archive; its kind follows from its content.
        folder: Does not exist yet; its parent does.

    Returns:
        ``folder``.

    Raises:
        InputError: When the archive is damaged, holds anything but plain files and folders with plain names, is larger than it
            has reason to be, or the disk is full. Then nothing is left.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise InputError(f"{folder}: exists already; name a folder that does not, to unpack {archive.name} into")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.{os.urandom(4).hex()}")
    with _opened(archive) as (entries, open_entry):
        targets = _checked(archive, entries)
        with disk_errors_as_input_errors(folder.parent):
            needed, free = sum(entry.num_bytes for entry in targets.values()), shutil.disk_usage(folder.parent).free
            if needed > free:
                raise InputError(f"{archive}: needs {needed:,} bytes, and {folder.parent} has {free:,}; free space")
            try:
                temporary.mkdir()
                for path, entry in targets.items():
                    target = temporary / path
                    (target if entry.is_folder else target.parent).mkdir(parents=True, exist_ok=True)
                    if not entry.is_folder:
                        with open_entry(entry) as source, open(target, "xb") as file:
                            _copy(archive, entry, source, file)
                os.rename(temporary, folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    return folder


def is_archive(path: Path) -> bool:
    """Whether a file begins as a zip, tar or tar.gz does."""
    with open(path, "rb") as file:
        head = file.read(512)
    return _is_zip(head) or _is_gzip(head) or _is_tar(head)


def _is_zip(head: bytes) -> bool:
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def _is_gzip(head: bytes) -> bool:
    return head[:2] == b"\x1f\x8b"


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[Iterable[_Entry], Callable[[_Entry], BinaryIO]]]:
    """What an archive holds, and how to read it; whatever its reader says of a file made to confuse it is one line."""
    try:
        with ExitStack() as stack:
            file = stack.enter_context(open(archive, "rb"))
            head = file.read(512)
            file.seek(0)
            if _is_zip(head):
                content = stack.enter_context(zipfile.ZipFile(BoundedReads(file, _DIRECTORY_BYTES)))
                yield map(_zip_entry, content.infolist()), lambda entry: content.open(entry.member)
            elif _is_gzip(head) or _is_tar(head):
                plain = stack.enter_context(gzip.GzipFile(fileobj=file)) if _is_gzip(head) else file
                tar = stack.enter_context(tarfile.open(fileobj=BoundedReads(plain, _CHUNK_BYTES), mode="r:"))
                yield _tar_entries(tar), lambda entry: tar.extractfile(entry.member)
            else:
                raise InputError(f"{archive}: not a zip, tar or tar.gz archive; name a model's folder or such an archive")
    except InputError:
        raise
    except OSError as error:
        reason = error.strerror or _first_line(error)
        raise InputError(f"{archive}: damaged, or cannot be read ({reason}); check the path, or download it again") from error
    except Exception as error:
        raise InputError(f"{archive}: damaged, or made to do harm ({_first_line(error)}); download it again") from error


def _zip_entry(info: zipfile.ZipInfo) -> _Entry:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & 0x41:
        fault = "is encrypted"
    elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        fault = "is compressed in an uncommon way"
    elif kind and not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        fault = "is a link" if stat.S_ISLNK(kind) else "is a device or pipe"
    else:
        fault = ""
    # zipfile itself cuts a name at its first NUL.
    return _Entry(info.orig_filename, info.file_size, info.orig_filename.endswith("/"), fault, info)


def _tar_entries(tar: tarfile.TarFile) -> Iterator[_Entry]:
    """A file that was packed under two names is in the archive once, and under its second name a hard link to the first."""
    files: dict[str, tarfile.TarInfo] = {}
    for info in tar:
        entry = _tar_entry(files.get(info.linkname, info) if info.islnk() else info)
        if not entry.fault and not entry.is_folder:
            files[info.name] = entry.member
        yield replace(entry, name=info.name)


def _tar_entry(info: tarfile.TarInfo) -> _Entry:
    if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) and not info.issparse():
        fault = "has a negative size" if info.size < 0 else ""
    elif info.islnk() or info.issym():
        fault = "is a link"
    elif info.issparse():
        fault = "is a sparse file"
    else:
        fault = "is a device or pipe"
    return _Entry(info.name, info.size, info.isdir(), fault, info)


def _checked(archive: Path, entries: Iterable[_Entry]) -> dict[PurePosixPath, _Entry]:
    """Where each entry goes, below the new folder; nothing has been read but headers."""
    allowed = max(SMALL_BYTES, MAX_RATIO * archive.stat().st_size)
    targets: dict[PurePosixPath, _Entry] = {}
    kinds: dict[str, bool] = {}  # as a file system would see it that takes upper for lower case -> whether it is a folder
    total = 0
    for number, entry in enumerate(entries, start=1):
        if number > MAX_ENTRIES:
            raise InputError(f"{archive}: more than {MAX_ENTRIES} entries, and a model has a few dozen; {_REMEDY}")
        fault = entry.fault or _fault_of_name(entry.name)
        path = PurePosixPath(entry.name) if not fault else PurePosixPath()
        if not fault and not path.parts:  # tar's './'
            if entry.is_folder:
                continue
            fault = "has no name"
        total += entry.num_bytes
        if not fault and total > allowed:
            fault = f"brings what is unpacked to {total:,} bytes, from an archive of {archive.stat().st_size:,}"
        if not fault and not _fits(path, entry.is_folder, kinds):
            fault = "has the name of another entry, or one that differs from it in upper and lower case alone"
        if fault:
            raise InputError(f"{archive}: entry {_shown(entry.name)} {fault}; {_REMEDY}")
        targets[path] = entry
    if not targets:
        raise InputError(f"{archive}: empty; download it again")
    return targets


def _fault_of_name(name: str) -> str:
    parts = name.removesuffix("/").split("/")
    if not all(map(is_shown, name)) or "\\" in name:
        return "has control characters or backslashes in its name"
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        return "has an absolute path"
    if ".." in parts:
        return "would be written outside the folder"
    too_long = len(name.encode()) > MAX_NAME_BYTES or any(len(part.encode()) > MAX_PART_BYTES for part in parts)
    return "has too long a name" if too_long or len(parts) > MAX_DEPTH else ""


def _fits(path: PurePosixPath, is_folder: bool, kinds: dict[str, bool]) -> bool:
    """Notes a path, and whether it is new and lies in folders alone."""
    for parent in path.parents:
        if parent.parts and not kinds.setdefault(_folded(parent), True):
            return False
    known = kinds.get(_folded(path))
    kinds[_folded(path)] = is_folder
    return known is None or (known and is_folder)


def _folded(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFKC", str(path)).casefold()


def _copy(archive: Path, entry: _Entry, source: BinaryIO, target: BinaryIO) -> None:
    left = entry.num_bytes
    while chunk := source.read(min(_CHUNK_BYTES, left + 1)):
        left -= len(chunk)
        if left < 0:
            break
        target.write(chunk)
    if left:
        raise InputError(f"{archive}: entry {_shown(entry.name)} is not as large as it says; download it again")


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 80 else name[:77] + "...")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
