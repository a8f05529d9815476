"""What slurm.pl and queue.pl share: the script of the jobs, and the loop that waits for them.

The script of a job writes its exit status into a file when the command has ended. The loop looks for these files, and asks the
scheduler now and then. A job that the scheduler has let go and that has left no status died without a word.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from job_runner import DATE, GRACE_S, REQUEUE_CODE, SAME_S, Call, UsageError, parse, report

CONF_DIR = Path(__file__).resolve().parents[1] / "conf"
LOOK_S = 1.0  # between two looks at the files
ASK_S = (2.0, 30.0)  # between two questions to the scheduler: a tenth of the time that has passed, within these
AWAY_S = 600.0  # how long a scheduler that does not answer is asked again to take a job
AGAIN_S = 15.0  # between two such questions, also to one that takes no more jobs for now: however long, others will end
RETRIES = 2
KILLED, TERMINATED = 137, 143  # statuses of a command that ended by SIGKILL, SIGTERM: the scheduler may know why

SCRIPT = r"""#!/usr/bin/env bash
# Written by {runner}. Each job of the array has its number in {variable}; its log is in {log_name}.
n=${{{variable}}}
cd {folder} || exit 1
log={log}
status={status}/${{n}}
rm -f -- "${{status}}"
exec >>"${{log}}" 2>&1
printf '%s\n' {head}
echo "# Started at $(date '+{date}') on ${{HOSTNAME}}"
echo '#'

# Asked to end (before a time limit, say), it asks all of its processes, and waits for what they make of it.
pass_on() {{
    trap '' TERM USR1 USR2
    kill -TERM 0
    trap pass_on TERM USR1 USR2
}}
trap pass_on TERM USR1 USR2
(trap '' USR1 USR2; exec {command}) &
while
    code=0
    wait $! || code=$?
    kill -0 $! 2>/dev/null # a signal ends the waiting as well
do :; done

[[ -z $(tail -c 1 "${{log}}") ]] || echo
echo "# Ended (code ${{code}}) at $(date '+{date}'), elapsed time ${{SECONDS}} seconds"
echo "${{code}}" >"${{status}}.part" && mv -f -- "${{status}}.part" "${{status}}"
exit "${{code}}"
"""


@dataclass
class State:
    """What a scheduler says of a job."""

    alive: bool  # waits, runs or is about to be started again
    running: bool = False
    note: str = ""  # why it waits, where that is not what jobs usually wait for


@dataclass
class Death:
    """Why a job ended that did not end by itself."""

    reason: str
    again: bool = False  # not by its own fault: it may be started again
    wanted: bool = False  # by somebody: it is not started again, even if it has saved itself
    code: int | None = None  # it ended by itself after all, with this status


class Scheduler:
    """What the loop asks of a cluster. Names of jobs are ``ID_NUMBER``."""

    runner: str
    conf: str  # the file's name in conf/
    variable: str  # holds a job's number, in its environment
    lag_s: float  # how much later than the scheduler's word a status may be seen, on a network's file system
    said: str = "said.{n}"  # besides the script: where the scheduler itself writes about job n

    def submit(self, words: list[str], script: Path, title: str, numbers: range, at_a_time: int) -> str:
        """Submits an array; the scheduler's id of it. ``words`` are those of the configuration. Raises NoAnswer, QueueFull."""
        raise NotImplementedError

    def states(self, ids: set[str]) -> dict[str, State] | None:
        """Name of each job that is known -> its state; None where the scheduler does not answer."""
        raise NotImplementedError

    def why(self, name: str) -> Death:
        """What has become of a job that is not alive; raises NoAnswer."""
        raise NotImplementedError

    def cancel(self, ids: set[str]) -> None:
        """Ends all jobs of these arrays."""
        raise NotImplementedError


class NoAnswer(Exception):
    """The scheduler cannot be reached at the moment."""


class QueueFull(Exception):
    """The scheduler takes no more jobs of this user for now."""


