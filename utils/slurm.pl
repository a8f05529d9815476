#!/usr/bin/env python3
"""Runs a command, or an array of them, on a Slurm cluster with its output in a log, and waits for it.

Usage: slurm.pl [options] [JOB=1:n] LOG COMMAND [ARGUMENT ...]
  e.g. slurm.pl --mem 16G --gpu 1 JOB=1:5 exp/log/train.JOB.log python3 -m tool --fold JOB

LOG and COMMAND are run.pl's: a lone COMMAND is a line for bash, and JOB is replaced by the job's number in both.

Options, one argument each:
  --config FILE      what options mean to sbatch (conf/slurm.conf, which says more)
  --time, --mem, --gpu, --num-threads, --num-nodes, --partition, and whatever else FILE has
  --max-jobs-run N   how many jobs of an array run at a time (all)
  --retries N        how often a job that was killed or whose machine was lost is submitted again (2)

A job that ends with status 85 was asked to end, and is submitted again until it ends otherwise. Jobs are cancelled when this
command is ended by a signal.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from cluster_runner import KILLED, Death, NoAnswer, QueueFull, Scheduler, State, UsageError, call_tool, run

OVER = {
    "BOOT_FAIL": "its machine did not start",
    "CANCELLED": "it was cancelled",
    "COMPLETED": "",
    "DEADLINE": "its deadline has passed",
    "FAILED": "",
    "NODE_FAIL": "its machine was lost",
    "OUT_OF_MEMORY": "out of memory; ask for more with --mem",
    "PREEMPTED": "another job took its place",
    "REVOKED": "another cluster took it",
    "TIMEOUT": "time limit; ask for more with --time",
}
AGAIN = ("BOOT_FAIL", "NODE_FAIL", "PREEMPTED")
FULL = re.compile(r"SubmitJob\w*Limit|temporarily un(able to accept|available)", re.IGNORECASE)
"""The limits of a user, an account or a QOS on jobs that are there at a time, and the controller's own (MaxJobCount)."""

AWAY = re.compile(r"unable to contact|timed out|connection refused|^(?!.*\wLimit\b).*job submit limit", re.IGNORECASE)
"""Of a limit that is not named it is not known whether it will pass."""

USUAL = ("None", "Priority", "Resources", "BeginTime", "JobArrayTaskLimit", "Dependency", "Prolog", "Cleaning")
"""What jobs wait for without anybody having to do anything."""

# Without what describes the job that this command itself may run in: it would be taken for what is asked of the new one.
ENV = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_") or name == "SLURM_CONF"}


class Slurm(Scheduler):
    """Slurm by its commands."""

    runner = "slurm.pl"
    conf = "slurm.conf"
    variable = "SLURM_ARRAY_TASK_ID"
    lag_s = 2.0  # it knows exit statuses itself

    def submit(self, words: list[str], script: Path, title: str, numbers: range, at_a_time: int) -> str:
        """The configuration's words come last, so that they win."""
        output = str(script.parent).replace("%", "%%") + "/" + self.said.format(n="%a")
        ours = ["--parsable", "--export=ALL", "--requeue", "--open-mode=append", "--signal=B:TERM@60"]
        ours += [f"--job-name={title}", f"--output={output}", f"--array={numbers[0]}-{numbers[-1]}%{at_a_time}"]
        done = call_tool(words[0], *ours, *words[1:], str(script), env=ENV, timeout_s=None)
        said = done.stderr.strip().replace("\n", "; ")
        if done.returncode and FULL.search(said):
            raise QueueFull(said)
        if done.returncode and AWAY.search(said):
            raise NoAnswer(said)
        if done.returncode:
            raise UsageError(f"{' '.join(words)} did not take the job: {said}")
        return done.stdout.strip().partition(";")[0]

    def states(self, ids: set[str]) -> dict[str, State] | None:
        """Also of those that ended in the last minutes: squeue forgets them after the site's MinJobAge."""
        done = call_tool(
            "squeue",
            "--noheader",
            "--array",
            "--states=all",
            f"--jobs={','.join(sorted(ids))}",
            "--format=%F_%K|%T|%r",
            env=ENV,
        )
        if done.returncode:
            return {} if "Invalid job id" in done.stderr else None
        states = {}
        for line in done.stdout.splitlines():
            name, word, reason = line.split("|", 2)
            note = reason if word == "PENDING" and reason not in USUAL else ""
            states[name] = State(alive=word not in OVER, running=word not in ("PENDING", *OVER), note=note)
        return states

    def why(self, name: str) -> Death:
        """From what the controller remembers of the job."""
        done = call_tool("scontrol", "--oneliner", "show", "job", name, env=ENV)
        if done.returncode and "Invalid job id" not in done.stderr:
            raise NoAnswer(done.stderr.strip())
        found = dict(re.findall(r"\b(JobState|ExitCode|NodeList)=(\S+)", done.stdout))
        state = found.get("JobState", "")
        code, _, signum = found.get("ExitCode", "0:0").partition(":")
        where = f" ({state} on {found.get('NodeList', 'no machine')})"
        if state not in OVER:
            return Death("Slurm knows nothing of it any more", again=True)
        if OVER[state]:
            return Death(OVER[state] + where, again=state in AGAIN, wanted=state == "CANCELLED")
        if signum != "0" or code == str(KILLED):
            return Death(f"killed by signal {signum if signum != '0' else 9}, perhaps for its memory{where}", again=True)
        return Death(f"exit status {code}{where}", code=int(code))

    def cancel(self, ids: set[str]) -> None:
        """They get SIGTERM, and SIGKILL after the site's KillWait."""
        call_tool("scancel", *sorted(ids), env=ENV)


if __name__ == "__main__":
    sys.exit(run(Slurm(), sys.argv[1:], __doc__))
