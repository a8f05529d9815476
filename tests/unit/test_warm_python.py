"""The tests' own ``python3`` behaves as the real one."""

import os
import signal
import subprocess
import sys
import time

import pytest
from warm_python import warm_python


@pytest.fixture(scope="module")
def python():
    with warm_python() as folder:
        yield folder / "python3"


def test_arguments_folder_environment_streams_and_status_are_the_callers(python, tmp_path):
    def outcome(program, *arguments):
        done = subprocess.run(
            [program, "-m", "espnet_ser", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    for arguments in (["systems"], ["no-such-command"], ["systems", "--system", "stl", "--print", "nothing"]):
        assert outcome(python, *arguments) == outcome(sys.executable, *arguments)


def test_other_programs_are_the_real_pythons(python):
    done = subprocess.run(
        [python, "-c", "import sys; print('torch' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_fork_ends_with_its_client(python, tmp_path, how):
    client = subprocess.Popen([python, "-m", "espnet_ser", "progress", tmp_path / "fold1"], cwd=tmp_path)
    forks = []
    while not forks:
        forks = [
            pid for pid in filter(str.isdigit, os.listdir("/proc")) if _folder(pid) == str(tmp_path) and int(pid) != client.pid
        ]
        time.sleep(0.05)
    client.send_signal(how)
    assert client.wait() in (-how, 128 + how)
    while any(_folder(pid) == str(tmp_path) for pid in forks):
        time.sleep(0.05)


def _folder(pid):
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return None
