"""utils/queue.pl against a stand-in for Grid Engine. It has not been run on a real one."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.fixture
def grid(tmp_path):
    """The environment in which qsub and its like are the stand-in."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name in ("qsub", "qstat", "qdel", "qacct"):
        (bin_folder / name).symlink_to(Path(__file__).with_name("grid_engine.py"))
    return {"GRID_ENGINE": str(tmp_path / "grid"), "PATH": f"{bin_folder}:/usr/local/bin:/usr/bin:/bin"}


@pytest.fixture
def queue_pl(sh, utils, grid):
    return lambda *arguments, **more: sh(sys.executable, utils / "queue.pl", *arguments, env={**grid, **more})


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def still_there(grid):
    return [path for path in Path(grid["GRID_ENGINE"]).glob("*/*") if path.suffix in (".qw", ".r", ".Eqw")]


def test_an_array_runs_each_job_with_its_number_its_words_and_the_callers_environment(queue_pl, sh, grid):
    result = queue_pl(
        "--mem", "2G", "--gpu", "1", "--num_threads", "4", "JOB=2:4", "--max-jobs-run", "2", "l/a.JOB.log", "printf", "%s|",
        "two  words", "$HOME '*' JOB-JOB", "", MINE="mine",
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert sorted(path.name for path in (sh.folder / "l").glob("*.log")) == ["a.2.log", "a.3.log", "a.4.log"]
    lines = (sh.folder / "l/a.3.log").read_text().splitlines()
    assert lines[0].startswith("# printf ")
    assert lines[3] == "two  words|$HOME '*' 3-3||"
    assert re.fullmatch(r"# Ended \(code 0\) at .*, elapsed time [0-9]+ seconds", lines[-1])
    asked = (Path(grid["GRID_ENGINE"]) / "101" / "asked").read_text()
    for words in ("-t 2-4", "-tc 2", "-l mem_free=2G gpu=1", "-pe smp 4", "s_rt=24:00:00"):
        assert all(word in asked for word in words.split()), asked


def test_a_failed_array_names_its_failed_jobs(queue_pl):
    result = queue_pl("JOB=1:4", "a.JOB.log", "bash", "-c", "echo number JOB; (( JOB % 2 ))")
    assert result.returncode == 1
    assert "queue.pl: job failed, log is in a.2.log (2 of 4 failed: 2, 4)\n" in result.stderr


def test_what_cannot_be_submitted_is_one_clear_line(queue_pl):
    result = queue_pl("--partition", "none.q", "a.log", "true")
    assert result.returncode == 1
    assert re.fullmatch(r"queue.pl: qsub .*-q none.q did not take the job: Unable to run job: .*\n", result.stderr)


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("option mem=* -l m=$0", "queue.conf: no line 'command ...'"),
        ("command qsub\noption mem", "queue.conf:2: expected 'command ...', 'option name=value ...' or 'default name=value'"),
        ("command 'qsub", "queue.conf:1: No closing quotation"),
        ("command qsub\noption gpu=0\ndefault gpu=1", "queue.conf has no 'option gpu=1' or 'option gpu=*'; it knows --gpu"),
        ("command no-such-qsub", "cannot run no-such-qsub: No such file or directory; is this a machine of the cluster?"),
    ],
)
def test_a_senseless_configuration_is_one_clear_line(queue_pl, sh, conf, message):
    (sh.folder / "queue.conf").write_text(conf)
    result = queue_pl("--config", "queue.conf", "a.log", "true")
    assert (result.returncode, result.stderr) == (1, f"queue.pl: {message}\n")


def test_a_site_configuration_is_found_and_its_words_come_last(queue_pl, sh, grid):
    (sh.folder / "conf").mkdir()
    (sh.folder / "conf" / "queue.conf").write_text(
        "command qsub -r n\noption mem=0 # as it is\noption mem=* -l ram_free=$0,mem_free=$0\noption num_threads=* -pe smp $0\n"
        "default mem=1G\ndefault num_threads=2"
    )
    assert queue_pl("a.log", "true").returncode == 0
    assert queue_pl("--mem", "0", "b.log", "true").returncode == 0
    asked = [(Path(grid["GRID_ENGINE"]) / id_ / "asked").read_text() for id_ in ("101", "102")]
    assert all("-r y n" in words and "-pe smp 2" in words for words in asked)
    assert "ram_free=1G,mem_free=1G" in asked[0]
    assert "ram_free" not in asked[1]


