"""Kaldi's lists, a key and a value in each line, as editors, spreadsheets and file systems leave them.

A byte-order mark, line ends of any system, empty lines, blanks around columns or several between them, and a last line without
an end are all read as if they were not there. Letters that can be written in two ways, in one character or in several, are
composed (Unicode's NFC), so that what looks the same is the same; paths alone stay as they are.
"""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from espnet_ser.characters import name_fault, text_fault
from espnet_ser.errors import InputError
from espnet_ser.utils.files import read_regular

Table = dict[str, tuple[int, str]]  # a list's content: key -> (line number, value)

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OF_TWO_BYTES = (b"\xff\xfe", b"\xfe\xff")
_WITHOUT_VALUE = ("text",)
_OF_SEVERAL_WORDS = ("text", "wav.scp", "spk2utt", "segments")


def read_table(path: Path, name: str | None = None) -> Table:
    """Key -> (line number, rest of the line with single blanks between its words), in the file's order. ``name``: what it is
    called in a data directory (``wav.scp``, ``utt2spk``, ...), where its own name does not say so. Raises InputError: the file
    cannot be read, or a line is malformed; names file and line.
    """
    name = path.name if name is None else name
    try:
        content = read_regular(path)
    except OSError as error:
        raise InputError(f"{path}: {_why_unread(path, error)}") from error
    if content.startswith(_OF_TWO_BYTES) or b"\0" in content[:2]:
        raise InputError(f"{path}: UTF-16, where UTF-8 is read; save it as UTF-8")
    table: Table = {}
    for number, raw in text_lines(content):
        try:
            line = raw.decode("utf-8", errors="surrogateescape" if name == "wav.scp" else "strict")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}:{number}: not UTF-8; convert the file") from error
        key, *rest = line.split(maxsplit=1) or [""]
        if not key:
            continue
        key, value = composed(key), "".join(rest).strip()
        if name != "wav.scp":
            value = composed(" ".join(value.split()))
        if not value and name not in _WITHOUT_VALUE:
            raise InputError(f"{path}:{number}: malformed line {line!r}: expected a key and its value")
        if name not in _OF_SEVERAL_WORDS and " " in value:
            raise InputError(f"{path}:{number}: malformed line {line!r}: expected one value")
        if name != "wav.scp":
            _check_odd(path, number, key, name_fault(key))
            if name not in _OF_SEVERAL_WORDS:
                _check_odd(path, number, value, name_fault(value))
            elif name == "text":
                _check_odd(path, number, value, text_fault(value))
        if key in table:
            raise InputError(f"{path}:{number}: {key!r} is there twice, first in line {table[key][0]}")
        table[key] = (number, value)
    return table


def _why_unread(path: Path, error: OSError) -> str:
    if not isinstance(error, FileNotFoundError):
        return f"{error.strerror}; put a list that can be read in its place"
    if path.is_symlink():
        return f"a link to {os.readlink(path)}, where nothing is; correct the link or remove it"
    return f"{error.strerror}; run stage 1 to make it"


def _check_odd(path: Path, number: int, value: str, fault: str) -> None:
    if fault:
        raise InputError(f"{path}:{number}: {value[:80]!r} {fault}; write it otherwise")


def text_lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    r"""The lines of a text file with their numbers from 1, without their ends and without byte-order marks.

    >>> list(text_lines(b"\xef\xbb\xbfa\r\nb\rc\n"))
    [(1, b'a'), (2, b'b'), (3, b'c')]
    """
    content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n") if content else [], start=1):
        yield number, line.removeprefix(_BYTE_ORDER_MARK)  # of any line: files are put together of several


def composed(text: str) -> str:
    r"""A text whose letters are each one character where Unicode has one.

    >>> composed("wu\u0308tend") == "w\u00fctend"
    True
    """
    return unicodedata.normalize("NFC", text)
