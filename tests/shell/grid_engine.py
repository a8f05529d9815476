#!/usr/bin/env python3
"""A stand-in for Grid Engine's qsub, qstat, qdel and qacct, whichever name it is called by; it is not Grid Engine.

It takes the forms of their arguments that queue.pl uses and refuses all others, runs the tasks of an array as local processes
in sessions of their own, -tc at a time, and keeps a folder ($GRID_ENGINE) with a file for each that waits or runs. Forms and
output are written after the manual pages of qsub(1), qstat(1), qdel(1) and accounting(5).
"""

import getpass
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HOME = Path(os.environ["GRID_ENGINE"])
TAKES_VALUE = ("-S", "-r", "-j", "-o", "-N", "-t", "-tc", "-l", "-q", "-pe")
NOTIFY_S = 3.0


def qsub(words):
    asked, alone = {}, set()
    while words[0].startswith("-"):
        word = words.pop(0)
        if word in TAKES_VALUE:
            asked.setdefault(word, []).append(words.pop(0))
            if word == "-pe":
                asked[word].append(words.pop(0))
        elif word in ("-terse", "-V", "-notify"):
            alone.add(word)
        else:
            sys.exit(f"Unknown option {word}")
    if asked.get("-q") == ["none.q"]:
        sys.exit('Unable to run job: Job was rejected because job requests unknown queue "none.q".')
    assert asked["-S"] == ["/bin/bash"]
    assert alone == {"-terse", "-V", "-notify"}
    assert re.fullmatch(r"[A-Za-z_][\w.-]*", asked["-N"][0])
    first, last = map(int, re.fullmatch(r"(\d+)-(\d+)", asked["-t"][0]).groups())
    HOME.mkdir(exist_ok=True)
    limit, there = HOME / "max_u_jobs", sum(path.suffix in (".qw", ".r") for path in HOME.glob("*/*"))
    if limit.exists() and there + last - first + 1 > int(limit.read_text()):
        sys.exit(
            f"Unable to run job: job rejected: only {limit.read_text()} jobs are allowed per user (current job count: {there})."
        )
    id_ = 101 + sum(path.is_dir() for path in HOME.iterdir())
    folder = HOME / str(id_)
    folder.mkdir()
    (folder / "asked").write_text(" ".join(f"{key} {' '.join(values)}" for key, values in asked.items()))
    script = folder / "script"
    script.write_text(Path(words[0]).read_text())
    for number in range(first, last + 1):
        (folder / f"{number}.qw").touch()
    subprocess.Popen(
        [sys.executable, Path(__file__).resolve(), "schedule", str(id_), asked["-tc"][0], asked["-o"][0]],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    print(f"{id_}.{first}-{last}:1")


def schedule(words):
    """Runs an array."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # it is no child of who calls qsub
    folder, at_a_time, output = HOME / words[0], int(words[1]), words[2]
    running = {}
    while running or list(folder.glob("*.qw")):
        for waiting in sorted(folder.glob("*.qw"), key=lambda path: int(path.stem))[: at_a_time - len(running)]:
            number = waiting.stem
            if (HOME / "cannot").exists():
                waiting.rename(folder / f"{number}.Eqw")
                continue
            with open(output.replace("$TASK_ID", number), "ab") as log:
                process = subprocess.Popen(
                    ["/bin/bash", folder / "script"],
                    cwd="/",
                    env={**os.environ, "SGE_TASK_ID": number},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            (folder / f"{number}.pid").write_text(str(process.pid))
            waiting.rename(folder / f"{number}.r")
            running[number] = process
        for number, process in list(running.items()):
            if process.poll() is not None:
                killed = process.returncode < 0
                failed = "100 : assumedly after job" if killed else "0"
                code = 128 - process.returncode if killed else process.returncode
                text = f"{'=' * 62}\nhostname     here\nfailed       {failed}\nexit_status  {code}\nmaxvmem      1.000M\n"
                (folder / f"{number}.account").write_text(text)
                (folder / f"{number}.r").unlink()
                del running[number]
        time.sleep(0.05)


def qstat(words):
    if words[0] == "-j":
        stuck = [path.stem for path in (HOME / words[1]).glob("*.Eqw")]
        found = any(path.suffix in (".qw", ".r", ".Eqw") for path in (HOME / words[1]).iterdir())
        print("".join(f"error reason   {number}:          can't get password entry\n" for number in stuck), end="")
        return None if found else sys.exit(f"Following jobs do not exist: \n{words[1]}")
    assert words == ["-g", "d", "-u", getpass.getuser()]
    rows = [path for path in sorted(HOME.glob("*/*")) if path.suffix in (".qw", ".r", ".Eqw")]
    if rows:
        print(
            "job-ID  prior   name       user         state submit/start at     queue                slots ja-task-ID \n"
            + "-" * 105
        )
    for path in rows:
        queue = "all.q@here" if path.suffix == ".r" else ""
        user, state = getpass.getuser(), path.suffix[1:]
        print(f"{path.parent.name:>7} 0.55500 jname      {user:12} {state:5} 11/25/2026 10:00:00 {queue:20} 1 {path.stem}")
    return None


def qdel(words):
    ids, only = words, None
    if "-t" in words:
        ids, only = words[:-2], words[-1]
    for folder in (HOME / id_ for id_ in ids):
        for path in [*folder.glob("*.qw"), *folder.glob("*.Eqw")]:
            if only in (None, path.stem):
                path.unlink()
        pids = [int(path.with_suffix(".pid").read_text()) for path in folder.glob("*.r") if only in (None, path.stem)]
        for signum in (signal.SIGUSR2, signal.SIGKILL):
            for pid in pids:
                try:
                    os.killpg(pid, signum)
                except ProcessLookupError:
                    continue
            end_s = time.monotonic() + NOTIFY_S
            while list(folder.glob("*.r")) and time.monotonic() < end_s:
                time.sleep(0.05)


def qacct(words):
    assert words[0] == "-j"
    assert words[2] == "-t"
    account = HOME / words[1] / f"{words[3]}.account"
    if not account.exists():
        sys.exit(f"error: job id {words[1]} not found")
    print(account.read_text(), end="")


if __name__ == "__main__":
    name = Path(sys.argv[0]).name
    words = sys.argv[1:]
    if name not in ("qsub", "qstat", "qdel", "qacct"):
        name, words = words[0], words[1:]
    globals()[name](words)