def test_a_job_that_cannot_be_started_says_why_and_leaves_the_queue(grid, quick):
    Path(grid["GRID_ENGINE"]).mkdir()
    (Path(grid["GRID_ENGINE"]) / "cannot").touch()
    result = quick("a.log", "true")
    assert result.returncode == 1
    assert "died: it could not be started: can't get password entry\n" in result.stderr
    assert still_there(grid) == []


@pytest.fixture
def quick(sh, utils, grid):
    """queue.pl without its patience for network file systems."""
    code = (
        "import runpy, sys, signal; sys.path.insert(0, sys.argv[1]); q = runpy.run_path(sys.argv[1] + '/queue.pl')\n"
        "import cluster_runner; cluster_runner.AGAIN_S = 0.3; q['GridEngine'].lag_s = 0.5\n"
        "sys.exit(q['run'](q['GridEngine'](), sys.argv[2:], ''))"
    )
    words = [sys.executable, "-c", code, utils]
    run = lambda *arguments: sh(*words, *arguments, env=grid)  # noqa: E731
    run.start = lambda *arguments: subprocess.Popen(
        [*map(str, words), *arguments], cwd=sh.folder, env=grid, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    return run


def test_an_array_longer_than_the_users_limit_is_submitted_as_others_end(quick, sh, grid):
    Path(grid["GRID_ENGINE"]).mkdir()
    (Path(grid["GRID_ENGINE"]) / "max_u_jobs").write_text("2")
    result = quick("JOB=1:5", "a.JOB.log", "echo run JOB; sleep 0.5")
    assert result.returncode == 0, result.stderr
    assert [(sh.folder / f"a.{number}.log").read_text().count("\nrun ") for number in range(1, 6)] == [1] * 5
    assert result.stderr.count("no more jobs are taken for now") >= 1
    assert still_there(grid) == []


def test_a_signal_ends_the_wait_for_a_full_queue(quick, sh, grid):
    Path(grid["GRID_ENGINE"]).mkdir()
    (Path(grid["GRID_ENGINE"]) / "max_u_jobs").write_text("1")
    process = quick.start("JOB=1:2", "a.JOB.log", "touch on; sleep 60")
    wait_until((sh.folder / "on").exists)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 143, stderr
    assert still_there(grid) == []
    assert not (sh.folder / "a.2.log").exists()


def test_a_killed_job_is_submitted_again(quick, sh):
    result = quick("JOB=1:2", "a.JOB.log", "echo run JOB; [[ JOB == 1 || -e m ]] || { touch m; kill -9 $PPID; exit 3; }")
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(
        r"queue.pl: job \d+_2 died: failed 100 : assumedly after job \(on here, maxvmem 1.000M\); submitted again\n",
        result.stderr,
    )
    assert (sh.folder / "a.2.log").read_text().count("\nrun 2\n") == 2


SAVES_ITSELF = "[[ ! -e saved ]] || exit 0; trap 'touch saved; exit 85' TERM; sleep 60 & touch on; wait"


def test_a_job_that_asks_to_be_started_again_is(quick, sh, grid):
    process = quick.start("a.log", SAVES_ITSELF)
    wait_until((sh.folder / "on").exists)
    script = next((sh.folder / "q").glob("*/job.sh"))
    pid = int((Path(grid["GRID_ENGINE"]) / "101" / "1.pid").read_text())
    os.kill(pid, signal.SIGUSR1)  # the soft limit
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert "saved itself and asks to be started again" in stderr
    assert not script.exists()


@pytest.mark.parametrize(("job", "status"), [(SAVES_ITSELF, 85), ("touch on; sleep 60", 143)])
def test_a_signal_deletes_every_job(quick, sh, grid, job, status):
    process = quick.start("--max-jobs-run", "1", "JOB=1:2", "a.JOB.log", job)
    wait_until((sh.folder / "on").exists)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == status
    assert still_there(grid) == []
