"""How long trainings still take, from the epochs that they and others like them have done."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, median

from espnet_ser.schedule.jobs import BAD, GOOD, Job, State

History = Sequence[Mapping]


def epoch_seconds(history: History) -> float:
    """What an epoch takes, in seconds: the median, as the first one and those of a busy machine take longer. ``history``: from
    :func:`espnet_ser.train.history.read_history`, of an epoch or more.
    """
    return sorted(record["seconds"] for record in history)[len(history) // 2]


def training_seconds_left(history: History) -> float:
    """What a training still takes, in seconds."""
    last = history[-1]
    return epoch_seconds(history) * (last["max_epoch"] - last["epoch"])


def jobs_seconds_left(jobs: Iterable[Job], histories: Mapping[str, History], max_jobs_run: int) -> float | None:
    """What all jobs together still take.

    A training that has not begun is taken to be like those of the same stage that have, or else like any; the jobs between and
    after trainings take next to nothing. ``histories``: name of a job -> what it has done so far, for those that have done an
    epoch; ``max_jobs_run``: how many run at a time. Returns seconds: the work shared out evenly, or the longest chain of jobs
    that wait for one another, if that is longer. None while no epoch has been measured.
    """
    jobs = {job.name: job for job in jobs}
    totals: dict[bool, list[float]] = {True: [], False: []}
    for name, history in histories.items():
        totals[_is_intermediate(jobs[name])].append(epoch_seconds(history) * history[-1]["max_epoch"])
    if not any(totals.values()):
        return None
    anyhow = mean(totals[True] + totals[False])

    def own(job: Job) -> float:
        if job.folder is None or job.state in GOOD + BAD:
            return 0.0
        if job.state is State.RUNNING and job.name in histories:
            return training_seconds_left(histories[job.name])
        return median(totals[_is_intermediate(job)] or [anyhow])

    chains: dict[str, float] = {}

    def chain(name: str) -> float:
        if name not in chains:
            chains[name] = own(jobs[name]) + max(map(chain, jobs[name].depends_on), default=0.0)
        return chains[name]

    return max(*map(chain, jobs), sum(map(own, jobs.values())) / max_jobs_run)


def short_duration(seconds: float) -> str:
    """A duration for one who waits.

    >>> short_duration(8.4), short_duration(750), short_duration(11520)
    ('8s', '12min', '3.2h')
    """
    if seconds < 99.5:
        return f"{seconds:.0f}s"
    return f"{seconds / 60:.0f}min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f}h"


def _is_intermediate(job: Job) -> bool:
    return job.row.startswith("stage1/")
