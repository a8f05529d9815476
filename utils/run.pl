#!/usr/bin/env python3
"""Runs a command, or an array of them, on this machine with its output in a log.

Usage: run.pl [options] [JOB=1:n] LOG COMMAND [ARGUMENT ...]
  e.g. run.pl --max-jobs-run 4 JOB=1:8 exp/log/cache.JOB.log python3 -m tool --split JOB
  e.g. run.pl exp/log/count.log "sort text | uniq -c > exp/count"

A lone COMMAND is a line for bash (with pipefail); a COMMAND with arguments is run as it stands, no shell in between.
JOB, or whatever name stands before "=1:n", is replaced by the job's number in the log's name and in the command.

Options, one argument each:
  --max-jobs-run N   how many jobs of an array run at a time; by default as many as the CPUs can hold,
                     or the GPUs, where each takes some
  --num-threads N    the CPUs that each job takes (1)
  --gpu N            the GPUs that each job takes (0): where the machine has more, CUDA_VISIBLE_DEVICES names
                     those that fewest other jobs have
  --mem, --config and any other option of a cluster's runner are accepted and have no effect here

The name and these rules are those of Kaldi's job runners, so that queue.pl or slurm.pl fits in its place.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from gpus import Taken, take, visible_gpus
from job_runner import DATE, GRACE_S, REQUEUE_CODE, SAME_S, Call, UsageError, parse, report


class Job:
    """One command with its log. It leads a process group, so that its whole pipeline can be ended."""

    def __init__(self, number: int, log: str, command: list[str], gpus: list[str], num_gpus: int):
        self.number = number
        self.log = log
        self.command = command
        self.gpus = gpus
        self.num_gpus = num_gpus
        self.taken = Taken([], [])
        self.pid: int | None = None
        self.code: int | None = None
        self.started_s = 0.0

    def start(self) -> None:
        """Write the log's head and start the command. A command that cannot be started has ended at once."""
        self.started_s = time.monotonic()
        Path(self.log).parent.mkdir(parents=True, exist_ok=True)
        is_line = len(self.command) == 1
        shown = self.command[0] if is_line else shlex.join(self.command)
        head = f"# {shown}".replace("\n", "\n# ")
        with open(self.log, "wb") as log:
            log.write(os.fsencode(f"{head}\n# Started at {time.strftime(DATE)}\n#\n"))
            log.flush()
            self.taken = take(self.gpus, self.num_gpus)
            chosen = {"CUDA_VISIBLE_DEVICES": ",".join(self.taken.names)} if self.taken.names else {}
            argv = ["bash", "-o", "pipefail", "-c", self.command[0]] if is_line else self.command
            try:
                # Popen's own handle is not kept: the loop below reaps children by pid.
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={**os.environ, **chosen},
                    pass_fds=self.taken.files,
                )
            except OSError as error:
                log.write(os.fsencode(f"run.pl: cannot run {argv[0]!r}: {error.strerror}\n"))
                log.flush()
                self.end(127 if isinstance(error, FileNotFoundError) else 126)
                return
            self.pid = process.pid
            process.returncode = 0  # else its destructor would wait for the pid as well

    def end(self, code: int) -> None:
        """Write the log's last line."""
        self.code = code
        self.taken.give_back()
        elapsed_s = round(time.monotonic() - self.started_s)
        with open(self.log, "a+b") as log:
            if log.seek(0, os.SEEK_END) > 0:
                log.seek(-1, os.SEEK_END)
                log.write(b"" if log.read() == b"\n" else b"\n")
            log.write(f"# Ended (code {code}) at {time.strftime(DATE)}, elapsed time {elapsed_s} seconds\n".encode())

    def kill(self, signum: int) -> bool:
        """Send a signal to all of the job's processes; false where none is left."""
        try:
            os.killpg(self.pid, signum)
        except (ProcessLookupError, PermissionError):
            return False
        return True


