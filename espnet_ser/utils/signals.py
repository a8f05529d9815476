"""Signals that ask a training to end: it saves where it is, and says by its exit status that it wants to be started again."""

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from espnet_ser.utils.say import say

REQUEUE_CODE = 85
"""Exit status of a process that was asked to end and goes on where it was when it is started again.

Slurm requeues a job that ends with a status of its ``RequeueExit``, which a site sets; job scripts look for this one.
"""

SAME_S = 2.0  # signals that follow one another so soon are one request: cluster, job runner and recipe may each send one

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)  # what a cluster, a job runner or a person sends to end a process


def ignore_ending_signals() -> None:
    """For a process that is ending: the next signal of the same request must not change its exit status."""
    for signum in ENDING_SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


@contextmanager
def unwound_by_signals() -> Iterator[None]:
    """While the body runs, a signal raises SystemExit, so that neither processes nor half-written files stay behind. A process
    that was forked meanwhile ends at once: what it leaves is its parent's to clean up.
    """
    pid, asked_s = os.getpid(), -math.inf

    def end(signum: int, _frame: object) -> None:
        nonlocal asked_s
        if os.getpid() != pid:
            os._exit(128 + signum)
        if time.monotonic() - asked_s >= SAME_S:  # else of the same request, which is under way
            asked_s = time.monotonic()
            raise SystemExit(128 + signum)

    def unraised(ignored: "sys.UnraisableHookArgs") -> None:
        if isinstance(ignored.exc_value, SystemExit):  # raised where Python drops it: within a callback, an import's lock
            os._exit(ignored.exc_value.code)
        if asked_s < 0:  # else of an object that was being made, and is thrown away as the process ends
            sys.__unraisablehook__(ignored)

    is_main = threading.current_thread() is threading.main_thread()  # no other may set handlers
    handled = [signum for signum in ENDING_SIGNALS if is_main and signal.getsignal(signum) != signal.SIG_IGN]
    before = {signum: signal.signal(signum, end) for signum in handled}
    hook_before, sys.unraisablehook = sys.unraisablehook, unraised
    try:
        yield
    finally:
        if asked_s > 0:
            ignore_ending_signals()
        else:
            sys.unraisablehook = hook_before
            for signum, handler in before.items():
                signal.signal(signum, handler)


@contextmanager
def ended_while_computing(after_s: float = 3.0) -> Iterator[None]:
    """While the body runs, a signal that Python does not get round to in so many seconds ends the process at once. Python looks
    at signals between operations, and one of torch's may last for minutes. The body leaves nothing behind when it is ended so.
    """
    if threading.current_thread() is not threading.main_thread():  # no other hears of signals
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    over = threading.Event()

    def watch() -> None:
        for signum in iter(lambda: os.read(reading, 1), b""):
            if signum[0] in ENDING_SIGNALS and not over.wait(after_s):
                os._exit(128 + signum[0])
        os.close(reading)

    threading.Thread(target=watch, daemon=True).start()
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        os.close(writing)


class StopRequest:
    """Whether this process was asked to end (SIGTERM, SIGINT: what a cluster sends before it takes a machine)."""

    def __init__(self):
        self._signum: int | None = None
        self._since_s = 0.0
        self._deferred = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """While the body runs, a signal ends the process with :data:`REQUEUE_CODE` at once, or as :meth:`deferred` says."""
        self._signum = None
        is_main = threading.current_thread() is threading.main_thread()  # no other may set handlers
        signums = ENDING_SIGNALS if is_main else ()
        before = {signum: signal.signal(signum, self._hear) for signum in signums}
        try:
            yield
        finally:
            if not self.asked:  # else the process is ending
                for signum, handler in before.items():
                    signal.signal(signum, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """While the body runs, a signal is only noted for :attr:`asked`; one that insists ends the process at once."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    @property
    def asked(self) -> bool:
        """Whether it is time to save and to call :meth:`end`."""
        return self._signum is not None

    def end(self, saved: str) -> None:
        """Ends the process. ``saved``: what was saved, for the log; '' where another process says it. Raises SystemExit with
        :data:`REQUEUE_CODE`.
        """
        ignore_ending_signals()
        why = signal.Signals(self._signum).name if self.asked else "asked to end"
        if saved:
            say(f"{why}: {saved}; the same command goes on from there", file=sys.stderr, flush=True)
        raise SystemExit(REQUEUE_CODE)

    def _hear(self, signum: int, _frame: object) -> None:
        again, now_s = self.asked, time.monotonic()
        if again and now_s - self._since_s < SAME_S:
            return
        self._signum, self._since_s = signum, now_s
        if again or not self._deferred:
            self.end("nothing is saved since the last checkpoint" if again else "what was finished before is saved")


STOP = StopRequest()  # of this process, as its signals are
