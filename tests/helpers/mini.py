"""The mini recipe, small, from end to end: run, killed, and what it leaves."""

import contextlib
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

OPTIONS = ["--num_utts", "120", "--folds", "1 2", "--stage1-args", "--max_epoch 3", "--stage2-args", "--max_epoch 3"]
OPTIONS += ["--save_every_min", "0"]  # at every epoch, so that a kill meets saving and what was saved
LEAVES = ("release", "data", "dump", "exp")


class MiniRun:
    """One call of ``run.sh``, its processes known by a word in their environment."""

    def __init__(self, recipe: Path, log: Path, options: Sequence[str] = OPTIONS):
        self._mark = f"ESPNET_SER_FAULT={uuid.uuid4()}"
        self._log = open(log, "ab", buffering=0)  # noqa: SIM115 - closed in close()
        self._said_before = log.stat().st_size
        name, _, value = self._mark.partition("=")
        self.process = subprocess.Popen(
            [recipe / "run.sh", *options],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, name: value},
            start_new_session=True,
            # In the background of a script SIGINT is ignored, and bash cannot catch what it was given ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def said(self) -> str:
        """All it has printed."""
        return Path(self._log.name).read_bytes()[self._said_before :].decode(errors="replace")

    def wait_for(self, text: str) -> bool:
        """Waits until it has printed this; false where it has ended before."""
        while text not in self.said():
            if self.process.poll() is not None:
                return text in self.said()
            time.sleep(0.02)
        return True

    def processes(self) -> list[int]:
        """All that belong to it, also those whose parents are gone."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def leftovers(self, within_s: float = 2.0) -> list[str]:
        """The command lines of those that do not end soon (a pool's own helper outlives it by some milliseconds)."""
        end_s = time.monotonic() + within_s
        while self.processes() and time.monotonic() < end_s:
            time.sleep(0.02)
        return [_command_line(pid) for pid in self.processes()]

    def kill_all(self) -> None:
        """Ends every process of it at one moment, as a loss of power would."""
        for signum in (signal.SIGSTOP, signal.SIGKILL):  # first nobody sees anybody else's end
            seen: set[int] = set()
            while new := set(self.processes()) - seen:
                for pid in new:
                    _send(pid, signum)
                seen |= new
        self.process.wait()
        while any(_state(pid) not in ("Z", "") for pid in self.processes()):
            time.sleep(0.02)

    def ask(self, signum: int) -> int:
        """Sends a signal to the recipe alone and waits for its end; the exit status."""
        self.process.send_signal(signum)
        return self.process.wait(timeout=120)

    def close(self) -> None:
        """Closes the log."""
        self._log.close()


def _send(pid: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def outcome(recipe: Path) -> dict[str, object]:
    """What a finished run has left, by content: equal for equal runs, to the bit."""
    found: dict[str, object] = {}
    for path in sorted(path for name in LEAVES for path in (recipe / name).rglob("*")):
        name = str(path.relative_to(recipe))
        if path.is_dir() or path.is_symlink() or _is_account(path):
            continue
        if path.suffix == ".pth":
            weights = torch.load(path, weights_only=True)
            found[name] = {key: tensor.numpy().tobytes() for key, tensor in weights.items()}
            found[f"{name} (bytes)"] = path.read_bytes()
        elif path.suffix == ".npz":
            found[name] = {key: array.tobytes() for key, array in np.load(path).items()}
        elif path.name == "history.jsonl":
            found[name] = _history(path)
        else:
            found[name] = path.read_bytes()
    for path in sorted((recipe / "exp").rglob("*.pth")):
        if path.is_symlink():
            found[str(path.relative_to(recipe))] = os.readlink(path)
    return found


def _is_account(path: Path) -> bool:
    """Whether a file tells of the run itself: when, for how long, which of its jobs came first to a cache."""
    of_the_run = {"checkpoint.pth", "done.json", "selected.json", "environment.json", "run.json", "RESULTS.md"}
    return (
        path.name in of_the_run
        or path.name.startswith(".")
        or path.suffix in (".log", ".png", ".pdf", ".html")
        or {"log", "cache"} & set(path.parts)
    )


def _history(path: Path) -> list:
    records = {record["epoch"]: record for record in map(json.loads, path.read_text().splitlines())}
    return [{key: value for key, value in record.items() if key != "seconds"} for _, record in sorted(records.items())]


def files_of(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file() and "log" not in path.parts}
