"""Stages 3 to 6 for the systems of a table: each training once, many at a time, and a report at the end."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from espnet_ser.bin.parser import CommandParser, add_place_options, add_training_options, as_words, setup_of
from espnet_ser.errors import InputError
from espnet_ser.utils.say import say
from espnet_ser.utils.signals import REQUEUE_CODE


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = CommandParser(
        prog="espnet-ser table",
        description=__doc__,
        epilog="example: espnet-ser table --table 3 --conf conf --ssl facebook/wav2vec2-base --nj 4 --ngpu 1",
    )
    parser.add_argument("--table", default="", help="table of the paper: 1, 2, 3 or all")
    parser.add_argument("--systems", default="", help="systems, separated by spaces; default all of the table's")
    parser.add_argument("--folds", default="", help='folds to run, e.g. "1 2 3"; all if empty')
    add_place_options(parser)
    add_training_options(parser)
    parser.add_argument("--nj", type=int, default=4, help="jobs at a time")
    parser.add_argument("--train_cmd", default="run.pl", help="job runner and its options, as one string")
    parser.add_argument("--command", default="", help="the command line to record with the figures")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what is not done yet, says how it is getting on, and prints the report. Raises InputError when a job has failed; the
    others have gone on.
    """
    args = get_parser().parse_args(argv)
    from espnet_ser.experiment.folds import fold_names
    from espnet_ser.schedule.jobs import State
    from espnet_ser.schedule.runner import RunnerProcess, runner_words
    from espnet_ser.schedule.scheduler import Scheduler, signals_to
    from espnet_ser.schedule.status import failures
    from espnet_ser.schedule.table_jobs import table_jobs, table_systems
    from espnet_ser.schedule.views import view_on

    if args.nj < 1:
        raise InputError(f"--nj must be 1 or more, not {args.nj}")
    launch = partial(RunnerProcess, runner_words(args.train_cmd))
    systems = table_systems(args.conf, args.table, args.systems.split(), args.tag)
    folds = fold_names(args.datadir, args.folds)
    places, ways = as_words(args, add_place_options), as_words(args, add_training_options)
    jobs = table_jobs(systems, folds, setup_of(args), places, ways, args.ngpu, args.command)
    scheduler = Scheduler(jobs, launch, args.nj, view_on(sys.stdout, jobs, args.nj))
    with signals_to(scheduler.stop):
        scheduler.run()
    if scheduler.signals:
        say("espnet-ser table: stopped; run it again to go on", file=sys.stderr)
        stopped = {job.code for job in jobs if job.state is State.STOPPED}
        sys.exit(REQUEUE_CODE if stopped == {REQUEUE_CODE} else 128 + scheduler.signals[0])
    failed, skipped = (sum(job.state is state for job in jobs) for state in (State.FAILED, State.SKIPPED))
    say(failures(jobs), end="", file=sys.stderr, flush=True)
    _report(args, some_failed=failed > 0)
    if failed:
        waiting = f" and {skipped} that wait for them were skipped" if skipped else ""
        raise InputError(f"{failed} of {len(jobs)} jobs failed{waiting}; run again to go on with what is missing")


def _report(args: argparse.Namespace, some_failed: bool) -> None:
    from espnet_ser.bin import report
    from espnet_ser.layout import system_folder
    from espnet_ser.report.wording import table_names

    which = f"--systems={args.systems}" if not args.table else f"--table={args.table}"
    where = [f"--conf={args.conf}", f"--expdir={args.expdir}", f"--tag={args.tag}"]
    output = system_folder(args.expdir, table_names(args.table)[0], args.tag)
    try:
        report.main([which, *where, f"--output={output}", f"--command={args.command}"])
    except InputError as error:
        if not some_failed:
            raise
        say(f"no report: {error}", file=sys.stderr)
