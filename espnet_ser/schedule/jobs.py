"""A job: one command of many that wait for one another."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class State(Enum):
    """Where a job is; in the order in which totals are given."""

    DONE = "done"
    UP_TO_DATE = "up to date"
    RUNNING = "running"
    QUEUED = "queued"
    WAITS = "waits"  # for jobs that it depends on
    STOPPED = "stopped"
    FAILED = "FAILED"
    SKIPPED = "skipped"  # one that it depends on has failed


GOOD = (State.DONE, State.UP_TO_DATE)
BAD = (State.FAILED, State.SKIPPED)


@dataclass
class Job:
    """One command, with what it waits for and where it is.

    Attributes:
        row: What it works on: ``intermediate/asr`` or ``asr__ser``.
        column: Which part of that it does: ``fold 1``, ``score``.
        command: The command and its arguments.
        log: Where its output goes.
        depends_on: Names of the jobs that must have ended well before.
        is_done: Whether its result is there already; asked at most once, when those it depends on have ended well. None where
            the command itself finds out.
        folder: The folder whose history grows while it runs, for a training; None for a job of seconds.
        num_gpus: GPUs that it takes.
        state: Where it is.
        reason: Why it failed.
        code: Its exit status, once it has ended.
        started_s: When it started, on the clock of ``time.monotonic``; ``ended_s`` likewise.
    """

    row: str
    column: str
    command: tuple[str, ...]
    log: Path
    depends_on: tuple[str, ...] = ()
    is_done: Callable[[], bool] | None = None
    folder: Path | None = None
    num_gpus: int = 0
    state: State = State.WAITS
    reason: str = ""
    code: int | None = None
    started_s: float = 0.0
    ended_s: float = 0.0

    @property
    def name(self) -> str:
        """``asr__ser fold 1``."""
        return f"{self.row} {self.column}"
