"""A schedule played through without running anything: how long a table takes on so many machines.

The loop is that of ``scheduler.py``, on a clock that jumps to where the next job ends; in place of a cluster stand machines
that take jobs in the order in which they come.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import replace

from espnet_ser.schedule.jobs import Job, State
from espnet_ser.schedule.scheduler import Scheduler, View

IN_QUEUE = 100
"""Jobs that the recipe gives a cluster at a time (``cluster_jobs`` in ``cmd.sh``)."""


def simulate(jobs: Iterable[Job], seconds: Callable[[Job], float], machines: int, max_jobs_run: int | None = None) -> list[Job]:
    """Plays the jobs through.

    Args:
        jobs: As :func:`espnet_ser.schedule.table_jobs.table_jobs` gives them; they stay as they are, and none counts as done.
        seconds: What a job takes on a machine, with all that comes before and after it.
        machines: How many run a job at a time.
        max_jobs_run: How many jobs are in the cluster's hands at a time; default as many as there are machines.

    Returns:
        Copies of the jobs, with ``started_s`` when a machine began it, and ``ended_s``, both in seconds from the start.
    """
    copies = [replace(job, state=State.WAITS, is_done=None) for job in jobs]
    clock = _Clock()
    cluster = _Cluster(clock, seconds, machines)
    scheduler = Scheduler(copies, cluster.launch, max_jobs_run or machines, View(), clock)
    scheduler.run()
    for job in copies:
        job.started_s, job.ended_s = cluster.times[job.name]
    return copies


class _Clock:
    """Sleeps until something ends, in no time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.ends_s: list[float] = []  # a heap

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, _seconds: float, /) -> None:
        self.now_s = max(self.now_s, heapq.heappop(self.ends_s))


class _Cluster:
    """Machines; what has been launched waits for the one that is free first."""

    def __init__(self, clock: _Clock, seconds: Callable[[Job], float], machines: int):
        self.times: dict[str, tuple[float, float]] = {}
        self._clock = clock
        self._seconds = seconds
        self._free_s = [0.0] * machines

    def launch(self, job: Job) -> "_Process":
        start_s = max(self._clock.now_s, heapq.heappop(self._free_s))
        end_s = start_s + self._seconds(job)
        heapq.heappush(self._free_s, end_s)
        heapq.heappush(self._clock.ends_s, end_s)
        self.times[job.name] = (start_s, end_s)
        return _Process(self._clock, end_s)


class _Process:
    """A job that ends well at its time."""

    def __init__(self, clock: _Clock, end_s: float):
        self._clock, self._end_s = clock, end_s

    def poll(self) -> int | None:
        return 0 if self._clock.now_s >= self._end_s else None

    def terminate(self) -> None:
        raise AssertionError("nobody stops a simulation")

    kill = terminate

    def account(self) -> str:
        return ""
