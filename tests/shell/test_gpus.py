"""The GPUs of a machine, here pretended, among the jobs of run.pl."""

import os
import signal
import subprocess
import time

import pytest
from checkout import copy_of_repository

WAITS = 'echo "on $CUDA_VISIBLE_DEVICES"; touch started.$$; while [[ ! -e go ]]; do sleep 0.02; done'


@pytest.fixture
def pretended(tmp_path):
    """The environment of a machine whose nvidia-smi lists so many GPUs."""
    tools = tmp_path / "tools"
    tools.mkdir()

    def environment(num_gpus, **more):
        smi = tools / "nvidia-smi"
        smi.write_text(f'#!/bin/bash\nfor ((i = 0; i < {num_gpus}; i++)); do echo "GPU $i: Pretended"; done\n')
        smi.chmod(0o755)
        names = {"SLURM_JOB_ID": None, "JOB_ID": None, "PATH": f"{tools}:{os.environ['PATH']}", "TMPDIR": str(tmp_path), **more}
        return {name: value for name, value in {**os.environ, **names}.items() if value is not None}

    return environment


@pytest.fixture
def machine(sh, utils, pretended):
    """Runs run.pl there."""

    def start(num_gpus, *arguments, **more):
        env = pretended(num_gpus, **{"CUDA_VISIBLE_DEVICES": None, **more})
        return subprocess.Popen([utils / "run.pl", *arguments], cwd=sh.folder, env=env, stderr=subprocess.DEVNULL)

    return start


def chosen(folder, logs="a.*.log"):
    """Which GPUs each job had, in the order of the logs."""
    lines = [path.read_text().splitlines() for path in sorted(folder.glob(logs))]
    return [line.removeprefix("on ") for text in lines for line in text if line.startswith("on ")]


def wait_for_jobs(folder, number):
    end = time.monotonic() + 60
    while len(list(folder.glob("started.*"))) < number:
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_each_job_of_an_array_has_a_gpu_of_its_own(machine, sh):
    alone = 'set -C; > on.$CUDA_VISIBLE_DEVICES; echo "on $CUDA_VISIBLE_DEVICES"; sleep 0.2; rm on.$CUDA_VISIBLE_DEVICES'
    assert machine(3, "--gpu", "1", "JOB=1:7", "a.JOB.log", alone).wait(timeout=60) == 0
    assert set(chosen(sh.folder)) == {"0", "1", "2"}
    assert len(chosen(sh.folder)) == 7


def test_runners_that_know_nothing_of_each_other_share(machine, sh):
    runners = [machine(4, "--gpu", "2", f"a.{n}.log", WAITS) for n in range(2)]
    wait_for_jobs(sh.folder, 2)
    assert sorted(chosen(sh.folder)) == ["0,1", "2,3"]
    # All have one job now; a fifth and sixth are the second ones of theirs.
    runners += [machine(4, "--gpu", "1", f"b.{n}.log", WAITS) for n in range(2)]
    wait_for_jobs(sh.folder, 4)
    assert sorted(chosen(sh.folder, "b.*.log")) == ["0", "1"]
    (sh.folder / "go").touch()
    assert [runner.wait(timeout=60) for runner in runners] == [0] * 4


def test_jobs_that_take_several_leave_none_idle(machine, sh):
    runners = []
    for number, wanted in enumerate("122"):
        runners.append(machine(4, "--gpu", wanted, f"a.{number}.log", WAITS))
        wait_for_jobs(sh.folder, number + 1)
    assert chosen(sh.folder) == ["0", "1,2", "3,0"]
    (sh.folder / "go").touch()
    assert [runner.wait(timeout=60) for runner in runners] == [0] * 3


def test_a_gpu_with_fewer_jobs_goes_first_whichever_places_they_have(machine, sh):
    jobs = [WAITS, WAITS, WAITS, WAITS.replace("-e go", "-e first")]
    runners = []
    for number, job in enumerate(jobs[::-1]):
        runners.append(machine(2, "--gpu", "1", f"a.{number}.log", job))
        wait_for_jobs(sh.folder, number + 1)
    assert chosen(sh.folder) == ["0", "1", "0", "1"]
    (sh.folder / "first").touch()  # GPU 0's first place is free, and its second one taken
    assert runners[0].wait(timeout=60) == 0
    runners += [machine(2, "--gpu", "1", "a.4.log", WAITS)]
    wait_for_jobs(sh.folder, 5)
    runners += [machine(2, "--gpu", "1", "a.5.log", WAITS)]
    wait_for_jobs(sh.folder, 6)
    assert chosen(sh.folder)[4:] == ["0", "0"]
    (sh.folder / "go").touch()
    assert [runner.wait(timeout=60) for runner in runners] == [0] * 6
    files = [path.name for path in sh.folder.parent.glob("espnet-ser-gpus-*/*")]
    assert sorted(files) == ["0.1", "0.2", "0.3", "1.1", "1.2", "1.3", "choosing"]


