"""What a command does with bad input: one clear line, a status that is not 0, and not a byte written."""

import hashlib
import os
import re
import signal
import stat
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from espnet_ser.bin.main import main

LONGEST_LINE = 900
TOO_LONG_S = 60


class Hangs(BaseException):
    """Nothing in the project catches it."""


@contextmanager
def no_hang(seconds: int = TOO_LONG_S):
    """Fails the body when it takes so long that it must be waiting for something that never comes."""

    def give_up(_signum, _frame):
        raise Hangs(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def snapshot(folder: Path) -> dict[str, tuple]:
    """Every name below a folder with what is there: kind, mode and content."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(root, name)
            mode = os.lstat(path).st_mode
            content = None
            if stat.S_ISREG(mode):
                with open(path, "rb") as file:
                    content = hashlib.sha256(file.read()).hexdigest()
            elif stat.S_ISLNK(mode):
                content = os.readlink(path)
            found[path] = (mode, content)
    return found


def exit_of(argv: Sequence[object], capsys) -> tuple[object, str]:
    """The exit status of a command, and what it left on standard error, as from a process of its own."""
    capsys.readouterr()
    try:
        with no_hang():
            main([str(word) for word in argv])
        code = 0
    except SystemExit as error:
        code = error.code
    said = capsys.readouterr().err
    return (1, f"{said}{code}\n") if isinstance(code, str) else (code or 0, said)


def told(argv: Sequence[object], folder: Path, capsys) -> str:
    """The line with which a command refuses its input; its problems, where it is a corpus with several, follow in it."""
    before = snapshot(folder)
    code, said = exit_of(argv, capsys)
    assert code not in (0, None), f"accepted: {said}"
    assert_one_line(said)
    assert snapshot(folder) == before, "something was written"
    return " ".join(said.split())


def assert_one_line(said: str) -> None:
    """One line, or a heading with a line for each problem of a corpus."""
    assert "Traceback" not in said, said
    assert said.endswith("\n"), said
    first, *others = said.removesuffix("\n").split("\n")
    assert re.match(r"espnet-ser( \w+)?: error: \S", first), said
    assert len(others) == 0 or re.search(r": \d+ problems? found; fix (it|them) and run again$", first), said
    assert all(line.startswith("  ") for line in others), said
    assert all(len(line) <= LONGEST_LINE for line in (first, *others)), said
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said), repr(said)


def shown_line(line: str, *folders: Path) -> str:
    """A line as the table shows it: folders that exist for the test alone are left out."""
    for folder in folders:
        line = line.replace(f"{folder}/", "").replace(str(folder), "FOLDER")
    return line if len(line) <= 300 else f"{line[:300]}..."


def skip_where_root_may_read_all():
    if os.geteuid() == 0:
        pytest.skip("root reads what nobody may: forbidden files are not tried")
