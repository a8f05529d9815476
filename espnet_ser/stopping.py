"""Signals that ask a training to end: it saves where it is, and says by its exit status that it wants to be started again."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

REQUEUE_CODE = 85
"""Exit status of a process that was asked to end and goes on where it was when it is started again.

Slurm requeues a job that ends with a status of its ``RequeueExit``, which a site sets; job scripts look for this one.
"""


SAME_S = 2.0
"""Signals that follow one another so soon are one request: cluster, job runner and recipe may each send one."""


class StopRequest:
    """Whether this process was asked to end (SIGTERM, SIGINT: what a cluster sends before it takes a machine)."""

    def __init__(self):
        self._signum: int | None = None
        self._since_s = 0.0
        self._deferred = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """While the body runs, a signal ends the process with :data:`REQUEUE_CODE` at once, or as :meth:`deferred` says."""
        self._signum = None
        is_main = threading.current_thread() is threading.main_thread()  # no other may set handlers
        signums = (signal.SIGTERM, signal.SIGINT) if is_main else ()
        before = {signum: signal.signal(signum, self._hear) for signum in signums}
        try:
            yield
        finally:
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
        """Ends the process.

        Args:
            saved: What was saved, for the log.

        Raises:
            SystemExit: With :data:`REQUEUE_CODE`.
        """
        name = signal.Signals(self._signum).name
        print(f"{name}: {saved}; the same command goes on from there", file=sys.stderr, flush=True)
        raise SystemExit(REQUEUE_CODE)

    def _hear(self, signum: int, _frame: object) -> None:
        again, now_s = self.asked, time.monotonic()
        if again and now_s - self._since_s < SAME_S:
            return
        self._signum, self._since_s = signum, now_s
        if again or not self._deferred:
            self.end("nothing is saved since the last epoch" if again else "what was finished before is saved")


STOP = StopRequest()
"""Of this process, as its signals are."""
