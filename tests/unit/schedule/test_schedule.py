"""Jobs through the real run.pl, and their scheduler on jobs that are ended by hand."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pytest
from checkout import ROOT

from espnet_ser.errors import InputError
from espnet_ser.schedule import scheduler as scheduler_module
from espnet_ser.schedule.jobs import Job, State
from espnet_ser.schedule.runner import RunnerProcess, log_tail, runner_words
from espnet_ser.schedule.scheduler import Scheduler, View, by_urgency, signals_to

RUN_PL = [sys.executable, str(ROOT / "utils" / "run.pl")]


@pytest.fixture
def make_job(tmp_path):
    def make(name, script="true", after=(), **more):
        row, column = name.split(" ", 1)
        log = tmp_path / "log" / f"{name}.log"
        return Job(row, column, ("bash", "-c", script), log, depends_on=tuple(after), folder=tmp_path / name, **more)

    return make


def run(jobs, max_jobs_run=2, view=None, launch=None):
    scheduler = Scheduler(jobs, launch or partial(RunnerProcess, RUN_PL), max_jobs_run, view or View())
    scheduler.run()
    return {job.name: job.state for job in jobs}


class ByHand:
    """Launches nothing: a job has ended at the fifth look."""

    def __init__(self, failing=()):
        self.started, self.running, self.most, self.failing = [], [], 0, failing

    def __call__(self, job):
        self.started.append(job.name)
        self.running.append(job.name)
        self.most = max(self.most, len(self.running))
        return self._Process(self, job.name)

    class _Process:
        def __init__(self, all_jobs, name):
            self.all_jobs, self.name, self.looks = all_jobs, name, 0

        def poll(self):
            self.looks += 1
            if self.looks < 5:
                return None
            self.all_jobs.running.remove(self.name)
            return int(self.name in self.all_jobs.failing)

        def account(self):
            return "as told"


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(scheduler_module, "POLL_S", 0.0)


def test_a_job_starts_when_its_own_dependencies_have_ended_and_not_later(make_job, tmp_path):
    out = tmp_path / "order"
    jobs = [
        make_job("b fold 1", f"echo b1 >> {out}", after=["a fold 1"]),
        make_job("a fold 1", f"echo a1 >> {out}"),
        # ends only once b1, for which it must not be waited, has run
        make_job("a fold 2", f"for i in {{1..200}}; do grep -q b1 {out} && break; sleep 0.05; done; echo a2 >> {out}"),
        make_job("b fold 2", f"echo b2 >> {out}", after=["a fold 2"]),
    ]
    assert set(run(jobs).values()) == {State.DONE}
    assert out.read_text().split() == ["a1", "b1", "a2", "b2"]


def test_jobs_that_most_others_wait_for_come_first_and_short_ones_before_all(make_job):
    jobs = [
        make_job("single fold 1"),
        make_job("few fold 1"),
        make_job("many fold 1"),
        make_job("x fold 1", after=["few fold 1"]),
        make_job("y fold 1", after=["many fold 1"]),
        make_job("z fold 1", after=["y fold 1"]),
        make_job("w score", after=["single fold 1"]),
    ]
    jobs[-1].folder = None
    names = [job.name for job in by_urgency(jobs)]
    assert names == ["w score", "many fold 1", "single fold 1", "few fold 1", "y fold 1", "x fold 1", "z fold 1"]


def test_no_more_jobs_run_at_a_time_than_asked_for_and_as_many_as_can(make_job, impatient):
    for most in (1, 3):
        launch = ByHand()
        run([make_job(f"a fold {n}") for n in range(7)], max_jobs_run=most, launch=launch)
        assert launch.most == most
        assert launch.started == [f"a fold {n}" for n in range(7)]


@pytest.mark.parametrize("seed", range(20))
def test_no_job_begins_before_its_parents_end_and_no_more_run_than_asked_for(make_job, impatient, seed):
    rng = random.Random(seed)
    names = [f"row{n} fold {rng.randint(1, 3)}" for n in range(rng.randint(1, 30))]
    jobs = [make_job(name, after=rng.sample(names[:n], min(n, rng.randint(0, 2)))) for n, name in enumerate(names)]
    most, launch = rng.randint(1, 5), ByHand()

    def start(job):
        assert not {*job.depends_on} & {*launch.running}
        assert {*job.depends_on} <= {*launch.started}
        return launch(job)

    assert set(run(jobs, max_jobs_run=most, launch=start).values()) == {State.DONE}
    assert launch.most <= most
    assert sorted(launch.started) == sorted(names)


def test_a_failure_skips_what_depends_on_it_and_nothing_else(make_job, impatient):
    jobs = [
        make_job("a fold 1"),
        make_job("a fold 2"),
        make_job("b fold 1", after=["a fold 1"]),
        make_job("b fold 2", after=["a fold 2"]),
        make_job("b select", after=["b fold 1", "b fold 2"]),
        make_job("b score", after=["b select"]),
    ]
    launch = ByHand(failing=["a fold 1"])
    states = run(jobs, launch=launch)
    assert launch.started == ["a fold 1", "a fold 2", "b fold 2"]
    assert [states[job.name] for job in jobs] == [
        *(State.FAILED, State.DONE, State.SKIPPED, State.DONE, State.SKIPPED, State.SKIPPED)
    ]
    assert jobs[0].reason == "as told"


def test_what_is_done_is_asked_once_when_it_can_be_known_and_not_launched(make_job, impatient):
    asked = []

    def is_done(name, answer):
        asked.append((name, jobs[0].state))
        return answer

    jobs = [make_job("a fold 1"), make_job("b fold 1", after=["a fold 1"]), make_job("c fold 1", after=["b fold 1"])]
    jobs[1].is_done = partial(is_done, "b", True)
    jobs[2].is_done = partial(is_done, "c", False)
    launch = ByHand()
    states = run(jobs, launch=launch)
    assert launch.started == ["a fold 1", "c fold 1"]
    assert asked == [("b", State.DONE), ("c", State.DONE)]
    assert states["b fold 1"] is State.UP_TO_DATE


def test_a_job_that_lacks_something_fails_with_its_message_and_the_others_go_on(make_job, impatient):
    def lacks():
        raise InputError("tokens.txt is missing: run stage 2")

    jobs = [make_job("a fold 1", is_done=lacks), make_job("b fold 1")]
    assert list(run(jobs, launch=ByHand()).values()) == [State.FAILED, State.DONE]
    assert jobs[0].reason == "tokens.txt is missing: run stage 2"


def test_the_account_of_a_failure_is_the_end_of_its_log(make_job):
    jobs = [make_job("a fold 1", "seq 1 30; printf '10%%\\r90%%\\r'; printf 'no such file\\n'; exit 3")]
    run(jobs)
    lines = jobs[0].reason.splitlines()
    assert lines == [*(str(n) for n in range(13, 31)), "no such file", "ended (code 3)"]


def test_the_account_of_a_runner_that_leaves_no_log_is_what_it_said(make_job, tmp_path):
    job = make_job("a fold 1")
    job.log.parent.mkdir()
    job.log.write_text("of an earlier run\n")
    runner = tmp_path / "slurm.pl"
    runner.write_text("#!/bin/sh\necho sbatch: invalid partition >&2\nexit 1\n")
    runner.chmod(0o755)
    run([job], launch=partial(RunnerProcess, [str(runner)]))
    assert job.state is State.FAILED
    assert job.reason == "no log, and the runner said: sbatch: invalid partition"


def test_a_runner_that_cannot_be_started_fails_the_job(make_job, tmp_path):
    job = make_job("a fold 1")
    run([job], launch=partial(RunnerProcess, [str(tmp_path / "none.pl")]))
    assert job.state is State.FAILED
    assert "No such file" in job.reason


def test_the_runner_is_told_the_number_of_gpus_the_log_and_the_command(make_job, tmp_path):
    runner = tmp_path / "slurm.pl"
    runner.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/told\n')
    runner.chmod(0o755)
    job = make_job("a fold 1", "echo two words", num_gpus=2)
    run([job], launch=partial(RunnerProcess, [str(runner), "--mem", "4G"]))
    told = (tmp_path / "told").read_text().splitlines()
    assert told == ["--mem", "4G", "--gpu", "2", str(job.log), "bash", "-c", "echo two words"]


def test_runners_are_looked_up():
    assert runner_words("bash -c 'a b'") == ["bash", "-c", "a b"]
    for train_cmd in ("no_such_runner.pl --mem 4G", "", "run.pl 'a"):
        with pytest.raises(InputError, match="--train_cmd"):
            runner_words(train_cmd)


def test_the_tail_of_a_long_log_is_its_last_lines(tmp_path):
    log = tmp_path / "long.log"
    log.write_text("".join(f"line {n}\n" for n in range(100_000)))
    assert log_tail(log).splitlines() == [f"line {n}" for n in range(99_980, 100_000)]


def alive(pid_file):
    """Whether the process that has written its number there is still alive."""
    try:
        os.kill(int(pid_file.read_text()), 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_that_runs_and_starts_nothing_more(make_job, tmp_path, signum):
    outer = signal.signal(signum, signal.SIG_DFL)  # under nohup the signal of a lost terminal is ignored, as it should be
    jobs = [make_job(f"a fold {n}", f"echo $$ > {tmp_path}/pid{n}; sleep 60") for n in (1, 2, 3)]
    scheduler = Scheduler(jobs, partial(RunnerProcess, RUN_PL), 2, View())

    def interrupt():
        while not all((tmp_path / f"pid{n}").exists() and (tmp_path / f"pid{n}").read_text() for n in (1, 2)):
            time.sleep(0.02)
        os.kill(os.getpid(), signum)

    thread = threading.Thread(target=interrupt)
    with signals_to(scheduler.stop):
        thread.start()
        scheduler.run()
    thread.join()
    assert scheduler.signals == [signum]
    assert [job.state for job in jobs] == [State.STOPPED, State.STOPPED, State.QUEUED]
    assert not any(alive(tmp_path / f"pid{n}") for n in (1, 2))
    assert not (tmp_path / "pid3").exists()
    assert signal.signal(signum, outer) is signal.SIG_DFL


def test_a_runner_that_does_not_listen_is_killed(make_job, tmp_path, monkeypatch):
    monkeypatch.setattr(scheduler_module, "GRACE_S", 0.3)
    runner = tmp_path / "deaf.sh"
    runner.write_text(f"trap '' TERM\necho $$ > {tmp_path}/pid\nwhile :; do sleep 0.1; done\n")
    scheduler = Scheduler([make_job("a fold 1")], partial(RunnerProcess, ["bash", str(runner)]), 1, View())

    class Impatient(View):
        def refresh(self, final=False):
            if (tmp_path / "pid").exists() and not scheduler.signals:
                scheduler.stop(signal.SIGTERM)

    scheduler._view = Impatient()
    scheduler.run()
    assert not alive(tmp_path / "pid")


def test_a_fault_in_between_leaves_no_process(make_job, tmp_path):
    class Breaks(View):
        def refresh(self, final=False):
            if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
                raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run([make_job("a fold 1", f"echo $$ > {tmp_path}/pid; sleep 60")], view=Breaks())
    assert not alive(tmp_path / "pid")
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path / "pid") not in left
