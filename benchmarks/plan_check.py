"""Holds a played-through schedule against a run of it: ``python benchmarks/plan_check.py EXPDIR --table 3 --machines 2``.

EXPDIR is where ``run_table.sh`` has left a table. When each job began and how long it took stand in its log. The schedule is
played through with the mean time of each kind of job, as for a plan, and with each job's own.
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import mean

from espnet_ser.bin.parser import CommandParser
from espnet_ser.errors import InputError
from espnet_ser.experiment.setup import Setup
from espnet_ser.report.grid import Grid, grid_markdown
from espnet_ser.schedule.jobs import Job
from espnet_ser.schedule.simulation import IN_QUEUE, simulate
from espnet_ser.schedule.table_jobs import table_jobs, table_systems

DATE = "%a %b %d %H:%M:%S %Y"


def get_parser() -> CommandParser:
    """The options."""
    parser = CommandParser(
        prog="plan_check.py",
        description=__doc__,
        epilog="example: python benchmarks/plan_check.py egs/mini_iemocap/exp --table 3 --machines 2",
    )
    parser.add_argument("expdir", type=Path, help="where the table's systems are")
    parser.add_argument("--table", default="", help="table of the paper: 1, 2, 3 or all")
    parser.add_argument("--systems", default="", help="systems, separated by spaces; default all of the table's")
    parser.add_argument("--folds", default="1 2 3 4 5", help="folds, separated by spaces")
    parser.add_argument("--machines", type=int, required=True, help="how many jobs could run at a time")
    parser.add_argument("--conf", type=Path, default=Path(__file__).parents[1] / "conf", help="where the systems are")
    return parser


@dataclass(frozen=True)
class Run:
    """When a job ran, by its log: seconds of the clock, to the second."""

    began_s: float
    took_s: float

    @property
    def ended_s(self) -> float:
        """When it had ended."""
        return self.began_s + self.took_s


def main(argv: Sequence[str] | None = None) -> None:
    """Prints how long the run took, and how long it takes when played through."""
    args = get_parser().parse_args(argv)
    if args.machines < 1:
        raise InputError("--machines must be 1 or more")
    systems = table_systems(args.conf, args.table, args.systems.split())
    setup = Setup(args.expdir, args.expdir, args.expdir, "", {}, {})
    jobs = table_jobs(systems, args.folds.split(), setup, [], [])
    print(grid_markdown(compared(jobs, {job.name: read_run(job.log) for job in jobs}, args.machines)))


def read_run(log: Path) -> Run:
    """What a job runner has written into a job's log.

    Raises:
        InputError: When the job has no log, did not end well, or was started more than once, so that it stands for no other.
    """
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{log}: {error.strerror}; was this table run there?") from error
    begins = re.findall(r"^# Started at (\w+ \w+ +\d+ [\d:]+) \w+ (\d+)", text, re.MULTILINE)
    ends = re.findall(r"^# Ended \(code 0\) .* elapsed time (\d+) seconds", text, re.MULTILINE)
    if len(begins) != 1 or len(ends) != 1:
        raise InputError(f"{log}: the job was started {len(begins)} times and ended well {len(ends)} times, not once")
    began = datetime.strptime(" ".join(begins[0]), DATE)
    return Run((began - datetime(2000, 1, 1)).total_seconds(), float(ends[0]))


def compared(jobs: Sequence[Job], runs: Mapping[str, Run], machines: int) -> Grid:
    """The run beside the schedule that is played through."""
    kinds: dict[str, list[float]] = {}
    for job in jobs:
        kinds.setdefault(kind_of(job), []).append(runs[job.name].took_s)
    means = {kind: mean(times) for kind, times in kinds.items()}
    real = max(run.ended_s for run in runs.values()) - min(run.began_s for run in runs.values())
    played = {
        "mean of its kind": lambda job: means[kind_of(job)],
        "its own": lambda job: runs[job.name].took_s,
    }
    rows = [("the run", "", f"{real:.0f}", f"{idle(real, runs.values(), machines):.0f} %", "1.00")]
    for title, seconds in played.items():
        makespan = max(job.ended_s for job in simulate(jobs, seconds, machines, max(IN_QUEUE, machines)))
        share = f"{idle(makespan, runs.values(), machines):.0f} %"
        rows.append(("played through", title, f"{makespan:.0f}", share, f"{makespan / real:.2f}"))
    return Grid("", ("schedule", "a job's time", "s", "machines idle", "of the run's"), tuple(rows))


def kind_of(job: Job) -> str:
    """Jobs of a kind take alike."""
    if job.folder is None:
        return job.column
    return "stage1" if job.row.startswith("stage1/") else "ser"


def idle(makespan_s: float, runs: Iterable[Run], machines: int) -> float:
    """Percentage of the machines' time in which no job ran."""
    return 100.0 * (1.0 - sum(run.took_s for run in runs) / (machines * makespan_s))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"plan_check.py: {error}")
