"""The driver of a table on a real Slurm, with jobs that only note when they run: what waits for what, and what survives."""

import os
import threading
import time
from functools import partial

import pytest
from two_nodes import kill, processes_of, wait_until

from espnet_ser.schedule.jobs import Job, State
from espnet_ser.schedule.runner import RunnerProcess
from espnet_ser.schedule.scheduler import Scheduler, View


@pytest.fixture
def table(cluster, tmp_path, monkeypatch):
    """Two intermediate finetunings, the second one slow, and what follows each."""
    for name, value in cluster.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    runner = os.path.join(os.path.dirname(__file__), "..", "..", "utils", "slurm.pl")

    def job(row, seconds, *depends_on):
        # What is begun a second time ends soon, as a training that goes on.
        line = f"echo begin >>{row}.txt; [[ $(wc -l <{row}.txt) -gt 1 ]] || sleep {seconds}; echo end >>{row}.txt"
        return Job(row, "fold", ("bash", "-c", line), tmp_path / row / "log" / "train.fold1.log", depends_on)

    jobs = [job("quick", 1), job("slow", 300), job("after_quick", 300, "quick fold"), job("after_slow", 1, "slow fold")]
    scheduler = Scheduler(jobs, partial(RunnerProcess, [runner]), 100, View())
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    yield {job.row: job for job in jobs}, scheduler, tmp_path
    scheduler.stop(15)
    thread.join(timeout=90)
    assert wait_until(lambda: not cluster.jobs()) is True


def running(cluster, row):
    """The job of a row, once it runs."""
    return next(
        (job for job, (state, _, title) in cluster.jobs().items() if state == "RUNNING" and row in title.split("-")), None
    )


def test_a_job_starts_when_its_own_parent_is_done_and_a_kill_and_a_lost_node_do_no_harm(table, cluster):
    jobs, _, folder = table
    wait_until((folder / "after_quick.txt").exists)
    assert jobs["slow"].state is State.RUNNING
    assert not (folder / "after_slow.txt").exists()

    wait_until(lambda: running(cluster, "slow"))
    time.sleep(3)
    kill(processes_of(running(cluster, "slow")))
    wait_until(lambda: jobs["after_slow"].state is State.DONE)
    assert (folder / "slow.txt").read_text() == "begin\nbegin\nend\n"

    node = cluster.jobs()[running(cluster, "after_quick")][1]
    cluster.lose(node)
    try:
        wait_until(lambda: jobs["after_quick"].state is State.DONE, seconds=180)
    finally:
        cluster.start(node)
    assert (folder / "after_quick.txt").read_text() == "begin\nbegin\nend\n"
    assert {job.state for job in jobs.values()} == {State.DONE}


def test_a_parent_that_somebody_cancels_takes_down_only_what_waits_for_it(table, cluster):
    jobs, _, _ = table
    cluster.call("scancel", wait_until(lambda: running(cluster, "slow")))
    wait_until(lambda: jobs["slow"].state is State.FAILED)
    assert "it was cancelled" in jobs["slow"].reason
    wait_until(lambda: jobs["after_slow"].state is State.SKIPPED)
    assert jobs["quick"].state is State.DONE


def test_a_driver_that_is_stopped_leaves_no_job(table, cluster):
    _, scheduler, _ = table
    wait_until(lambda: running(cluster, "slow"))
    scheduler.stop(15)
    wait_until(lambda: not cluster.jobs())
