"""The contract of Kaldi's job runners, kept by run.pl, slurm.pl and queue.pl: command line, report, exit status.

These files are for whatever python3 a login node has (3.8 or later), and need nothing but its standard library.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass

TAIL_LINES = 20
GRACE_S = 60  # between asking jobs to end and giving up on them: a training saves itself at its next step
SAME_S = 2  # signals that follow so soon are one request: a terminal and a cluster send them to every process
REQUEUE_CODE = 85  # of a job that was asked to end and goes on where it was when it is started again
DATE = "%a %b %d %H:%M:%S %Z %Y"


class UsageError(Exception):
    """What was asked for makes no sense. The message says what and what to write."""


@dataclass
class Call:
    """``RUNNER [options] [JOB=1:n] LOG COMMAND ...``, taken apart."""

    options: dict[str, str]  # dashes between words, whichever way they were written
    name: str  # what stands for a job's number in log and command; empty where there is a single job
    numbers: range
    log: str
    command: list[str]  # a lone word is a line for bash

    def numbered(self, text: str, number: object) -> str:
        """The text as it is for one of the jobs."""
        return text.replace(self.name, str(number)) if self.name else text

    def count(self, option: str, default: int, least: int) -> int:
        """An option's number."""
        value = self.options.get(option, str(default))
        if not re.fullmatch(r"[0-9]+", value) or int(value) < least:
            raise UsageError(f"--{option} takes a whole number, {least} or more, got {value!r}")
        return int(value)


def parse(runner: str, arguments: list[str]) -> Call:
    """What a command line asks for."""
    rest = list(arguments)
    options = {}
    array = None
    while rest:
        if rest[0].startswith("-"):
            if len(rest) < 2:
                raise UsageError(f"option {rest[0]} needs a value")
            options[rest[0].lstrip("-").replace("_", "-")] = rest[1]
            del rest[:2]
        elif array is None and re.fullmatch(r"[A-Za-z_]\w*=([0-9]+|[^/]*:[^/]*)", rest[0]):
            array = rest.pop(0)
        else:
            break
    if len(rest) < 2:
        raise UsageError(
            f"a log file and a command are needed: {runner} [options] [JOB=1:n] LOG COMMAND ... (--help says more)"
        )

    name, first, last = "", 1, 1
    if array is not None:
        name, _, text = array.partition("=")
        bounds = re.fullmatch(r"([0-9]+)(?::([0-9]+))?", text)
        if bounds is None or not 1 <= int(bounds[1]) <= int(bounds[2] or bounds[1]):
            raise UsageError(f"bad job range {array!r}: write {name}=1:n, counting from 1 or above")
        first, last = int(bounds[1]), int(bounds[2] or bounds[1])
    if last > first and name not in rest[0]:
        raise UsageError(f"the log's name must contain {name}, or {last - first + 1} jobs would write to {rest[0]}")
    return Call(options, name, range(first, last + 1), rest[0], rest[1:])


def tail(path: str) -> list[bytes]:
    """The last lines of a log, without reading a long one whole. Of a progress bar, its last state."""
    with open(path, "rb") as log:
        log.seek(max(0, os.path.getsize(path) - 65536))
        return [line.rstrip().rsplit(b"\r", 1)[-1] for line in log.readlines()[-TAIL_LINES:]]


def report(runner: str, call: Call, failed: list[int]) -> None:
    """Say which jobs failed and show the end of the first one's log."""
    log = call.numbered(call.log, failed[0])
    which = ""
    if len(call.numbers) > 1:
        which = f" ({len(failed)} of {len(call.numbers)} failed: {', '.join(map(str, failed))})"
    print(f"{runner}: job failed, log is in {log}{which}", file=sys.stderr)
    print(f"{runner}: its last {TAIL_LINES} lines:", file=sys.stderr, flush=True)
    sys.stderr.buffer.write(b"".join(b"  " + line + b"\n" for line in tail(log)))
    sys.stderr.flush()
