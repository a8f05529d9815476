"""Date, machine and versions: what every figure is shown with."""

import hashlib
import platform
import subprocess
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from espnet_ser.version import __version__

VERSIONED = ("espnet", "torch", "transformers", "numpy", "soxr")

_PACKAGE = Path(__file__).parent


def describe_environment() -> dict[str, str]:
    """What the numbers were made with, name -> value, in the order in which to show it."""
    environment = {"date": date.today().isoformat(), "machine": f"{platform.system()} {platform.machine()}, {_processor()}"}
    environment["python"] = platform.python_version()
    environment["espnet-ser"] = __version__
    for package in VERSIONED:
        try:
            environment[package] = version(package)
        except PackageNotFoundError:
            environment[package] = "not installed"
    environment["git commit"] = _git_commit()
    environment["code"] = _code_sha256()[:12]
    return environment


def host_name() -> str:
    """The name of this machine: for the records, not for reports, which people pass on."""
    return platform.node() or "unknown"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"


def _git_commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", _PACKAGE, *arguments], capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "environment.py")  # installed below someone's checkout is not part of it
        return git("describe", "--always", "--dirty", "--abbrev=12")
    except (OSError, subprocess.CalledProcessError):
        return "not in a git checkout"


def _code_sha256() -> str:
    """The package's own source, which tells what ran where there is no commit, or one with changes on top."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py"), key=lambda path: path.relative_to(_PACKAGE).as_posix()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()
