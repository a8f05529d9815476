"""Trains one fold on several machines, which ``espnet2.bin.launch`` starts through a cluster's job runner."""

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from espnet_ser.bin.parser import CommandParser, whole_number
from espnet_ser.errors import InputError
from espnet_ser.experiment.processes import POLL_S, Ending
from espnet_ser.utils.signals import REQUEUE_CODE, STOP


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = CommandParser(
        prog="espnet-ser launch",
        description=__doc__,
        epilog="example: espnet-ser launch --cmd 'slurm.pl --mem 8G' --log exp/stl/log/train.1.log --ngpu 4 --num_nodes 2 "
        "-- --stage ser --system stl --ssl facebook/wav2vec2-base --job 1",
    )
    parser.add_argument("--cmd", required=True, help="job runner and its options, as one string")
    parser.add_argument("--log", type=Path, required=True, help="log of the training")
    parser.add_argument("--ngpu", type=whole_number(0), default=1, help="GPUs of each machine; 0: a process on its CPU")
    parser.add_argument("--num_nodes", type=whole_number(2), required=True, help="machines")
    parser.add_argument("options", nargs="+", help="of espnet-ser train, after '--'")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Waits for the training; asked to end by SIGTERM or SIGINT, until its processes have saved themselves. Raises InputError:
    what the process that failed first had to say; SystemExit with :data:`~espnet_ser.utils.signals.REQUEUE_CODE` when the
    training was saved and is to be started again.
    """
    args = get_parser().parse_args(argv)
    runner = shlex.split(args.cmd)
    if not runner or shutil.which(runner[0]) is None:
        raise InputError(f"--cmd {args.cmd}: no such program; name a job runner that is on PATH")
    if Path(runner[0]).name == "run.pl":
        raise InputError("run.pl runs jobs on this machine alone: name slurm.pl or queue.pl (cmd.sh), or leave out --num_nodes")
    meeting = args.log.absolute().with_name(f".{args.log.stem}.meeting-")
    meeting.parent.mkdir(parents=True, exist_ok=True)
    for left in meeting.parent.glob(f"{meeting.name}*"):
        left.unlink()
    command = [sys.executable, "-m", "espnet2.bin.launch", "--cmd", args.cmd, "--log", str(args.log), "--ngpu", str(args.ngpu)]
    command += ["--num_nodes", str(args.num_nodes), "--init_file_prefix", str(meeting)]
    command += ["--", sys.executable, "-m", "espnet_ser", "train", *args.options]
    said = args.log.with_name(f"{args.log.stem}.launch.log")
    with STOP.handled(), STOP.deferred(), open(said, "wb") as output:
        code = _run(command, output)
        for path in meeting.parent.glob(f"{meeting.name}*.ended"):
            status, reason = Ending(path).read()
            if status == REQUEUE_CODE:
                STOP.end("")
            raise InputError(f"{reason}; log is in {args.log}")
        if STOP.asked:  # before there was anything to save
            STOP.end("")
    if code != 0:
        raise InputError(f"the job failed, logs are in {args.log} and {said}")


def _run(command: list[str], output) -> int:
    """Runs a command in a process group of its own: the launcher does not pass on a signal, so its group is told as well."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    asked = False
    try:
        while process.poll() is None or _signal_group(process.pid, 0):
            if STOP.asked and not asked:
                asked = _signal_group(process.pid, signal.SIGTERM)
            time.sleep(POLL_S)
    except SystemExit:  # somebody insists
        _signal_group(process.pid, signal.SIGTERM)
        raise
    return process.returncode


def _signal_group(leader: int, signum: int) -> bool:
    with suppress(ProcessLookupError):
        os.killpg(leader, signum)
        return True
    return False
