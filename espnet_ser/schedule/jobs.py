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
    """One command, with what it waits for and where it is."""

    row: str  # what it works on: ``stage1/asr`` or ``asr__ser``
    column: str  # which part of that it does: ``fold 1``, ``score``
    command: tuple[str, ...]  # the command and its arguments
    log: Path  # where its output goes
    depends_on: tuple[str, ...] = ()  # names of the jobs that must have ended well before
    # whether its result is there already; asked at most once, when those it depends on have ended well. None where the command
    # itself finds out
    is_done: Callable[[], bool] | None = None
    folder: Path | None = None  # the folder whose history grows while it runs, for a training; None for a job of seconds
    num_gpus: int = 0  # GPUs that it takes
    state: State = State.WAITS  # where it is
    reason: str = ""  # why it failed
    code: int | None = None  # its exit status, once it has ended
    started_s: float = 0.0  # when it started, on the clock of ``time.monotonic``; ``ended_s`` likewise
    ended_s: float = 0.0

    @property
    def name(self) -> str:
        """``asr__ser fold 1``."""
        return f"{self.row} {self.column}"
