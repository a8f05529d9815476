"""utils/slurm.pl on a real Slurm: the rules of Kaldi's job runners, and every way in which a job can end."""

import re
import signal
import time

import pytest
from two_nodes import wait_until


def test_an_array_runs_each_job_with_its_number_its_words_and_the_callers_environment(slurm):
    result = slurm(
        "--mem", "100M", "JOB=2:4", "l%a{n}/a.JOB.log", "bash", "-c", 'printf "%s|" "$@" "$MINE" "$PWD"; touch ran.JOB',
        "_", "two  words", "$HOME '*' JOB-JOB", "", MINE="it's mine",
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert sorted(path.name for path in slurm.folder.glob("ran.*")) == ["ran.2", "ran.3", "ran.4"]
    assert sorted(path.name for path in (slurm.folder / "l%a{n}").glob("*.log")) == ["a.2.log", "a.3.log", "a.4.log"]
    lines = (slurm.folder / "l%a{n}/a.3.log").read_text().splitlines()
    assert lines[0].startswith("# bash -c ")
    assert lines[1].startswith("# Started at ")
    assert lines[3] == f"two  words|$HOME '*' 3-3||it's mine|{slurm.folder}|"
    assert re.fullmatch(r"# Ended \(code 0\) at .*, elapsed time [0-9]+ seconds", lines[-1])
    assert list((slurm.folder / "l%a{n}/q").iterdir()) == []


def test_a_lone_argument_is_a_line_for_bash(slurm):
    assert slurm("a.log", "printf 'b\\na\\n' | sort > 'out file'").returncode == 0
    assert (slurm.folder / "out file").read_text() == "a\nb\n"
    assert slurm("a.log", "false | cat").returncode == 1


def test_a_failed_array_names_its_failed_jobs_and_runs_the_others(slurm):
    result = slurm("JOB=1:4", "a.JOB.log", "bash", "-c", "echo number JOB; touch ran.JOB; (( JOB % 2 ))")
    assert result.returncode == 1
    assert "slurm.pl: job failed, log is in a.2.log (2 of 4 failed: 2, 4)\n" in result.stderr
    assert "\n  number 2\n" in result.stderr
    assert len(list(slurm.folder.glob("ran.*"))) == 4


def test_no_more_jobs_run_at_a_time_than_allowed(slurm):
    line = "touch on.JOB; printf '%s\\n' on.* | wc -l; sleep 0.5; rm on.JOB"
    assert slurm("--max-jobs-run", "1", "JOB=1:3", "a.JOB.log", line).returncode == 0
    assert [path.read_text().splitlines()[3] for path in slurm.folder.glob("a.*.log")] == ["1"] * 3


def test_gpus_and_threads_are_asked_for(slurm):
    line = 'echo "$CUDA_VISIBLE_DEVICES $SLURM_CPUS_PER_TASK"'
    assert slurm("--gpu", "2", "--num_threads", "2", "a.log", line).returncode == 0
    assert "\n0,1 2\n" in (slurm.folder / "a.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--partition", "none", "a.log", "true"], "sbatch .*--partition=none did not take the job: .*invalid partition"),
        (["--gpus", "1", "a.log", "true"], ".*slurm.conf has no 'option gpus=1' or 'option gpus=[*]'; it knows --gpu, --mem"),
        (["--config", "none.conf", "a.log", "true"], "--config none.conf: No such file"),
        (["JOB=1:3", "a.log", "true"], "the log's name must contain JOB"),
    ],
)
def test_what_cannot_be_submitted_is_one_clear_line(slurm, arguments, message):
    result = slurm(*arguments)
    assert result.returncode == 1
    assert re.match(f"slurm.pl: {message}", result.stderr), result.stderr
    assert result.stderr.count("\n") == 1


def test_a_killed_job_is_submitted_again_and_its_log_goes_on(slurm):
    result = slurm("JOB=1:2", "a.JOB.log", "echo run JOB; [[ JOB == 1 || -e m ]] || { touch m; kill -9 $PPID; exit 3; }")
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(
        r"slurm.pl: job \d+_2 died: killed by signal 9, perhaps for its memory \(FAILED on n[12]\); submitted again\n",
        result.stderr,
    )
    log = (slurm.folder / "a.2.log").read_text()
    assert log.count("# Started at") == log.count("run 2\n") == 2
    assert "slurm.pl: job " in log
    assert (slurm.folder / "a.1.log").read_text().count("# Started at") == 1


def test_a_killed_command_is_started_again_as_well(slurm):
    result = slurm("a.log", "bash", "-c", "[[ -e m ]] || { touch m; kill -9 $$; }")
    assert result.returncode == 0, result.stderr
    assert "killed by signal 9" in result.stderr


