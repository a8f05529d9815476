"""What containers, notebooks and clusters lack."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from espnet_ser.utils import machine
from espnet_ser.utils.machine import can_share_work, fill_in_environment, usable_cores


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """A user without an entry in the password file, a name or a home."""

    def no_entry(_uid):
        raise KeyError("uid not found")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def with_quota(monkeypatch, tmp_path, **files):
    """A cgroup file system in which this process's group is /job/step, and what its cpu.max files hold."""
    for name, content in files.items():
        path = tmp_path / {"root": "", "job": "job", "step": "job/step"}[name] / "cpu.max"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path)
    folders = [tmp_path / "job/step", tmp_path / "job", tmp_path]
    monkeypatch.setattr(machine, "_cgroup_folders", lambda: folders)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)))


def test_a_user_without_entry_name_and_home_gets_them(nobody, tmp_path):
    fill_in_environment()
    assert os.environ["LOGNAME"] == f"uid{os.getuid()}"
    home = Path(os.environ["HOME"])
    assert home.parent == tmp_path
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_home_that_is_somebody_elses_link_is_not_taken(nobody, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"espnet-ser-home-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    fill_in_environment()
    assert not Path(os.environ["HOME"]).is_symlink()


def test_what_there_is_stays(monkeypatch, tmp_path):
    given = {"LOGNAME": "somebody", "HOME": "/home/somebody", "OMP_NUM_THREADS": "3"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with_quota(monkeypatch, tmp_path, root="200000 100000")
    fill_in_environment()
    assert {name: os.environ[name] for name in given} == given


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"step": "max 100000"}, 16),
        ({"step": "400000 100000"}, 4),
        ({"step": "max 100000", "job": "250000 100000"}, 2),
        ({"step": "50000 100000"}, 1),
        ({"step": "3200000 100000"}, 16),
        ({"step": "damaged"}, 16),
        ({}, 16),
    ],
)
def test_cores_are_those_of_the_tightest_quota(monkeypatch, tmp_path, files, cores):
    with_quota(monkeypatch, tmp_path, **files)
    assert usable_cores() == cores


def test_threads_are_no_more_than_a_quota_pays_for(monkeypatch, tmp_path):
    with_quota(monkeypatch, tmp_path, step="200000 100000")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    fill_in_environment()
    assert os.environ["OMP_NUM_THREADS"] == "2"


def test_cores_are_those_the_process_is_bound_to():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from espnet_ser.utils.machine import usable_cores; print(usable_cores())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "1\n"


def test_without_semaphores_no_process_is_given_work(monkeypatch):
    import multiprocessing

    assert can_share_work(2)

    def no_room():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(multiprocessing, "Queue", no_room)
    assert not can_share_work(2)


def test_torch_and_the_hub_find_a_name_and_a_home_for_a_user_without_an_entry(tmp_path):
    unshare = ["unshare", "-U", "--map-user=54321", "--map-group=54321"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        pytest.skip("no user namespaces here: a user without an entry in the password file cannot be made")
    code = "from espnet_ser.utils.machine import fill_in_environment; fill_in_environment()\n"
    code += "import getpass, os; print(getpass.getuser(), os.path.expanduser('~'))"
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*unshare, sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.startswith("uid54321 /")


def test_a_notebooks_backend_for_figures_does_not_matter():
    environment = {**os.environ, "MPLBACKEND": "module://no_such_module"}
    code = "from espnet_ser.bin.main import main\ntry: main(['systems'])\nfinally: import matplotlib.pyplot"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "ValueError" not in done.stderr, done.stderr[-500:]


def test_another_encoding_of_file_names_is_one_line():
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-m", "espnet_ser", "systems"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "PYTHONUTF8=1" in done.stderr
