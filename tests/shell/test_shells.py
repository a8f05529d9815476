"""Scripts in the shells that people have, and from the checkouts that they make."""

import shutil
import subprocess

import pytest
from checkout import ROOT

SCRIPTS = ["egs/mini_iemocap/run.sh", "egs/TEMPLATE/run.sh", "egs/iemocap/run_table.sh", "utils/setup_env.sh"]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """What the scripts need of the repository, and a folder that CDPATH would lead to instead."""
    folder = tmp_path_factory.mktemp("a copy")
    for name in ("egs", "utils", "conf"):
        shutil.copytree(
            ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("exp", "data", "dump", "release")
        )
    (folder / "decoy/egs/mini_iemocap").mkdir(parents=True)
    return folder


@pytest.mark.parametrize("script", SCRIPTS)
def test_cdpath_does_not_lead_scripts_astray(copy, sh, script):
    done = sh(script, "--help", cwd=copy, env={"CDPATH": "decoy:.:/tmp"})
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout + done.stderr


def test_a_checkout_keeps_its_line_ends_whatever_git_is_set_to(tmp_path):
    files = subprocess.run(["git", "ls-files", "--eol"], cwd=ROOT, capture_output=True, text=True)
    if files.returncode != 0:
        pytest.skip("not a git checkout")
    with_crlf = [line for line in files.stdout.splitlines() if line.startswith(("i/crlf", "i/mixed"))]
    assert not with_crlf
    text = [line for line in files.stdout.splitlines() if line.startswith("i/lf")]
    assert text
    assert all("eol=lf" in line for line in text)
