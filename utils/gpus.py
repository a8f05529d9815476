"""The GPUs of this machine, shared out among the jobs that run.pl starts: each gets those that fewest others have.

Called as a program it prints their names in one line: nvidia-smi's numbers, or those that CUDA_VISIBLE_DEVICES leaves.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from itertools import count
from pathlib import Path

from job_runner import UsageError

LISTING_S = 30  # nvidia-smi answers in a second or two; one that hangs must not hang what asks it


def visible_gpus() -> list[str]:
    """Their names; none where there is no nvidia-smi, or it finds none."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=LISTING_S).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    number = sum(line.startswith("GPU ") for line in listed.splitlines())
    if number == 0 or "CUDA_VISIBLE_DEVICES" not in os.environ:
        return [str(i) for i in range(number)]
    names: list[str] = []
    for name in os.environ["CUDA_VISIBLE_DEVICES"].split(","):
        name = name.strip()
        is_one = int(name) < number if name.isdecimal() else name.startswith(("GPU-", "MIG-"))
        if not is_one or name in names:  # CUDA too looks no further
            break
        names.append(name)
    return names


class Taken:
    """GPUs that a job has. Others see it as long as this process or one that has inherited ``files`` holds them."""

    def __init__(self, names: list[str], files: list[int]):
        self.names = names
        self.files = files

    def give_back(self) -> None:
        """For the next job."""
        for file in self.files:
            os.close(file)
        self.files = []


def take(names: list[str], number: int) -> Taken:
    """So many of these GPUs, those that fewest jobs of this user have; none where there is nothing to choose between."""
    if not 0 < number < len(names):
        return Taken([], [])
    try:
        folder = _lock_folder()
        choosing = _opened(folder / "choosing")
        try:
            fcntl.flock(choosing, fcntl.LOCK_EX)
            places = {name: _free_place(folder, name) for name in names}
        finally:
            os.close(choosing)
    except OSError as error:
        where = error.filename or tempfile.gettempdir()  # flock names no file
        raise UsageError(f"{where}: {error.strerror}; set TMPDIR to a folder of your own on a local disk") from error
    chosen = sorted(names, key=lambda name: places[name][0])[:number]
    Taken([], [places[name][1] for name in names if name not in chosen]).give_back()
    return Taken(chosen, [places[name][1] for name in chosen])


def _free_place(folder: Path, name: str) -> tuple[int, int]:
    """How many jobs have a GPU, and the file, now locked, of a place that none has."""
    num_jobs, free = 0, -1
    for place in count(1):
        path = folder / f"{name.replace('/', '_')}.{place}"
        if free >= 0 and not path.exists():
            break
        file = _opened(path)
        if not _locked(file):
            num_jobs += 1
        elif free < 0:
            free = file
            continue
        os.close(file)
    return num_jobs, free


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _lock_folder() -> Path:
    """Where this user's jobs on this machine, or in this allocation of it, tell one another which GPUs they have."""
    allocation = os.environ.get("SLURM_JOB_ID") or os.environ.get("JOB_ID") or ""
    folder = Path(tempfile.gettempdir()) / f"espnet-ser-gpus-{os.getuid()}-{allocation.replace('/', '_')}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise UsageError(f"{folder} is somebody else's: set TMPDIR to a folder of your own")
    return folder


if __name__ == "__main__":
    print(*visible_gpus())
