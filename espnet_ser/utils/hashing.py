"""Objects and files by content: SHA-256."""

import functools
import hashlib
import json
import os
import time
from pathlib import Path

from espnet_ser.utils.files import open_regular

_TOO_YOUNG_S = 2.0


def _canonical_json(obj: object) -> str:
    return json.dumps(obj, sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(obj: object) -> object:
    if isinstance(obj, Path):
        return str(obj)
    raise TypeError(f"{type(obj).__name__} is not JSON: {obj!r}")


def fingerprint(obj: object) -> str:
    """The SHA-256 (hex) of an object's canonical JSON: the order of a mapping's keys does not count, nor tuple against list.
    Raises TypeError: something in it is neither JSON nor a path.

    >>> fingerprint({"seed": 1, "lr": 0.1}) == fingerprint({"lr": 0.1, "seed": 1})
    True
    >>> fingerprint(["a"])[:12]
    '0eb5b8d6f81b'
    """
    return hashlib.sha256(_canonical_json(obj).encode()).hexdigest()


def file_sha256(path: Path | str) -> str:
    """The SHA-256 (hex) of a file's bytes, computed once per process while size and time of change stay the same."""
    status = os.stat(path)
    if time.time() - status.st_mtime < _TOO_YOUNG_S:  # a change within the clock's resolution would go unnoticed
        return _sha256(str(path))
    return _remembered_sha256(str(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@functools.cache
def _remembered_sha256(path: str, *_status: int) -> str:
    return _sha256(path)


def _sha256(path: str) -> str:
    with open_regular(path) as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
