"""Date, machine and versions: what a figure must stand beside."""

import platform
import subprocess
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

VERSIONED = ("espnet-ser", "espnet", "torch", "transformers")


def describe_environment() -> dict[str, str]:
    """What the numbers were made with, name -> value, in the order in which to show it."""
    environment = {"date": date.today().isoformat(), "machine": f"{platform.system()} {platform.machine()}, {_processor()}"}
    environment["python"] = platform.python_version()
    for package in VERSIONED:
        try:
            environment[package] = version(package)
        except PackageNotFoundError:
            environment[package] = "not installed"
    environment["git commit"] = _git_commit()
    return environment


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"


def _git_commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "not in a git checkout"
