"""The GPUs of this machine, shared out among the jobs that run.pl starts: each gets those that fewest others have.

Called as a program it prints their names, one a line: what CUDA_VISIBLE_DEVICES holds, or nvidia-smi's numbers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
from itertools import count
from pathlib import Path

from job_runner import UsageError


def visible_gpus() -> list[str]:
    """Their names; none where there is no nvidia-smi, or it finds none."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].replace(" ", "").split(",") if name]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [str(number) for number, _ in enumerate(line for line in listed.splitlines() if line.startswith("GPU "))]


def lock_folder() -> Path:
    """Where this user's jobs on this machine tell one another which GPUs they have."""
    folder = Path(tempfile.gettempdir()) / f"espnet-ser-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise UsageError(f"{folder} is somebody else's: set TMPDIR to a folder of your own")
    return folder


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


def take(number: int) -> Taken:
    """So many GPUs, those that fewest jobs of this user have; none where there is nothing to choose between."""
    names = visible_gpus()
    if not 0 < number < len(names):
        return Taken([], [])
    folder = lock_folder()
    # A GPU has a file for each job that it could have: the first job locks the first one, and so on.
    for place in count(1):
        taken = Taken([], [])
        for name in names:
            file = os.open(folder / f"{name.replace('/', '_')}.{place}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                taken.names.append(name)
                taken.files.append(file)
                if len(taken.names) == number:
                    return taken
                continue
            os.close(file)
        taken.give_back()
    raise AssertionError("never: there is no last place")


if __name__ == "__main__":
    for gpu in visible_gpus():
        print(gpu)
