"""A job in the hands of the site's job runner: ``run.pl``, or ``slurm.pl`` and ``queue.pl`` in its place."""

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from espnet_ser.errors import InputError
from espnet_ser.schedule.jobs import Job

TAIL_LINES = 20


def runner_words(train_cmd: str) -> list[str]:
    """A job runner and its options, as words: ``run.pl --mem 4G``. Raises InputError when there is no such command, or quotes
    do not match.
    """
    try:
        words = shlex.split(train_cmd)
    except ValueError as error:
        raise InputError(f"--train_cmd {train_cmd!r}: {error}") from error
    if not words or shutil.which(words[0]) is None:
        raise InputError(f"--train_cmd {train_cmd!r}: no such command; name a job runner that is on PATH, such as run.pl")
    return words


class RunnerProcess(subprocess.Popen):
    """``RUNNER --gpu N LOG COMMAND ARGUMENTS...``, as Kaldi's recipes call it. ``runner``: the runner and its options; ``job``:
    what to run. Raises OSError when the runner cannot be started, or the log's folder cannot be made.
    """

    def __init__(self, runner: Sequence[str], job: Job):
        job.log.parent.mkdir(parents=True, exist_ok=True)
        job.log.unlink(missing_ok=True)  # what is there later is of this run
        self._log = job.log
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in account()
        # In a session of its own: Ctrl-C reaches the scheduler alone, which then ends the runners in good order.
        try:
            super().__init__(
                [*runner, "--gpu", str(job.num_gpus), str(job.log), *job.command],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError:
            self._said.close()
            raise

    def account(self) -> str:
        """The end of the log; where there is none, what the runner itself said."""
        with self._said:
            self._said.seek(0)
            said = self._said.read().decode(errors="replace").strip()
        return log_tail(self._log) if self._log.is_file() else f"no log, and the runner said: {said or 'nothing'}"


def log_tail(log: Path) -> str:
    """The last lines of a log, without reading a long one whole; of a progress bar, its last state. Of the lines that the
    runner adds only the exit status is kept, so that jobs that failed alike have the same tail.
    """
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - 65536))
        text = file.read().decode(errors="replace").rstrip("\n")
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    kept = [re.sub(r"^# Ended (\(code \d+\)).*", r"ended \1", line) for line in lines]
    return "\n".join([line for line in kept if not line.startswith("#")][-TAIL_LINES:])