def test_what_shares_no_gpus_shares_no_places(machine, sh):
    runners = [machine(2, "--gpu", "1", f"a.{n}.log", WAITS, SLURM_JOB_ID=str(n)) for n in (1, 2)]
    wait_for_jobs(sh.folder, 2)
    assert chosen(sh.folder) == ["0", "0"]
    (sh.folder / "go").touch()
    assert [runner.wait(timeout=60) for runner in runners] == [0] * 2


def test_a_gpu_is_free_again_when_its_job_has_ended_and_not_before(machine, sh):
    runner = machine(2, "--gpu", "1", "a.1.log", WAITS)
    wait_for_jobs(sh.folder, 1)
    runner.send_signal(signal.SIGKILL)  # its job goes on
    runner.wait()
    assert machine(2, "--gpu", "1", "a.2.log", "echo on $CUDA_VISIBLE_DEVICES").wait(timeout=60) == 0
    (sh.folder / "go").touch()
    end = time.monotonic() + 60
    while chosen(sh.folder, "a.3.log") != ["0"]:
        assert time.monotonic() < end, "waited in vain"
        assert machine(2, "--gpu", "1", "a.3.log", "echo on $CUDA_VISIBLE_DEVICES").wait(timeout=60) == 0
    assert chosen(sh.folder) == ["0", "1", "0"]


@pytest.mark.parametrize(
    ("num_gpus", "wanted", "visible", "expected"),
    [
        (1, "1", None, "unset"),  # nothing to choose
        (0, "1", None, "unset"),
        (0, "1", "0,1", "0,1"),
        (4, "0", None, "unset"),
        (2, "3", None, "unset"),  # whoever trains says how many there are
        (8, "1", "5,7", "5"),
        (8, "2", "5, 7", "5, 7"),
        (8, "1", "GPU-5f3a,GPU-77", "GPU-5f3a"),
        (8, "1", "MIG-5/1/0,MIG-5/2/0", "MIG-5/1/0"),
        (8, "1", "", ""),
        (8, "1", "-1", "-1"),
        (8, "1", "6,-1,7", "6,-1,7"),  # to CUDA that is number 6 alone
        (8, "1", "6,8,7", "6,8,7"),
        (8, "1", "NoDevFiles", "NoDevFiles"),
    ],
)
def test_what_a_job_sees(machine, sh, num_gpus, wanted, visible, expected):
    job = 'echo "on ${CUDA_VISIBLE_DEVICES-unset}"'
    assert machine(num_gpus, "--gpu", wanted, "a.1.log", job, CUDA_VISIBLE_DEVICES=visible).wait(timeout=60) == 0
    assert chosen(sh.folder) == [expected]


def test_a_folder_that_is_not_ones_own_is_refused(machine, sh, tmp_path):
    (tmp_path / f"espnet-ser-gpus-{os.getuid()}-").symlink_to(sh.folder)
    assert machine(2, "--gpu", "1", "a.1.log", "touch ran").wait(timeout=60) == 1
    assert not (sh.folder / "ran").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "--gpu 1 --max-jobs-run 4"),
        (["--jobs_per_gpu", "2"], "--gpu 1 --max-jobs-run 8"),
        (["--ngpu", "2"], "--gpu 2 --max-jobs-run 2"),
        (["--ngpu", "8"], "--gpu 8 --max-jobs-run 1"),
        (["--ngpu", "0", "--nj", "3"], "--gpu 0 --max-jobs-run 3"),
    ],
)
def test_the_recipe_trains_as_many_at_a_time_as_there_are_gpus_for(sh, pretended, options, expected):
    recipe = copy_of_repository(sh.folder) / "egs" / "iemocap"
    commands = (recipe / "cmd.sh").read_text()
    (recipe / "cmd.sh").write_text(commands.replace("cuda_cmd=(run.pl)", 'cuda_cmd=(echo "called")'))
    fold = recipe / "data" / "fold1"
    fold.mkdir(parents=True)
    (fold / "fold.json").write_text('{"number": 1, "by": "session"}')
    result = sh(
        recipe / "run.sh", "--stage", "4", "--stop_stage", "4", *options, env=pretended(4, CUDA_VISIBLE_DEVICES="0,1,2,3")
    )
    assert f"called {expected} " in result.stdout, result.stderr
