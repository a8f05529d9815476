"""What libraries take for granted of a machine and a container, a notebook or a cluster's job may lack."""

import getpass
import multiprocessing
import os
import re
import sys
import tempfile
from pathlib import Path

from espnet_ser.errors import InputError

_CGROUPS = Path("/sys/fs/cgroup")


def fill_in_environment() -> None:
    """Sets what this process's environment lacks, before torch and transformers are imported.

    A user without an entry in the password file (``docker run --user 1234``) gets a name; one without a home a folder of their
    own below ``TMPDIR``. Where a container's quota gives less time than the cores that are there, as many threads compute as
    it pays for.

    Raises:
        InputError: Where file names are not read as UTF-8, as lists write them.
    """
    if sys.getfilesystemencoding() != "utf-8":
        raise InputError(
            f"file names are read as {sys.getfilesystemencoding()} here, not UTF-8: set PYTHONUTF8=1 and run again"
        )
    try:
        getpass.getuser()
    except (KeyError, OSError):  # which of the two depends on Python's version
        os.environ["LOGNAME"] = f"uid{os.getuid()}"
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = str(_home_for_now())
    cores = usable_cores()
    if cores < len(os.sched_getaffinity(0)):
        os.environ.setdefault("OMP_NUM_THREADS", str(cores))


def can_share_work(num_processes: int) -> bool:
    """Whether so many processes can be given work: their queues want semaphores, which want a ``/dev/shm`` with room."""
    try:
        [multiprocessing.Queue() for _ in range(num_processes + 1)]
    except OSError:
        return False
    return True


def usable_cores() -> int:
    """Cores that this process may use: those it is bound to, or fewer where a container's quota (cgroup v2) gives less time."""
    cores = float(len(os.sched_getaffinity(0)))
    for folder in _cgroup_folders():
        try:
            quota, period = (folder / "cpu.max").read_text().split()
            cores = min(cores, int(quota) / int(period))
        except (OSError, ValueError, ZeroDivisionError):  # no such file at the root; "max" is no quota
            continue
    return max(1, round(cores))


def _cgroup_folders() -> list[Path]:
    """The process's own group and those that hold it."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    folder = _CGROUPS / own.lstrip("/")
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(_CGROUPS))]


def _home_for_now() -> Path:
    folder = Path(tempfile.gettempdir()) / f"espnet-ser-home-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        return Path(tempfile.mkdtemp(prefix="espnet-ser-home-"))
    return folder


def check_device_name(name: str) -> None:
    """Checks how a device is called; whether it is there, torch knows.

    Raises:
        InputError: For another name than ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", name):
        raise InputError(f"device {name!r}: neither a CPU nor a GPU; give auto, cpu, cuda or cuda:N")