def call_tool(*words: str, env: dict[str, str] | None = None, timeout_s: float | None = 60.0) -> subprocess.CompletedProcess:
    """One of the scheduler's commands. One that does not answer in time has failed."""
    try:
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 124, "", f"no answer within {timeout_s:.0f} s")
    except OSError as error:
        raise UsageError(f"cannot run {words[0]}: {error.strerror}; is this a machine of the cluster?") from error


def conf_words(path: Path, options: dict[str, str]) -> list[str]:
    """The scheduler's command with its arguments, from a configuration in Kaldi's format and the options of a call."""
    command, known, asked = [], {}, {}
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise UsageError(f"{path}:{number}: {error}") from error
        if not words:
            continue
        name, _, value = words[1].partition("=") if len(words) > 1 else ("", "", "")
        name = name.replace("_", "-")
        if words[0] == "command" and len(words) > 1:
            command = words[1:]
        elif words[0] == "option" and name and value:
            known[name, value] = words[2:]
        elif words[0] == "default" and name and len(words) == 2:
            asked[name] = value
        else:
            raise UsageError(f"{path}:{number}: expected 'command ...', 'option name=value ...' or 'default name=value'")
    if not command:
        raise UsageError(f"{path}: no line 'command ...'")
    asked.update(options)
    for name, value in asked.items():
        words = known.get((name, value), known.get((name, "*")))
        if words is None:
            names = ", ".join(sorted({f"--{name}" for name, _ in known}))
            raise UsageError(f"{path} has no 'option {name}={value}' or 'option {name}=*'; it knows {names}")
        command += [word.replace("$0", value) for word in words]
    return command


class Job:
    """One job of the array."""

    def __init__(self, number: int, log: Path):
        self.number = number
        self.log = log
        self.id = ""
        self.code: int | None = None  # once it is over
        self.retries = 0
        self.was_running = False
        self.note = ""
        self.gone_s: float | None = None  # since when the scheduler has not had it

    @property
    def name(self) -> str:
        """As the scheduler calls it."""
        return f"{self.id}_{self.number}"


