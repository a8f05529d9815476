"""Says how the jobs of a table are getting on: in rows and columns, in a line, and at the end why some have failed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from textwrap import indent

from espnet_ser.schedule.jobs import BAD, GOOD, Job, State
from espnet_ser.schedule.time_left import History, jobs_seconds_left, short_duration, training_seconds_left
from espnet_ser.utils.say import aligned

_NARROW = {
    State.UP_TO_DATE: "done",
    State.RUNNING: "run",
    State.QUEUED: "next",
    State.WAITS: "wait",
    State.STOPPED: "stop",
    State.FAILED: "FAIL",
    State.SKIPPED: "skip",
}


def job_cell(job: Job, history: History = (), narrow: bool = False) -> str:
    """Where a job is, in a word; of a training that runs, its epoch and the time left: ``7/8 12s``, or narrow ``87%``."""
    if job.state is not State.RUNNING or not history:
        return _NARROW.get(job.state, job.state.value) if narrow else job.state.value
    epoch, max_epoch = history[-1]["epoch"], history[-1]["max_epoch"]
    if narrow:
        return f"{100 * epoch // max_epoch}%"
    return f"{epoch}/{max_epoch} {short_duration(training_seconds_left(history))}"


def status_table(jobs: Iterable[Job], histories: Mapping[str, History], width: int, height: int) -> list[str]:
    """A row for each intermediate model and system, a column for each fold and for what follows. ``histories``: name of a job
    -> the epochs that it has done, for those that have done one; ``width``: characters of a line, at most: where the cells do
    not fit they get narrower, and last of all they are cut; ``height``: lines, at most (2 or more): rows where nothing happens
    give way. Returns the lines.
    """
    rows: dict[str, dict[str, Job]] = {}
    for job in jobs:
        rows.setdefault(job.row, {})[job.column] = job
    columns = list(dict.fromkeys(column for row in sorted(rows.values(), key=len, reverse=True) for column in row))
    hidden = []
    if len(rows) + 1 > height:
        by_interest = sorted(reversed(rows), key=lambda name: _interest(rows[name].values()))
        hidden = by_interest[: len(rows) + 2 - height]
    shown = {name: row for name, row in rows.items() if name not in hidden}

    def lines_of(narrow: bool) -> list[str]:
        heads = [column.replace("fold ", "f") if narrow else column for column in columns]
        cells = [
            [job_cell(row[column], histories.get(row[column].name, ()), narrow) if column in row else "" for column in columns]
            for row in shown.values()
        ]
        return aligned([["", *heads], *([name, *words] for name, words in zip(shown, cells, strict=True))])

    lines = lines_of(narrow=False)
    if max(map(len, lines)) > width:
        lines = lines_of(narrow=True)
    if hidden:
        lines.append(f"... and {len(hidden)} more: {_counts(job for name in hidden for job in rows[name].values())}")
    return [line[:width] for line in lines]


def status_line(jobs: Sequence[Job], histories: Mapping[str, History], elapsed_s: float, max_jobs_run: int) -> str:
    """How many jobs are in which state, the time that has passed, and the time that is left once an epoch was measured."""
    left_s = jobs_seconds_left(jobs, histories, max_jobs_run)
    left = f", about {short_duration(left_s)} left" if left_s else ""
    return f"{_counts(jobs)}; {short_duration(elapsed_s)} so far{left}"


def event_line(job: Job) -> str:
    """What has just happened to a job."""
    took = short_duration(job.ended_s - job.started_s)
    happened = {
        State.RUNNING: f"started, log in {job.log}",
        State.DONE: f"done in {took}",
        State.STOPPED: f"stopped after {took}",
        State.FAILED: f"FAILED after {took}, log in {job.log}" if job.started_s else f"FAILED: {job.reason}",
        State.SKIPPED: "skipped, what it waits for has failed",
    }
    return f"{job.name}: {happened.get(job.state, job.state.value)}"


def failures(jobs: Iterable[Job]) -> str:
    """Which jobs have failed and why, each reason once with the log of the first; nothing if none has."""
    alike: dict[str, list[Job]] = {}
    for job in jobs:
        if job.state is State.FAILED:
            alike.setdefault(job.reason, []).append(job)
    paragraphs = []
    for reason, failed in alike.items():
        log = f", log in {failed[0].log}" if failed[0].started_s else ""
        paragraphs.append(f"{', '.join(job.name for job in failed)} FAILED{log}:\n{indent(reason, '  ')}\n")
    return "\n".join(paragraphs)


def _interest(jobs: Iterable[Job]) -> int:
    states = {job.state for job in jobs}
    if states & {State.RUNNING, State.FAILED, State.STOPPED}:
        return 3
    if states <= set(GOOD):
        return 0
    return 1 if states <= {State.WAITS, *BAD} else 2


def _counts(jobs: Iterable[Job]) -> str:
    counts = Counter(job.state for job in jobs)
    words = {State.WAITS: "waiting", State.FAILED: "failed"}
    return ", ".join(f"{counts[state]} {words.get(state, state.value)}" for state in State if counts[state])
