"""A real Slurm of two nodes, for the tests of this folder. Started once, with the site's settings left as they come."""

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from two_nodes import HERE, OPTIONS, Cluster, Recipe, wait_until

UTILS = HERE.parents[1] / "utils"


@pytest.fixture(scope="session")
def cluster():
    state = Path(tempfile.mkdtemp(prefix="slurm."))  # short: the name of a socket has a limit
    try:
        subprocess.run([HERE / "start_slurm.sh", state], check=True, timeout=60)
        yield Cluster(state)
    finally:
        subprocess.run([HERE / "stop_slurm.sh", state], check=True, timeout=120)
    shutil.rmtree(state)


@pytest.fixture
def slurm(cluster, tmp_path):
    """Run slurm.pl in a folder with a space in its name; ``start`` does not wait for it."""
    folder = tmp_path / "a folder"
    folder.mkdir()

    def start(*arguments, **environment):
        return subprocess.Popen(
            [UTILS / "slurm.pl", *arguments],
            cwd=folder,
            env={**cluster.env, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # In the background of a script SIGINT is ignored, under nohup SIGHUP.
            preexec_fn=lambda: [signal.signal(signum, signal.SIG_DFL) for signum in (signal.SIGINT, signal.SIGHUP)],
        )

    def run(*arguments, timeout=300, **environment):
        process = start(*arguments, **environment)
        stdout, stderr = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    run.folder, run.start = folder, start
    yield run
    assert wait_until(lambda: not cluster.jobs()) is True  # whatever happens, nothing is left behind


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, cluster):
    made = Recipe(tmp_path_factory.mktemp("recipe"), cluster)
    made.run("run.sh", [*OPTIONS, "--stop_stage", "2"], "local")
    yield made
    made.close()


@pytest.fixture
def recipe(prepared, cluster):
    """The mini recipe up to stage 2: nothing is trained before a test, and no job left after it."""
    shutil.rmtree(prepared.exp, ignore_errors=True)
    yield prepared
    wait_until(lambda: not cluster.jobs(), seconds=120)