class Array:
    """The jobs of one call, from submission to the last status."""

    def __init__(self, call: Call, scheduler: Scheduler):
        self.call, self.scheduler = call, scheduler
        options = dict(call.options)
        conf = Path(options.pop("config", "") or f"conf/{scheduler.conf}")
        if "config" not in call.options and not conf.exists():
            conf = CONF_DIR / scheduler.conf
        self.at_a_time = call.count("max-jobs-run", len(call.numbers), least=1)
        self.retries = call.count("retries", RETRIES, least=0)
        self.words = conf_words(conf, {k: v for k, v in options.items() if k not in ("max-jobs-run", "retries")})
        self.jobs = [Job(number, Path(call.numbered(call.log, number))) for number in call.numbers]
        self.pending = [self.jobs]  # what the scheduler has not taken yet, array by array
        self.ask_again_s = self.away_since_s = 0.0
        self.is_away = self.is_full = False
        self.signals = {signal.SIGINT, signal.SIGTERM}
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup's wish is respected
            self.signals.add(signal.SIGHUP)

    def run(self) -> int:
        """Submits, waits, and says how it went; the exit status."""
        for job in self.jobs:
            job.log.parent.mkdir(parents=True, exist_ok=True)
            if job.log.exists():
                job.log.unlink()
        temporary = self.jobs[0].log.parent / "q"
        temporary.mkdir(exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{Path(self.call.log).stem}.", dir=temporary)).absolute()
        self.script = self.folder / "job.sh"
        self.script.write_text(self._script())
        # Signals are only heard while it waits: a job that is just being submitted has an id by then, and can be cancelled.
        signal.pthread_sigmask(signal.SIG_BLOCK, self.signals)
        self.started_s = self.asked_s = time.monotonic()
        heard = None
        try:
            while heard is None and any(job.code is None for job in self.jobs):
                self._submit()
                heard = self._wait(LOOK_S)
                self._look()
        except BaseException:  # whatever it is, no job is left behind
            self._cancel()
            raise
        if heard is not None:
            return self._stop(heard)
        failed = [job.number for job in self.jobs if job.code != 0]
        if failed:
            report(self.scheduler.runner, self.call, failed)
            return 1
        shutil.rmtree(self.folder, ignore_errors=True)
        return 0

    def _status(self, job: Job) -> int | None:
        """The exit status that a job's script has written, if it has."""
        try:
            return int((self.folder / str(job.number)).read_text())
        except (OSError, ValueError):
            return None

    def _say(self, text: str) -> None:
        print(f"{self.scheduler.runner}: {text}", file=sys.stderr, flush=True)

    def _wait(self, seconds: float) -> int | None:
        """A signal that came, or None."""
        heard = signal.sigtimedwait(self.signals, seconds)
        return heard.si_signo if heard else None

    def _script(self) -> str:
        def quoted(word: str) -> str:
            """For bash, with the job's number in its place."""
            parts = word.split(self.call.name) if self.call.name else [word]
            return '"${n}"'.join(shlex.quote(part) if part else "" for part in parts) or "''"

        command = self.call.command
        is_line = len(command) == 1
        shown = command[0] if is_line else " ".join(map(shlex.quote, command))
        return SCRIPT.format(
            runner=self.scheduler.runner,
            variable=self.scheduler.variable,
            log_name=self.call.log.replace("\n", " "),
            folder=shlex.quote(str(Path.cwd())),
            log=quoted(self.call.log),
            status=shlex.quote(str(self.folder)),
            head=quoted("# " + shown.replace("\n", "\n# ")),
            date=DATE,
            command=" ".join(map(quoted, ["bash", "-o", "pipefail", "-c", *command] if is_line else command)),
        )

    def _submit(self) -> None:
        """Submits what the scheduler has not taken yet. Of an array that is too long for it now, a half at a time."""
        parts = [part for part in Path(self.call.log).absolute().with_suffix("").parts[-3:] if part != "log"]
        title = re.sub(r"[^\w.-]", "_", "-".join(parts))
        while self.pending and time.monotonic() >= self.ask_again_s:
            jobs = self.pending.pop(0)
            numbers = range(jobs[0].number, jobs[-1].number + 1)
            at_a_time = max(1, self.at_a_time * len(jobs) // len(self.jobs))
            try:
                id_ = self.scheduler.submit(self.words, self.script, title, numbers, at_a_time)
            except QueueFull as error:
                half = len(jobs) // 2
                self.pending = [part for part in (jobs[:half], jobs[half:]) if part] + self.pending
                if half == 0:
                    if not self.is_full:
                        self._say(f"no more jobs are taken for now ({error}); asking again until they are")
                    self.is_full, self.ask_again_s = True, time.monotonic() + AGAIN_S
            except NoAnswer as error:
                self.pending.insert(0, jobs)
                self.away_since_s = self.away_since_s or time.monotonic()
                if time.monotonic() - self.away_since_s > AWAY_S:
                    raise UsageError(str(error)) from error
                self.ask_again_s = time.monotonic() + AGAIN_S
            else:
                self.away_since_s = 0.0
                for job in jobs:
                    job.id, job.was_running, job.gone_s = id_, False, None

    def _look(self) -> None:
        """Takes note of what has ended, and of what is to be submitted again."""
        waiting = [job for job in self.jobs if job.code is None and job.id]
        for job in waiting:
            status = self._status(job)
            if status not in (None, REQUEUE_CODE, KILLED, TERMINATED):
                job.code = status
        now_s = time.monotonic()
        if now_s - self.asked_s < min(max(ASK_S[0], (now_s - self.started_s) / 10), ASK_S[1]):
            return
        waiting = [job for job in waiting if job.code is None]
        states = self.scheduler.states({job.id for job in waiting}) if waiting else None
        self.asked_s = now_s = time.monotonic()
        if waiting and (states is None) is not self.is_away:
            self.is_away = not self.is_away
            self._say("the scheduler does not answer; waiting for it" if self.is_away else "the scheduler answers again")
        for job in waiting if states is not None else ():
            state = states.get(job.name, State(alive=False))
            if state.alive:
                self._follow(job, state)
            elif job.gone_s is None:
                job.gone_s = now_s
            elif now_s - job.gone_s >= self.scheduler.lag_s:
                try:
                    again = self._bury(job)
                except NoAnswer:  # asked again next time
                    continue
                if again:
                    job.id = ""
                    self.pending.append([job])

    def _follow(self, job: Job, state: State) -> None:
        if job.was_running and not state.running:
            self._say(f"job {job.name} has left its machine; the scheduler starts it again")
        if state.note and state.note != job.note:
            self._say(f"job {job.name} waits: {state.note}")
        job.was_running, job.note, job.gone_s = state.running, state.note, None

    def _bury(self, job: Job) -> bool:
        """Says of a job that the scheduler has let go why; whether to submit it again."""
        death, status = self.scheduler.why(job.name), self._status(job)
        if REQUEUE_CODE in (status, death.code) and not death.wanted:
            self._say(f"job {job.name} saved itself and asks to be started again: submitted again")
            if status is not None:
                (self.folder / str(job.number)).unlink()
            return True
        if death.code is not None and job.log.exists():  # else not even its script could be run
            job.code = death.code
            return False
        again = death.again and job.retries < self.retries
        self._say(f"job {job.name} died: {death.reason}{'; submitted again' if again else ''}")
        said = self.folder / self.scheduler.said.format(n=job.number)
        with open(job.log, "a") as log:
            log.write(
                f"\n{said.read_text() if said.exists() else ''}{self.scheduler.runner}: job {job.name} died: {death.reason}\n"
            )
            if not again:
                log.write(f"# Ended (code 1) at {time.strftime(DATE)}\n")
        if not again:
            job.code = 1
        job.retries += again
        return again

    def _cancel(self) -> set[str]:
        """Ends what is left; the scheduler's ids of it."""
        ids = {job.id for job in self.jobs if job.code is None and job.id}
        if ids:
            self.scheduler.cancel(ids)
        return ids

    def _stop(self, signum: int) -> int:
        """Cancels what is left and waits until it is gone, or somebody insists."""
        started_s, ids = time.monotonic(), self._cancel()
        left = [job for job in self.jobs if job.id in ids]
        gone = not ids
        while not gone and time.monotonic() - started_s < GRACE_S:
            if self._wait(LOOK_S) is not None and time.monotonic() - started_s > SAME_S:
                break
            states = self.scheduler.states(ids)
            gone = states is not None and not any(states.get(job.name, State(alive=False)).alive for job in left)
        for job in left:
            job.code = self._status(job) if job.code is None else job.code
        self._say(f"stopped by {signal.Signals(signum).name}, logs are in {self.jobs[0].log.parent}")
        if not gone:
            self._say(f"these jobs may still be there: {', '.join(sorted(ids))}")
        # One that never started can go on as well as one that has saved itself.
        can_go_on = all(job.code in (0, REQUEUE_CODE) or not job.log.exists() for job in self.jobs)
        return REQUEUE_CODE if gone and can_go_on else 128 + signum


def run(scheduler: Scheduler, arguments: list[str], help_text: str) -> int:
    """What a runner does. Exit status: 0 where all jobs succeeded, 1 where not; stopped by a signal n 128 + n, or 85 where the
    jobs have saved themselves or had not started."""
    if arguments[:1] in (["--help"], ["-h"]):
        print(help_text)
        return 0
    try:
        return Array(parse(scheduler.runner, arguments), scheduler).run()
    except UsageError as error:
        print(f"{scheduler.runner}: {error}", file=sys.stderr)
    except OSError as error:
        print(f"{scheduler.runner}: {error.filename}: {error.strerror}", file=sys.stderr)
    return 1
