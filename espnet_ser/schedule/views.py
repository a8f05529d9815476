"""Two ways to follow jobs: a table redrawn in place on a terminal, and lines in a log."""

import os
import shutil
import time
from collections.abc import Sequence
from typing import TextIO

from espnet_ser.characters import spelt_out
from espnet_ser.schedule.jobs import GOOD, Job, State
from espnet_ser.schedule.scheduler import View
from espnet_ser.schedule.status import event_line, job_cell, status_line, status_table
from espnet_ser.schedule.time_left import History
from espnet_ser.train.history import read_history
from espnet_ser.utils.say import say

REDRAW_S = 0.5
SUMMARY_S = 30.0

_UP, _ERASE_BELOW = "\x1b[{}F", "\x1b[J"


def view_on(stream: TextIO, jobs: Sequence[Job], max_jobs_run: int) -> View:
    """The view that suits where the output goes."""
    on_terminal = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return (LiveTable if on_terminal else Lines)(stream, jobs, max_jobs_run)


class _Follower(View):
    """Keeps the time and the epochs of trainings. ``stream``: where to write; ``max_jobs_run``: how many run at a time."""

    def __init__(self, stream: TextIO, jobs: Sequence[Job], max_jobs_run: int):
        self._stream = stream
        self._jobs = jobs
        self._max_jobs_run = max_jobs_run
        self._started_s = self._shown_s = time.monotonic()
        self._old_epochs: dict[str, History] = {}
        self._ended: dict[str, History] = {}

    def changed(self, job: Job) -> None:
        """Remembers what an earlier run has left, so that it is not taken for this one's."""
        if job.state is State.RUNNING and job.folder is not None:
            self._old_epochs[job.name] = read_history(job.folder)[-1:]

    def _histories(self) -> dict[str, History]:
        histories = {}
        for job in self._jobs:
            if job.folder is not None and job.state is State.RUNNING:
                history = read_history(job.folder)
                if history[-1:] != self._old_epochs[job.name]:
                    histories[job.name] = history
            elif job.folder is not None and job.state in GOOD:
                if job.name not in self._ended:
                    self._ended[job.name] = read_history(job.folder)
                histories[job.name] = self._ended[job.name]
        return {name: history for name, history in histories.items() if history}

    def _status_line(self, histories: dict[str, History]) -> str:
        return status_line(self._jobs, histories, time.monotonic() - self._started_s, self._max_jobs_run)

    def _is_time(self, every_s: float) -> bool:
        if time.monotonic() - self._shown_s < every_s:
            return False
        self._shown_s = time.monotonic()
        return True


class LiveTable(_Follower):
    """Draws the table of all jobs over the one before, and leaves the last one standing."""

    _height = 0

    def refresh(self, final: bool = False) -> None:
        """Draws, but not more often than an eye can follow."""
        if not self._is_time(REDRAW_S) and not final:
            return
        size = shutil.get_terminal_size()
        histories = self._histories()
        table = status_table(self._jobs, histories, size.columns - 1, max(2, size.lines - 2))
        lines = [spelt_out(line) for line in (*table, self._status_line(histories)[: size.columns - 1])]
        back = _UP.format(self._height) if self._height else ""
        self._stream.write(back + _ERASE_BELOW + "\n".join(lines) + "\n")
        self._stream.flush()
        self._height = len(lines)


class Lines(_Follower):
    """Writes a line whenever a job starts or ends, and now and then one on all of them."""

    _epochs: Sequence[str] = ()

    def changed(self, job: Job) -> None:
        """Writes what has happened."""
        super().changed(job)
        say(event_line(job), file=self._stream, flush=True)

    def refresh(self, final: bool = False) -> None:
        """Writes how many jobs are where, and the epochs of those that run, if anything has moved for a while."""
        if not self._is_time(SUMMARY_S) and not final:
            return
        histories = self._histories()
        running = [job for job in self._jobs if job.state is State.RUNNING and job.name in histories]
        epochs = [f"{job.name} {job_cell(job, histories[job.name])}" for job in running]
        if final or epochs != self._epochs:
            say("; ".join([self._status_line(histories), *epochs]), file=self._stream, flush=True)
        self._epochs = epochs
