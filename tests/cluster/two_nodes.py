"""A Slurm of two nodes and a recipe that uses it, for tests that look at both and do them harm."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from checkout import copy_of_repository
from mini import outcome

HERE = Path(__file__).parent
OPTIONS = ["--num_utts", "120", "--ngpu", "0", "--stage1-args", "--max_epoch 6", "--stage2-args", "--max_epoch 6"]


def wait_until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)
    return found


class Cluster:
    """The cluster's own commands."""

    def __init__(self, state: Path):
        self.state = state
        self.env = {**os.environ, "SLURM_CONF": str(state / "slurm.conf")}
        self.env.pop("PYTEST_CURRENT_TEST", None)

    def call(self, *words):
        return subprocess.run(words, env=self.env, capture_output=True, text=True, check=True, timeout=60).stdout

    def jobs(self):
        """Name of each job that waits or runs -> its state, node and title."""
        lines = self.call("squeue", "--noheader", "--array", "--format=%F_%K|%T|%N|%j").splitlines()
        return {line.split("|")[0]: tuple(line.split("|")[1:]) for line in lines}

    def node(self, name, state):
        self.call("scontrol", "update", f"NodeName={name}", f"State={state}", "Reason=test")

    def lose(self, name):
        """A node goes without a word, with all that runs on it."""
        daemon = int((self.state / "run" / f"slurmd.{name}.pid").read_text())
        pids = [pid for job, (_, node, *_) in self.jobs().items() if node == name for pid in processes_of(job)]
        shepherds = {pid for pid in map(parent, pids) if Path(f"/proc/{pid}/comm").read_text().startswith("slurmstepd")}
        kill([daemon, *shepherds, *pids])

    def start(self, name):
        """Starts a lost node again."""
        subprocess.run(["slurmd", "-N", name], env=self.env, check=True, timeout=60)

    def configure(self, line, wanted):
        """A line of slurm.conf, present or not."""
        path = self.state / "slurm.conf"
        lines = [old for old in path.read_text().splitlines() if old != line]
        path.write_text("\n".join(lines + [line] * wanted) + "\n")
        self.call("scontrol", "reconfigure")


def processes_of(name):
    """The processes of a job, from what Slurm has put into their environment."""
    id_, number = name.split("_")
    wanted = {f"SLURM_ARRAY_JOB_ID={id_}".encode(), f"SLURM_ARRAY_TASK_ID={number}".encode()}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted <= set((folder / "environ").read_bytes().split(b"\0")):
                found.append(int(folder.name))
    return found


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def kill(pids):
    """As the kernel does when memory runs out, and a power cut."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Recipe:
    """A copy of the mini recipe; ``exp`` is the last run's."""

    def __init__(self, folder, cluster):
        self.folder = copy_of_repository(folder) / "egs" / "mini_iemocap"
        self.exp = self.folder / "exp"
        self._env = cluster.env
        self._log = open(self.folder / "log.txt", "w+")  # noqa: SIM115 - goes with the process

    def start(self, script, options, backend):
        self._log.seek(0, os.SEEK_END)
        self._begin = self._log.tell()
        return subprocess.Popen(
            [self.folder / script, *options],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**self._env, "cmd_backend": backend},
            start_new_session=True,
        )

    def run(self, script, options, backend):
        process = self.start(script, options, backend)
        assert process.wait(timeout=3 * 3600) == 0, self.said()

    def close(self):
        """Closes the log."""
        self._log.close()

    def said(self):
        """What the last run printed."""
        return (self.folder / "log.txt").read_text()[self._begin :]

    def local(self, script, options):
        """What a run without a cluster leaves, by content."""
        self.run(script, options, "local")
        found = outcome(self.folder)
        shutil.rmtree(self.exp)
        assert any(name.startswith("exp/") and name.endswith("results.json") for name in found)
        return found
