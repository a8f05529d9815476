"""utils/run.pl against the rules of Kaldi's job runners."""

import re
import signal
import subprocess
import time

import pytest


@pytest.fixture
def run_pl(sh, utils):
    return lambda *arguments: sh(utils / "run.pl", *arguments)


def wait_until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alive(pid):
    """Whether a process still runs; a zombie that nobody reaps does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()
    return bool(state) and not state.startswith("Z")


def test_the_log_holds_command_output_and_ending(run_pl, sh):
    result = run_pl("new dir/deep/a.log", "printf", r"%s|%s\n", "two  words", "$HOME '*'")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    lines = (sh.folder / "new dir/deep/a.log").read_text().splitlines()
    assert lines[0].startswith("# printf ")
    assert lines[1].startswith("# Started at ")
    assert lines[3] == "two  words|$HOME '*'"
    assert re.fullmatch(r"# Ended \(code 0\) at .*, elapsed time [0-9]+ seconds", lines[-1])


def test_a_lone_argument_is_a_line_for_bash(run_pl, sh):
    assert run_pl("a.log", "printf 'b\\na\\n' | sort > 'out file'").returncode == 0
    assert (sh.folder / "out file").read_text() == "a\nb\n"


def test_a_failure_anywhere_in_a_pipeline_is_a_failure(run_pl):
    assert run_pl("a.log", "false | cat").returncode == 1


def test_the_last_line_stands_alone_after_output_without_newline(run_pl, sh):
    run_pl("a.log", "printf", "no newline")
    assert "\nno newline\n# Ended (code 0)" in (sh.folder / "a.log").read_text()


def test_jobs_do_not_read_the_terminal(run_pl):
    assert run_pl("a.log", "cat", "-").returncode == 0


def test_an_array_runs_each_job_with_its_number(run_pl, sh):
    result = run_pl(
        "--mem", "4G", "--config", "x.conf", "JOB=2:4", "--max-jobs-run", "2", "l/a.JOB.log", "echo", "JOB", "x-JOB-JOB"
    )
    assert result.returncode == 0
    assert sorted(path.name for path in (sh.folder / "l").iterdir()) == ["a.2.log", "a.3.log", "a.4.log"]
    assert "\n3 x-3-3\n" in (sh.folder / "l/a.3.log").read_text()


def test_another_name_than_job_and_a_single_number(run_pl, sh):
    assert run_pl("FOLD=5", "a.FOLD.log", "echo fold FOLD of JOB").returncode == 0
    assert "\nfold 5 of JOB\n" in (sh.folder / "a.5.log").read_text()


def test_a_failed_job_shows_the_end_of_its_log(run_pl):
    result = run_pl("a.log", "bash", "-c", "seq 100; echo the reason >&2; exit 3")
    assert result.returncode == 1
    assert "run.pl: job failed, log is in a.log\n" in result.stderr
    assert "\n  the reason\n" in result.stderr
    assert "\n  # Ended (code 3) at " in result.stderr
    assert "\n  80\n" not in result.stderr


def test_a_failed_array_names_its_failed_jobs_and_runs_the_others(run_pl, sh):
    result = run_pl("JOB=1:4", "a.JOB.log", "bash", "-c", "echo number JOB; touch ran.JOB; (( JOB % 2 ))")
    assert result.returncode == 1
    assert "run.pl: job failed, log is in a.2.log (2 of 4 failed: 2, 4)\n" in result.stderr
    assert "\n  number 2\n" in result.stderr
    assert len(list(sh.folder.glob("ran.*"))) == 4


def test_a_command_that_does_not_exist_fails_with_a_reason(run_pl):
    result = run_pl("a.log", "no-such-command", "x")
    assert result.returncode == 1
    assert "cannot run 'no-such-command': No such file or directory" in result.stderr
    assert "(code 127)" in result.stderr


def test_a_job_ended_by_a_signal_has_the_code_that_bash_gives_it(run_pl, sh):
    assert run_pl("a.log", "bash", "-c", "kill -9 $$").returncode == 1
    assert "# Ended (code 137)" in (sh.folder / "a.log").read_text()


@pytest.mark.parametrize(
    ("options", "most"),
    [(["--max-jobs-run", "2"], 2), (["--gpu", "1"], 1), (["--num-threads", "100000"], 1), (["--max-jobs-run", "1"], 1)],
)
def test_no_more_jobs_run_at_a_time_than_allowed(run_pl, sh, options, most):
    run_pl(*options, "JOB=1:4", "a.JOB.log", "touch on.JOB; printf '%s\\n' on.* | wc -l; sleep 0.1; rm on.JOB")
    seen = [int(path.read_text().splitlines()[3]) for path in sh.folder.glob("a.*.log")]
    assert len(seen) == 4
    assert max(seen) <= most


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "a log file and a command are needed"),
        (["a.log"], "a log file and a command are needed"),
        (["JOB=1:3", "a.log", "true"], "the log's name must contain JOB"),
        (["JOB=0:3", "a.JOB.log", "true"], "bad job range 'JOB=0:3'"),
        (["JOB=3:1", "a.JOB.log", "true"], "bad job range 'JOB=3:1'"),
        (["JOB=1:x", "a.JOB.log", "true"], "bad job range 'JOB=1:x'"),
        (["--max-jobs-run", "0", "a.log", "true"], "--max-jobs-run takes a whole number, 1 or more, got '0'"),
        (["--gpu"], "option --gpu needs a value"),
        (["/proc/none/a.log", "true"], "cannot write the log /proc/none"),
    ],
)
def test_a_senseless_command_line_is_one_clear_line(run_pl, arguments, message):
    result = run_pl(*arguments)
    assert result.returncode == 1
    assert result.stderr.startswith(f"run.pl: {message}")
    assert result.stderr.count("\n") == 1


def test_help_has_an_example(run_pl):
    result = run_pl("--help")
    assert result.returncode == 0
    assert "JOB=1:8" in result.stdout


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_process_of_every_job(sh, utils, signum):
    command = "sleep 600 & echo $! > pid.JOB.part; mv pid.JOB.part pid.JOB; wait; true"
    runner = subprocess.Popen(
        [utils / "run.pl", "--max-jobs-run", "2", "JOB=1:3", "a.JOB.log", command],
        cwd=sh.folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    files = [sh.folder / "pid.1", sh.folder / "pid.2"]
    wait_until(lambda: all(path.exists() for path in files))
    pids = [int(path.read_text()) for path in files]
    assert all(map(alive, pids))
    runner.send_signal(signum)
    _, errors = runner.communicate(timeout=60)
    assert runner.returncode == 128 + signum
    assert f"stopped by {signum.name}" in errors
    assert not any(map(alive, pids))
    assert not (sh.folder / "a.3.log").exists()
    assert "# Ended (code 143)" in (sh.folder / "a.1.log").read_text()


SAVES_ITSELF = "trap 'echo saved; exit 85' TERM; touch ready.JOB; while :; do sleep 0.05; done"


@pytest.mark.parametrize(("job", "codes"), [(SAVES_ITSELF, (85,)), ("touch ready.JOB; sleep 600", (130, 143))])
def test_jobs_that_were_asked_to_end_and_can_go_on_say_so(sh, utils, job, codes):
    command = [utils / "run.pl", "--max-jobs-run", "2", "JOB=1:3", "a.JOB.log", job]
    runner = subprocess.Popen(command, cwd=sh.folder, stderr=subprocess.DEVNULL)
    wait_until(lambda: (sh.folder / "ready.1").exists() and (sh.folder / "ready.2").exists())
    for signum in (signal.SIGTERM, signal.SIGINT):  # from whoever sends one: together they are one request
        runner.send_signal(signum)
    assert runner.wait(timeout=60) in codes
    if codes == (85,):
        assert "saved\n# Ended (code 85)" in (sh.folder / "a.1.log").read_text()


def test_a_job_that_asks_to_be_started_again_by_itself_is_passed_on(run_pl):
    assert run_pl("JOB=1:2", "a.JOB.log", "exit 85").returncode == 85
    assert run_pl("JOB=84:85", "a.JOB.log", "exit JOB").returncode == 1


def test_who_insists_ends_jobs_that_do_not_listen(sh, utils):
    job = "trap '' TERM; echo $$ > pid.part; mv pid.part pid; while :; do sleep 0.05; done"
    runner = subprocess.Popen([utils / "run.pl", "a.log", job], cwd=sh.folder, stderr=subprocess.DEVNULL)
    wait_until((sh.folder / "pid").exists)
    runner.send_signal(signal.SIGTERM)
    time.sleep(2.1)
    assert runner.poll() is None
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(timeout=60) == 128 + signal.SIGTERM
    assert not alive(int((sh.folder / "pid").read_text()))
