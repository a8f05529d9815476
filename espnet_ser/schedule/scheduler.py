"""The loop that runs jobs, so many at a time.

A job starts when those it depends on have ended well, not when a whole stage has; one that fails takes down only those that
depend on it.
"""

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from espnet_ser.errors import InputError
from espnet_ser.schedule.jobs import BAD, GOOD, Job, State

GRACE_S = 75.0
"""Between asking a runner to end and killing it. Longer than run.pl gives its own jobs: a killed one leaves them behind."""

POLL_S = 0.2


class Process(Protocol):
    """A job that has been started: what the scheduler asks of a ``subprocess.Popen``, and its account."""

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""

    def terminate(self) -> None:
        """Asks it to end."""

    def kill(self) -> None:
        """Ends it."""

    def account(self) -> str:
        """How it went, for one who wants to know why it failed; asked once, when it has ended."""


class View:
    """Progress observer; the base class does nothing."""

    def changed(self, job: Job) -> None:
        """A job has started, ended, or turned out not to run at all."""

    def refresh(self, final: bool = False) -> None:
        """Some time may have passed; the last call is ``final``."""


def by_urgency(jobs: Iterable[Job]) -> list[Job]:
    """The order in which jobs start as far as they can: short ones, then those that most others wait for, then as given."""
    jobs = list(jobs)
    named = {job.name: job for job in jobs}
    assert len(named) == len(jobs), "two jobs have the same name"
    waiting = dict.fromkeys(named, 0)
    for job in jobs:
        before, found = set(), list(job.depends_on)
        while found:
            name = found.pop()
            if name not in before:
                before.add(name)
                found += named[name].depends_on
        assert job.name not in before, f"{job.name} waits for itself"
        for name in before:
            waiting[name] += 1
    return sorted(jobs, key=lambda job: (job.folder is not None, -waiting[job.name]))


class Scheduler:
    """Runs jobs until all have ended, or a signal asks to stop.

    Args:
        jobs: What to run; their ``state`` says how far they are.
        launch: Starts a job. An ``OSError`` that it raises fails the job.
        max_jobs_run: How many run at a time, at most.
        view: The progress observer.
    """

    def __init__(self, jobs: Iterable[Job], launch: Callable[[Job], Process], max_jobs_run: int, view: View):
        self.jobs = {job.name: job for job in by_urgency(jobs)}
        self.signals: list[int] = []
        self._launch = launch
        self._max_jobs_run = max_jobs_run
        self._view = view
        self._processes: dict[str, Process] = {}

    def run(self) -> None:
        """Returns when nothing runs and nothing is left that could; after a signal, when all that ran has ended."""
        try:
            while not self.signals and any(job.state not in GOOD + BAD for job in self.jobs.values()):
                acted = self._reap() | self._skip() | self._start() | self._check()
                self._view.refresh()
                if not acted:
                    time.sleep(POLL_S)
        except BaseException:  # a closed pipe, say: whatever it is, no job is left behind
            self.signals.append(signal.SIGTERM)
            self._view = View()
            raise
        finally:
            self._end()
        self._view.refresh(final=True)

    def stop(self, signum: int, _frame: object = None) -> None:
        """Signal handler. It only takes note: the loop that starts processes is the one that ends them."""
        self.signals.append(signum)

    def _states_before(self, job: Job) -> set[State]:
        return {self.jobs[name].state for name in job.depends_on}

    def _enter(self, job: Job, state: State, reason: str = "") -> None:
        job.state, job.reason = state, reason
        self._view.changed(job)

    def _reap(self) -> bool:
        ended = {name: code for name, process in self._processes.items() if (code := process.poll()) is not None}
        for name, code in ended.items():
            job, account = self.jobs[name], self._processes.pop(name).account()
            job.ended_s, job.code = time.monotonic(), code
            if code == 0:
                self._enter(job, State.DONE)
            elif self.signals:
                self._enter(job, State.STOPPED)
            else:
                self._enter(job, State.FAILED, account)
        return bool(ended)

    def _skip(self) -> bool:
        lost = [job for job in self.jobs.values() if job.state is State.WAITS and self._states_before(job) & set(BAD)]
        for job in lost:
            self._enter(job, State.SKIPPED)
        return bool(lost)

    def _start(self) -> bool:
        queued = [job for job in self.jobs.values() if job.state is State.QUEUED]
        starting = queued[: self._max_jobs_run - len(self._processes)]
        for job in starting:
            job.started_s = time.monotonic()
            try:
                self._processes[job.name] = self._launch(job)
            except OSError as error:
                self._enter(job, State.FAILED, f"cannot be started: {error}")
            else:
                self._enter(job, State.RUNNING)
        return bool(starting)

    def _check(self) -> bool:
        """Looks at one job: it may take seconds to read what a training has left, and others can be started meanwhile."""
        for job in self.jobs.values():
            if job.state is State.WAITS and self._states_before(job) <= set(GOOD):
                try:
                    if job.is_done is not None and job.is_done():
                        self._enter(job, State.UP_TO_DATE)
                    else:
                        job.state = State.QUEUED
                except (InputError, OSError) as error:
                    self._enter(job, State.FAILED, str(error))
                return True
        return False

    def _end(self) -> None:
        """Asks all that runs to end, again at each further signal, and kills what does not."""
        deadline_s = time.monotonic() + GRACE_S
        handled = 0
        while self._processes:
            for process in self._processes.values():
                if time.monotonic() > deadline_s:
                    process.kill()
                elif handled < len(self.signals):
                    process.terminate()
            handled = len(self.signals)
            if not self._reap():
                self._view.refresh()
                time.sleep(POLL_S)


@contextmanager
def signals_to(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Gives the signals that ask to stop to ``handler`` while the body runs; one of a lost terminal only without ``nohup``."""
    signums = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signums.append(signal.SIGHUP)
    before = {signum: signal.signal(signum, handler) for signum in signums}
    try:
        yield
    finally:
        for signum, old in before.items():
            signal.signal(signum, old)
