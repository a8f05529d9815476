"""What the shell tests share."""

import os
import subprocess
from pathlib import Path

import pytest
from checkout import ROOT

UTILS = ROOT / "utils"


@pytest.fixture
def utils() -> Path:
    return UTILS


@pytest.fixture
def sh(tmp_path):
    """Run a command in a folder with a space in its name; the result has returncode, stdout, stderr."""
    folder = tmp_path / "a folder"
    folder.mkdir()

    def run(*command, env=None, cwd=folder):
        return subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    run.folder = folder
    return run