class Pool:
    """Runs jobs, so many at a time, until all have ended or a signal asks to stop."""

    def __init__(self, jobs: list[Job], max_jobs_run: int):
        self.jobs = jobs
        self.max_jobs_run = max_jobs_run
        self.running: dict[int, Job] = {}
        self.ending: list[Job] = []
        self.stopped_by: int | None = None
        self.stopped_at_s = 0.0
        self.killed = False

    def stop(self, signum: int, _frame: object) -> None:
        """Signal handler: ask all that runs to end; kill it when somebody insists."""
        if self.stopped_by is not None:
            if time.monotonic() - self.stopped_at_s > SAME_S:
                self.kill(signum, None)
            return
        self.stopped_by, self.stopped_at_s = signum, time.monotonic()
        self.ending = list(self.running.values())
        for job in self.ending:
            job.kill(signal.SIGTERM)
        signal.alarm(GRACE_S)

    def kill(self, _signum: int, _frame: object) -> None:
        """Handler of the alarm that ends the grace period."""
        self.killed = True
        for job in self.ending:
            job.kill(signal.SIGKILL)

    def run(self) -> None:
        """Run everything. The handlers only set state and send signals, so waiting goes on until each job is reaped."""
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self.stop)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup's wish is respected
            signal.signal(signal.SIGHUP, self.stop)
        signal.signal(signal.SIGALRM, self.kill)
        waiting = list(reversed(self.jobs))
        try:
            while self.running or (waiting and self.stopped_by is None):
                while waiting and len(self.running) < self.max_jobs_run and self.stopped_by is None:
                    self.start(waiting.pop())
                if self.running:
                    self.reap()
        except (OSError, UsageError):  # a log that cannot be written must not leave the other jobs behind
            for job in self.running.values():
                job.kill(signal.SIGKILL)
            raise
        # The leader of a pipeline can end before its members do.
        while not self.killed and any(job.kill(0) for job in self.ending):
            time.sleep(0.02)
        signal.alarm(0)
        if self.stopped_by is not None:  # another signal of the same request must not change the exit status
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(signum, signal.SIG_IGN)

    def reap(self) -> None:
        """Wait for any job to end."""
        pid, status = os.wait()
        job = self.running.pop(pid, None)
        if job is not None:
            job.end(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))

    def start(self, job: Job) -> None:
        """Start one job; if a signal came while it was being started, the handler has missed it."""
        job.start()
        if job.pid is None:
            return
        self.running[job.pid] = job
        if self.stopped_by is not None and job not in self.ending:
            self.ending.append(job)
            job.kill(signal.SIGKILL if self.killed else signal.SIGTERM)


def max_jobs_run(call: Call, num_gpus: int, gpus: list[str]) -> int:
    """How many jobs run at a time."""
    threads = call.count("num-threads", 1, least=1)
    fitting = max(1, len(gpus) // num_gpus if num_gpus else len(os.sched_getaffinity(0)) // threads)
    return call.count("max-jobs-run", fitting, least=1)


def main(arguments: list[str]) -> int:
    """Run the jobs.

    The exit status is 0 where all succeeded, 1 where not, 128 + n on signal n; 85 where nothing went wrong but that jobs were
    asked to end and say by this status that they can go on.
    """
    if arguments[:1] in (["--help"], ["-h"]):
        print(__doc__)
        return 0
    try:
        call = parse("run.pl", arguments)
        num_gpus = call.count("gpu", 0, least=0)
        gpus = visible_gpus() if num_gpus > 0 else []
        jobs = []
        for number in call.numbers:
            command = [call.numbered(word, number) for word in call.command]
            jobs.append(Job(number, call.numbered(call.log, number), command, gpus, num_gpus))
        pool = Pool(jobs, max_jobs_run(call, num_gpus, gpus))
        pool.run()
    except UsageError as error:
        print(f"run.pl: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"run.pl: cannot write the log {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    codes = {job.code for job in jobs if job.code}
    if pool.stopped_by is not None:
        name = signal.Signals(pool.stopped_by).name
        print(f"run.pl: stopped by {name}, logs are in {Path(jobs[0].log).parent}", file=sys.stderr)
        return REQUEUE_CODE if codes == {REQUEUE_CODE} else 128 + pool.stopped_by
    failed = [job.number for job in jobs if job.code != 0]
    if failed:
        report("run.pl", call, failed)
    return 0 if not failed else REQUEUE_CODE if codes == {REQUEUE_CODE} else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
