"""A copy of the repository, for tests that run its recipes."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
VALIDATOR = ROOT / "utils" / "validate_data_dir.sh"

MINI_OPTIONS = ["--num_utts", "240", "--folds", "1 2", "--stage1-args", "--max_epoch 8", "--stage2-args", "--max_epoch 6"]
"""The mini recipe of the tests: a smaller release, two of its folds, fewer epochs."""


def copy_of_repository(folder: Path) -> Path:
    """A checkout with a space in its name; the environment is the one that runs the tests."""
    target = folder / "my recipe"
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    for name in filter(None, files.decode().split("\0")):
        source = ROOT / name
        if source.is_symlink() or source.exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)
    return target


def run(script, *arguments, cwd=None, check=True, **environment):
    result = subprocess.run(
        [script, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    if check:
        assert result.returncode == 0, f"{result.stdout[-3000:]}\n{result.stderr[-6000:]}"
    return result
