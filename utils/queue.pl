#!/usr/bin/env python3
"""Runs a command, or an array of them, on a Grid Engine cluster with its output in a log, and waits for it.

Usage: queue.pl [options] [JOB=1:n] LOG COMMAND [ARGUMENT ...]
  e.g. queue.pl --mem 16G --gpu 1 JOB=1:5 exp/log/train.JOB.log python3 -m tool --fold JOB

LOG and COMMAND are run.pl's: a lone COMMAND is a line for bash, and JOB is replaced by the job's number in both.

Options, one argument each:
  --config FILE      what options mean to qsub (conf/queue.conf, which says more)
  --time, --mem, --gpu, --num-threads, --num-nodes, --partition, and whatever else FILE has
  --max-jobs-run N   how many jobs of an array run at a time (all)
  --retries N        how often a job that was killed or whose machine was lost is submitted again (2)

A job that ends with status 85 was asked to end, and is submitted again until it ends otherwise. Jobs are cancelled when this
command is ended by a signal.
"""

from __future__ import annotations

import getpass
import re
import sys
from pathlib import Path

from cluster_runner import KILLED, Death, NoAnswer, QueueFull, Scheduler, State, UsageError, call_tool, run

AWAY = re.compile(r"unable to (contact|send message to) qmaster|got no response|commlib error", re.IGNORECASE)

FULL = re.compile(r"only \d+ jobs are allowed per user", re.IGNORECASE)  # max_u_jobs


def user_name() -> str:
    """The user whose jobs are asked for; everybody's where this machine has no name for them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "*"


class GridEngine(Scheduler):
    """Grid Engine by its commands."""

    runner = "queue.pl"
    conf = "queue.conf"
    variable = "SGE_TASK_ID"
    lag_s = 30.0

    def submit(self, words: list[str], script: Path, title: str, numbers: range, at_a_time: int) -> str:
        """The configuration's words come last, so that they win."""
        output = f"{script.parent}/{self.said.format(n='$TASK_ID')}"
        ours = ["-terse", "-V", "-S", "/bin/bash", "-r", "y", "-notify", "-j", "y", "-o", output, "-N", f"j{title}"]
        ours += ["-t", f"{numbers[0]}-{numbers[-1]}", "-tc", str(at_a_time)]
        done = call_tool(words[0], *ours, *words[1:], str(script), timeout_s=None)
        said = done.stderr.strip().replace("\n", "; ")
        if done.returncode and FULL.search(said):
            raise QueueFull(said)
        if done.returncode and AWAY.search(said):
            raise NoAnswer(said)
        if done.returncode:
            raise UsageError(f"{' '.join(words)} did not take the job: {said}")
        return done.stdout.strip().split("\n")[-1].partition(".")[0]

    def states(self, ids: set[str]) -> dict[str, State] | None:
        """Of the user's jobs, one line a job: id, priority, name, user, state, ..., number in the array."""
        done = call_tool("qstat", "-g", "d", "-u", user_name())
        if done.returncode:
            return None
        states = {}
        for line in done.stdout.splitlines():
            words = line.split()
            if len(words) > 5 and words[0] in ids:
                state = words[4]
                states[f"{words[0]}_{words[-1]}"] = State(
                    alive="E" not in state,
                    running="q" not in state,
                    note="held" if "h" in state else "",
                )
        return states

    def why(self, name: str) -> Death:
        """From the queue, for one that could not be started; else from the accounting file, where the site lets one read it."""
        id_, number = name.split("_")
        queued = call_tool("qstat", "-j", id_)
        error = re.search(rf"^error reason\s+{number}:\s*(.*)", queued.stdout, re.MULTILINE)
        if error:
            call_tool("qdel", id_, "-t", number)
            return Death(f"it could not be started: {error[1]}")
        account = call_tool("qacct", "-j", id_, "-t", number)
        found = dict(re.findall(r"^(failed|exit_status|hostname|maxvmem)\s+(.*\S)", account.stdout, re.MULTILINE))
        if not found:
            return Death("it is gone, and qacct does not know why", again=True)
        failed, code = found.get("failed", "0"), found.get("exit_status", "0").split()[0]
        where = f" (on {found.get('hostname', 'an unknown machine')}, maxvmem {found.get('maxvmem', 'unknown')})"
        if failed.split()[0] != "0":
            return Death(f"failed {failed}{where}", again="limit" not in failed)
        if code == str(KILLED):
            return Death(f"killed by signal 9, perhaps for its memory{where}", again=True)
        return Death(f"exit status {code}{where}", code=int(code))

    def cancel(self, ids: set[str]) -> None:
        """They get SIGUSR2 (-notify), which the script passes on as SIGTERM, and SIGKILL after the queue's notify time."""
        call_tool("qdel", *sorted(ids))


if __name__ == "__main__":
    sys.exit(run(GridEngine(), sys.argv[1:], __doc__))
