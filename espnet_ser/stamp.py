"""What makes a stage idempotent: stamps that say what was made from what, and outputs that appear whole or not at all.

A stage asks its :class:`Stamp` for the difference between the inputs it was given and those it last finished with; no
difference means nothing to do. While it works it writes beside the final name and renames at the end, so that a reader never
sees half of an output, and a killed run leaves the old one in place.
"""

import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from espnet_ser.errors import InputError
from espnet_ser.files import open_regular

_SHOWN_CHARACTERS = 60
_TOO_YOUNG_S = 2.0
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


def _canonical_json(obj: object) -> str:
    return json.dumps(obj, sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(obj: object) -> object:
    if isinstance(obj, Path):
        return str(obj)
    raise TypeError(f"{type(obj).__name__} is not JSON: {obj!r}")


def fingerprint(obj: object) -> str:
    """The SHA-256 (hex) of an object's canonical JSON: the order of a mapping's keys does not count, nor tuple against list.

    Raises:
        TypeError: Something in it is neither JSON nor a path.

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


class Stamp:
    """A small JSON file saying which inputs a stage last finished with, and what it left.

    Outputs are kept relative to the stamp, so that a folder moved together with its stamp is still up to date. The file holds
    a checksum of itself: a stamp that was edited, or damaged in whatever byte, counts as none.

    Args:
        path: Where the stamp lies, usually a hidden file in the stage's own output folder.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def difference(self, inputs: Mapping[str, object]) -> None | list[str]:
        """What has changed since the stage last finished.

        Args:
            inputs: Everything that the outputs depend on: JSON values and paths, nested as you like.

        Returns:
            None when up to date; else one readable line per change, such as ``'seed: 1 -> 2'``, or ``['not run yet']``.
        """
        stamp, fault = self._read()
        if fault:
            return fault
        old_inputs, changes = flat(stamp["inputs"]), []
        new_inputs = flat(json.loads(_canonical_json(inputs)))
        for key in sorted(old_inputs.keys() | new_inputs.keys()):
            old, new = (_shown(values[key]) if key in values else "absent" for values in (old_inputs, new_inputs))
            if (key in old_inputs) != (key in new_inputs) or old_inputs.get(key) != new_inputs.get(key):
                changes.append(f"{key}: {old} -> {new}")
        return changes + self._changed_outputs(stamp["outputs"]) or None

    def write(self, inputs: Mapping[str, object], outputs: Iterable[Path | str]) -> None:
        """Records that the stage has finished.

        Args:
            inputs: As given to :meth:`difference`.
            outputs: The files it left; a folder stands for every file below it, but hidden ones: file managers and network
                file systems leave theirs everywhere.
        """
        files: list[Path] = []
        for output in map(Path, outputs):
            if output.is_dir():
                files += [path for path in output.rglob("*") if path.is_file() and not path.name.startswith(".")]
            else:
                files.append(output)
        records = {
            os.path.relpath(file, self.path.parent): {"size": file.stat().st_size, "sha256": file_sha256(file)}
            for file in sorted(files)
            if file != self.path
        }
        atomic_write(self.path, _stamp_text(json.loads(_canonical_json(inputs)), records))

    def changed_outputs(self, below: str = "") -> list[str]:
        """What is no longer as the stage left it, whatever its inputs: one readable line per output, none if all is well.

        A missing or damaged stamp is a line too. Of the outputs only those whose names begin with ``below`` are looked at.
        """
        stamp, fault = self._read()
        return fault or self._changed_outputs({n: record for n, record in stamp["outputs"].items() if n.startswith(below)})

    def inputs(self) -> dict:
        """The inputs that the stage last finished with; nothing where it has not run."""
        return self._read()[0]["inputs"]

    def output_sha256(self) -> dict[str, str]:
        """File -> SHA-256 (hex), as the stage left them; nothing where it has not run."""
        return {name: record["sha256"] for name, record in self._read()[0]["outputs"].items()}

    def _read(self) -> tuple[dict[str, dict], list[str]]:
        """What the stamp says, and what is wrong with it: nothing, or a single line."""
        try:
            text = self.path.read_text(encoding="utf-8")
            stamp = json.loads(text)
            outputs = {name: {key: record[key] for key in ("size", "sha256")} for name, record in stamp["outputs"].items()}
            # The first stamps had no checksum.
            if stamp.keys() == {"inputs", "outputs"} or text == _stamp_text(stamp["inputs"], stamp["outputs"]):
                return {"inputs": dict(stamp["inputs"]), "outputs": outputs}, []
            fault = f"{self.path} was changed since it was written"
        except (FileNotFoundError, NotADirectoryError):
            fault = "not run yet"
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            fault = f"{self.path} is not a stamp"
        return {"inputs": {}, "outputs": {}}, [fault]

    def _changed_outputs(self, outputs: Mapping[str, Mapping[str, object]]) -> list[str]:
        changes = []
        for name, record in sorted(outputs.items()):
            file = self.path.parent / name
            if not file.is_file():
                changes.append(f"output {name}: missing")
            elif file.stat().st_size != record["size"] or file_sha256(file) != record["sha256"]:
                changes.append(f"output {name}: changed since it was written")
        return changes


def _stamp_text(inputs: object, outputs: object) -> str:
    content = {"inputs": inputs, "outputs": outputs}
    return json.dumps({**content, "sha256": fingerprint(content)}, indent=1, sort_keys=True) + "\n"


def flat(value: object, prefix: str = "") -> dict[str, object]:
    """Nested mappings as one, by dotted name; an empty one within stays as it is.

    >>> flat({"model": {"tasks": ["asr"], "skip": None}, "seed": 1})
    {'model.tasks': ['asr'], 'model.skip': None, 'seed': 1}
    """
    if not isinstance(value, dict) or (prefix and not value):
        return {prefix: value}
    values: dict[str, object] = {}
    for key, inner in value.items():
        values |= flat(inner, f"{prefix}.{key}" if prefix else key)
    return values


def _shown(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; renamed to ``path`` at the end, removed if the body fails.

    For writers that want a path (``torch.save``, ``np.save``); for text or bytes see :func:`atomic_write`. The temporary name
    keeps the suffix, which some writers look at.
    """
    path = Path(path)
    beside = temporary_name(path)
    try:
        yield beside
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def temporary_name(path: Path) -> Path:
    """A new name beside a file or folder, which tells what it is for."""
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
    with atomic_path(path) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


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