def test_a_job_that_is_killed_every_time_fails_with_the_reason(slurm):
    result = slurm("--retries", "1", "a.log", "echo here; kill -9 $PPID")
    assert result.returncode == 1
    assert result.stderr.count("; submitted again\n") == 1
    assert "slurm.pl: job failed, log is in a.log\n" in result.stderr
    assert (slurm.folder / "a.log").read_text().count("here") == 2 + 2  # of which the head
    assert re.search(r"died: killed by signal 9.*\n# Ended \(code 1\)", (slurm.folder / "a.log").read_text())


def test_a_job_that_takes_too_much_memory_says_so(slurm):
    code = "import time; b = b'x' * (400 << 20); time.sleep(100)"
    result = slurm("--mem", "100M", "--retries", "0", "a.log", "python3", "-c", code)
    assert result.returncode == 1
    assert re.search(r"out of memory; ask for more with --mem|killed by signal 9, perhaps for its memory", result.stderr)
    assert re.search(r"exceeded|memory", (slurm.folder / "a.log").read_text())


@pytest.mark.parametrize("code", [85, 143])
def test_a_job_that_somebody_cancels_is_not_submitted_again(slurm, cluster, code):
    job = f"[[ JOB == 1 ]] || {{ trap 'exit {code}' TERM; sleep 60 & touch on.JOB; wait; }}"
    process = slurm.start("JOB=1:2", "a.JOB.log", job)
    wait_until((slurm.folder / "on.2").exists)
    (name,) = wait_until(lambda: [name for name in cluster.jobs() if name.endswith("_2")])
    cluster.call("scancel", name)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"slurm.pl: job {name} died: it was cancelled (CANCELLED on n" in stderr
    assert "(1 of 2 failed: 2)" in stderr


SAVES_ITSELF = """
    [[ ! -e saved.JOB ]] || exit 0
    trap 'touch saved.JOB; exit 85' TERM
    sleep 300 & touch on.JOB; wait
"""


@pytest.mark.parametrize("by_slurm", [False, True])
def test_a_job_that_saves_itself_before_its_time_limit_is_started_again(slurm, cluster, by_slurm):
    cluster.configure("RequeueExit=85", by_slurm)
    result = slurm("--time", "1", "a.log", SAVES_ITSELF)
    cluster.configure("RequeueExit=85", False)
    assert result.returncode == 0, result.stderr
    assert ("submitted again" in result.stderr) is not by_slurm
    assert (slurm.folder / "a.log").read_text().count("\n# Started at") == 2


def test_a_job_that_does_not_listen_ends_at_its_time_limit(slurm):
    result = slurm(
        "--time", "1", "a.log", "python3", "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(400)"
    )
    assert result.returncode == 1
    assert "died: time limit; ask for more with --time (TIMEOUT on n" in result.stderr
    assert re.search(r"\nslurmstepd\S*: error: .* CANCELLED AT ", (slurm.folder / "a.log").read_text())  # Slurm's own words


@pytest.mark.parametrize("by_slurm", [True, False])
def test_a_job_whose_machine_is_lost_goes_on_elsewhere(slurm, cluster, by_slurm):
    conf = slurm.folder / "slurm.conf"
    conf.write_text("command sbatch" if by_slurm else "command sbatch --no-requeue")
    process = slurm.start("--config", "slurm.conf", "a.log", "echo on >>here; [[ $(wc -l <here) -gt 1 ]] || sleep 300")
    wait_until((slurm.folder / "here").exists)
    ((_, node, *_),) = cluster.jobs().values()
    time.sleep(4)  # until slurm.pl has seen it run
    cluster.node(node, "down")
    try:
        _, stderr = process.communicate(timeout=200)
    finally:
        cluster.node(node, "resume")
    assert process.returncode == 0, stderr
    assert ("has left its machine" if by_slurm else "died: its machine was lost (NODE_FAIL on n") in stderr


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_every_job(slurm, cluster, signum):
    process = slurm.start("--max-jobs-run", "2", "JOB=1:3", "a.JOB.log", "touch on.JOB; sleep 300")
    wait_until(lambda: len(list(slurm.folder.glob("on.*"))) == 2)
    process.send_signal(signum)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert f"stopped by {signum.name}" in stderr
    assert cluster.jobs() == {}
    assert not (slurm.folder / "on.3").exists()


def test_jobs_that_save_themselves_when_all_is_stopped_can_go_on(slurm, cluster):
    process = slurm.start("--max-jobs-run", "1", "JOB=1:2", "a.JOB.log", SAVES_ITSELF)
    wait_until(lambda: list(slurm.folder.glob("on.*")))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 85
    assert cluster.jobs() == {}
    assert slurm("JOB=1:2", "a.JOB.log", "[[ JOB == 2 || -e saved.JOB ]]").returncode == 0
